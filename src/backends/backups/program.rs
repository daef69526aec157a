//! Programs that read what midwatch can't: `pg_restore`, `zstd`, `xz`, `bzip2`, `lz4`. Started by argv, in a group of their own,
//! with nothing but their input; ended when the check is stopped or when they make no progress.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::meter::Control;
use crate::domain::text::plain;

/// A program that takes nothing and says nothing for so long hangs.
const STALLED: Duration = Duration::from_mins(10);
/// How often a running program is looked after.
const LOOK: Duration = Duration::from_millis(100);
/// Bytes of its errors that are kept.
const SAID: u64 = 4096;

/// What MySQL and MariaDB bring.
const MYSQL: [&str; 6] = ["mariadb", "mysql", "mariadb-dump", "mysqldump", "mariadb-install-db", "mariadbd"];

/// The programs of this host.
#[derive(Debug, Clone, Default)]
pub struct Tools {
    /// `pg_restore` by major version, the newest first.
    pub pg_restore: Vec<(u32, PathBuf)>,
    /// `zstd`, `xz`, `bzip2`, `lz4`, `ionice` and others by name.
    others: Vec<(String, PathBuf)>,
}

impl Tools {
    /// Those that are installed.
    pub fn find() -> Self {
        let mut pg_restore = Vec::new();
        for (parent, prefix) in [("/usr/lib/postgresql", ""), ("/usr", "pgsql-"), ("/usr/local", "pgsql-")] {
            for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let major = name.to_str().and_then(|n| n.strip_prefix(prefix)).and_then(|n| n.parse::<u32>().ok());
                let program = entry.path().join("bin/pg_restore");
                if let Some(major) = major
                    && program.is_file()
                {
                    pg_restore.push((major, program));
                }
            }
        }
        if pg_restore.is_empty()
            && let Some(program) = in_path("pg_restore")
        {
            // `pg_restore (PostgreSQL) 15.18`
            let said = Command::new(&program).arg("--version").env("LC_ALL", "C").stdin(Stdio::null()).output();
            let said = said.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
            let major = said.split_whitespace().find_map(|w| w.split('.').next()?.parse::<u32>().ok());
            pg_restore.extend(major.map(|major| (major, program)));
        }
        pg_restore.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
        let names = ["zstd", "xz", "bzip2", "lz4", "ionice", "restic", "borg", "pgbackrest", "barman"];
        let names = names.iter().chain(&MYSQL);
        let others = names.filter_map(|name| Some(((*name).to_owned(), in_path(name)?))).collect();
        Self { pg_restore, others }
    }

    /// A program by its name.
    pub fn get(&self, name: &str) -> Option<&Path> {
        self.others.iter().find(|(known, _)| known == name).map(|(_, path)| path.as_path())
    }
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"].map(PathBuf::from);
    env::split_paths(&path).filter(|dir| dir.is_absolute()).chain(usual).map(|dir| dir.join(name)).find(|p| p.is_file())
}

/// What came of a program.
#[derive(Debug)]
pub(super) struct Ended {
    /// How it ended; `None`: it was ended because it hung or the check was stopped.
    pub(super) status: Option<ExitStatus>,
    /// The last line it wrote to its standard error.
    pub(super) said: String,
}

impl Ended {
    pub(super) fn well(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

fn command(program: &Path, args: &[&OsStr]) -> Command {
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C").current_dir("/").process_group(0);
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|n| n.starts_with("PG"))) {
        command.env_remove(name);
    }
    command
}

/// Ends a program when told to, or when it has made no progress for too long.
struct Keeper {
    done: SyncSender<()>,
    thread: thread::JoinHandle<bool>,
}

impl Keeper {
    fn watch(child: &Child, control: &Control) -> io::Result<Self> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let (done, told) = sync_channel::<()>(1);
        let control = control.clone();
        let thread =
            thread::Builder::new().name("midwatch-keeper".to_owned()).stack_size(256 * 1024).spawn(move || {
                let (mut seen, mut since) = (progress(&control, pid), Instant::now());
                loop {
                    match told.recv_timeout(LOOK) {
                        Ok(()) | Err(RecvTimeoutError::Disconnected) => return false,
                        Err(RecvTimeoutError::Timeout) => {}
                    }
                    let now = progress(&control, pid);
                    if now != seen {
                        (seen, since) = (now, Instant::now());
                    }
                    if control.stopped() || since.elapsed() > STALLED {
                        if let Some(pid) = pid {
                            kill_process_group(pid, Signal::KILL).ok();
                        }
                        return true;
                    }
                }
            })?;
        Ok(Self { done, thread })
    }

    /// Whether it had to end the program.
    fn release(self) -> bool {
        self.done.try_send(()).ok();
        self.thread.join().unwrap_or(false)
    }
}

