//! `[sites.NAME.services.NAME]`, laid over what was found.

use std::fs;

use super::{Listener, ServicePlace, UserManager};
use crate::config::load::{Request, load};
use crate::discovery::Surroundings;
use crate::domain::service::Role;

fn read(text: &str) -> Result<Vec<super::ServiceConfig>, String> {
    let tree = tempfile::tempdir().unwrap();
    fs::create_dir_all(tree.path().join("etc")).unwrap();
    fs::write(tree.path().join("etc/passwd"), "root:x:0:0::/root:/bin/sh\npretix:x:991:991::/:/bin/false\n").unwrap();
    fs::write(
        tree.path().join("m.toml"),
        ["discover = false\n[sites.shop]\nurl = \"http://x.example\"\n", text].concat(),
    )
    .unwrap();
    let around = Surroundings { root: tree.path().to_owned(), ..Surroundings::default() };
    let request = Request { config: Some("/m.toml".into()), ..Request::default() };
    load(&request, &around).map(|mut config| config.sites.remove(0).services).map_err(|error| error.to_string())
}

#[test]
fn every_kind_of_place_can_be_told() {
    let services = read(
        "[sites.shop.services.web]\nunit = \"pretix-web\"\n[sites.shop.services.tasks]\nunit = \"w.service\"\nuser = \
         \"pretix\"\nrole = \"worker\"\n[sites.shop.services.beat]\nprocess = \"celery beat\"\n[sites.shop.services.db]\n\
         compose = \"shop/db\"\nsocket = \"/x.sock\"\n[sites.shop.services.redis]\nsupervisor = \"all:redis\"\nsocket = \
         \"127.0.0.1:9001\"\n",
    )
    .unwrap();
    let told: Vec<(Role, &str, String)> =
        services.iter().map(|s| (s.role, s.place.manager().word(), s.place.name())).collect();
    let expected = [
        (Role::Web, "systemd", "pretix-web.service"),
        (Role::Worker, "systemd --user", "w.service"),
        (Role::Beat, "process", "celery beat"),
        (Role::Database, "compose", "shop/db"),
        (Role::Redis, "supervisor", "all:redis"),
    ];
    assert_eq!(told, expected.map(|(role, manager, name)| (role, manager, name.to_owned())));
    assert!(matches!(services[1].place, ServicePlace::Unit { user: Some(UserManager { uid: 991, .. }), .. }));
    let ServicePlace::Supervisor { at, .. } = &services[4].place else { panic!("supervisor") };
    assert_eq!(at.listens, Listener::Tcp("127.0.0.1:9001".to_owned()));
}

#[test]
fn what_can_not_be_meant_is_a_mistake() {
    for text in [
        "[sites.shop.services.web]\nunit = \"a\"\nprocess = \"b\"\n",
        "[sites.shop.services.web]\nrole = \"web\"\n",
        "[sites.shop.services.web]\nunit = \"-H evil\"\n",
        "[sites.shop.services.web]\nprocess = \" \"\n",
        "[sites.shop.services.web]\nunit = \"a\"\nuser = \"nobody-there\"\n",
        "[sites.shop.services.web]\nunits = \"a\"\n",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
    assert!(read("[sites.shop.services.web]\nignore = true\n").unwrap().is_empty());
}
