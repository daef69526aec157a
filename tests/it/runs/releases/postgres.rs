//! Releases side by side on PostgreSQL: what an upgrade has migrated goes back together with the database from before.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use midwatch::backends::process_id;
use midwatch::runbook::plan::{Act, PlannedStep};
use midwatch::runbook::run::{Outcome, What};

use super::super::shop::{Shop, from};
use crate::backups::postgres::pg_dump;
use crate::support::servers::eventually;
use crate::support::standins::{kill, unique};

/// Sells as its release knows the schema, and notes what was confirmed.
const SELL: &str = r#"version=$(basename "$(pwd -P)"); n=0
while :; do
  n=$((n + 1)); code="live $1 $$ $n"
  "$PSQL" -XqAtw "$SHOP_URL" -c "insert into shop_order (code@COLUMN@) values ('$code'@VALUE@)" >/dev/null 2>&1 &&
    echo "$version $code" >>"$CONFIRMED"
  sleep 0.1
done
"#;
/// The newer release's: what the older one sells does not fit it any more.
const MIGRATION: &str = "do $$ begin if not exists (select from django_migrations where name = '0003_seats') then \
                         alter table shop_order add seats int not null default 1; \
                         alter table shop_order alter seats drop default; \
                         insert into django_migrations (app, name) values ('shop', '0003_seats'); end if; end $$";
pub(in super::super) const OLD: &str = "1.0";
pub(in super::super) const NEW: &str = "1.1";
pub(in super::super) const ROLES: [&str; 2] = ["web", "tasks"];

/// A shop whose web and worker sell from whichever release the link says.
pub(in super::super) struct Laid {
    pub(in super::super) shop: Shop,
    word: String,
}

impl Drop for Laid {
    fn drop(&mut self) {
        self.kill_application();
    }
}

impl Laid {
    /// The older release at work, 2007 orders in the database, a dump of it in `before.dump`.
    pub(in super::super) fn open() -> Self {
        let laid = Self { shop: Shop::open(), word: unique("sells") };
        let root = laid.shop.ground.path().display().to_string();
        let program = |path: String, text: &str| {
            fs::write(&path, format!("#!/bin/bash\n{text}")).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        };
        for (version, column, value) in [(OLD, "", ""), (NEW, ", seats", ", 1")] {
            let release = format!("{root}/app/releases/{version}");
            fs::create_dir_all(&release).unwrap();
            program(format!("{release}/sell"), &SELL.replace("@COLUMN@", column).replace("@VALUE@", value));
            program(
                format!("{release}/migrate"),
                &format!("\"$PSQL\" -XqAtw \"$SHOP_URL\" -c \"{}\"\n", MIGRATION.replace('$', "\\$")),
            );
        }
        symlink(format!("releases/{OLD}"), laid.current()).unwrap();
        let start = format!(
            "cd {root}/app/current || exit 1\nexport SHOP_URL='{}' PSQL='{}' CONFIRMED='{}' PGAPPNAME=shop\n\
             (exec bash ./sell \"$1\" {}) >/dev/null 2>&1 &\ndisown\n",
            laid.shop.url("shop"),
            pg_dump().with_file_name("psql").display(),
            laid.confirmed().display(),
            laid.word
        );
        program(format!("{root}/start"), &start);
        let service = |name: &str, role: &str| {
            format!(
                "[sites.shop.services.{name}]\nrole = \"{role}\"\nprocess = \"sell {name} {}\"\nstart = [\"{root}/start\", \
                 \"{name}\"]\n",
                laid.word
            )
        };
        laid.shop.configure(&format!(
            "[sites.shop.releases]\ncurrent = \"{root}/app/current\"\nmigrate = [\"./migrate\"]\n{}{}",
            service("web", "web"),
            service("tasks", "worker")
        ));
        fs::remove_file(laid.shop.backup("shop.dump")).unwrap();
        laid.dump("before.dump");
        for role in ROLES {
            laid.start(role);
        }
        laid.works(OLD);
        laid
    }

    /// The newer release comes to need nothing that the older one does not.
    pub(in super::super) fn migrates_nothing(&self) {
        let root = self.shop.ground.path().join("app/releases");
        fs::copy(root.join(OLD).join("sell"), root.join(NEW).join("sell")).unwrap();
        fs::write(root.join(NEW).join("migrate"), "#!/bin/bash\n").unwrap();
    }

    /// A dump of the database in use, as one that rests.
    pub(in super::super) fn dump(&self, name: &str) -> PathBuf {
        let dump = self.shop.dump(name, &["-Fc"]);
        let then = SystemTime::now() - Duration::from_mins(5);
        fs::File::options().append(true).open(&dump).unwrap().set_modified(then).unwrap();
        dump
    }

