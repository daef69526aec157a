//! An application of another user, whose releases lie side by side, whose database does not say what it has seen, and which is
//! configured by its environment alone.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use midwatch::runbook::run::{Outcome, What};

use super::super::ground::Ground;
use crate::demo::page;
use crate::support::servers::{eventually, free_port};
use crate::support::standins::{kill, unique};

/// Serves the name of the directory it was started in.
const APP: &str = r#"import http.server, os, sys
version = os.path.basename(os.getcwd())
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(version.encode())
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
"#;
const DATABASE: &str = "import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as db:
    db.execute('create table orders (id integer primary key)')
";
/// nobody.
const USER: u32 = 65_534;
/// daemon.
const OTHER: u32 = 1;

struct Shop {
    ground: Ground,
    port: u16,
    secret: String,
}

impl Shop {
    fn open() -> Self {
        let ground = Ground::new("", "").reachable();
        let (root, port, secret) = (ground.path().display().to_string(), free_port(), unique("word"));
        let shop = Self { ground, port, secret };
        for name in ["app/releases/1.0", "app/releases/1.1", "data", "backups"] {
            fs::create_dir_all(shop.path(name)).unwrap();
        }
        let program = |name: &str, text: &str| {
            fs::write(shop.path(name), text).unwrap();
            fs::set_permissions(shop.path(name), Permissions::from_mode(0o755)).unwrap();
        };
        for version in ["1.0", "1.1"] {
            program(&format!("app/releases/{version}/shop.py"), APP);
            let migrate = format!("#!/bin/sh\necho \"$SHOP_SECRET $(id -un) $PWD $1\" >> {root}/data/migrated\n");
            program(&format!("app/releases/{version}/migrate"), &migrate);
        }
        symlink(shop.path("app/releases/1.0"), shop.path("app/current")).unwrap();
        let start = format!(
            "#!/bin/sh\ncd {root}/app/current\nexport SHOP_SECRET={}\npython3 {root}/app/current/shop.py {port} \
             >/dev/null 2>&1 &\n",
            shop.secret
        );
        program("start", &start);
        let database = shop.path("data/shop.sqlite3");
        let made = Command::new("python3").args(["-c", DATABASE]).arg(&database).status().unwrap();
        assert!(made.success());
        let backup = shop.path("backups/shop.sqlite3");
        fs::copy(&database, &backup).unwrap();
        let then = std::time::SystemTime::now() - std::time::Duration::from_mins(5);
        fs::File::options().append(true).open(&backup).unwrap().set_modified(then).unwrap();
        for name in ["app", "app/releases", "app/releases/1.1", "data", "data/shop.sqlite3"] {
            chown(shop.path(name), Some(USER), Some(USER)).unwrap();
        }
        lchown(shop.path("app/current"), Some(USER), Some(USER)).unwrap();
        let config = format!(
            "discover = false\n[sites.shop]\nurl = \"http://127.0.0.1:{port}\"\nhealth_path = \"/\"\n\
             database = \"sqlite://{root}/data/shop.sqlite3\"\n[[sites.shop.backups]]\npath = \"{root}/backups\"\n\
             [sites.shop.releases]\ncurrent = \"{root}/app/current\"\nmigrate = [\"./migrate\", \"all\"]\n\
             [sites.shop.services.web]\nrole = \"web\"\nprocess = \"{root}/app/current/shop.py\"\nuser = \"nobody\"\n\
             start = [\"{root}/start\"]\n"
        );
        fs::write(shop.path("c.toml"), config).unwrap();
        let mut start = Command::new("runuser");
        start.args(["-u", "nobody", "--"]).arg(shop.path("start")).stdin(Stdio::null());
        assert!(start.status().unwrap().success());
        shop.serves("1.0");
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.ground.path().join(name)
    }

    fn serves(&self, version: &str) {
        let url = format!("http://127.0.0.1:{}", self.port);
        eventually("the page", || (page(&url, "GET", "/").as_deref() == Some(version)).then_some(()));
    }

    fn refused(&self, why: &str) {
        let (code, said) = self.ground.call(&["runbook", "plan", "upgrade", "version=1.1"]);
        assert!(code != 0 && said.contains(why), "{code}: {said}");
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let program = self.path("app/current/shop.py").display().to_string();
        for pid in midwatch::backends::process_id::all() {
            if fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().contains(&program) {
                kill(pid);
            }
        }
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine, acts as another user"]
fn it_is_done_as_its_user_in_its_environment_which_nobody_is_shown_as_root() {
    let shop = Shop::open();
    chown(shop.path("app/releases/1.1"), Some(OTHER), None).unwrap();
    shop.refused("in nobody else's hands");
    chown(shop.path("app/releases/1.1"), Some(USER), None).unwrap();
    fs::set_permissions(shop.path("midwatch-itself"), Permissions::from_mode(0o700)).unwrap();
    shop.refused("install midwatch where every user can start it");
    fs::set_permissions(shop.path("midwatch-itself"), Permissions::from_mode(0o755)).unwrap();

    let wish = ["upgrade", "version=1.1"];
    let token = shop.ground.token(&wish);
    let (code, said) = shop.ground.call(&[&["runbook", "run"], &wish[..], &["--confirm", &token]].concat());
    assert_eq!(code, 0, "{said}");
    shop.serves("1.1");
    let (current, new) = (shop.path("app/current"), shop.path("app/releases/1.1"));
    assert_eq!(fs::read_link(&current).unwrap(), new, "a whole path stays one");
    assert_eq!(fs::symlink_metadata(&current).unwrap().uid(), USER);
    let migrated = fs::read_to_string(shop.path("data/migrated")).unwrap();
    assert_eq!(migrated, format!("{} nobody {} all\n", shop.secret, new.display()));
    let kept = Command::new("grep").args(["-ral", &shop.secret]).arg(shop.ground.state()).output().unwrap();
    assert!(!said.contains(&shop.secret) && kept.stdout.is_empty(), "{}", String::from_utf8_lossy(&kept.stdout));

    // Nothing shows whether the database is the one from before: it is asked.
    let token = shop.ground.token(&["undo-upgrade"]);
    let run = shop.ground.begin(&["undo-upgrade", "--confirm", &token]);
    let asked = |entry: &What| matches!(entry, What::Asked { .. });
    eventually("it asks", || shop.ground.view(&run).entries.iter().any(|entry| asked(&entry.what)).then_some(()));
    shop.serves("1.1");
    let (code, said) = shop.ground.call(&["runbook", "answer", &run, "yes", "--step", "1"]);
    assert_eq!(code, 0, "{said}");
    let (outcome, _) = shop.ground.ended(&run);
    assert_eq!(outcome, Outcome::Done, "{:#?}", shop.ground.view(&run).entries.last());
    shop.serves("1.0");
}
