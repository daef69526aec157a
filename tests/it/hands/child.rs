//! Programs of steps: found from their first moment on, heard, bounded, ended, and nothing of them left.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use midwatch::backends::process_id;
use midwatch::hands::child::{End, Finished, Given, Job, Limits, News, run};
use midwatch::hands::lock::{TargetLock, end_orphans, orphans};
use midwatch::hands::shim::recorded;
use midwatch::runbook::kept::Stream;
use midwatch::runbook::plan::Command;
use midwatch::runbook::run::ProcessId;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use super::gone;
use crate::support::servers::eventually;

const LONG: Duration = Duration::from_mins(2);

struct Scene {
    dir: TempDir,
    lock: TargetLock,
    limits: Limits,
    stop: watch::Sender<bool>,
}

impl Scene {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let lock = TargetLock::take(&dir.path().join("locks"), &["t", "another name of it"]).unwrap();
        Self {
            dir,
            lock,
            limits: Limits { timeout: LONG, grace: LONG, silence: LONG },
            stop: watch::Sender::new(false),
        }
    }

    fn record(&self) -> PathBuf {
        self.dir.path().join("run-0-1.process")
    }

    /// Runs it, telling `listen` what is heard.
    async fn run(&self, command: &Command, mut listen: impl FnMut(&News)) -> Finished {
        let record = self.record();
        let midwatch = Path::new(env!("CARGO_BIN_EXE_midwatch"));
        let job = Job {
            command,
            lock: Some(&self.lock),
            record: &record,
            midwatch,
            limits: self.limits,
            given: Given::default(),
        };
        let (tell, mut told) = mpsc::channel(8);
        let heard = async {
            while let Some(news) = told.recv().await {
                listen(&news);
            }
        };
        tokio::join!(run(&job, tell, self.stop.subscribe()), heard).0
    }

    /// Runs it; what became of it, which process it was, and its two outputs.
    async fn all(&self, command: &Command) -> (Finished, Option<ProcessId>, String, String) {
        let (mut process, mut out, mut err) = (None, Vec::new(), Vec::new());
        let finished = self
            .run(command, |news| match news {
                News::Started(id) => process = Some(id.clone()),
                News::Printed(Stream::Out, text) => out.push(text.clone()),
                News::Printed(Stream::Err, text) => err.push(text.clone()),
                News::Passed { .. } | News::Silent(_) => {}
            })
            .await;
        (finished, process, out.join("\n"), err.join("\n"))
    }
}

fn argv(words: &[&str]) -> Command {
    let argv = words.iter().map(|word| (*word).to_owned()).collect();
    Command { argv, ..Command::default() }
}

fn shell(script: &str) -> Command {
    argv(&["sh", "-c", script])
}

/// The process whose number a file holds.
fn written(path: &Path) -> ProcessId {
    let pid = eventually("the number is written", || fs::read_to_string(path).ok()?.trim().parse().ok());
    process_id::of(pid).unwrap()
}

#[tokio::test]
async fn a_program_is_heard_and_its_end_is_told() {
    let scene = Scene::new();
    let (finished, process, out, err) = scene.all(&shell("cat; echo out; echo err >&2; exit 3")).await;
    assert_eq!(finished, Finished { end: End::Exited(3), notes: vec![], saved: None });
    assert_eq!((out.as_str(), err.as_str()), ("out", "err"));
    gone(&process.unwrap());
    let (finished, ..) = scene.all(&shell("kill -9 $$")).await;
    assert_eq!(finished.end, End::Signalled(9));
    assert_eq!(orphans(&scene.lock.paths()), []);
}

