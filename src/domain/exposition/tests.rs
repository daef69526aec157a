use super::*;

fn one(line: &str) -> Result<Option<Sample<'_>>, Flaw> {
    sample(line.as_bytes())
}

fn read(line: &str) -> (String, Vec<(String, String)>, f64) {
    let sample = one(line).unwrap().unwrap();
    let labels = sample.labels.iter().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    (sample.name.clone().into_owned(), labels, sample.value)
}

fn labelled(line: &str) -> Vec<(String, String)> {
    read(line).1
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn a_plain_sample_borrows_everything() {
    let sample = one(r#"a_total{b="c d"} 42.0"#).unwrap().unwrap();
    assert!(matches!(sample.name, Cow::Borrowed("a_total")));
    assert!(matches!(sample.labels.get("b"), Some(Cow::Borrowed("c d"))));
    assert_eq!(sample.labels.get("c"), None);
}

#[test]
fn commas_equals_signs_and_braces_in_values_are_text() {
    assert_eq!(labelled(r#"a{x="1,2",y="k=v",z="}{"} 1"#), pairs(&[("x", "1,2"), ("y", "k=v"), ("z", "}{")]));
}

#[test]
fn escapes_are_replaced_and_unknown_ones_kept() {
    assert_eq!(labelled(r#"a{x="q\"b\\n\nl\d"} 1"#), pairs(&[("x", "q\"b\\n\nl\\d")]));
    assert_eq!(labelled(r#"a{x="\é"} 1"#), pairs(&[("x", "\\é")]));
    assert!(matches!(one(r#"a{x="\"} 1"#), Err(Flaw::Unclosed)));
}

#[test]
fn recording_rules_may_have_colons_but_bare_labels_may_not() {
    assert_eq!(read("job:requests:rate5m 1").0, "job:requests:rate5m");
    assert_eq!(one(r#"a{b:c="d"} 1"#), Err(Flaw::LabelName));
}

#[test]
fn utf_8_names_are_read_quoted() {
    let (name, labels, _) = read(r#"{"my.näme","l.x"="y",z="w"} 1"#);
    assert_eq!((name.as_str(), labels), ("my.näme", pairs(&[("l.x", "y"), ("z", "w")])));
    assert_eq!(one(r#"a{"b"} 1"#), Err(Flaw::TwoNames));
    assert_eq!(one(r#"{"a","b"} 1"#), Err(Flaw::TwoNames));
    assert_eq!(one(r#"{a="b"} 1"#), Err(Flaw::NoName));
    assert_eq!(one(r#"{""} 1"#), Err(Flaw::LabelName));
}

#[test]
fn empty_braces_and_a_trailing_comma_are_fine() {
    assert_eq!(labelled("a{} 1"), []);
    assert_eq!(labelled(r#"a{b="",} 1"#), pairs(&[("b", "")]));
    assert_eq!(one("a{,} 1"), Err(Flaw::LabelName));
    assert_eq!(one(r#"a{b="c",,} 1"#), Err(Flaw::LabelName));
}

#[test]
fn blanks_may_stand_anywhere_between() {
    let line = "\t a \t { b = \"c\" , d=\"e\"\t}  \t 1.5 \t 1700 ";
    let sample = one(line).unwrap().unwrap();
    assert_eq!((sample.value, sample.timestamp), (1.5, Some(1700.0)));
    assert_eq!(labelled(line), pairs(&[("b", "c"), ("d", "e")]));
    assert!((read(r#"a{b="c"}1"#).2 - 1.0).abs() < f64::EPSILON);
}

#[test]
fn numbers_are_read_in_every_usual_form() {
    for (text, value) in [
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("-1.5E-2", -0.015),
        ("+7", 7.0),
        ("+Inf", f64::INFINITY),
        ("-Inf", f64::NEG_INFINITY),
        ("inf", f64::INFINITY),
        ("NaN", f64::NAN),
    ] {
        let line = format!("a {text}");
        let sample = one(&line).unwrap().unwrap();
        assert!(sample.value.total_cmp(&value).is_eq(), "{text}");
    }
    for text in ["", " ", " x", " 1_000", " 0x10", " 1,5"] {
        assert!(one(&format!("a{text}")).is_err(), "{text:?}");
    }
}

#[test]
fn timestamps_and_exemplars_are_accepted_and_other_trailers_are_not() {
    assert_eq!(one("a 1 1700000000000").unwrap().unwrap().timestamp, Some(1_700_000_000_000.0));
    assert_eq!(one("a 1 1700000000.25").unwrap().unwrap().timestamp, Some(1_700_000_000.25));
    assert!(one(r#"a_bucket{le="1"} 3 # {trace_id="x}y"} 0.67 1520879607.7"#).unwrap().is_some());
    assert_eq!(one("a 1 17 # {} 0.5").unwrap().unwrap().timestamp, Some(17.0));
    assert_eq!(one("a 1 NaN"), Err(Flaw::Timestamp));
    assert_eq!(one("a 1 2 3"), Err(Flaw::Trailing));
    assert_eq!(one("a 1 # why"), Err(Flaw::Trailing));
    assert_eq!(one(r#"a 1 # {x="y"} z"#), Err(Flaw::Trailing));
}

#[test]
fn comments_blank_lines_and_carriage_returns_are_no_samples() {
    for line in ["", "\r", "  \t", "# HELP a b", "#EOF", " # TYPE a counter", "# {broken"] {
        assert_eq!(one(line), Ok(None), "{line:?}");
    }
    assert!((read("a 1\r").2 - 1.0).abs() < f64::EPSILON);
}

#[test]
fn one_bad_line_costs_one_line() {
    let page = b"# TYPE a counter\r\na 1\r\n\xff\xfe\nb{x=\"1} 2\nc 3 4 5\n\n9d 1\ne\nf 6\n# EOF";
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for item in samples(page) {
        match item {
            Ok(sample) => good.push(sample.name.into_owned()),
            Err(flaw) => bad.push((flaw.line, flaw.flaw)),
        }
    }
    assert_eq!(good, ["a", "f"]);
    let flaws = [(3, Flaw::NotText), (4, Flaw::Unclosed), (5, Flaw::Trailing), (7, Flaw::NoName), (8, Flaw::Value)];
    assert_eq!(bad, flaws);
}

#[test]
fn a_bad_line_is_told_in_a_sentence() {
    let bad = samples(b"a 1\nb x\n").find_map(Result::err).unwrap();
    assert_eq!(bad.to_string(), "Line 2: the value is missing or not a number.");
}

#[test]
fn what_needs_quoting_is_printed_quoted() {
    for line in [
        r#"{"my.name"} 1.0"#,
        r#"{"9a",b="c"} 1.0"#,
        r#"{"new\nline\\\"","l:x"="\n"} NaN"#,
        "a:b -Inf 17.0",
        r#"a{b="",c="}"} 1e300"#,
        "a -0.0",
    ] {
        assert_eq!(one(line).unwrap().unwrap().to_string(), line);
    }
}
