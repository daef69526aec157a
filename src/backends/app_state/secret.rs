//! The secret that signs sessions and links: where it is and whether it changed, never what it is.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::backends::roll;
use crate::domain::app_state::{Secret, SecretPlace};
use crate::domain::time::Timestamp;

/// A change is told for so long, in seconds: a day.
const TOLD_S: i64 = 86_400;
/// A process that began so shortly before the file was written may have written it: the first start makes it.
pub(super) const FIRST_START_S: i64 = 120;

/// What is remembered of a secret between two looks.
#[derive(Default)]
pub(super) struct Remembered {
    /// Of its content, so that one that is put back is known again; never leaves this process.
    first: Option<Digest>,
    changed: Option<(Option<Digest>, Timestamp)>,
}

type Digest = [u8; 32];

/// Where it stands, as the settings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// They have one.
    Set,
    /// They have none: there is a file.
    Unset,
    /// They can't be read.
    Unknown,
}

/// Looks at it. `path` is the file's name as shown, `real` where it is.
pub(super) fn look(
    told: Told,
    (shown, real): (String, &Path),
    remembered: &mut Remembered,
    now: Timestamp,
    unseen: &mut Vec<String>,
) -> Secret {
    if told == Told::Set {
        *remembered = Remembered::default();
        return Secret { place: SecretPlace::Configured, ..Secret::default() };
    }
    let mut secret = Secret { path: Some(shown.clone()), ..Secret::default() };
    let content = match std::fs::metadata(real) {
        Ok(meta) => {
            use std::os::unix::fs::PermissionsExt as _;
            secret.place = SecretPlace::File;
            secret.mode = Some(meta.permissions().mode() & 0o7777);
            secret.written = roll::written(real);
            match roll::text(real) {
                Ok(text) => Some(Some(Digest::from(Sha256::digest(text.trim().as_bytes())))),
                // The times still tell of a change.
                Err(_) => None,
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && there(real) => {
            // Without the settings it may be written there.
            secret.place = if told == Told::Unset { SecretPlace::Missing } else { SecretPlace::Unknown };
            (told == Told::Unset).then_some(None)
        }
        Err(error) => {
            let grant = "as root, or as the application's user, midwatch would see whether it changed";
            unseen.extend(roll::refusal(&shown, &error, grant));
            None
        }
    };
    if let Some(content) = content {
        remembered.note(content, secret.written, now);
    }
    secret.changed = remembered.changed.map(|(_, at)| at);
    secret
}

/// Whether the directory is there and can be looked into: what is not in it is missing.
fn there(path: &Path) -> bool {
    path.parent().is_some_and(|dir| std::fs::read_dir(dir).is_ok())
}

impl Remembered {
    fn note(&mut self, content: Option<Digest>, written: Option<Timestamp>, now: Timestamp) {
        let Some(first) = self.first else {
            self.first = content;
            return;
        };
        if content == Some(first) {
            self.changed = None;
            return;
        }
        let known = self.changed.filter(|(of, _)| *of == content);
        // Written in the future by a clock that was set, or restored with its old time: then it is now that it is seen.
        let just = |at: &Timestamp| *at <= now && now.secs_since(*at) < 600;
        let at = known.map_or_else(|| written.filter(just).unwrap_or(now), |(_, at)| at);
        if now >= at.plus_secs(TOLD_S) && content.is_some() {
            (self.first, self.changed) = (content, None);
        } else {
            self.changed = Some((content, at));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Remembered, TOLD_S, Told, look};
    use crate::domain::app_state::SecretPlace;
    use crate::domain::time::Timestamp;

    #[test]
    fn a_change_is_told_until_it_is_taken_back_or_old() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".secret");
        let now = crate::backends::roll::now();
        let mut remembered = Remembered::default();
        let mut at = |now: Timestamp| {
            look(Told::Unset, ("/data/.secret".to_owned(), &file), &mut remembered, now, &mut Vec::new())
        };
        fs::write(&file, "first\n").unwrap();
        assert_eq!((at(now).place, at(now).changed), (SecretPlace::File, None));
        fs::write(&file, "second").unwrap();
        let changed = at(now).changed.expect("a change");
        assert!(now.secs_since(changed) < 60);
        assert_eq!(at(now.plus_secs(50)).changed, Some(changed), "its time stays");
        fs::write(&file, "first").unwrap();
        assert_eq!(at(now).changed, None, "put back");
        fs::remove_file(&file).unwrap();
        let gone = at(now);
        assert_eq!((gone.place, gone.changed), (SecretPlace::Missing, Some(now)));
        fs::write(&file, "third").unwrap();
        assert!(at(now).changed.is_some());
        assert_eq!(at(now.plus_secs(TOLD_S + 1)).changed, None, "after a day it is the secret");
        assert_eq!(at(now.plus_secs(TOLD_S + 2)).changed, None);
    }

    #[test]
    fn unknown_settings_make_no_missing_secret_and_set_ones_need_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".secret");
        let now = Timestamp::from_millis(0);
        let at = |told| look(told, ("x".to_owned(), &file), &mut Remembered::default(), now, &mut Vec::new()).place;
        assert_eq!(at(Told::Unknown), SecretPlace::Unknown);
        assert_eq!(at(Told::Unset), SecretPlace::Missing);
        assert_eq!(at(Told::Set), SecretPlace::Configured);
        let deep = dir.path().join("absent/.secret");
        let place = look(Told::Unset, ("x".to_owned(), &deep), &mut Remembered::default(), now, &mut Vec::new()).place;
        assert_eq!(place, SecretPlace::Unknown, "a data directory that is not there says nothing");
    }
}
