//! A site that goes on selling: an application that takes orders and notes each one that was confirmed, and a worker.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use midwatch::backends::process_id;
use midwatch::runbook::run::{Outcome, What};
use rustix::process::{Pid, Signal, kill_process_group};

use super::super::ground::Ground;
use super::super::shop::Shop;
use crate::backups::postgres::pg_dump;
use crate::support::servers::eventually;
use crate::support::standins::{kill, unique};

/// Takes an order, notes it when it is confirmed, and takes the next.
const SELL: &str = "n=0\nwhile :; do\n  n=$((n + 1)); code=\"live $$ $n\"\n  \"$1\" -XqAtw \"$2\" -c \
                    \"insert into shop_order (code) values ('$code')\" >/dev/null 2>&1 && echo \"$code\" >>\"$3\"\n  \
                    sleep 0.1\ndone\n";

pub(super) struct Selling {
    pub(super) shop: Shop,
    word: String,
    seller: Option<Child>,
}

impl Drop for Selling {
    fn drop(&mut self) {
        self.kill_application();
    }
}

impl Selling {
    pub(super) fn open() -> Self {
        let (shop, word) = (Shop::open(), unique("worker"));
        let start = shop.ground.path().join("start");
        let script = format!("#!/bin/bash\n(exec -a 'celery {word}' sleep 600) >/dev/null 2>&1 &\ndisown\n");
        std::fs::write(&start, script).unwrap();
        std::fs::set_permissions(&start, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert!(Command::new(&start).status().unwrap().success());
        std::fs::write(shop.ground.path().join("sell"), SELL).unwrap();
        shop.configure(&format!(
            "[sites.shop.services.tasks]\nrole = \"worker\"\nprocess = \"celery {word}\"\nstart = [\"{}\"]\n",
            start.display()
        ));
        let mut selling = Self { shop, word, seller: None };
        selling.sell();
        selling
    }

    fn confirmed(&self) -> PathBuf {
        self.shop.ground.path().join("confirmed")
    }

    /// Starts the application, and waits until it has sold something.
    fn sell(&mut self) {
        let sold = |site: &Self| std::fs::read_to_string(site.confirmed()).unwrap_or_default().lines().count();
        let before = sold(self);
        let mut command = Command::new("bash");
        command.arg0(format!("gunicorn {}", self.word)).arg(self.shop.ground.path().join("sell"));
        command.arg(pg_dump().with_file_name("psql")).arg(self.shop.url("shop")).arg(self.confirmed());
        command.env("PGAPPNAME", "shop").process_group(0);
        self.seller = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        eventually("something is sold", || (sold(self) > before).then_some(()));
    }

    /// Starts the worker, if none is left.
    pub(super) fn work(&self) {
        if self.workers().is_empty() {
            assert!(Command::new(self.shop.ground.path().join("start")).status().unwrap().success());
        }
    }

    pub(super) fn workers(&self) -> Vec<u32> {
        let own = format!("celery {}", self.word);
        let line = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        process_id::all().filter(|pid| line(pid).starts_with(&own)).collect()
    }

    fn kill_application(&mut self) {
        if let Some(mut seller) = self.seller.take() {
            let _sent = kill_process_group(Pid::from_child(&seller), Signal::KILL);
            seller.wait().ok();
        }
        self.workers().into_iter().for_each(kill);
    }

    /// Kills the runner, the server with all its sessions, and the application.
    pub(super) fn strike(&mut self, run: &str) {
        Ground::kill(&self.shop.ground.runner(run));
        self.shop.server.crash();
        self.kill_application();
    }

    /// The server recovers, and the application is started again, as systemd would.
    pub(super) fn calm(&mut self) {
        if self.seller.is_some() {
            self.kill_application();
        }
        self.shop.server.begin();
        self.sell();
    }

    /// Takes the run up, once what followed it has ended.
    pub(super) fn follow(&self, before: Option<Child>, run: &str, args: &[&str]) -> Child {
        if let Some(mut child) = before {
            child.wait().unwrap();
        }
        self.shop.ground.resume_aside(run, args)
    }

    /// The run ends so, and nothing of it still works.
    pub(super) fn ended(&self, following: Option<Child>, run: &str, outcome: Outcome) {
        if let Some(mut child) = following {
            child.wait().unwrap();
        }
        let (ended, left) = self.shop.ground.ended(run);
        assert_eq!(ended, outcome, "{left}");
        for entry in self.shop.ground.view(run).entries {
            if let What::Started { step, child, .. } = entry.what {
                let leaves = self.shop.ground.view(run).record.plan.steps[step].name.starts_with("start ");
                assert!(leaves || !process_id::lives(&child), "{child:?} was left working");
            }
        }
        self.shop.nobody_works();
        assert!(self.workers().len() <= 1, "the worker runs twice");
    }

    /// Orders that were not sold meanwhile: 2000 in the backup, 2007 in what was in use.
    pub(super) fn known(&self) -> u32 {
        let sql = "select count(*) from shop_order where code not like 'live %'";
        self.shop.sql("shop", sql).parse().unwrap()
    }

    /// The name means one of the two, whole and open; the other is held if it is the new one; no confirmed order is lost.
    pub(super) fn whole(&self) {
        // First: the next order is confirmed while the databases are looked at.
        let confirmed = std::fs::read_to_string(self.confirmed()).unwrap();
        let databases = self.shop.databases();
        let open = "select datallowconn and datconnlimit = -1 from pg_database where datname = 'shop'";
        assert_eq!(self.shop.sql("postgres", open), "t");
        let held: Vec<&String> = databases.iter().filter(|name| name.starts_with("shop_held_")).collect();
        let known = self.known();
        assert!(known == 2007 || (known == 2000 && held.len() == 1), "{known} orders: {databases:?}");
        assert_eq!(self.shop.sql("shop", "select count(*) from shop_item"), "10");
        for name in &databases {
            let ours = name == "shop" || name.starts_with("shop_held_") || name.starts_with("shop_mw_");
            assert!(ours, "{databases:?}");
        }
        let live = "select code from shop_order where code like 'live %'";
        let there: Vec<String> = std::iter::once("shop")
            .chain(held.iter().map(|name| name.as_str()))
            .flat_map(|name| self.shop.sql(name, live).lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let lost: Vec<&str> = confirmed.lines().filter(|code| !there.iter().any(|known| known == code)).collect();
        assert_eq!(lost, [""; 0], "of {} orders", confirmed.lines().count());
    }

    /// Only what is in use and what is held is left, open to whoever may connect.
    pub(super) fn nothing_left(&self) {
        let databases = self.shop.databases();
        let known = |name: &String| name == "shop" || name.starts_with("shop_held_");
        assert!(databases.iter().all(known), "{databases:?}");
        assert!(databases.iter().filter(|name| *name != "shop").count() <= 1, "{databases:?}");
        let barred =
            "select count(*) from pg_database where not datistemplate and (not datallowconn or datconnlimit <> -1)";
        assert_eq!(self.shop.sql("postgres", barred), "0");
        self.shop.nobody_works();
    }
}