#[tokio::test]
async fn which_process_it_is_is_on_disk_before_it_runs() {
    let scene = Scene::new();
    let record = scene.record();
    let (finished, process, out, _) = scene
        .all(&argv(&["sh", "-c", "echo $$; cat \"$0\"; echo; readlink /proc/$$/fd/*; true", record.to_str().unwrap()]))
        .await;
    assert_eq!(finished.end, End::Exited(0));
    let process = process.unwrap();
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some(process.pid.to_string().as_str()));
    assert_eq!(lines.next(), Some(serde_json::to_string(&process).unwrap().as_str()));
    assert_eq!(recorded(&record), Some(process));
    assert_eq!(fs::metadata(&record).unwrap().permissions().mode() & 0o777, 0o600);
    let mut open: Vec<PathBuf> = lines.filter(|line| line.contains("/locks/")).map(PathBuf::from).collect();
    open.sort();
    assert_eq!((open.len(), open), (2, scene.lock.paths()), "it holds the lock, under both names: {out}");
    assert!(out.contains("\n/dev/null\n"), "{out}");
}

#[tokio::test]
async fn what_is_not_there_was_not_started() {
    let scene = Scene::new();
    let why = |finished: Finished| if let End::NotStarted(why) = finished.end { why } else { format!("{finished:?}") };
    let missing = why(scene.all(&argv(&["midwatch-no-such-program"])).await.0);
    assert!(missing.contains("midwatch-no-such-program can't be started"), "{missing}");
    let directory = why(scene.all(&argv(&["/etc"])).await.0);
    assert!(directory.contains("/etc can't be started"), "{directory}");
    assert!(why(scene.all(&argv(&[])).await.0).contains("no program"));
    // One that ends with the same code was started.
    assert_eq!(scene.all(&shell("exit 127")).await.0.end, End::Exited(127));
    fs::remove_file(scene.record()).unwrap();
    fs::create_dir(scene.record()).unwrap();
    assert!(why(scene.all(&argv(&["true"])).await.0).contains("can't be removed"));
}

#[tokio::test]
async fn little_of_the_environment_is_passed_on() {
    let (_, _, out, _) = Scene::new().all(&argv(&["env"])).await;
    let allowed = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];
    let names: Vec<&str> = out.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert!(names.contains(&"PATH") && names.iter().all(|name| allowed.contains(name)), "{out}");
}

#[tokio::test]
async fn secrets_and_what_a_terminal_obeys_are_taken_out() {
    let script = r"printf '\033[2J\033]0;x\007clear\nDB_PASSWORD=hunter2horse\r\npostgres://a:hunter3@db/x\n' >&2";
    let (_, _, _, err) = Scene::new().all(&shell(script)).await;
    assert!(err.contains("clear") && err.contains("[redacted]") && !err.contains("hunter"), "{err}");
    assert!(!err.contains(['\x1b', '\x07', '\r']), "{err:?}");
}

