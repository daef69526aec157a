//! Command lines of processes without the credentials that people put into them.
//!
//! Invariant: where it is unclear how far a secret reaches, rather too much is hidden than too little.

use crate::domain::text::plain;

/// Characters of a command line that are shown.
const SHOWN: usize = 200;
/// Arguments, and bytes of each, that are looked at: far more than can be shown.
const ARGUMENTS: usize = 64;
const BYTES: usize = 4096;

const MASK: &str = "***";

/// Options that carry a secret under a name that doesn't say so: program (by how its name begins), option, and
/// whether the secret may be the next word (`redis-cli -a X`) or only part of the same (`mysql -pX`).
const OPTIONS: [(&str, &str, bool); 10] = [
    ("curl", "-u", true),
    ("curl", "--user", true),
    ("curl", "--proxy-user", true),
    ("ldap", "-w", true),
    ("mariadb", "-p", false),
    ("mongo", "-p", true),
    ("mysql", "-p", false),
    ("redis-cli", "-a", true),
    ("sshpass", "-p", true),
    ("valkey-cli", "-a", true),
];

/// The command line as it may be shown: one line, at most 200 characters, no control characters, credentials masked.
pub(super) fn shown<S: AsRef<str>>(arguments: &[S]) -> String {
    let mut masking = Masking::default();
    for argument in arguments.iter().take(ARGUMENTS) {
        let argument = argument.as_ref();
        masking.argument(argument.get(..argument.floor_char_boundary(BYTES)).unwrap_or_default());
    }
    plain(&masking.words.join(" "), SHOWN)
}

/// `text` with passwords in URLs (`scheme://user:password@host`) masked.
pub(super) fn without_url_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let masked = rest.rsplit_once('@').and_then(|(credentials, host)| {
        let (user, _) = credentials.split_once(':')?;
        Some(format!("{scheme}://{user}:{MASK}@{host}"))
    });
    masked.unwrap_or_else(|| text.to_owned())
}

#[derive(Default)]
struct Masking {
    words: Vec<String>,
    /// Where in `OPTIONS` the last program seen has its entries.
    program: Option<&'static str>,
    /// The next word is a secret.
    next: bool,
}

impl Masking {
    fn argument(&mut self, argument: &str) {
        if self.hides(argument) {
            return;
        }
        let (open, hidden) = split_at_secret(argument);
        let mut words = open.split_whitespace().peekable();
        while let Some(word) = words.next() {
            let masked = self.hides(word) || self.word(word);
            if masked && word.contains(['\'', '"']) && words.peek().is_some() {
                // a quoted secret with white space in it: where it ends is anybody's guess
                self.words.push(MASK.to_owned());
                break;
            }
        }
        match (hidden, self.words.last_mut()) {
            (Some(""), _) => self.next = true,
            (Some(_), Some(last)) => last.push_str(MASK),
            (Some(_), None) => self.words.push(MASK.to_owned()),
            (None, _) => {}
        }
    }

    /// Whether `word` is a secret that the one before announced; it is then shown as a mask.
    fn hides(&mut self, word: &str) -> bool {
        let hides = std::mem::take(&mut self.next) && !word.starts_with("--");
        if hides {
            self.words.push(MASK.to_owned());
            self.next = ["bearer", "basic"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme));
        }
        hides
    }

    /// Takes in a word that isn't a secret as a whole; whether part of it was masked.
    fn word(&mut self, word: &str) -> bool {
        if word.starts_with('-') {
            if let Some(option) = self.option(word) {
                self.words.push(format!("{option}{MASK}"));
                return true;
            }
        } else {
            let name = word.rsplit('/').next().unwrap_or(word).trim_start_matches(['\'', '"', '(', '`']);
            let known = OPTIONS.iter().find(|(program, ..)| name.starts_with(program));
            self.program = known.map(|(program, ..)| *program).or(self.program);
        }
        let masked = without_url_password(word);
        let changed = masked != word;
        self.words.push(masked);
        changed
    }

    /// The part of an option to show where the rest is a secret. Remembers whether the next word is one.
    fn option(&mut self, word: &str) -> Option<&'static str> {
        self.next = !word.starts_with("--no-") && !word.contains('=') && names_a_secret(word);
        for (_, option, next) in OPTIONS.iter().filter(|(program, ..)| Some(*program) == self.program) {
            if let Some(rest) = word.strip_prefix(option)
                && (rest.starts_with('=') || !(rest.is_empty() || option.starts_with("--")))
            {
                return Some(option);
            }
            // `-su` is `-s -u`
            let cluster = !word.starts_with("--") && word.ends_with(option.trim_start_matches('-'));
            self.next |= *next && (word == *option || cluster);
        }
        None
    }
}

/// The part of an argument before its first secret, and all after it: after `password=`, `"token": `, `Authorization:`,
/// `PASSWORD '`, `IDENTIFIED BY`.
fn split_at_secret(argument: &str) -> (&str, Option<&str>) {
    let assigned = argument
        .char_indices()
        .filter(|(_, c)| matches!(c, '=' | ':'))
        .map(|(at, _)| at)
        .find(|at| argument.get(..*at).is_some_and(names_a_secret))
        .map(|at| at + 1);
    let lower = argument.to_ascii_lowercase();
    let statement = ["password '", "password $", "identified by "]
        .into_iter()
        .filter_map(|words| lower.find(words).map(|at| at + words.len()))
        .min();
    match assigned.into_iter().chain(statement).min().and_then(|at| argument.split_at_checked(at)) {
        Some((open, secret)) => (open, Some(secret)),
        None => (argument, None),
    }
}