/// What was read by us, and by the program itself where it opens the file: it may take hours.
fn progress(control: &Control, pid: Option<Pid>) -> u64 {
    let own = pid.and_then(|pid| fs::read_to_string(format!("/proc/{}/io", pid.as_raw_nonzero())).ok());
    let own = own.and_then(|text| text.lines().find_map(|l| l.strip_prefix("rchar: ")?.trim().parse::<u64>().ok()));
    control.progress().0.wrapping_add(own.unwrap_or(0))
}

/// Gives a program all that `reader` holds on its standard input and throws its output away.
pub(super) fn feed(program: &Path, args: &[&str], reader: &mut dyn Read, control: &Control) -> io::Result<Ended> {
    let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
    let mut child =
        command(program, &args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let keeper = Keeper::watch(&child, control);
    let errors = listen(&mut child);
    if let Some(mut input) = child.stdin.take() {
        // It may have seen enough, or have given up: its exit status says which.
        io::copy(reader, &mut input).ok();
        input.flush().ok();
    }
    finish(child, keeper, errors)
}

/// Runs a program on what its arguments name.
pub(super) fn run(program: &Path, args: &[&OsStr], control: &Control) -> io::Result<Ended> {
    let mut child = command(program, args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let keeper = Keeper::watch(&child, control);
    let errors = listen(&mut child);
    finish(child, keeper, errors)
}

/// Runs a program on what its arguments name and hands its output to `then`; what that returned, and how the program ended.
pub(super) fn read<T>(
    program: &Path,
    args: &[&OsStr],
    control: &Control,
    then: impl FnOnce(&mut dyn Read) -> T,
) -> io::Result<(T, Ended)> {
    let mut child =
        command(program, args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let keeper = Keeper::watch(&child, control);
    let errors = listen(&mut child);
    let value = child.stdout.take().map(|mut output| {
        let value = then(&mut output);
        io::copy(&mut output, &mut io::sink()).ok();
        value
    });
    let ended = finish(child, keeper, errors)?;
    Ok((value.ok_or_else(|| io::Error::other("the program has no output"))?, ended))
}

type Errors = Option<thread::JoinHandle<String>>;

fn listen(child: &mut Child) -> Errors {
    let mut errors = child.stderr.take()?;
    let read = move || {
        let mut kept = Vec::new();
        (&mut errors).take(SAID).read_to_end(&mut kept).ok();
        // The rest is read too, for a full pipe would stop the program.
        io::copy(&mut errors, &mut io::sink()).ok();
        let text = String::from_utf8_lossy(&kept).into_owned();
        let told = text.lines().find(|l| l.contains("error")).or_else(|| text.lines().next()).unwrap_or_default();
        plain(told, 200)
    };
    thread::Builder::new().name("midwatch-errors".to_owned()).stack_size(256 * 1024).spawn(read).ok()
}

fn finish(mut child: Child, keeper: io::Result<Keeper>, errors: Errors) -> io::Result<Ended> {
    let status = child.wait()?;
    let ended = keeper.is_ok_and(Keeper::release);
    let said = errors.and_then(|thread| thread.join().ok()).unwrap_or_default();
    Ok(Ended { status: (!ended).then_some(status), said })
}

/// Unpacks `reader` through a program and hands what comes out to `then`; what it returned, and how the program ended.
pub(super) fn unpack<T>(
    program: &Path,
    reader: &mut (dyn Read + Send),
    control: &Control,
    then: impl FnOnce(&mut dyn Read) -> T,
) -> io::Result<(T, Ended)> {
    let args = [OsStr::new("-dc")];
    let mut child =
        command(program, &args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let keeper = Keeper::watch(&child, control);
    let errors = listen(&mut child);
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let value = thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(mut input) = input {
                io::copy(reader, &mut input).ok();
            }
        });
        output.map(|mut output| {
            let value = then(&mut output);
            io::copy(&mut output, &mut io::sink()).ok();
            value
        })
    });
    let ended = finish(child, keeper, errors)?;
    Ok((value.ok_or_else(|| io::Error::other("the program has no output"))?, ended))
}

/// Makes this thread, and all it starts, the least important of the machine.
pub(super) fn yield_to_others(tools: &Tools) {
    // On Linux the priority is a thread's own; children inherit it.
    rustix::process::nice(19).ok();
    let thread = fs::read_link("/proc/thread-self").ok();
    let id = thread.as_deref().and_then(Path::file_name).and_then(OsStr::to_str).map(str::to_owned);
    if let (Some(ionice), Some(id)) = (tools.get("ionice"), id) {
        let mut command = Command::new(ionice);
        command.args(["-c", "3", "-p", &id]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().ok();
    }
}