fn resident_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_gigabyte_passes_through_little_memory() {
    // In a process of its own, whose memory no other test uses.
    let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", "hands::child::passes_a_gigabyte"]).env("MIDWATCH_TEST_ALONE", "1");
    let output = alone.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Part of the test above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_a_gigabyte() {
    if std::env::var_os("MIDWATCH_TEST_ALONE").is_none() {
        return;
    }
    let scene = Scene::new();
    let (before, mut most, mut told, mut passed, mut lines) = (resident_kb(), 0, 0_usize, 0, 0);
    let (mut first, mut last) = (None, String::new());
    let script =
        "echo begin; yes 'all work and no play' | head -c 500000000; head -c 500000000 /dev/zero; echo; echo end";
    let begun = std::time::Instant::now();
    let finished = scene
        .run(&shell(script), |news| {
            most = most.max(resident_kb());
            match news {
                News::Printed(_, text) => {
                    assert!(text.len() <= 4096);
                    told += text.len() + 1;
                    first.get_or_insert_with(|| text.clone());
                    last.clone_from(text);
                }
                News::Passed { bytes, lines: ends, .. } => {
                    passed += bytes;
                    lines += ends;
                }
                News::Started(_) | News::Silent(_) => {}
            }
        })
        .await;
    assert_eq!(finished.end, End::Exited(0));
    assert!(first.unwrap().starts_with("begin") && last.ends_with("end"), "{last}");
    assert!(told < 5_000_000 && passed > 995_000_000 && lines > 23_000_000, "{told} {passed} {lines}");
    assert!(most < before + 32_000, "{before} kB, then {most} kB");
    assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_a_program_leaves_running_is_ended() {
    let scene = Scene::new();
    let (group, away) = (scene.dir.path().join("group"), scene.dir.path().join("away"));
    let script = format!(
        "sleep 600 & echo $! >{}; setsid sleep 600 >/dev/null 2>&1 & echo $! >{}; echo done",
        group.display(),
        away.display()
    );
    let (finished, _, out, _) = scene.all(&shell(&script)).await;
    assert_eq!((finished.end, out.as_str()), (End::Exited(0), "done"));
    assert_eq!(finished.notes.len(), 2, "{:?}", finished.notes);
    for note in &finished.notes {
        assert!(note.contains("sleep 600") && note.ends_with("was left running, and was ended with TERM"), "{note}");
    }
    for file in [group, away] {
        let pid: u32 = fs::read_to_string(file).unwrap().trim().parse().unwrap();
        assert!(process_id::stat(pid).map_or(true, |stat| !stat.lives()));
    }
}

#[tokio::test]
async fn a_daemon_that_may_stay_stays_without_the_lock() {
    let scene = Scene::new();
    let file = scene.dir.path().join("daemon");
    let script = format!("setsid sleep 600 & echo $! >{}", file.display());
    let (finished, ..) = scene.all(&Command { leaves: true, ..shell(&script) }).await;
    assert_eq!(finished.end, End::Exited(0));
    assert!(finished.notes.iter().any(|note| note.contains("keeps its output open")), "{:?}", finished.notes);
    let daemon = written(&file);
    assert!(process_id::lives(&daemon));
    assert_eq!(orphans(&scene.lock.paths()), []);
    kill_process(Pid::from_raw(i32::try_from(daemon.pid).unwrap()).unwrap(), Signal::KILL).unwrap();
    gone(&daemon);
}

#[tokio::test]
async fn one_that_ignores_term_is_killed() {
    let mut scene = Scene::new();
    scene.limits.grace = Duration::from_millis(200);
    let script = "trap '' TERM; echo ready; while :; do sleep 1; done";
    let mut process = None;
    let finished = scene
        .run(&shell(script), |news| match news {
            News::Started(id) => process = Some(id.clone()),
            News::Printed(..) => drop(scene.stop.send_replace(true)),
            News::Passed { .. } | News::Silent(_) => {}
        })
        .await;
    assert_eq!(finished.end, End::Stopped);
    assert!(finished.notes.iter().any(|note| note == "it ended after KILL"), "{:?}", finished.notes);
    gone(&process.unwrap());
    assert_eq!(orphans(&scene.lock.paths()), []);
}

#[tokio::test]
async fn one_that_is_over_its_time_is_asked_to_end() {
    let mut scene = Scene::new();
    scene.limits.timeout = Duration::from_millis(300);
    let (finished, ..) = scene.all(&argv(&["sleep", "600"])).await;
    assert_eq!(finished.end, End::TimedOut);
    assert_eq!(finished.notes, ["it was not done after 0.3 s and was ended", "it ended after TERM"]);
}

#[tokio::test]
async fn silence_is_told_and_no_reason_to_end_it() {
    let mut scene = Scene::new();
    scene.limits.silence = Duration::from_millis(30);
    let pipe = scene.dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let (mut silences, mut printed) = (0, String::new());
    let finished = scene
        .run(&shell(&format!("read word <{}; echo $word", pipe.display())), |news| match news {
            News::Silent(_) => {
                silences += 1;
                if silences == 3 {
                    fs::write(&pipe, "awake\n").unwrap();
                }
            }
            News::Printed(_, text) => printed.push_str(text),
            News::Passed { .. } | News::Started(_) => {}
        })
        .await;
    assert_eq!((finished.end, printed.as_str()), (End::Exited(0), "awake"));
    assert!(silences >= 3);
}

#[tokio::test]
async fn an_hour_of_silence_is_told_and_only_its_time_ends_it() {
    const MINUTE: Duration = Duration::from_mins(1);
    let mut scene = Scene::new();
    let grace = Duration::from_millis(300);
    scene.limits = Limits { timeout: 63 * MINUTE, grace, silence: MINUTE };
    let over = tokio::time::Instant::now() + scene.limits.timeout;
    let (mut silences, mut process) = (Vec::new(), None);
    let script = "trap '' TERM; echo ready; while :; do sleep 1; done";
    let finished = scene
        .run(&shell(script), |news| match news {
            News::Started(id) => process = Some(id.clone()),
            // From here on the clock goes on by itself to what happens next: an hour in no time.
            News::Printed(..) => tokio::time::pause(),
            News::Silent(silent) => {
                silences.push(silent.as_secs() / 60);
                if silences.len() == 6 {
                    assert!(process_id::lives(process.as_ref().unwrap()), "silence is no reason to end it");
                    // From when its time is over the clock goes as it always does: signals take their time.
                    tokio::spawn(async move {
                        tokio::time::advance(over - tokio::time::Instant::now()).await;
                        tokio::time::resume();
                    });
                }
            }
            News::Passed { .. } => {}
        })
        .await;
    // Each time it has become twice as long: who has heard of an hour need not hear of every minute of it.
    assert_eq!(silences, [1, 2, 4, 8, 16, 32]);
    assert_eq!(finished.end, End::TimedOut);
    let notes: Vec<&str> = finished.notes.iter().map(String::as_str).collect();
    assert_eq!(notes, ["it was not done after 1h03m and was ended", "it ended after KILL"]);
    gone(&process.unwrap());
}

#[tokio::test]
async fn output_is_saved_as_it_is_and_nothing_is_overwritten() {
    let scene = Scene::new();
    let file = scene.dir.path().join("dump");
    let saving = Command { save: Some(file.display().to_string()), ..shell(r"printf 'a\000\377\n'; echo no >&2") };
    let (finished, ..) = scene.all(&saving).await;
    let saved = finished.saved.unwrap();
    assert_eq!((saved.bytes, saved.trouble), (4, None));
    assert_eq!(fs::read(&file).unwrap(), b"a\0\xff\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let again = scene.all(&saving).await.0.end;
    assert!(matches!(&again, End::NotStarted(why) if why.contains("can't be saved")), "{again:?}");
    let link = scene.dir.path().join("link");
    symlink(scene.dir.path().join("target"), &link).unwrap();
    let linked = scene.all(&Command { save: Some(link.display().to_string()), ..saving.clone() }).await.0.end;
    assert!(matches!(linked, End::NotStarted(_)));
    assert!(!scene.dir.path().join("target").exists());
    let full = scene.all(&Command { save: Some("relative".to_owned()), ..saving }).await.0.end;
    assert!(matches!(full, End::NotStarted(_)));
}

#[tokio::test]
#[ignore = "needs root: runs a program as another user"]
async fn a_program_runs_as_its_user_and_is_found_there_as_root() {
    let scene = Scene::new();
    let nobody = |script: &str| Command { user: Some("nobody".to_owned()), ..shell(script) };
    let (finished, process, out, _) = scene.all(&nobody("id -un; echo $PPID; echo $HOME; cat /etc/shadow")).await;
    assert_eq!(finished.end, End::Exited(1));
    let home = midwatch::backends::store::who::home("nobody").unwrap();
    assert_eq!(out, format!("nobody\n{}\n{home}", process.unwrap().pid), "what was noted cares for it");
    let env = [("HOME".to_owned(), "/srv/application".to_owned())].into();
    let (_, _, out, _) = scene.all(&Command { env, ..nobody("id -un; echo $HOME") }).await;
    assert_eq!(out, "nobody\n/srv/application", "what the step says counts");
    let (finished, ..) = scene.all(&nobody("setsid sleep 600 >/dev/null 2>&1 & echo started")).await;
    assert_eq!(finished.end, End::Exited(0));
    assert!(finished.notes.len() == 1 && finished.notes[0].contains("sleep 600`, nobody)"), "{:?}", finished.notes);
    assert_eq!(end_orphans(&scene.lock.paths(), LONG).await, [""; 0]);
    let (finished, ..) = scene.all(&Command { user: Some("no-such-user".to_owned()), ..shell("true") }).await;
    assert!(!matches!(finished.end, End::Exited(0)), "{finished:?}");
}
