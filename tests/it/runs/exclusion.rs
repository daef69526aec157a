//! One at a time, whatever a site is called, and from whichever host.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use midwatch::runbook::run::{Outcome, ProcessId, What};
use sha2::{Digest as _, Sha256};

use super::ground::Ground;
use super::shop::{Holder, Shop, WAITING, from};
use crate::support::servers::eventually;
use crate::support::web::Answering;

/// A runbook that acts on a site, and takes its time.
const HOLD: &str = "title = \"hold\"\nsummary = \"for a test\"\nrisk = \"reversible\"\nway_back = \"there is none\"\n\
                    [[steps]]\nname = \"long\"\nrun = [\"sleep\", \"300\"]\nrepeatable = true\ntimeout = \"10m\"\n";

/// The program of a run's first step, once it runs.
fn program(ground: &Ground, run: &str) -> ProcessId {
    eventually("its program runs", || {
        ground.view(run).entries.iter().find_map(|entry| match &entry.what {
            What::Started { child, .. } => Some(child.clone()),
            _ => None,
        })
    })
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn two_views_of_one_site_exclude_each_other_as_root() {
    let (ground, web) = (Ground::new("", ""), Answering::ok());
    std::fs::write(ground.path().join("midwatch/runbooks/hold.toml"), HOLD).unwrap();
    let (data, other) = (ground.path().join("data"), ground.path().join("other"));
    std::fs::create_dir(&data).unwrap();
    std::fs::create_dir(&other).unwrap();
    let site = format!("discover = false\n[sites.shop]\nurl = \"{}\"\ndata_dir = \"{}\"\n", web.url(), data.display());
    std::fs::write(ground.path().join("c.toml"), site).unwrap();
    // Another user knows nothing but the address, and writes it differently.
    let address = web.url().replace("127.0.0.1", "localhost");
    std::fs::write(other.join("c.toml"), format!("discover = false\n[sites.theirs]\nurl = \"{address}\"\n")).unwrap();
    let theirs = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_midwatch"));
        command.arg("-c").arg(other.join("c.toml")).arg("--state-dir").arg(other.join("state"));
        let output = command.args(args).env("XDG_CONFIG_HOME", ground.path()).stdin(Stdio::null()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
    };
    let wish = ["runbook", "run", "hold", "--site", "theirs", "--yes", "--detach"];
    let run = ground.begin(&["hold", "--site", "shop", "--yes"]);
    let child = program(&ground, &run);
    let runner = ground.runner(&run);
    let (code, said) = theirs(&wish);
    assert!(
        code == 11 && said.contains("site at here:") && said.contains(&format!("pid {}", runner.pid)),
        "{code}: {said}"
    );
    // What a killed runner left holds the lock under every name.
    Ground::kill(&runner);
    let (code, said) = theirs(&wish);
    assert!(code == 11 && said.contains("sleep 300"), "{code}: {said}");
    Ground::kill(&child);
    let (code, said) = theirs(&wish);
    assert_eq!(code, 0, "{said}");
    let theirs_run = said.trim().to_owned();
    let (code, said) = ground.resume(&run, &["--yes"]);
    assert!(code == 11 && said.contains("site at here:"), "{code}: {said}");
    assert_eq!(theirs(&["runbook", "abort", &theirs_run, "--now"]).0, 0);
    eventually("their run has ended", || {
        let (_, said) = theirs(&["runbook", "log", &theirs_run, "-o", "json"]);
        said.contains("\"state\":\"cancelled\"").then_some(())
    });
}

/// A session on the server that is called so, with what it has done first.
struct Session(Child);

impl Session {
    fn of(shop: &Shop, (database, name): (&str, &str), sql: &str) -> Self {
        let mut child = Command::new("psql")
            .args([
                "-XqAt",
                &format!("postgresql://shop:it's%20a%20%22secret%22@127.0.0.1:{}/{database}", shop.server.port),
            ])
            .env("PGAPPNAME", name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(format!("{sql};\n\\echo there\n").as_bytes()).unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while said.trim() != "there" {
            said.clear();
            assert!(out.read_line(&mut said).unwrap() > 0, "psql ended");
        }
        Self(child)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}

/// The lock of the database `shop`, as every midwatch takes it.
fn lock() -> String {
    let key = Sha256::digest(b"shop").iter().take(4).fold(0_i32, |key, byte| key << 8 | i32::from(*byte));
    format!("select pg_advisory_lock({}, {key})", 0x6d69_6477)
}

/// How many sessions have it.
const LOCKED: &str = "select count(*) from pg_locks where locktype = 'advisory' and classid = 1835623543 and granted";

fn backup(shop: &Shop) -> String {
    from(Path::new(&shop.backup("shop.dump")))
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn midwatches_on_two_hosts_exclude_each_other_as_root() {
    let shop = Shop::open();
    let backup = backup(&shop);
    let before = shop.databases();
    let far = Session::of(&shop, ("postgres", "midwatch run far-away"), &lock());
    let (code, said) = shop.run(&["restore-database", &backup]);
    assert_eq!(code, 11, "{said}");
    for part in ["another midwatch acts on the database shop", "midwatch run far-away", "from 127.0.0.1, since 20"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    drop(far);
    // The other's runner is gone, and what it has started works on.
    let far = Session::of(&shop, ("shop", "midwatch run far-away"), "select 1");
    let (code, said) = shop.run(&["restore-database", &backup]);
    assert!(code == 11 && said.contains("still works there"), "{code}: {said}");
    assert_eq!((shop.databases(), shop.orders()), (before, "2007".to_owned()));
    drop(far);
    let (code, said) = shop.run(&["restore-database", &backup]);
    assert!(code == 0 || code == 14, "{code}: {said}");
    shop.ended_restored();
    assert_eq!(shop.sql("postgres", LOCKED), "0");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn the_lock_in_the_database_ends_with_its_runner_and_is_taken_again_as_root() {
    let shop = Shop::open();
    // The change of names waits for it, so that the run stands there for as long as it takes.
    let holder = Holder::of(&shop, "begin; comment on database shop is 'the shop''s';");
    let run = shop.begin_restore();
    eventually("the lock is held", || (shop.sql("postgres", LOCKED) == "1").then_some(()));
    Ground::kill(&shop.ground.runner(&run));
    eventually("the lock is free", || (shop.sql("postgres", LOCKED) == "0").then_some(()));
    let mut resumed = shop.ground.resume_aside(&run, &[]);
    eventually("the change of names waits", || (shop.sql("postgres", WAITING) != "0").then_some(()));
    let whose = LOCKED.replace("count(*)", "pid");
    let before = shop.sql("postgres", &whose);
    // A session that the server ends in the middle is made anew, as soon as the run does anything there.
    assert_eq!(shop.sql("postgres", &format!("select pg_terminate_backend({before})")), "t");
    let after = eventually("it is taken again", || {
        Some(shop.sql("postgres", &whose)).filter(|pid| !pid.is_empty() && *pid != before)
    });
    assert_ne!(before, after);
    drop(holder);
    resumed.wait().unwrap();
    let (outcome, left) = shop.ground.view(&run).progress().ended.unwrap();
    assert!(matches!(outcome, Outcome::Done | Outcome::Unverified), "{left}");
    shop.ended_restored();
    assert_eq!(shop.sql("postgres", LOCKED), "0");
}
