//! The journal: only added to, read beside its writer and after its end, trusted only where nobody else can write.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use midwatch::backends::journal::{
    Journal, JournalError, ROW_MAX, output_after, past_ms, path, read, read_trusted, runs, trusted,
};
use midwatch::backends::process_id;
use midwatch::runbook::kept::{Beat, Printed, RunRecord, Stream};
use midwatch::runbook::run::{Outcome, What, Word};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _};
use tempfile::TempDir;

use super::{Running, T0, plan, record, rose, uid};

async fn opened(dir: &Path) -> Journal {
    Journal::open(dir, uid()).await.unwrap()
}

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

fn printed(text: &str) -> Printed {
    Printed { at: T0, step: 1, attempt: 1, stream: Stream::Err, text: text.to_owned() }
}

fn note(text: &str) -> What {
    What::Note(text.to_owned())
}

#[tokio::test]
async fn what_was_written_comes_back() {
    let dir = TempDir::new().unwrap();
    let journal = opened(dir.path()).await;
    let run = record("0a1b");
    journal.begin(&run).await.unwrap();
    let me = process_id::here().unwrap();
    let began = What::Began { runner: me.clone(), by: rose(), why: None };
    let first = journal.append("0a1b", T0, &began).await.unwrap();
    let second = journal.append("0a1b", T0.plus_secs(1), &What::Intended { step: 0, attempt: 1 }).await.unwrap();
    assert_eq!((first.seq, second.seq), (1, 2));
    journal.beat("0a1b", &me, T0).await.unwrap();
    journal.beat("0a1b", &me, T0.plus_secs(5)).await.unwrap();

    let view = read(dir.path(), "0a").await.unwrap();
    assert_eq!(view.record, run);
    assert_eq!(view.entries, [first, second]);
    assert_eq!(view.beat, Some(Beat { at: T0.plus_secs(5), runner: me }));
    assert_eq!(view.owner, uid());
    assert_eq!(journal.read("0a1b").await.unwrap(), view);
    assert_eq!(runs(dir.path()).await.runs, [view]);

    journal.say("0a1b", &rose(), Word::StopAfter, T0).await.unwrap();
    journal.say("0a1b", &rose(), Word::StopNow, T0).await.unwrap();
    let heard = journal.words_after("0a1b", 1).await.unwrap();
    assert_eq!(heard.iter().map(|s| (s.seq, s.word, s.by.clone())).collect::<Vec<_>>(), [(2, Word::StopNow, rose())]);
}

#[tokio::test]
async fn output_comes_in_rows_that_are_bounded_and_safe() {
    let dir = TempDir::new().unwrap();
    let journal = opened(dir.path()).await;
    journal.begin(&record("r")).await.unwrap();
    let last = journal.output("r", &[printed("a\nb"), printed(&"é".repeat(ROW_MAX)), printed("\x1b[2Jx")]).await;
    assert_eq!(last.unwrap(), 3);
    let rows = output_after(dir.path(), uid(), "r", 0, 10).await.unwrap();
    assert_eq!(rows[0], (1, printed("a\nb")));
    assert_eq!(rows[1].1.text.len(), ROW_MAX);
    assert_eq!(rows[2].1.text, "[2Jx");
    assert_eq!(output_after(dir.path(), uid(), "r", 2, 10).await.unwrap().len(), 1);
    assert_eq!(output_after(dir.path(), uid(), "r", 0, 1).await.unwrap().len(), 1);
    assert!(journal.output_kept("r").await.unwrap() > u64::try_from(ROW_MAX).unwrap());
    assert!(journal.append("no such run", T0, &note("x")).await.is_err());
}

#[tokio::test]
async fn nothing_that_was_written_is_changed() {
    let dir = TempDir::new().unwrap();
    let journal = opened(dir.path()).await;
    journal.begin(&record("r")).await.unwrap();
    journal.append("r", T0, &note("so it was")).await.unwrap();
    journal.output("r", &[printed("x")]).await.unwrap();
    journal.say("r", &rose(), Word::Proceed, T0).await.unwrap();
    assert!(journal.spend("n", "r", T0).await.unwrap());
    let mut db = raw(journal.path()).await;
    for table in ["runs", "nonces", "entries", "output", "words"] {
        let column = if table == "runs" { "began" } else { "at" };
        for sql in [format!("update {table} set {column} = 0"), format!("delete from {table}")] {
            let refused = sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut db).await.unwrap_err().to_string();
            assert!(refused.contains("only added to"), "{sql}: {refused}");
        }
    }
    let twice = journal.begin(&record("r")).await.unwrap_err().to_string();
    assert!(twice.contains("can't be written"), "{twice}");
}

