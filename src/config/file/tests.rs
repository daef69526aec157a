use super::ConfigFile;

const SAMPLE: &str = include_str!("../../../assets/midwatch.toml");
const SCHEMA: &str = include_str!("../../../assets/midwatch.schema.json");

#[test]
fn the_sample_is_read_as_it_is_and_with_every_example_in_it() {
    toml::from_str::<ConfigFile>(SAMPLE).unwrap();
    let uncommented: Vec<&str> = SAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(example) if example.starts_with('[') || example.contains(" = ") => example,
            _ => line,
        })
        .filter(|line| !line.starts_with("{ file = "))
        .collect();
    let file = toml::from_str::<ConfigFile>(&uncommented.join("\n")).unwrap();
    assert_eq!(file.sites.len(), 2);
    assert_eq!(file.keys.len(), 1);
}

#[test]
fn the_samples_thresholds_are_the_defaults() {
    let examples: Vec<&str> = SAMPLE
        .lines()
        .skip_while(|line| *line != "[thresholds]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.strip_prefix("# "))
        .collect();
    assert!(!examples.is_empty());
    let written: crate::triage::Thresholds = toml::from_str(&examples.join("\n")).unwrap();
    assert_eq!(written, crate::triage::Thresholds::default());
}

#[test]
fn the_schema_is_the_one_that_ships() {
    let now = serde_json::to_string_pretty(&schemars::schema_for!(ConfigFile)).unwrap() + "\n";
    assert!(now == SCHEMA, "run: midwatch config schema > assets/midwatch.schema.json");
}
