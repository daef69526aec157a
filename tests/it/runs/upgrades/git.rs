//! The stand-in is upgraded to commits of a repository, which brings what builds it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use midwatch::domain::repository::short;
use midwatch::runbook::plan::Act;
use midwatch::runbook::run::{Outcome, What};

use super::super::ground::Ground;
use super::postgres::Moved;
use super::{PYTHON, Shop};

const DEV: &str = "2026.8.0.dev0";

impl Shop {
    fn git(&self, words: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false", "-C"]);
        let done = git.arg(self.path("repository")).args(words).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// One with a repository beside it.
    fn developed() -> Self {
        let shop = Self::open();
        shop.develop();
        shop
    }

    /// Its pip has no other index than a directory.
    fn develop(&self) {
        fs::create_dir(self.path("repository")).unwrap();
        self.git(&["init", "--quiet", "--initial-branch=main"]);
        let conf = format!("[global]\nno-index = true\nfind-links = {}\n", self.path("wheels").display());
        fs::write(self.path("venv/pip.conf"), conf).unwrap();
    }

    /// Commits a source of this version, with this word in it, on top of the branch; its id.
    fn commit(&self, branch: &str, (version, word, kind): (&str, &str, &str)) -> String {
        self.git(&["checkout", "--quiet", "-B", branch]);
        self.git(&["rm", "-rq", "--ignore-unmatch", "."]);
        let mut maker = Command::new(PYTHON);
        maker.arg(self.path("standin.py")).arg("source").arg(self.path("repository")).args([version, word]);
        let done = maker.arg(self.path("built")).arg(kind).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", word]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// What the repository's code has noted: that it was run.
    fn built(&self) -> Option<String> {
        fs::read_to_string(self.path("built")).ok()
    }

    fn wish_of(&self, commit: &str) -> [String; 3] {
        let repository = format!("repository={}", self.path("repository").display());
        ["upgrade-from-git".to_owned(), format!("commit={commit}"), repository]
    }

    fn plan_of(&self, commit: &str) -> (i32, String) {
        let wish = self.wish_of(commit);
        self.ground.call(&[&["runbook", "plan"], &wish.each_ref().map(String::as_str)[..]].concat())
    }

    fn begin_to(&self, commit: &str) -> String {
        let wish = self.wish_of(commit);
        let wish = wish.each_ref().map(String::as_str);
        let token = self.ground.token(&wish);
        self.ground.begin(&[&wish[..], &["--confirm", &token]].concat())
    }

    /// This commit is in use.
    fn is_of(&self, commit: &str, word: &str) {
        self.upgraded_to(DEV);
        let packages = self.packages();
        assert_eq!(fs::read_to_string(packages.join("pretix/which.py")).unwrap(), word);
        let mark =
            |entry: fs::DirEntry| entry.file_name().into_string().ok()?.split_once(".commit-").map(|m| m.1.to_owned());
        let marks: Vec<String> = fs::read_dir(&packages).unwrap().filter_map(|entry| mark(entry.unwrap())).collect();
        assert_eq!(marks, [commit]);
    }

    fn kept(&self) -> Vec<PathBuf> {
        let Ok(kept) = fs::read_dir(self.path("venv/midwatch-upgrades")) else { return Vec::new() };
        kept.map(|entry| entry.unwrap().path()).collect()
    }

    /// Sources that plans looked at and left behind.
    fn left_behind(&self) -> Vec<PathBuf> {
        let own = self.path("repository").display().to_string();
        let of_it =
            |path: &PathBuf| fs::read_to_string(path.join(".git/FETCH_HEAD")).is_ok_and(|said| said.contains(&own));
        fs::read_dir("/tmp").unwrap().map(|entry| entry.unwrap().path()).filter(of_it).collect()
    }

    fn done(&self, run: &str) {
        let (outcome, _) = self.ended(run);
        assert_eq!(outcome, Outcome::Done, "{}", self.ground.call(&["runbook", "log", run]).1);
    }

    fn undo(&self) -> String {
        let token = self.ground.token(&["undo-upgrade"]);
        self.ground.begin(&["undo-upgrade", "--confirm", &token])
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs git and python3-venv: tests/run installs them"]
fn an_application_is_upgraded_to_the_commit_that_was_planned_as_root() {
    let shop = Shop::developed();
    let first = shop.commit("main", (DEV, "first", "whole"));
    let (code, said) = shop.plan_of("main");
    assert_eq!(code, 0, "{said}");
    let url = format!("file://{}", shop.path("repository").display());
    for words in [
        &format!("to commit {first}\n"),
        &format!("main is commit {first} of {url}"),
        &format!(" git+{url}@{first} "),
        &format!("says it is {DEV}"),
        "runs that repository's own code as root",
        "as its source says: pretixbase.0002_more, pretixbase.0003_last.",
        &format!("/shop {}, or --confirm", short(&first)),
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!((shop.built(), shop.left_behind()), (None, Vec::new()), "nothing of it was run, and nothing is left");
    shop.as_before();

    // The branch moves on; what was planned is the commit.
    let wish = shop.wish_of("main");
    let wish = wish.each_ref().map(String::as_str);
    let token = shop.ground.token(&wish);
    let second = shop.commit("main", (DEV, "second", "whole"));
    let (code, said) = shop.ground.call(&[&["runbook", "run"], &wish[..], &["--confirm", &token]].concat());
    assert!(code == 12 && said.contains(&format!("main is commit {second}")), "{code}: {said}");
    let wish = shop.wish_of(&first);
    let wish = wish.each_ref().map(String::as_str);
    let run = shop.ground.begin(&[&wish[..], &["--confirm", &token]].concat());
    shop.done(&run);
    shop.is_of(&first, "first");
    assert!(shop.built().unwrap().lines().all(|line| line == format!("{DEV} first")), "{:?}", shop.built());
    // Its id is kept with the run and with what was before; pip has nothing to say of it, and nothing is put in its mouth.
    assert_eq!(shop.ground.view(&run).record.plan.parameters["commit"], first);
    assert!(shop.ground.call(&["runbook", "log", &run]).1.contains(&first));
    let kept = shop.kept();
    assert!(kept.len() == 1 && kept[0].join(format!("commit-{first}")).is_dir(), "{kept:?}");
    assert!(!shop.packages().join(format!("pretix-{DEV}.dist-info/direct_url.json")).exists());

    // The same again is none; the same version of another commit is one.
    let (code, said) = shop.plan_of(&first);
    let same = format!("{DEV} of commit {} is installed already", short(&first));
    assert!(code == 13 && said.contains(&same) && said.contains("nothing is to be done"), "{code}: {said}");
    let run = shop.begin_to("main");
    shop.done(&run);
    shop.is_of(&second, "second");
    // A commit that lacks what the database has seen.
    shop.commit("behind", (DEV, "behind", "first"));
    let (code, said) = shop.plan_of("behind");
    assert!(code == 13 && said.contains("does not know: pretixbase.0003_last"), "{code}: {said}");

    // And back, one after the other.
    let (_, said) = shop.ground.call(&["runbook", "plan", "undo-upgrade"]);
    let told = format!("{DEV} of commit {} is exchanged for {DEV} of commit {}", short(&second), short(&first));
    assert!(said.contains(&told), "{said}");
    let run = shop.undo();
    shop.done(&run);
    shop.is_of(&first, "first");
    let (code, said) = shop.ground.call(&["runbook", "plan", "undo-upgrade"]);
    assert!(code == 13 && said.contains("pretix 2026.7.0 does not know: pretixbase.0003_last"), "{code}: {said}");
    fs::copy(shop.path("backups/pretix.sqlite3"), shop.path("data/db.sqlite3")).unwrap();
    let run = shop.undo();
    shop.done(&run);
    shop.as_before();

    // A release after a commit: nothing says any more that it was built from one.
    let forget = || ["rebuild", "updateassets"].map(|log| fs::remove_file(shop.path("data").join(log)).unwrap());
    forget();
    let run = shop.begin_to("main");
    shop.done(&run);
    shop.is_of(&second, "second");
    forget();
    let run = shop.begin();
    shop.done(&run);
    shop.upgraded();
    let left = fs::read_dir(shop.packages()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.contains(".commit-")).count(), 0);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs git and python3-venv: tests/run installs them"]
fn a_commit_that_is_not_to_be_had_or_not_newer_is_refused_as_root() {
    let shop = Shop::developed();
    let id = shop.commit("main", (DEV, "first", "whole"));
    shop.git(&["tag", "both"]);
    shop.git(&["tag", "--annotate", "--message=x", "told"]);
    let tag = shop.git(&["rev-parse", "told"]);
    shop.commit("both", (DEV, "second", "whole"));
    shop.commit("older", ("2026.6.0", "older", "whole"));
    shop.commit("far", ("2028.1.0.dev0", "far", "whole"));
    shop.commit("odd", ("2026.8-x", "odd", "whole"));
    let refused = |words: &[&str], why: &str| {
        let (code, said) = shop.ground.call(&[&["runbook", "plan", "upgrade-from-git"], words].concat());
        assert!(code != 0 && said.contains(why), "{words:?}: {code}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    };
    let own = &format!("repository={}", shop.path("repository").display());
    let commit = |name: &str| format!("commit={name}");
    for (name, why) in [
        ("nowhere", "has no branch and no tag called nowhere"),
        (id.get(..9).unwrap(), "has to be given whole, all 40 digits"),
        (&"0".repeat(40), "can't be fetched by its id, which pip has to do, too: git says"),
        ("both", "two commits"),
        (&tag, "is no commit"),
        ("older", "2026.6.0 is older"),
        ("far", "last release of 2027 first"),
        ("odd", "2026.8-x, which is not written as pip writes versions"),
        ("-main", "is no text"),
        ("--upload-pack=x", "is no text"),
        ("a..b", "no branch, no tag"),
    ] {
        refused(&[&commit(name), own], why);
    }
    let main = &commit("main");
    let missing = format!("repository={}", shop.path("nowhere").display());
    refused(&[main, &missing], "can't be asked: git says");
    refused(&[main, "repository=https://127.0.0.1:9/a/b.git"], "can't be asked: git says");
    refused(&[main, "repository=https://a:hunter2@127.0.0.1/b.git"], "credential helper");
    refused(&[main, "repository=https://hunter2@127.0.0.1/b.git"], ".netrc");
    refused(&[main, "repository=ext::sh -c id"], "a repository is given as https://");
    refused(&[main, "repository=http://127.0.0.1/b.git"], "a repository is given as https://");
    refused(&[main, "repository=-x"], "is no text");
    refused(&[own], "a branch, a tag, or the whole id of a commit");
    // Neither is its code, nor what is installed.
    let dependency = shop.packages().join("standindep-1.0.dist-info");
    fs::rename(&dependency, shop.path("aside")).unwrap();
    refused(&[main, own], "does not fit together as it is");
    fs::rename(shop.path("aside"), dependency).unwrap();
    let direct = shop.packages().join("pretix-2026.7.0.dist-info/direct_url.json");
    fs::write(&direct, "{\"dir_info\": {\"editable\": true}}").unwrap();
    refused(&[main, own], "not as a release or from a repository");
    fs::remove_file(direct).unwrap();
    fs::remove_file(shop.path("backups/pretix.sqlite3")).unwrap();
    refused(&[main, own], "there is none. Run take-backup first");
    assert_eq!((shop.built(), shop.kept(), shop.left_behind()), (None, Vec::new(), Vec::new()));
    shop.as_before();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs git and python3-venv: tests/run installs them"]
fn what_is_built_wrongly_or_not_at_all_stops_nothing_as_root() {
    let shop = Shop::developed();
    for (kind, step) in [
        ("broken", "build"),
        ("lies", "what was built is 2026.8.0.dev0"),
        ("lacks", "install into a copy of the installation"),
    ] {
        shop.commit(kind, (DEV, kind, kind));
        let run = shop.begin_to(kind);
        let (outcome, left) = shop.ended(&run);
        assert!(outcome == Outcome::Failed && left.contains(&format!("`{step}` failed")), "{kind}: {left}");
        let first = shop.step(&run, "what would be migrated");
        let begun = |what: &What| matches!(what, What::Intended { step, .. } if *step >= first);
        assert!(!shop.ground.view(&run).entries.iter().any(|entry| begun(&entry.what)), "{kind}: nothing was stopped");
        shop.as_before();
        let (_, said) = shop.ground.resume(&run, &["--revert"]);
        assert_eq!(shop.ended(&run).0, Outcome::Reverted, "{said}");
        shop.as_before();
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs git and python3-venv: tests/run installs them"]
fn what_pip_was_told_by_hand_to_take_from_a_repository_is_upgraded_as_root() {
    let shop = Shop::developed();
    let first = shop.commit("main", (DEV, "first", "whole"));
    let source = format!("git+file://{}@{first}", shop.path("repository").display());
    let mut by_hand = Command::new(shop.path("venv/bin/python"));
    by_hand.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let done = by_hand.args(["-m", "pip", "install", &source]).current_dir("/").output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for role in ["web", "worker"] {
        shop.restart(role);
    }
    let second = shop.commit("main", (DEV, "second", "whole"));
    let (code, said) = shop.plan_of("main");
    assert!(code == 0 && said.contains(&format!("{DEV} of commit {} is exchanged", short(&first))), "{code}: {said}");
    // Put back as long as nothing was migrated, told apart though the version is the same.
    shop.switch("fail-migrate", true);
    let run = shop.begin_to("main");
    assert_eq!(shop.ended(&run).0, Outcome::Failed, "{:?}", shop.ended(&run));
    let word = || fs::read_to_string(shop.packages().join("pretix/which.py")).unwrap();
    assert_eq!(word(), "second");
    let (_, said) = shop.ground.resume(&run, &["--revert"]);
    assert_eq!((shop.ended(&run).0, word().as_str()), (Outcome::Reverted, "first"), "{said}");
    shop.serves(DEV);
    shop.switch("fail-migrate", false);
    let run = shop.begin_to("main");
    shop.done(&run);
    shop.is_of(&second, "second");
}

#[test]
#[ignore = "needs root: acts as another user; needs git and python3-venv: tests/run installs them"]
fn root_asks_builds_and_installs_as_the_applications_user_as_root() {
    let shop = Shop::on(Ground::new("", "").reachable());
    shop.develop();
    let first = shop.commit("main", (DEV, "first", "whole"));
    shop.kill_application();
    let given = Command::new("chown").args(["-R", "nobody"]).arg(shop.ground.path()).status().unwrap();
    assert!(given.success());
    fs::create_dir_all(shop.ground.state()).unwrap();
    for place in [shop.ground.path().join("c.toml"), shop.ground.path().join("midwatch"), shop.ground.state()] {
        chown(place, Some(0), None).unwrap();
    }
    let config = fs::read_to_string(shop.path("c.toml")).unwrap();
    fs::write(shop.path("c.toml"), config.replace("role = ", "user = \"nobody\"\nrole = ")).unwrap();
    for role in ["web", "worker"] {
        let start = shop.path("start");
        let words = ["-u", "nobody", "--"];
        assert!(
            Command::new("runuser").args(words).arg(start).arg(role).stdin(Stdio::null()).status().unwrap().success()
        );
    }
    shop.serves("2026.7.0");

    let run = shop.begin_to("main");
    shop.done(&run);
    shop.is_of(&first, "first");
    let plan = shop.ground.view(&run).record.plan;
    let build = plan.steps.iter().find(|step| step.name == "build").unwrap();
    assert!(matches!(&build.act, Act::Command(command) if command.user.as_deref() == Some("nobody")));
    for made in [shop.path("built"), shop.packages().join("pretix/which.py"), shop.kept().remove(0)] {
        assert_eq!(fs::metadata(&made).unwrap().uid(), 65_534, "{}", made.display());
    }
    assert_eq!(shop.left_behind(), [] as [PathBuf; 0]);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs git, python3-venv and postgres: tests/run installs them"]
fn what_was_built_and_has_migrated_is_put_back_with_its_database_as_root() {
    let moved = Moved::open();
    let shop = &moved.shop;
    shop.develop();
    let first = shop.commit("main", (DEV, "first", "whole"));
    let run = shop.begin_to("main");
    shop.done(&run);
    moved.sql("shop", "insert into pretixbase_order (code) select 'B' || n from generate_series(1, 7) n");
    let word = || fs::read_to_string(shop.packages().join("pretix/which.py")).unwrap();
    assert_eq!(word(), "first");
    moved.has(3, 57);
    let run = moved.back();
    shop.done(&run);
    moved.older();
    let kept = shop.kept().remove(0);
    assert!(kept.join(format!("commit-{first}")).is_dir(), "what it was to is still said");
}

/// Kills the runner at these steps, each in an upgrade of its own, and takes the run up: the branch has moved on by then.
fn killed_at(steps: impl Iterator<Item = usize>) {
    let mut hit = 0;
    for step in steps {
        let shop = Shop::developed();
        let first = shop.commit("main", (DEV, "first", "whole"));
        let run = shop.begin_to("main");
        assert!(step < shop.ground.view(&run).record.plan.steps.len());
        hit += usize::from(shop.ground.kill_at(&run, step));
        shop.commit("main", (DEV, "second", "whole"));
        if shop.ground.view(&run).ended().is_none() {
            let (code, said) = shop.ground.resume(&run, &[]);
            assert_eq!(code, 0, "killed at {step}: {said}");
        }
        assert_eq!(shop.ended(&run).0, Outcome::Done, "killed at {step}");
        shop.is_of(&first, "first");
    }
    assert!(hit > 0, "no step was hit in the middle");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs git and python3-venv: tests/run installs them"]
fn killed_while_it_builds_it_is_taken_up_as_root() {
    killed_at(0..6);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs git and python3-venv: tests/run installs them"]
fn killed_while_it_exchanges_it_is_taken_up_as_root() {
    killed_at(6..12);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs git and python3-venv: tests/run installs them"]
fn killed_while_it_starts_what_was_built_it_is_taken_up_as_root() {
    killed_at(12..21);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs git and python3-venv: tests/run installs them"]
fn killed_between_two_commits_of_one_version_it_is_taken_up_or_undone_as_root() {
    let shop = Shop::developed();
    let first = shop.commit("main", (DEV, "first", "whole"));
    let run = shop.begin_to("main");
    shop.done(&run);
    shop.is_of(&first, "first");
    let second = shop.commit("main", (DEV, "second", "whole"));
    for name in ["install into a copy of the installation", "exchange the two", "migrate"] {
        // Given up: what is half there is not taken for what was kept.
        let run = shop.begin_to("main");
        shop.ground.kill_at(&run, shop.step(&run, name));
        let (_, said) = shop.ground.resume(&run, &["--revert"]);
        assert_eq!(shop.ended(&run).0, Outcome::Reverted, "{name}: {said}");
        shop.is_of(&first, "first");
        let (_, said) = shop.ground.call(&["runbook", "plan", "undo-upgrade"]);
        assert!(said.contains("pretix 2026.7.0 does not know"), "{name}: {said}");
        // Taken up.
        let run = shop.begin_to("main");
        shop.ground.kill_at(&run, shop.step(&run, name));
        let (code, said) = shop.ground.resume(&run, &[]);
        assert_eq!(code, 0, "{name}: {said}");
        shop.is_of(&second, "second");
        let run = shop.undo();
        shop.ground.kill_at(&run, shop.step(&run, "exchange the two"));
        if shop.ground.view(&run).ended().is_none() {
            let (code, said) = shop.ground.resume(&run, &[]);
            assert_eq!(code, 0, "{name}: {said}");
        }
        assert_eq!(shop.ended(&run).0, Outcome::Done, "{name}");
        shop.is_of(&first, "first");
    }
}
