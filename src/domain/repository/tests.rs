use super::{Wish, address, chosen, version, wish};

const A: &str = "1111111111111111111111111111111111111111";
const B: &str = "2222222222222222222222222222222222222222";

#[test]
fn an_address_is_one_that_git_and_pip_take() {
    for (told, taken) in [
        ("https://github.com/pretix/pretix.git", "https://github.com/pretix/pretix.git"),
        ("https://git.example.org:8443/a/b", "https://git.example.org:8443/a/b"),
        ("ssh://git@git.example.org:2222/a/b.git", "ssh://git@git.example.org:2222/a/b.git"),
        ("git@github.com:pretix/pretix.git", "ssh://git@github.com/pretix/pretix.git"),
        ("/srv/git/pretix.git", "file:///srv/git/pretix.git"),
        ("file:///srv/git/pretix.git", "file:///srv/git/pretix.git"),
    ] {
        assert_eq!(address(told).as_deref(), Ok(taken));
    }
}

#[test]
fn an_address_with_credentials_is_refused_and_not_repeated() {
    for told in [
        "https://user:hunter2@github.com/a/b.git",
        "https://hunter2@github.com/a/b.git",
        "ssh://git:hunter2@github.com/a/b",
        "https://user:hunter2@x@github.com/a/b",
    ] {
        let why = address(told).unwrap_err();
        assert!(why.contains("credential helper") && why.contains(".netrc"), "{why}");
        assert!(!why.contains("hunter2"), "{why}");
    }
    for told in ["https://github.com/a/b?token=hunter2", "https://github.com/a/b#egg=hunter2", "http://hunter2/a"] {
        assert!(!address(told).unwrap_err().contains("hunter2"), "{told}");
    }
}

#[test]
fn what_is_no_address_is_refused() {
    for told in [
        "",
        "-u",
        "--upload-pack=touch x",
        "ext::sh -c id",
        "git://github.com/a/b",
        "http://github.com/a/b",
        "a/b",
        "~/b",
        "file://host/srv/b",
        "file://",
        "https://",
        "https://github.com",
        "https://github.com/",
        "https:///a/b",
        "https://github.com/a/b@main",
        "ssh://-oProxyCommand=x/a",
        "ssh://git@-oProxyCommand/a",
        "ssh://@host/a",
        "git@-oProxyCommand:a",
        "git@host:",
        "user@host:a/b",
        "/srv/a b",
        "/srv/$(id)",
    ] {
        assert!(address(told).is_err(), "{told}: {:?}", address(told));
    }
}

#[test]
fn a_commit_is_a_whole_id_or_a_name() {
    assert_eq!(wish(&A.replace('1', "A")), Ok(Wish::Id(A.replace('1', "a"))));
    for name in ["main", "release/2026.8", "v2026.8.0", "abc1234", "refs/pull/7/head", "fix#12"] {
        assert_eq!(wish(name), Ok(Wish::Name(name.to_owned())));
    }
    for odd in ["", "-main", "a b", "a..b", "main~1", "main^", "a:b", "ma*n", "/main", "a\\b", "a\u{7}"] {
        assert!(wish(odd).is_err(), "{odd}");
    }
}

#[test]
fn a_name_stands_for_one_commit() {
    let commit = |id: &str| Ok(id.to_owned());
    let listed = format!(
        "{A}\tHEAD\n{A}\trefs/heads/main\n{B}\trefs/remotes/x/refs/heads/main\n{B}\trefs/tags/v1\n{A}\trefs/tags/v1^{{}}\n\
         {A}\trefs/heads/both\n{B}\trefs/tags/both\n{A}\trefs/heads/same\n{A}\trefs/tags/same\nabc\trefs/heads/odd\n"
    );
    assert_eq!(chosen(&listed, "main"), commit(A));
    assert_eq!(chosen(&listed, "v1"), commit(A), "the commit, not the tag's own number");
    assert_eq!(chosen(&listed, "same"), commit(A));
    assert_eq!(chosen(&listed, "refs/tags/both"), commit(B));
    let refused = |name: &str| chosen(&listed, name).unwrap_err();
    assert!(refused("both").contains("two commits"));
    assert!(refused("mai").contains("no branch and no tag called mai") && !refused("mai").contains("40 digits"));
    assert!(refused("1111111").contains("all 40 digits"));
    assert!(refused("odd").contains("in another way"));
}

#[test]
fn a_version_is_read_and_nothing_is_run() {
    let own = Some("# x\n__version__ = \"2026.9.0.dev0\"\n");
    let dynamic = Some("[project]\nname = \"pretix\"\ndynamic = [\"version\"]\n[tool.x]\nversion = {attr = \"y\"}\n");
    assert_eq!(version(dynamic, own).as_deref(), Ok("2026.9.0.dev0"));
    assert_eq!(version(None, Some("__version__: str = '1.0rc1'")).as_deref(), Ok("1.0rc1"));
    let written =
        Some("[build-system]\nversion = \"9\"\n[project] # here\nversion = \"2026.8.1\" # x\n[other]\nversion = \"1\"");
    assert_eq!(version(written, own).as_deref(), Ok("2026.8.1"), "what is built has this one");
    assert!(version(dynamic, None).unwrap_err().contains("neither"));
    assert!(version(Some("[other]\nversion = \"1\""), Some("x = 1")).unwrap_err().contains("neither"));
    for odd in ["2026.09.0", "1.0-dev", "1.0dev0", "v1.0", "1.0+local", "../../x", "1.0; x", ""] {
        let init = format!("__version__ = '{odd}'");
        assert!(version(None, Some(&init)).unwrap_err().contains("not written"), "{odd}");
    }
}