#[tokio::test]
async fn a_run_is_told_by_its_beginning_if_no_other_begins_so() {
    let dir = TempDir::new().unwrap();
    let journal = opened(dir.path()).await;
    for id in ["0a1b", "0a2c", "0a", "7%"] {
        journal.begin(&record(id)).await.unwrap();
    }
    assert_eq!(read(dir.path(), "0a1").await.unwrap().record.id, "0a1b");
    assert_eq!(read(dir.path(), "0a").await.unwrap().record.id, "0a", "a whole id is meant");
    let several = read(dir.path(), "0").await.unwrap_err();
    assert_eq!(several.to_string(), "several runs begin with 0: 0a, 0a1b, 0a2c; give more of it");
    for none in ["", "9", "%", "0_"] {
        assert!(matches!(read(dir.path(), none).await, Err(JournalError::NoRun(_))), "{none}");
    }
}

#[tokio::test]
async fn past_runs_count_where_they_were_done_in_one_go() {
    let dir = TempDir::new().unwrap();
    let journal = opened(dir.path()).await;
    let me = process_id::here().unwrap();
    let began = || What::Began { runner: me.clone(), by: rose(), why: None };
    let ended = |outcome| What::Ended { outcome, left: String::new() };
    for n in 0..14_i64 {
        let (id, began_at) = (format!("run{n}"), T0.plus_secs(n * 100));
        let site = if n == 13 { None } else { Some("shop") };
        let run = RunRecord::new(id.clone(), plan("restart", site), rose(), began_at);
        journal.begin(&run).await.unwrap();
        journal.append(&id, began_at, &began()).await.unwrap();
        if n == 12 {
            journal.append(&id, began_at, &began()).await.unwrap();
        }
        let outcome = if n == 11 { Outcome::Failed } else { Outcome::Done };
        journal.append(&id, began_at.plus_secs(n), &ended(outcome)).await.unwrap();
    }
    let past = past_ms(dir.path(), "restart", Some("shop")).await;
    assert_eq!(past, (1..=10).map(|n| n * 1000).collect::<Vec<u64>>());
    assert_eq!(past_ms(dir.path(), "restart", None).await, [13_000]);
    assert_eq!(past_ms(dir.path(), "other", None).await, [0; 0]);
}

/// Part of other tests: this process writes as they say in its environment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_as_its_parent_says() {
    let Some(dir) = std::env::var_os("MIDWATCH_TEST_JOURNAL").map(PathBuf::from) else { return };
    let mut out = std::io::stdout();
    match std::env::var("MIDWATCH_TEST_DOES").unwrap().as_str() {
        "spend" => {
            let journal = opened(&dir).await;
            for n in 0..100 {
                let unused = journal.spend(&format!("nonce-{n}"), "r", T0).await.unwrap();
                std::io::Write::write_all(&mut out, if unused { b"\nspent\n" } else { b"\nused\n" }).unwrap();
            }
        }
        "append" => {
            let journal = opened(&dir).await;
            for n in 0.. {
                journal.append("r", T0, &note(&format!("entry {n}"))).await.unwrap();
                std::io::Write::write_all(&mut out, b"\nwritten\n").unwrap();
            }
        }
        // So much in one transaction that pages of it are in the file before it is whole.
        "hang" => {
            let mut db = raw(&path(&dir, uid())).await;
            sqlx::raw_sql("pragma journal_mode = truncate; pragma cache_size = 2; begin immediate")
                .execute(&mut db)
                .await
                .unwrap();
            for n in 0..300 {
                let insert = "insert into output values ('r', ?, 0, 0, 1, 'out', ?)";
                sqlx::query(insert).bind(1000 + n).bind("x".repeat(4000)).execute(&mut db).await.unwrap();
            }
            std::io::Write::write_all(&mut out, b"\nhalf\n").unwrap();
            std::future::pending::<()>().await;
        }
        other => panic!("{other}"),
    }
}

fn writer(dir: &Path, does: &str) -> Running {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "hands::journal::writes_as_its_parent_says", "--nocapture"]);
    command.env("MIDWATCH_TEST_JOURNAL", dir).env("MIDWATCH_TEST_DOES", does);
    Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
}

/// Reads until so many lines are this one; how often it came before the end.
fn until(writer: &mut Running, line: &str, times: usize) -> usize {
    let stdout = writer.0.stdout.as_mut().unwrap();
    BufReader::new(stdout).lines().map_while(Result::ok).filter(|l| l == line).take(times).count()
}

