use super::*;
use crate::runbook::plan::SCHEMA;
use crate::runbook::spec::Risk;

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

fn plan() -> Plan {
    Plan {
        schema: SCHEMA,
        made: NOW,
        runbook: "restart-services".to_owned(),
        title: "Restart web".to_owned(),
        risk: Risk::Interrupts,
        host: host("b1"),
        user: "root".to_owned(),
        site: Some("shop".to_owned()),
        target: "site /srv/shop".to_owned(),
        also: Vec::new(),
        parameters: std::collections::BTreeMap::new(),
        facts: Vec::new(),
        steps: Vec::new(),
        costs: Vec::new(),
        at_risk: Vec::new(),
        way_back: String::new(),
        confirm: Confirm::Type("web".to_owned()),
        past_ms: Vec::new(),
    }
}

fn host(boot: &str) -> HostCard {
    HostCard { name: "web1".to_owned(), machine: "m".to_owned(), boot: boot.to_owned() }
}

fn answered(plan: &Plan, typed: &str, at: Timestamp) -> Result<Answer, Refused> {
    let armed = Armed::unless(false).unwrap();
    Challenge::about(plan, &armed).answer(typed, "0123456789abcdef".to_owned(), at)
}

#[test]
fn who_only_looks_can_ask_for_nothing() {
    assert!(Armed::unless(true).is_none());
}

#[test]
fn only_the_exact_text_confirms_and_only_in_time() {
    let plan = plan();
    for typed in ["", "y", "web ", "WEB", "\n"] {
        assert_eq!(answered(&plan, typed, NOW), Err(Refused::Mismatch("web".to_owned())), "{typed:?}");
    }
    let late = NOW.plus_millis(i64::try_from(PLAN_TTL_MS).unwrap() + 1);
    assert_eq!(answered(&plan, "web", late), Err(Refused::Stale(900)));
}

#[test]
fn an_answer_is_good_for_its_plan_here_and_now_and_once() {
    let plan = plan();
    let answer = answered(&plan, "web", NOW).unwrap();
    let good = |plan: &Plan, answer: &Answer, host: &HostCard, now| approve(plan, answer, host, now).map(|_| ());
    assert_eq!(good(&plan, &answer, &host("b1"), NOW), Ok(()));
    assert!(matches!(good(&plan, &answer, &host("b2"), NOW), Err(Refused::Elsewhere(..))));
    let other = Plan { costs: vec!["more".to_owned()], ..plan.clone() };
    assert_eq!(good(&other, &answer, &host("b1"), NOW), Err(Refused::Changed));
    let forged = Answer { typed: String::new(), ..answer.clone() };
    assert_eq!(good(&plan, &forged, &host("b1"), NOW), Err(Refused::Mismatch("web".to_owned())));
    let late = NOW.plus_millis(i64::try_from(ANSWER_TTL_MS).unwrap() + 1);
    assert_eq!(good(&plan, &answer, &host("b1"), late), Err(Refused::Expired(60)));
    let early = NOW.plus_millis(-1000);
    assert_eq!(good(&plan, &answer, &host("b1"), early), Err(Refused::Expired(-1)));
    let spend = |unused| approve(&plan, &answer, &host("b1"), NOW).unwrap().spent(unused).map(|_| ());
    assert_eq!(spend(Ok(true)), Ok(()));
    assert_eq!(spend(Ok(false)), Err(Refused::Spent));
    assert_eq!(spend(Err("disk full".to_owned())), Err(Refused::Unrecorded("disk full".to_owned())));
}

#[test]
fn what_past_runs_took_changes_no_digest_and_anything_else_does() {
    let plan = plan();
    assert_eq!(Plan { past_ms: vec![1], ..plan.clone() }.digest(), plan.digest());
    assert_ne!(Plan { user: "rose".to_owned(), ..plan.clone() }.digest(), plan.digest());
    assert_eq!(Plan::made_of(&plan.token()), Some(NOW));
    assert_eq!(Plan::made_of("nonsense"), None);
}
