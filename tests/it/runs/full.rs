//! A state directory on a disk that is full.

use std::path::PathBuf;
use std::process::Command;

use super::ground::Ground;

const ALONE: &str = "discover = false\n";

/// The ground's state directory on a small file system, taken down again also after a panic.
struct Small(PathBuf);

impl Small {
    fn below(ground: &Ground) -> Self {
        let state = ground.state();
        std::fs::create_dir_all(&state).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "midwatch"]).arg(&state).status();
        assert!(mounted.unwrap().success());
        Self(state)
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// A step that fills it, and one that acts after that.
    fn steps(&self, ground: &Ground) -> String {
        let (filler, trace) = (self.filler(), ground.path().join("trace"));
        format!(
            "[[steps]]\nname = \"fill\"\nrun = [\"sh\", \"-c\", \"head -c 9000000 /dev/zero > {}; true\"]\n\
             [[steps]]\nname = \"act\"\nrun = [\"sh\", \"-c\", \"echo acted >> {}; yes much | head -c 3000000\"]\n\
             [[steps]]\nname = \"said\"\nnote = \"at the end\"\n",
            filler.display(),
            trace.display()
        )
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("runs").join(rustix::process::geteuid().as_raw().to_string()).join("ballast")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _status = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine, mounts a small tmpfs"]
fn what_can_be_undone_goes_on_and_is_recorded_on_a_full_disk_as_root() {
    let ground = Ground::new(ALONE, "");
    let small = Small::below(&ground);
    ground.write("steps", "reversible", &small.steps(&ground));
    let (code, said) = ground.call(&["runbook", "run", "steps", "--yes"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(ground.trace(), "acted\n");
    assert!(said.contains("is full: the journal goes on in the room that was kept for it"), "{said}");
    assert!(said.contains("at the end") && !small.ballast().exists(), "{said}");
    // It is kept anew as soon as there is room.
    std::fs::remove_file(small.filler()).unwrap();
    ground.write("steps", "reversible", "[[steps]]\nname = \"said\"\nnote = \"done\"\n");
    assert_eq!(ground.call(&["runbook", "run", "steps", "--yes"]).0, 0);
    assert!(small.ballast().exists());
}

#[test]
#[ignore = "needs root: takes the locks of the machine, mounts a small tmpfs"]
fn what_cannot_be_undone_is_not_done_on_a_full_disk_as_root() {
    let ground = Ground::new(ALONE, "");
    let small = Small::below(&ground);
    ground.write("steps", "destructive", &small.steps(&ground));
    let token = ground.token(&["steps"]);
    let (code, said) = ground.call(&["runbook", "run", "steps", "--confirm", &token]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("is full, and this can't be undone: make room, then retry it"), "{said}");
    assert_eq!(ground.trace(), "");
    let run = said.lines().find_map(|line| line.strip_prefix("run ")).unwrap();
    let run = run.split(' ').next().unwrap().to_owned();
    // Neither is anything done by a new one, nor by this one taken up: refused at once, or by the step.
    let token = ground.token(&["steps"]);
    let (code, said) = ground.call(&["runbook", "run", "steps", "--confirm", &token]);
    assert!(matches!(code, 1 | 13) && said.contains("make room"), "{code}: {said}");
    let (code, said) = ground.resume(&run, &["--retry"]);
    assert!(matches!(code, 1 | 13) && said.contains("make room"), "{code}: {said}");
    assert_eq!(ground.trace(), "");
    std::fs::remove_file(small.filler()).unwrap();
    let (code, said) = ground.resume(&run, &["--retry"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(ground.trace(), "acted\n");
}

/// Nothing was ever kept for the journal: it can't even be begun, and where it could be is said.
#[test]
#[ignore = "needs root: takes the locks of the machine, mounts a small tmpfs"]
fn where_no_journal_fits_a_place_in_memory_is_named_for_what_can_be_undone_as_root() {
    let ground = Ground::new(ALONE, "[[steps]]\nname = \"said\"\nnote = \"done\"\n");
    let small = Small::below(&ground);
    assert!(std::fs::write(small.filler(), vec![0_u8; 5 << 20]).is_err());
    let (code, said) = ground.call(&["runbook", "run", "steps", "--yes"]);
    assert!(code == 13 && said.contains("nothing is done unrecorded"), "{code}: {said}");
    assert!(said.contains("give --state-dir /dev/shm/midwatch"), "{said}");
    ground.write("steps", "destructive", "[[steps]]\nname = \"said\"\nrun = [\"true\"]\n");
    let token = ground.token(&["steps"]);
    let (code, said) = ground.call(&["runbook", "run", "steps", "--confirm", &token]);
    assert!(code == 13 && !said.contains("/dev/shm"), "{code}: {said}");
    // There it is recorded.
    ground.write("steps", "reversible", "[[steps]]\nname = \"said\"\nnote = \"done\"\n");
    let memory = tempfile::Builder::new().prefix("midwatch-").tempdir_in("/dev/shm").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_midwatch"));
    command.arg("-c").arg(ground.path().join("c.toml")).arg("--state-dir").arg(memory.path());
    let output = command.args(["runbook", "run", "steps", "--yes"]).env("XDG_CONFIG_HOME", ground.path()).output();
    assert_eq!(output.unwrap().status.code(), Some(0));
}