#[tokio::test]
async fn an_approval_is_spent_once_whoever_tries() {
    let dir = TempDir::new().unwrap();
    opened(dir.path()).await.close().await;
    let mut writers: Vec<Running> = (0..3).map(|_| writer(dir.path(), "spend")).collect();
    let spent: usize = writers.iter_mut().map(|writer| until(writer, "spent", 1000)).sum();
    assert_eq!(spent, 100);
}

#[tokio::test]
async fn a_reader_reads_beside_a_writer_and_after_it_was_killed() {
    let dir = TempDir::new().unwrap();
    opened(dir.path()).await.begin(&record("r")).await.unwrap();
    let mut busy = writer(dir.path(), "append");
    assert_eq!(until(&mut busy, "written", 20), 20);
    let beside = read(dir.path(), "r").await.unwrap();
    assert!(beside.entries.len() >= 20);
    busy.kill();
    let after = read(dir.path(), "r").await.unwrap();
    assert!(after.entries.len() >= beside.entries.len());
    let whole = after.entries.iter().zip(1..).all(|(entry, seq)| entry.seq == seq);
    assert!(whole, "no entry is missing");
    opened(dir.path()).await.append("r", T0, &note("resumed")).await.unwrap();
    assert_eq!(read(dir.path(), "r").await.unwrap().entries.len(), after.entries.len() + 1);
}

#[tokio::test]
async fn what_a_killed_writer_left_half_is_not_read_and_not_in_the_way() {
    let dir = TempDir::new().unwrap();
    let journal = opened(dir.path()).await;
    journal.begin(&record("r")).await.unwrap();
    journal.output("r", &[printed("whole")]).await.unwrap();
    let file = journal.path().to_owned();
    journal.close().await;
    let before = fs::metadata(&file).unwrap().len();
    let mut hanging = writer(dir.path(), "hang");
    assert_eq!(until(&mut hanging, "half", 1), 1);
    hanging.kill();
    assert!(fs::metadata(&file).unwrap().len() > before, "the scene is not set");
    let found = runs(dir.path()).await;
    assert_eq!((found.runs.len(), found.unread), (1, vec![]));
    let rows = output_after(dir.path(), uid(), "r", 0, 1000).await.unwrap();
    assert_eq!(rows, [(1, printed("whole"))]);
    assert_eq!(read_trusted(dir.path(), "r").await.unwrap().record, record("r"));
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["runs"], "copies are taken away");
    assert_eq!(opened(dir.path()).await.output("r", &[printed("next")]).await.unwrap(), 2);
}

