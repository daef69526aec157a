//! Runs a program that only reads, by its arguments, with a time limit, a bound on what it says, and an end for all of
//! its group.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use crate::domain::text::plain;

/// More of what it says is not read.
const MOST: u64 = 2 * 1024 * 1024;

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backends) enum Ended {
    /// With success; what it said.
    Well(String),
    /// With an error; the first line of its complaint.
    Badly(String),
    /// Not in time; it was killed.
    Late,
    /// There is no such program.
    Absent,
    /// It could not be run.
    Failed(String),
}

/// Kills the program's group when what waits for it is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            kill_process_group(pid, Signal::KILL).ok();
        }
    }
}

/// Runs `program`; `env` is added to the environment.
pub(in crate::backends) async fn run(
    program: &str,
    arguments: &[String],
    env: &[(&str, String)],
    limit: Duration,
) -> Ended {
    let mut command = Command::new(program);
    command.args(arguments).envs(env.iter().map(|(k, v)| (*k, v.as_str()))).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ended::Absent,
        Err(error) => return Ended::Failed(error.to_string()),
    };
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let all = async {
        let (said, complained) = tokio::join!(read(out), read(err));
        (child.wait().await, said, complained)
    };
    let Ok((status, said, complained)) = timeout(limit, all).await else { return Ended::Late };
    // Its number may be somebody else's from now on.
    group.0 = None;
    match status {
        Ok(status) if status.success() => Ended::Well(said),
        Ok(status) => {
            let first = complained.lines().map(str::trim).find(|line| !line.is_empty());
            Ended::Badly(first.map_or_else(|| status.to_string(), |line| plain(line.trim_end_matches('.'), 200)))
        }
        Err(error) => Ended::Failed(error.to_string()),
    }
}

async fn read<R: AsyncRead + Unpin>(pipe: Option<R>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(MOST).read_to_end(&mut bytes).await.ok();
        // Who still writes shall not get stuck: the rest is thrown away.
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await.ok();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Ended, MOST, run};

    async fn sh(script: &str, limit: Duration) -> Ended {
        run("sh", &["-c".to_owned(), script.to_owned()], &[("WORD", "x".to_owned())], limit).await
    }

    #[tokio::test]
    async fn it_tells_how_a_program_ended() {
        let patience = Duration::from_secs(30);
        assert_eq!(sh("echo $WORD", patience).await, Ended::Well("x\n".to_owned()));
        assert_eq!(sh("echo; echo 'No. '>&2; exit 3", patience).await, Ended::Badly("No".to_owned()));
        assert_eq!(run("midwatch-no-such-program", &[], &[], patience).await, Ended::Absent);
        let Ended::Well(much) = sh("head -c 3000000 /dev/zero", patience).await else { panic!("it ended badly") };
        assert_eq!(u64::try_from(much.len()).unwrap(), MOST);
    }

    #[tokio::test]
    async fn one_that_hangs_is_ended_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("sleep 600 & echo $! >{}; wait", file.display());
        let begun = Instant::now();
        assert_eq!(sh(&script, Duration::from_millis(500)).await, Ended::Late);
        assert!(begun.elapsed() < Duration::from_secs(20));
        let child: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        // Nobody collects it here: it is gone, or a zombie.
        while std::fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(begun.elapsed() < Duration::from_secs(20), "the child of the program lives on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
