//! The formats of access logs: told by a server's own configuration, or recognised line by line.

mod guess;
mod template;

pub use self::template::Template;

use super::entry::Entry;

/// How the lines of a log are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Format {
    /// Nobody said: common, combined, haproxy's HTTP format or JSON, recognised line by line. Times that are bare whole
    /// numbers are left aside: nobody knows their unit.
    #[default]
    Recognised,
    /// As a server's configuration writes it.
    Told(Template),
}

impl Format {
    /// The request of one line; `None` where it is none. `local_offset_s`: how far the host's time is ahead of UTC, for
    /// haproxy, which writes none.
    pub fn parse<'a>(&self, line: &'a str, local_offset_s: i64) -> Option<Entry<'a>> {
        match self {
            Self::Recognised => guess::parse(line, local_offset_s),
            Self::Told(template) => template.parse(line, local_offset_s).or_else(|| guess::parse(line, local_offset_s)),
        }
    }
}

#[cfg(test)]
mod tests;
