//! The terminal goes, the run goes on; a new one sees everything.

use midwatch::runbook::run::Outcome;

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

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn an_answer_counts_for_the_question_it_was_given_to_as_root() {
    let ground = Ground::new("discover = false\n", "");
    let ask = |name: &str| format!("[[steps]]\nname = \"{name}\"\nask = \"{name}?\"\n");
    ground.write("steps", "reversible", &[ask("one"), ask("two")].concat());
    let run = ground.begin(&["steps", "--yes"]);
    let asks = |step: usize| {
        eventually("it asks", || (ground.view(&run).progress().asking == Some(step)).then_some(()));
    };
    let answer = |word: &str, step: &str| ground.call(&["runbook", "answer", &run, word, "--step", step]);
    asks(0);
    let (code, said) = answer("yes", "2");
    assert!(code == 13 && said.contains("asks at step 1 now"), "{code}: {said}");
    assert_eq!(answer("yes", "1").0, 0);
    asks(1);
    let (code, said) = answer("yes", "1");
    assert!(code == 13 && said.contains("asks at step 2 now"), "{code}: {said}");
    assert_eq!(answer("no", "2").0, 0);
    let (outcome, _) = ground.ended(&run);
    assert_eq!(outcome, Outcome::Failed);
}
