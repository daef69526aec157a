//! The labels of a sample that matter.

use std::borrow::Cow;

use super::Objection;
use crate::domain::counters::dialect::Names;
use crate::domain::exposition::Sample;
use crate::domain::text::plain;

/// Characters kept of a route's, task's, queue's or model's name.
const NAME_CHARS: usize = 200;

/// The labels of a sample that matter, names made safe.
#[derive(Default)]
pub(super) struct Picked<'a> {
    pub(super) subject: Cow<'a, str>,
    pub(super) method: Cow<'a, str>,
    pub(super) status: Cow<'a, str>,
    pub(super) le: Option<Cow<'a, str>>,
}

impl<'a> Picked<'a> {
    pub(super) fn of(sample: &Sample<'a>, names: Names) -> Result<Self, Objection> {
        let mut picked = Self::default();
        let mut found = false;
        for (name, value) in sample.labels.iter() {
            if name == names.subject {
                picked.subject = clean(value);
                found = true;
            } else if name == "le" {
                picked.le = Some(value);
            } else if name == names.status {
                picked.status = value;
            } else if name == names.method {
                picked.method = clean(value);
            }
        }
        if found { Ok(picked) } else { Err(Objection::NoSubject) }
    }
}

/// The name as it may be shown; nearly always that is the name itself.
fn clean(name: Cow<'_, str>) -> Cow<'_, str> {
    let mut before = b' ';
    let harmless = name.len() <= NAME_CHARS
        && name.bytes().all(|byte| {
            let fine = byte.is_ascii_graphic() || (byte == b' ' && before != b' ');
            before = byte;
            fine
        })
        && (before != b' ' || name.is_empty());
    if harmless { name } else { Cow::Owned(plain(&name, NAME_CHARS)) }
}