/// Whether the name that `text` ends with is one of a secret.
fn names_a_secret(text: &str) -> bool {
    let name = text.trim_end_matches(['"', '\'', ' ']);
    let name = name.rsplit(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))).next().unwrap_or(name);
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    if ["file", "path", "dir"].iter().any(|end| name.ends_with(end)) {
        return false;
    }
    let parts = ["passw", "passphrase", "secret", "token", "credential", "authorization", "cookie"];
    let ends = ["pass", "auth", "pwd", "dsn", "apikey", "accesskey", "privatekey", "signingkey", "encryptionkey"];
    parts.iter().any(|part| name.contains(part)) || ends.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{shown, without_url_password};

    fn line(text: &str) -> String {
        shown(&text.split('|').collect::<Vec<_>>())
    }

    #[test]
    fn what_holds_no_secret_stays_as_it_is() {
        for text in [
            "/usr/lib/postgresql/17/bin/postgres|-D|/var/lib/postgresql/17/main",
            "postgres: pretix pretix 127.0.0.1(51234) idle in transaction",
            "gunicorn: worker [pretix.wsgi]",
            "celery|-A|pretix.celery_app|worker|-l|info|--queues=default,mail",
            "psql|-p|5432|--no-password|pretix",
            "tool|--password-file=/run/secrets/db|--port=80",
            "ssh|-p|2222|git@example.org",
            "http|https://example.org:8080/a=b",
        ] {
            assert_eq!(line(text), text.replace('|', " "));
        }
    }

    #[test]
    fn credentials_are_masked_in_every_usual_form() {
        for (text, expected) in [
            ("pg_dump|--password=hunter2|shop", "pg_dump --password=*** shop"),
            ("tool|--password=two words hunter2|x", "tool --password=*** x"),
            ("tool|--password|hunter2|-v", "tool --password *** -v"),
            ("tool|--password|--verbose|x", "tool --password --verbose x"),
            ("env|PGPASSWORD=hunter2|psql", "env PGPASSWORD=*** psql"),
            ("sh|-c|DB_PASSWORD=hunter2 run", "sh -c DB_PASSWORD=***"),
            ("psql|host=db password=hunter2 dbname=shop", "psql host=db password=***"),
            ("psql|postgres://shop:hunter2@db/shop", "psql postgres://shop:***@db/shop"),
            ("celery|-b|redis://:hunter2/@x@127.0.0.1/1", "celery -b redis://:***@127.0.0.1/1"),
            ("redis-cli|-a|hunter2|ping", "redis-cli -a *** ping"),
            ("/usr/bin/mysqldump|-uroot|-phunter2|shop", "/usr/bin/mysqldump -uroot -p*** shop"),
            ("sh|-c|mysqldump -phunter2 shop >x", "sh -c mysqldump -p*** shop >x"),
            ("sh|-c|mysqldump -p'hunter2 hunter2' shop", "sh -c mysqldump -p*** ***"),
            ("curl|-su|me:hunter2|https://x.example", "curl -su *** https://x.example"),
            ("curl|-H|Authorization: Bearer hunter2", "curl -H Authorization:***"),
            ("curl|-d|{\"token\": \"hunter2\"}|x", "curl -d {\"token\":*** x"),
            ("psql|-c|ALTER ROLE shop PASSWORD 'hunter2'", "psql -c ALTER ROLE shop PASSWORD '***"),
            ("openssl|-passin|pass:hunter2", "openssl -passin pass:***"),
            ("curl|-H|Authorization:|Bearer|hunter2|x", "curl -H Authorization: *** *** x"),
            ("sh|-c|curl --user 'me:hunter2 hunter2' x", "sh -c curl --user *** ***"),
            ("mysql|-e|create user a identified by 'hunter2'", "mysql -e create user a identified by***"),
            ("wget|https://x.example/?token=hunter2&a=b", "wget https://x.example/?token=***"),
        ] {
            assert_eq!(line(text), expected);
        }
    }

    #[test]
    fn terminal_sequences_and_length_are_tamed() {
        assert_eq!(shown(&["a\x1b[2Jb", "c\nd"]), "a[2Jb c d");
        assert_eq!(shown(&["x".repeat(100_000)]).chars().count(), 201);
        assert_eq!(shown::<&str>(&[]), "");
    }

    #[test]
    fn urls_keep_user_and_host() {
        assert_eq!(without_url_password("//nas/share"), "//nas/share");
        assert_eq!(without_url_password("https://me:x@dav.example/a"), "https://me:***@dav.example/a");
    }

    proptest! {
        #[test]
        fn any_arguments_are_survived(arguments in proptest::collection::vec("\\PC{0,30}", 0..6)) {
            prop_assert!(shown(&arguments).chars().count() <= 201);
        }

        #[test]
        fn a_named_secret_never_shows(
            before in "[a-z ]{0,10}", name in "(DB_)?(PASSWORD|password|token|API_KEY|secret)", secret in "q[a-z0-9 '\"=:@/-]{4,20}z"
        ) {
            let shown = shown(&[format!("{before}{name}={secret}"), format!("--{name}"), secret.clone()]);
            prop_assert!(!shown.contains(secret.trim()), "{shown}");
        }
    }
}
