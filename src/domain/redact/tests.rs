use proptest::prelude::*;

use super::redact;

#[test]
fn secrets_go_and_the_rest_stays() {
    for (text, left) in [
        ("to redis://:pw@h:1/0 now", "to redis://:[redacted]@h:1/0 now"),
        ("postgresql://pretix:p:w@[::1]:5432/pretix?x=1", "postgresql://pretix:[redacted]@[::1]:5432/pretix?x=1"),
        ("redis://:pa/ss#w@h:6379/0", "redis://:[redacted]@h:6379/0"),
        ("https://0123456789abcdef0123@o1.ingest.sentry.io/1", "https://[redacted]@o1.ingest.sentry.io/1"),
        ("DB_PASSWORD=hunter2 next", "DB_PASSWORD=[redacted] next"),
        ("host=h password='hun ter2' user=x", "host=h password='[redacted]' user=x"),
        (r#"{"api_token": "abc", "user": "x"}"#, r#"{"api_token": "[redacted]", "user": "x"}"#),
        ("{'SECRET_KEY': b'abc', 'a': 1}", "{'SECRET_KEY': b'[redacted]', 'a': 1}"),
        (r#"{\"token\": \"abc\", \"a\": 1}"#, r#"{\"token\": \"[redacted]\", \"a\": 1}"#),
        ("GET /x?token=abc&page=2 HTTP/1.1", "GET /x?token=[redacted]&page=2 HTTP/1.1"),
        ("Authorization: Basic dXNlcjpwdw==", "Authorization: [redacted]"),
        ("{'Authorization': 'Token abc', 'X': '1'}", "{'Authorization': '[redacted]', 'X': '1'}"),
        ("Set-Cookie: a=b; c=d", "Set-Cookie: [redacted]"),
        ("sent Bearer abc123def456 to x", "sent Bearer [redacted] to x"),
        ("ALTER ROLE x PASSWORD 'y' VALID", "ALTER ROLE x PASSWORD '[redacted]' VALID"),
        ("app --db-password s3cret --port 1", "app --db-password [redacted] --port 1"),
        ("mysqldump -h h -u app -papp-pw app", "mysqldump -h h -u app -p[redacted] app"),
        ("redis-cli -h h -a s3cret ping", "redis-cli -h h -a [redacted] ping"),
        ("redis-server --requirepass s3cret --port 1", "redis-server --requirepass [redacted] --port 1"),
        ("key eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def end", "key [redacted] end"),
        ("user pbkdf2_sha256$600000$salt$hash= end", "user [redacted] end"),
        (
            "Internal Server Error: /o/e/order/ABC12/x8f3k2m9q1z5w7r4/",
            "Internal Server Error: /o/e/order/ABC12/[redacted]/",
        ),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----[redacted]-----END RSA PRIVATE KEY-----",
        ),
    ] {
        assert_eq!(redact(text), left);
    }
}

#[test]
fn what_holds_no_secret_stays() {
    for text in [
        "nothing here",
        "see http://host:8000/path/user@example.org",
        "FATAL:  password authentication failed for user \"pretix\"",
        "password=None host=h",
        "CSRF token missing",
        "postgresql://pretix@db1/pretix",
        "basic authentication is off",
        "Internal Server Error: /o/e/order/ABC12/",
        "mysql -p app",
        "/control/event/a/b/orders/ABC12/",
    ] {
        assert_eq!(redact(text), text);
    }
}

proptest! {
    #[test]
    fn twice_is_as_good_as_once(text in "(password|token|PWD|Cookie|auth|--secret|bearer|://|@|:|=|=>|'|\"|\\\\|[a-z0-9]{1,9}| |\n|&|,|\\[redacted\\]|/order/|eyJ|mysql| -p|\\PC){0,40}") {
        let once = redact(&text).into_owned();
        prop_assert_eq!(redact(&once), once.clone());
    }

    #[test]
    fn a_password_in_a_url_never_stays(user in "[a-z]{0,8}", password in "[A-Za-z0-9/#?+_.~%-]{6,24}", host in "[a-z]{1,8}") {
        let text = format!("to redis://{user}:x{password}@{host}/0 x");
        let shown = redact(&text).into_owned();
        prop_assert!(!shown.contains(&password), "{}", shown);
    }

    #[test]
    fn a_quoted_value_never_stays(password in "[A-Za-z0-9 ,;&)(}\\]<>-]{6,24}", key in "(db_password|TOKEN|client-secret|X-Api-Key)", sep in "(=|: |:| => )") {
        let text = format!("{{'{key}'{sep}'x{password}y'}}");
        let shown = redact(&text).into_owned();
        prop_assert!(!shown.contains(&format!("x{password}y")), "{}", shown);
    }
}