    fn confirmed(&self) -> PathBuf {
        self.shop.ground.path().join("confirmed")
    }

    fn current(&self) -> PathBuf {
        self.shop.ground.path().join("app/current")
    }

    /// What the link says: it always says something.
    pub(in super::super) fn points_to(&self) -> String {
        let says = fs::read_link(self.current()).unwrap();
        assert_eq!(says.parent(), Some(Path::new("releases")));
        says.file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// The processes of a role.
    pub(in super::super) fn processes(&self, role: &str) -> Vec<u32> {
        let own = format!("bash\0./sell\0{role}\0{}\0", self.word);
        let line = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let parent = |pid: u32| process_id::stat(pid).map(|stat| stat.parent).unwrap_or_default();
        // One that is about to become psql still looks like its parent.
        process_id::all().filter(|pid| line(pid) == own && line(&parent(*pid)) != own).collect()
    }

    /// As whoever finds it gone would.
    pub(in super::super) fn start(&self, role: &str) {
        if self.processes(role).is_empty() {
            let mut command = Command::new(self.shop.ground.path().join("start"));
            assert!(command.arg(role).stdin(Stdio::null()).status().unwrap().success());
        }
    }

    pub(in super::super) fn kill_application(&self) {
        ROLES.into_iter().flat_map(|role| self.processes(role)).for_each(kill);
    }

    /// This release is in use, each of its parts once, and sells into a database that has its schema.
    pub(in super::super) fn works(&self, version: &str) {
        assert_eq!(self.points_to(), version);
        let place = self.shop.ground.path().canonicalize().unwrap().join("app/releases").join(version);
        for role in ROLES {
            let places = || -> Vec<PathBuf> {
                let all = self.processes(role).into_iter();
                all.filter_map(|pid| fs::read_link(format!("/proc/{pid}/cwd")).ok()).collect()
            };
            eventually(role, || (places() == [place.clone()]).then_some(()));
            let sold = || {
                let begins = format!("{version} live {role} ");
                fs::read_to_string(self.confirmed())
                    .unwrap_or_default()
                    .lines()
                    .filter(|l| l.starts_with(&begins))
                    .count()
            };
            let before = sold();
            eventually("it sells", || (sold() > before).then_some(()));
        }
        let migrations = self.shop.sql("shop", "select count(*) from django_migrations");
        let release = place.join("sell");
        let needs = fs::read_to_string(release).unwrap().contains("seats");
        assert_eq!(migrations, if needs { "3" } else { "2" });
        assert!(!self.current().with_added_extension("midwatch-new").is_symlink(), "something is left beside the link");
    }

    /// The database in use is open and whole, and every order that was confirmed is in it or in one that is held.
    pub(in super::super) fn whole(&self) {
        let confirmed = fs::read_to_string(self.confirmed()).unwrap();
        let databases = self.shop.databases();
        let open = "select datallowconn and datconnlimit = -1 from pg_database where datname = 'shop'";
        assert_eq!(self.shop.sql("postgres", open), "t");
        let known = self.shop.sql("shop", "select count(*) from shop_order where code not like 'live %'");
        assert_eq!(known, "2007", "{databases:?}");
        let there: Vec<String> = databases
            .iter()
            .filter(|name| *name == "shop" || name.starts_with("shop_held_"))
            .flat_map(|name| {
                let live = self.shop.sql(name, "select code from shop_order where code like 'live %'");
                live.lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        let code = |line: &str| line.split_once(' ').map(|(_, code)| code.to_owned()).unwrap();
        let lost: Vec<String> = confirmed.lines().map(code).filter(|code| !there.contains(code)).collect();
        assert_eq!(lost, [""; 0], "of {} orders", confirmed.lines().count());
    }

    /// Only what is in use and so many that are held are left, open to whoever may connect; nothing of the run still works.
    pub(in super::super) fn settled(&self, run: &str, held: usize) {
        for entry in self.shop.ground.view(run).entries {
            if let What::Started { step, child, .. } = entry.what {
                let name = &self.shop.ground.view(run).record.plan.steps[step].name;
                let leaves = name.starts_with("start ") || name.starts_with("restart ");
                assert!(leaves || !process_id::lives(&child), "{child:?} of `{name}` was left working");
            }
        }
        self.shop.nobody_works();
        let databases = self.shop.databases();
        let (others, odd): (Vec<String>, Vec<String>) =
            databases.into_iter().filter(|name| name != "shop").partition(|name| name.starts_with("shop_held_"));
        assert_eq!((others.len(), odd.len()), (held, 0), "{others:?} {odd:?}");
        let barred =
            "select count(*) from pg_database where not datistemplate and (not datallowconn or datconnlimit <> -1)";
        assert_eq!(self.shop.sql("postgres", barred), "0");
    }

    /// What is held goes, and with it what was sold into it.
    pub(in super::super) fn release(&self) {
        self.shop.sql("postgres", &format!("drop database {}", self.shop.held()));
        fs::write(self.confirmed(), "").unwrap();
    }

    /// Starts a run.
    pub(in super::super) fn begin(&self, wish: &[&str]) -> String {
        let token = self.shop.ground.token(wish);
        self.shop.ground.begin(&[wish, &["--confirm", &token]].concat())
    }

    /// What is said where there is no plan.
    pub(in super::super) fn refused(&self, wish: &[&str], why: &str) {
        let (code, said) = self.shop.ground.call(&[&["runbook", "plan"], wish].concat());
        assert!(code != 0 && said.contains(why), "{wish:?}: {code}: {said}");
    }

    /// How a run has ended.
    pub(in super::super) fn ended(&self, run: &str) -> (Outcome, String) {
        self.shop.ground.ended(run)
    }
}

pub(in super::super) const UP: [&str; 2] = ["upgrade", "version=1.1"];

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn what_has_migrated_goes_back_with_its_database_and_forth_again_as_root() {
    let laid = Laid::open();
    let shop = &laid.shop;
    let before = from(&shop.backup("before.dump"));
    let back = ["undo-upgrade-and-restore", before.as_str()];
    laid.refused(&back, "nothing says where to go back to");
    let run = laid.begin(&UP);
    assert_eq!(laid.ended(&run).0, Outcome::Done, "{:#?}", laid.ended(&run));
    laid.works(NEW);
    let way_back = shop.ground.view(&run).record.plan.way_back;
    assert!(way_back.contains("too (undo-upgrade-and-restore)"), "{way_back}");
    shop.sql("shop", "insert into shop_order (code, seats) values ('live since', 5)");

    // The older release would not know the schema, and neither would one of a newer backup.
    laid.refused(&["undo-upgrade"], "undo-upgrade-and-restore does both");
    let newer = laid.dump("newer.dump");
    laid.refused(&[back[0], &from(&newer)], "has seen other migrations");
    // What can't be read from it is found when it is restored, with everything still at work.
    assert!(Command::new("gzip").arg("--keep").arg(&newer).status().unwrap().success());
    let packed = from(&newer.with_added_extension("gz"));
    let run = laid.begin(&[back[0], &packed]);
    let (outcome, left) = laid.ended(&run);
    assert!(outcome == Outcome::Failed && left.contains("`compare it with the one in use` failed"), "{left}");
    let said = shop.ground.call(&["runbook", "log", &run]).1;
    assert!(said.contains("the backup has seen other migrations"), "{said}");
    laid.works(NEW);
    let (_, said) = shop.ground.resume(&run, &["--revert"]);
    assert_eq!(laid.ended(&run).0, Outcome::Reverted, "{said}");
    laid.settled(&run, 0);
    laid.works(NEW);

    // Back, forth again, and back for good.
    let run = laid.begin(&back);
    let plan = shop.ground.view(&run).record.plan;
    let point = plan.steps.iter().position(|step| step.name == "point to 1.0").unwrap();
    assert!(plan.steps[..point].iter().any(|step| step.name == "stop web"), "neither meets the other's half");
    let started: Vec<_> = plan.steps[point..].iter().filter(|step| step.name.starts_with("start ")).collect();
    let stops = |step: &&PlannedStep| matches!(&step.revert, Some(Act::Halt(_)));
    assert!(started.len() == 2 && started.iter().all(stops), "nor on the way back");
    let starts = plan.steps.iter().position(|step| step.name == "start tasks").unwrap();
    assert!(shop.ground.kill_at(&run, starts));
    assert_eq!(laid.points_to(), OLD);
    let (_, said) = shop.ground.resume(&run, &["--revert"]);
    assert_eq!(laid.ended(&run).0, Outcome::Reverted, "{said}");
    laid.works(NEW);
    assert_eq!(shop.sql("shop", "select count(*) from shop_order where code = 'live since'"), "1");
    laid.settled(&run, 1);
    laid.whole();
    laid.release();
    let run = laid.begin(&back);
    assert_eq!(laid.ended(&run).0, Outcome::Done, "{:#?}", laid.ended(&run));
    laid.works(OLD);
    laid.settled(&run, 1);
    laid.whole();
    assert_eq!(shop.sql(&shop.held(), "select count(*) from shop_order where code = 'live since'"), "1", "it is held");
    laid.refused(&back, "nothing says where to go back to");
}
