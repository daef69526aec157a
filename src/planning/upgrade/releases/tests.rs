//! Which release is in use, and which may take over.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use url::Url;

use super::{Releases, offered};
use crate::config::{AppKind, ReleasesConfig, SiteConfig};
use crate::domain::id::SiteId;

/// These releases, and `current` pointing to the first.
fn shop(names: &[&str]) -> (TempDir, ReleasesConfig) {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        fs::create_dir_all(dir.path().join("releases").join(name)).unwrap();
        fs::set_permissions(dir.path().join("releases").join(name), Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(dir.path().join("releases"), Permissions::from_mode(0o755)).unwrap();
    symlink(Path::new("releases").join(names[0]), dir.path().join("current")).unwrap();
    let config = ReleasesConfig { current: dir.path().join("current"), migrate: None };
    (dir, config)
}

fn site(app: AppKind) -> SiteConfig {
    SiteConfig::bare(SiteId("shop".to_owned()), app, Url::parse("http://localhost").unwrap())
}

fn point(config: &ReleasesConfig, to: &str) {
    fs::remove_file(&config.current).unwrap();
    symlink(to, &config.current).unwrap();
}

#[test]
fn newer_ones_are_offered_and_older_or_unknown_ones_refused() {
    let (dir, config) = shop(&["2026.2", "2026.1", "2026.10", "v2026.3", "backup"]);
    symlink("2026.10", dir.path().join("releases/2026.11")).unwrap();
    let names: Vec<String> = offered(&config.current).into_iter().map(|choice| choice.value).collect();
    assert_eq!(names, ["2026.10", "v2026.3", "2026.2"]);
    let of = Releases::of(&config).unwrap();
    let refused = |to: &str| of.may_become(to, &site(AppKind::Web)).unwrap_err().to_string();
    assert!(of.may_become("2026.10", &site(AppKind::Web)).is_ok());
    assert!(refused("2026.2").contains("in use already"));
    assert!(refused("2026.1").contains("is older"));
    assert!(refused("2026.12").contains("there is no release"));
    assert!(refused("2026.11").contains("there is no release"), "a link is no release");
    assert!(refused("../2026.10").contains("there is no release"));
    assert!(of.may_become("2026.10", &site(AppKind::Pretalx)).unwrap_err().to_string().contains("not skipped"));
    assert_eq!(of.saying("2026.10").unwrap(), "releases/2026.10", "written as it was");
}

#[test]
fn what_is_no_link_among_releases_is_refused() {
    let (dir, config) = shop(&["1.0"]);
    let refused = || Releases::of(&config).unwrap_err().to_string();
    for to in ["releases/2.0", "/", "..", "releases/1.0/.."] {
        point(&config, to);
        assert!(refused().contains("which is no release"), "{to}: {}", refused());
    }
    symlink("1.0", dir.path().join("releases/1.1")).unwrap();
    point(&config, "releases/1.1");
    assert!(refused().contains("which is no release"), "a link to a link");
    fs::create_dir(dir.path().join("releases/stable")).unwrap();
    point(&config, "releases/stable");
    assert!(refused().contains("is no version"));
    fs::remove_file(&config.current).unwrap();
    assert!(refused().contains("current: "), "there is none");
    fs::create_dir(&config.current).unwrap();
    assert!(refused().contains("is no link"));
}

#[test]
fn what_others_may_write_is_not_trusted() {
    let (dir, config) = shop(&["1.0", "1.1"]);
    let me = rustix::process::geteuid().as_raw();
    let of = Releases::of(&config).unwrap();
    assert!(of.trusted(&["1.0", "1.1"], me).is_ok());
    for place in ["releases", "releases/1.1", "releases/1.0"] {
        let place: PathBuf = dir.path().join(place);
        fs::set_permissions(&place, Permissions::from_mode(0o775)).unwrap();
        assert!(of.trusted(&["1.0", "1.1"], me).unwrap_err().to_string().contains("chmod go-w"));
        fs::set_permissions(&place, Permissions::from_mode(0o755)).unwrap();
    }
    if me != 0 {
        assert!(of.trusted(&["1.1"], me + 1).unwrap_err().to_string().contains("in nobody else's hands"));
    }
}
