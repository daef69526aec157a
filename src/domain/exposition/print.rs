//! Samples as lines of a page.

use std::fmt::{self, Display, Formatter, Write};

use super::Sample;
use super::cursor::in_bare_name;

impl Display for Sample<'_> {
    /// The sample as a line without its newline; names that need it are quoted.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let bare = is_bare(&self.name);
        if bare {
            f.write_str(&self.name)?;
        }
        let mut opened = false;
        if !bare {
            f.write_char('{')?;
            quote(f, &self.name)?;
            opened = true;
        }
        for (name, value) in self.labels.iter() {
            f.write_char(if opened { ',' } else { '{' })?;
            opened = true;
            if is_bare(&name) && !name.contains(':') {
                f.write_str(&name)?;
            } else {
                quote(f, &name)?;
            }
            f.write_char('=')?;
            quote(f, &value)?;
        }
        if opened {
            f.write_char('}')?;
        }
        f.write_char(' ')?;
        number(f, self.value)?;
        if let Some(timestamp) = self.timestamp {
            f.write_char(' ')?;
            number(f, timestamp)?;
        }
        Ok(())
    }
}

fn is_bare(name: &str) -> bool {
    name.bytes().next().is_some_and(|first| !first.is_ascii_digit()) && name.bytes().all(in_bare_name)
}

fn quote(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '\n' => f.write_str("\\n")?,
            '\\' | '"' => {
                f.write_char('\\')?;
                f.write_char(c)?;
            }
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

/// Shortest decimals that read back as the same number; `+Inf`, `-Inf` and `NaN` as Prometheus writes them.
fn number(f: &mut Formatter<'_>, number: f64) -> fmt::Result {
    if number.is_nan() {
        f.write_str("NaN")
    } else if number.is_infinite() {
        f.write_str(if number > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        write!(f, "{number:?}")
    }
}
