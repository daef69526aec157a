//! A program asked for its output: by its words, never through a shell; with a time limit, in a process group of its own.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// What `program` prints within `limit`, at most `most` bytes of it.
///
/// # Errors
/// A few words, where it isn't there, fails, or takes too long (it is killed then).
pub(super) fn output(program: &str, words: &[&str], most: u64, limit: Duration) -> Result<String, String> {
    let mut child = Command::new(program)
        .args(words)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| error.to_string())?;
    let Some(stdout) = child.stdout.take() else { return Err("it has no output".to_owned()) };
    let (tell, told) = mpsc::channel();
    let reading = std::thread::Builder::new().name("midwatch-output".to_owned()).spawn(move || {
        let mut text = Vec::new();
        let read = stdout.take(most).read_to_end(&mut text);
        drop(tell.send(read.map(|_| text)));
    });
    let answer = reading
        .map_err(|error| error.to_string())
        .and_then(|_| told.recv_timeout(limit).map_err(|_timeout| "no answer in time".to_owned()));
    // One that has said all and does not end is ended too.
    let mut naps = if answer.is_ok() { 100 } else { 0 };
    while naps > 0 && child.try_wait().is_ok_and(|status| status.is_none()) {
        std::thread::sleep(Duration::from_millis(5));
        naps -= 1;
    }
    if naps == 0 {
        let _gone = kill_process_group(Pid::from_child(&child), Signal::KILL);
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let text = answer?.map_err(|error| error.to_string())?;
    if status.success() {
        Ok(String::from_utf8_lossy(&text).into_owned())
    } else {
        Err(format!("it ended with {status}"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::output;

    #[test]
    fn output_comes_back_and_a_hang_does_not_last() {
        assert_eq!(output("echo", &["a b"], 99, Duration::from_secs(20)), Ok("a b\n".to_owned()));
        assert!(output("false", &[], 99, Duration::from_secs(20)).is_err());
        assert!(output("midwatch-no-such-program", &[], 99, Duration::from_secs(20)).is_err());
        let begun = Instant::now();
        assert_eq!(output("sleep", &["60"], 99, Duration::from_millis(50)), Err("no answer in time".to_owned()));
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