#[tokio::test]
async fn a_newer_journal_is_left_alone_and_a_strange_run_is_told() {
    let dir = TempDir::new().unwrap();
    let journal = opened(dir.path()).await;
    journal.begin(&record("good")).await.unwrap();
    let mut db = raw(journal.path()).await;
    sqlx::raw_sql("insert into runs select 'forged', runbook, site, target, host, replace(plan, 'Restart', 'Erase'), digest, approved_by, began from runs")
        .execute(&mut db)
        .await
        .unwrap();
    let found = runs(dir.path()).await;
    assert_eq!(found.runs.len(), 1);
    assert_eq!(found.unread, ["the run forged can't be read: its plan is not the one that was approved"]);
    sqlx::raw_sql("pragma user_version = 99").execute(&mut db).await.unwrap();
    assert!(matches!(Journal::open(dir.path(), uid()).await, Err(JournalError::Newer { found: 99, .. })));
    let unread = runs(dir.path()).await.unread;
    assert!(unread[0].contains("newer midwatch"), "{unread:?}");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn others_may_read_it_where_the_state_is_shared_and_never_write() {
    let (alone, group) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    set(group.path(), 0o2770);
    for (dir, modes) in [(alone.path(), [0o750, 0o750]), (group.path(), [0o3770, 0o2750])] {
        let journal = opened(dir).await;
        journal.begin(&record("r")).await.unwrap();
        assert_eq!(mode(journal.path()), 0o640);
        assert_eq!([mode(&dir.join("runs")), mode(journal.path().parent().unwrap())], modes);
        trusted(journal.path()).unwrap();
        journal.close().await;
        assert_eq!(read_trusted(dir, "r").await.unwrap().record, record("r"));
        assert!(matches!(read_trusted(dir, "other").await, Err(JournalError::NoRun(_))));
    }
}

#[tokio::test]
async fn what_others_could_have_written_is_not_trusted() {
    let dir = TempDir::new().unwrap();
    let journal = opened(dir.path()).await;
    let file = journal.path().to_owned();
    journal.close().await;
    let own = file.parent().unwrap().to_owned();
    let shelf = dir.path().join("runs");
    for (path, bad, good) in
        [(&file, 0o660, 0o640), (&own, 0o770, 0o750), (&own, 0o1777, 0o750), (&shelf, 0o770, 0o750)]
    {
        set(path, bad);
        let why = trusted(&file).unwrap_err();
        assert!(why.contains("can be written by others"), "{why}");
        assert_eq!(read_trusted(dir.path(), "r").await.unwrap_err().to_string(), why);
        assert_eq!(Journal::open(dir.path(), uid()).await.is_err(), path != &shelf, "{}", path.display());
        set(path, good);
        trusted(&file).unwrap();
    }
    // SQLite would take it for part of the journal.
    let beside = own.join("journal.sqlite-wal");
    fs::write(&beside, "").unwrap();
    set(&beside, 0o666);
    assert!(trusted(&file).is_err());
    fs::remove_file(&beside).unwrap();
    let elsewhere = own.join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    assert!(trusted(&file).unwrap_err().contains("is a link"));
    assert!(matches!(Journal::open(dir.path(), uid()).await, Err(JournalError::Untrusted(_))));
    assert!(runs(dir.path()).await.unread[0].contains("is a link"));
    fs::remove_file(&file).unwrap();
    fs::rename(&elsewhere, &file).unwrap();
    fs::rename(&own, dir.path().join("moved")).unwrap();
    symlink(dir.path().join("moved"), &own).unwrap();
    assert!(trusted(&file).unwrap_err().contains("is a link"));
    assert!(Journal::open(dir.path(), uid()).await.is_err());
}

#[tokio::test]
#[ignore = "needs root: writes as two users"]
async fn another_users_journal_is_read_and_not_trusted_as_root() {
    let dir = TempDir::new().unwrap();
    let journal = Journal::open(dir.path(), 65_534).await.unwrap();
    journal.begin(&record("nobodys")).await.unwrap();
    let file = journal.path().to_owned();
    journal.close().await;
    let found = runs(dir.path()).await;
    assert!(found.runs.is_empty() && found.unread[0].contains("belongs to uid 0"), "{found:?}");
    for path in [&file, &file.parent().unwrap().to_owned(), &file.with_extension("sqlite-journal")] {
        chown(path, Some(65_534), None).unwrap();
    }
    assert_eq!(read(dir.path(), "nobodys").await.unwrap().owner, 65_534);
    let why = trusted(&file).unwrap_err();
    assert!(why.contains("belongs to uid 65534"), "{why}");
    assert!(matches!(Journal::open(dir.path(), 65_534).await, Err(JournalError::Untrusted(_))));
    // Root takes the shelf over from whoever made it, where the state directory is its own.
    chown(dir.path().join("runs"), Some(65_534), None).unwrap();
    let own = Journal::open(dir.path(), 0).await.unwrap();
    own.begin(&record("roots")).await.unwrap();
    trusted(own.path()).unwrap();
    assert_eq!(runs(dir.path()).await.runs.len(), 2);
}

/// Another user's journal may hold anything: none of it reaches the terminal as it is.
#[tokio::test]
async fn what_others_wrote_moves_and_hides_nothing_on_the_terminal() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("c.toml"), "discover = false\n").unwrap();
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    let journal = opened(&state).await;
    let evil = "\u{1b}[2J\u{9b}31m\u{202e}gnp.exe\u{2066}\u{e0041}\r";
    let mut run = record("0a1b");
    run.plan.title = format!("title {evil}");
    run.plan.site = Some(format!("site {evil}"));
    run.by.user = format!("rose {evil}");
    run.digest = run.plan.digest();
    journal.begin(&run).await.unwrap();
    let me = process_id::here().unwrap();
    for what in [
        What::Began { runner: me, by: run.by.clone(), why: Some(evil.to_owned()) },
        note(&format!("note {evil}")),
        What::Ended { outcome: Outcome::Done, left: evil.to_owned() },
    ] {
        journal.append("0a1b", T0, &what).await.unwrap();
    }
    journal.close().await;
    for args in [
        &["log"][..],
        &["log", "-o", "json"],
        &["log", "0a1b"],
        &["log", "0a1b", "-o", "json"],
        &["attach", "0a1b"],
        &["attach", "0a1b", "-o", "json"],
        &["resume", "0a1b"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_midwatch"));
        command.arg("-c").arg(dir.path().join("c.toml")).arg("--state-dir").arg(&state).arg("runbook").args(args);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let misleads = |c: char| c != '\n' && midwatch::domain::text::misleads(c);
        assert!(!said.contains(misleads), "{args:?}: {said:?}");
        if args[0] != "resume" {
            assert!(said.contains("202e") && said.contains("gnp.exe"), "{args:?}: {said}");
        }
        if args.contains(&"json") {
            for line in said.lines() {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                assert!(value.to_string().contains('\u{202e}'), "{line}");
            }
        }
    }
}
