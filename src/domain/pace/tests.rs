use super::*;

fn pace() -> WebPace {
    WebPace::new(5_000, 15_000, true, true, 1)
}

/// Runs the schedule for `span` ms with `answer` deciding each question's outcome and duration; returns when what was asked.
fn run(
    pace: &mut WebPace,
    span: u64,
    mut answer: impl FnMut(Question, u64) -> (HealthState, u64),
) -> Vec<(u64, Question)> {
    let (mut now, mut asked) = (0, Vec::new());
    while now < span {
        match pace.next(now) {
            Next::Wait(ms) => {
                assert!(ms > 0, "a wait of nothing would spin");
                now += ms;
            }
            Next::Ask(question) => {
                asked.push((now, question));
                let (state, took) = answer(question, now);
                now += took;
                match question {
                    Question::Health => pace.health_answered(state, took, now),
                    Question::Direct => pace.direct_answered(state, took, now),
                    Question::Metrics => pace.metrics_answered(state == HealthState::Ok, took, now),
                }
            }
        }
    }
    asked
}

fn count(asked: &[(u64, Question)], question: Question) -> usize {
    asked.iter().filter(|(_, q)| *q == question).count()
}

#[test]
fn everything_is_asked_at_once_at_the_start() {
    let asked = run(&mut pace(), 1_000, |_, _| (HealthState::Ok, 3));
    assert_eq!(
        asked.iter().map(|(_, q)| *q).collect::<Vec<_>>(),
        [Question::Health, Question::Direct, Question::Metrics]
    );
}

#[test]
fn a_healthy_site_is_asked_in_its_intervals() {
    let asked = run(&mut pace(), 300_000, |_, _| (HealthState::Ok, 3));
    assert!((52..=61).contains(&count(&asked, Question::Health)), "{}", count(&asked, Question::Health));
    assert!((17..=21).contains(&count(&asked, Question::Metrics)));
    assert!((17..=21).contains(&count(&asked, Question::Direct)));
}

#[test]
fn slow_metrics_take_at_most_a_twentieth_of_the_time() {
    let asked = run(&mut pace(), 600_000, |q, _| (HealthState::Ok, if q == Question::Metrics { 4_000 } else { 3 }));
    assert!(count(&asked, Question::Metrics) <= 8, "{}", count(&asked, Question::Metrics));
}

#[test]
fn a_hung_site_gets_one_question_a_minute_and_no_other() {
    let asked = run(&mut pace(), 600_000, |_, _| (HealthState::Hanging, 31_000));
    assert_eq!(count(&asked, Question::Health), asked.len());
    assert!((9..=11).contains(&asked.len()), "{}", asked.len());
}

#[test]
fn an_error_that_took_half_a_minute_is_not_asked_for_again_at_once() {
    let asked = run(&mut pace(), 600_000, |_, _| (HealthState::ServerError, 30_000));
    assert_eq!(count(&asked, Question::Health), asked.len());
    assert!((9..=11).contains(&asked.len()), "{}", asked.len());
}

#[test]
fn a_bad_answer_is_confirmed_soon_and_the_own_port_asked_at_once() {
    let asked = run(&mut pace(), 6_000, |_, _| (HealthState::Unreachable, 1));
    assert_eq!(asked.first().map(|a| a.1), Some(Question::Health));
    assert_eq!(asked.get(1).map(|a| a.1), Some(Question::Direct));
    assert!(asked.iter().any(|(at, q)| *q == Question::Health && (1_900..2_100).contains(at)), "{asked:?}");
}

#[test]
fn unreachable_sites_are_not_asked_for_metrics() {
    let asked = run(&mut pace(), 60_000, |_, _| (HealthState::Unreachable, 1));
    assert_eq!(count(&asked, Question::Metrics), 0);
}

#[test]
fn the_pause_after_a_hang_ends_when_a_bad_sign_turns_good() {
    let mut pace = pace();
    pace.health_answered(HealthState::Hanging, 31_000, 31_000);
    assert!(pace.paused(32_000));
    assert!(!pace.signs(true, 32_000), "a sign that was never bad says nothing");
    assert!(!pace.signs(false, 33_000));
    assert!(pace.signs(true, 34_000));
    assert_eq!(pace.next(34_000), Next::Ask(Question::Health));
}

#[test]
fn the_operator_cannot_make_it_repeat_a_hung_request() {
    let mut pace = pace();
    pace.health_answered(HealthState::Hanging, 31_000, 31_000);
    pace.poll_now(32_000);
    assert!(matches!(pace.next(32_000), Next::Wait(_)));
}

#[test]
fn recovery_asks_for_metrics_at_once() {
    let mut pace = pace();
    pace.health_answered(HealthState::ServerError, 9, 1_000);
    pace.metrics_answered(false, 4_000, 5_000);
    pace.metrics_answered(false, 4_000, 70_000);
    pace.health_answered(HealthState::Ok, 3, 71_000);
    pace.direct_answered(HealthState::Ok, 3, 71_001);
    assert_eq!(pace.next(71_001), Next::Ask(Question::Metrics));
}

#[test]
fn a_predecessors_question_is_waited_for() {
    let mut pace = pace();
    pace.hold_until(20_000);
    assert_eq!(pace.next(1_000), Next::Wait(19_000));
}
