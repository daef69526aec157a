use std::collections::BTreeSet;
use std::path::Path;

use super::{Listing, listing};
use crate::backends::backups::meter::Control;
use crate::backends::backups::program::Tools;

/// An archive with a file, and one entry more.
fn archive(name: &str, kind: tar::EntryType, link: &str) -> Result<Listing, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    let mut builder = tar::Builder::new(std::fs::File::create(&path).unwrap());
    for (name, kind, link) in [("media/a.txt", tar::EntryType::Regular, ""), (name, kind, link)] {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o644);
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        builder.append(&header, std::io::empty()).unwrap();
    }
    builder.into_inner().unwrap();
    listing(&path, &Tools::find(), &Control::default())
}

#[test]
fn whatever_leads_out_is_refused_with_its_name() {
    let file = tar::EntryType::Regular;
    let (symlink, link) = (tar::EntryType::Symlink, tar::EntryType::Link);
    for (name, kind, to) in [
        ("../evil", file, ""),
        ("media/../../evil", file, ""),
        ("media/../sideways", file, ""),
        ("/etc/evil", file, ""),
        ("media/out", symlink, "/etc/passwd"),
        ("media/out", symlink, "../../etc"),
        ("media/hard", link, "/etc/passwd"),
        ("media/hard", link, "../x"),
        ("media/disk", tar::EntryType::Block, ""),
        ("media/tty", tar::EntryType::Char, ""),
        ("media/pipe", tar::EntryType::Fifo, ""),
    ] {
        let why = archive(name, kind, to).unwrap_err();
        assert!(why.contains(&format!("`{name}`")), "{why}");
    }
    assert_eq!(archive("media/near", symlink, "../b").unwrap().files.len(), 2);
    assert_eq!(archive("media/twin", link, "media/a.txt").unwrap().files.len(), 2);
}

#[test]
fn links_are_followed_as_far_as_they_lead() {
    let of = |links: &[(&str, &str)]| {
        let mut listing = Listing::default();
        listing.links.extend(links.iter().map(|(at, to)| (super::parts(at), (*to).to_owned())));
        listing
    };
    // Each is within by its words; the second goes up from where the first leads.
    let chain = of(&[("media/a/up", ".."), ("media/a/out", "up/../../x")]);
    assert!(chain.keeps_within("").unwrap_err().contains("`media/a/out`"));
    assert!(of(&[("a/up", ".."), ("a/b", "up/c")]).keeps_within("").is_ok());
    // Within the archive, but not within what is restored of it.
    let beside = of(&[("./media/key", "../.secret"), ("./other/key", "../../x")]);
    assert!(beside.keeps_within("./media").unwrap_err().contains("`media/key`"));
    assert!(of(&[("media/key", "../.secret")]).keeps_within("").is_ok());
    assert!(of(&[("media/round", "round")]).keeps_within("media").is_err());
    assert!(of(&[("media/far", "/etc")]).keeps_within("").is_err());
}

#[test]
fn the_directory_is_found_by_as_much_of_its_path_as_is_written() {
    let of = |names: &[&str]| {
        let mut listing = Listing::default();
        listing.files.extend(names.iter().map(|name| ((*name).to_owned(), 5)));
        listing
    };
    let known = BTreeSet::from(["pub".to_owned()]);
    let root = |names: &[&str]| of(names).root_for(Path::new("/var/pretix/data/media"), &known);
    assert_eq!(root(&["var/pretix/data/media/x", "media/y"]).unwrap(), "var/pretix/data/media");
    assert_eq!(root(&["./media/x", "./.secret"]).unwrap(), "./media");
    assert_eq!(root(&["./pub/x"]).unwrap(), "");
    assert_eq!(root(&["other/x"]), None);
    assert_eq!(of(&["media/x", "media/y/z", "mediation"]).below("media"), (2, 10));
}
