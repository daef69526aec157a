//! The terminal goes, the run goes on; a new one sees everything.

use super::ground::Ground;
use crate::support::pty::Home;
use crate::support::servers::eventually;

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_run_goes_on_when_its_terminal_closes_at_any_step_as_root() {
    for step in ["one", "two", "three"] {
        let ground = Ground::new("discover = false\n", "");
        let steps: String = ["one", "two", "three"]
            .map(|word| {
                format!(
                    "[[steps]]\nname = \"{word}\"\nrun = [\"sh\", \"-c\", \"w={word}; echo begins-$w; sleep 0.5; echo ends-$w\"]\n"
                )
            })
            .concat();
        ground.write("steps", "reversible", &steps);
        let (home, state) = (Home::new(), ground.state().display().to_string());
        let config = ground.path().join("c.toml").display().to_string();
        let midwatch = env!("CARGO_BIN_EXE_midwatch");
        let call = [midwatch, "-c", &config, "--state-dir", &state, "runbook", "run", "steps"];
        let env = [("XDG_CONFIG_HOME", ground.path().as_os_str())];
        let mut session = home.run(&call, &env, 100, 40);
        session.wait_for_text("y to run it");
        session.keys("\r");
        session.wait_for_text("not confirmed");
        let mut session = home.run(&call, &env, 100, 40);
        session.wait_for_text("y to run it");
        session.keys("y\r");
        session.wait_for_text(&format!("begins-{step}"));
        session.close();
        let run = eventually("the run is known", || {
            let listed = ground.call(&["runbook", "log"]).1;
            listed.split_whitespace().next().filter(|word| word.contains("steps")).map(str::to_owned)
        });
        let (code, said) = ground.call(&["runbook", "attach", &run]);
        assert_eq!(code, 0, "{said}");
        for word in ["one", "two", "three"] {
            assert!(said.contains(&format!("begins-{word}")) && said.contains(&format!("ends-{word}")), "{said}");
        }
    }
}
