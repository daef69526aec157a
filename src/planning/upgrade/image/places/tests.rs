use super::{Reference, Text, changed, places};

fn text(path: &str, text: &str) -> Text {
    Text { path: path.to_owned(), text: text.to_owned() }
}

fn app() -> Reference {
    Reference::of("ghcr.io:443/shop/app:1.9").unwrap()
}

/// The lines of the only file where the tag was found; the text there must be the tag.
fn found(compose: &str, env: Option<&str>) -> Result<String, String> {
    let env = env.map(|env| text(".env", env));
    let found = places(&[text("c.yaml", compose)], env.as_ref(), &app(), &["db".to_owned()])?;
    for at in &found.at {
        assert_eq!(found.file.text.get(*at..at + 3), Some("1.9"));
    }
    Ok(found.told())
}

#[test]
fn a_reference_has_a_name_and_a_tag() {
    assert_eq!(app().with("2").to_string(), "ghcr.io:443/shop/app:2");
    for other in ["shop/app", "ghcr.io:443/shop/app", "app@sha256:ab", "app:1@sha256:ab", ":1", "app:"] {
        assert_eq!(Reference::of(other), None, "{other}");
    }
}

#[test]
fn the_tag_is_found_where_it_is_written() {
    let one = |image: &str| format!("services:\n  web:\n    image: {image}\n");
    for image in ["ghcr.io:443/shop/app:1.9", "\"ghcr.io:443/shop/app:1.9\"", "'ghcr.io:443/shop/app:1.9'  # ours"] {
        assert_eq!(found(&one(image), None).as_deref(), Ok("c.yaml:3"), "{image}");
    }
    let env = "# TAG=0\nOTHER=1.9\nexport TAG = '1.9' # the version\n";
    for image in ["ghcr.io:443/shop/app:${TAG}", "ghcr.io:443/shop/app:$TAG", "\"${REGISTRY}/app:${TAG:?say which}\""] {
        assert_eq!(found(&one(image), Some(env)).as_deref(), Ok(".env:3"), "{image}");
    }
    assert_eq!(found(&one("ghcr.io:443/shop/app:${TAG:-1.9}"), None).as_deref(), Ok("c.yaml:3"));
    assert_eq!(found(&one("ghcr.io:443/shop/app:${TAG-0}"), Some("TAG=1.9")).as_deref(), Ok(".env:1"));
    assert_eq!(found(&one("${IMAGE}"), Some("IMAGE=ghcr.io:443/shop/app:1.9\n")).as_deref(), Ok(".env:1"));

    // What services share, by an anchor or each for itself; what is of others.
    let shared =
        "x-app: &app\n  image: ghcr.io:443/shop/app:1.9\nservices:\n  web:\n    <<: *app\n  db:\n    image: db:1.9\n";
    assert_eq!(found(shared, None).as_deref(), Ok("c.yaml:2"));
    let each = "services:\n    web:\n        image: ghcr.io:443/shop/app:1.9\n    db:\n        # image: ghcr.io:443/shop/app:1.9\n        \
                image: ghcr.io:443/shop/app:1.9\n    worker:\n        image: ghcr.io:443/shop/app:1.9\nvolumes:\n";
    assert_eq!(found(each, None).as_deref(), Ok("c.yaml:3,8"));
}

#[test]
fn what_is_not_certain_is_refused_with_its_places() {
    let one = |image: &str| format!("services:\n  web:\n    image: {image}\n");
    let refused = |compose: &str, env: Option<&str>, why: &str| {
        let said = found(compose, env).unwrap_err();
        assert!(said.contains(why), "{compose}: {said}");
    };
    for image in
        ["other/app:${TAG}", "ghcr.io:443/shop/app:${TAG}-slim", "ghcr.io:443/shop/app:1.${MINOR}", "", "app:1.9"]
    {
        refused(&one(image), Some("TAG=1.9\nMINOR=9\n"), "no line of c.yaml, .env");
    }
    refused(&one("ghcr.io:443/shop/app:${TAG}"), Some("TAG=${VERSION}\n"), "no line");
    refused("services: {web: {image: 'ghcr.io:443/shop/app:1.9'}}\n", None, "no line");
    refused(
        &one("ghcr.io:443/shop/app:${TAG}"),
        Some("TAG=1.9\nTAG=1.9\n"),
        "more than once in .env, in the lines 1 and 2",
    );
    let two =
        "services:\n  web:\n    image: ghcr.io:443/shop/app:${TAG}\n  worker:\n    image: ghcr.io:443/shop/app:1.9\n";
    refused(two, Some("TAG=1.9\n"), "several places (c.yaml:5 and .env:1)");
}

#[test]
fn nothing_but_images_may_change() {
    let config = "name: shop\nservices:\n  db:\n    image: ghcr.io:443/shop/app:1.8\n  web:\n    command:\n      - web\n    environment:\n      \
                  RELEASE: \"1.9\"\n      SECRET: hunter2\n    image: ghcr.io:443/shop/app:1.9\nx-app:\n  image: ghcr.io:443/shop/app:1.9\n";
    let change = |after: &str| changed(config, after, &app(), &app().with("2"));
    assert_eq!(change(&config.replace("app:1.9", "app:2")).unwrap().into_iter().collect::<Vec<_>>(), ["web"]);
    assert!(change(config).unwrap().is_empty());
    assert!(change(&config.replace("1.9", "2")).unwrap_err().ends_with("`RELEASE` of web"));
    let said = change(&config.replace("hunter2", "hunter3")).unwrap_err();
    assert!(said.ends_with("`SECRET` of web") && !said.contains("hunter"), "{said}");
    assert!(change(&config.replace("app:1.8", "app:2")).unwrap_err().contains("`image` of db"));
    assert!(change("name: shop\n").is_err());
}
