//! Listening TCP sockets and their accept queues (`/proc/net/tcp`, FIELD L-LISTEN), and how much is sent twice.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Read as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::files;
use crate::domain::host::{LISTENERS, Listener};

/// Read of each table: listening sockets come first, and a million others behind them are not read.
const MOST: u64 = 48 * 1024;
/// The state of a listening socket.
const LISTEN: &str = "0A";

/// One listening socket, and the inode by which its process is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) waiting: u32,
    pub(super) inode: u64,
}

/// Every listening socket, as far as the tables are read.
pub(super) fn sockets() -> Vec<Socket> {
    let mut out = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let mut bytes = Vec::new();
        if File::open(table).and_then(|file| file.take(MOST).read_to_end(&mut bytes)).is_ok() {
            out.extend(parse_tcp(&String::from_utf8_lossy(&bytes)));
        }
    }
    out.truncate(LISTENERS);
    out
}

/// The listening sockets of one table; it ends with the first that is none.
fn parse_tcp(text: &str) -> Vec<Socket> {
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, local, _, LISTEN, queues, _, _, _, _, inode, ..] = fields.as_slice() else { return None };
        let (address, port) = local.split_once(':')?;
        let (_, waiting) = queues.split_once(':')?;
        Some(Socket {
            address: parse_address(address)?,
            port: u16::from_str_radix(port, 16).ok()?,
            waiting: u32::from_str_radix(waiting, 16).ok()?,
            inode: inode.parse().ok()?,
        })
    };
    text.lines().skip(1).map_while(socket).collect()
}

/// `0100007F` is 127.0.0.1: 32 bits at a time, in the machine's order of bytes.
fn parse_address(hex: &str) -> Option<String> {
    let word = |at: usize| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => word(0).map(|bytes| Ipv4Addr::from(bytes).to_string()),
        32 => {
            let mut all = [0_u8; 16];
            for (chunk, at) in all.chunks_mut(4).zip([0, 8, 16, 24]) {
                chunk.copy_from_slice(&word(at)?);
            }
            let address = Ipv6Addr::from(all);
            Some(address.to_ipv4_mapped().map_or_else(|| address.to_string(), |four| four.to_string()))
        }
        _ => None,
    }
}

/// Who listens, as the last look at the processes' open files found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) pid: u32,
    /// `1234 gunicorn`.
    pub(super) name: String,
}

/// Since when each accept queue has not been empty.
#[derive(Debug, Default)]
pub(super) struct Queues {
    since: BTreeMap<(String, u16), Instant>,
}

impl Queues {
    /// What is told of the sockets.
    pub(super) fn told(&mut self, sockets: Vec<Socket>, owners: &BTreeMap<u64, Owner>, now: Instant) -> Vec<Listener> {
        let key = |socket: &Socket| (socket.address.clone(), socket.port);
        self.since.retain(|known, _| sockets.iter().any(|s| s.waiting > 0 && key(s) == *known));
        sockets
            .into_iter()
            .map(|socket| {
                let waiting_s = if socket.waiting > 0 {
                    let since = *self.since.entry(key(&socket)).or_insert(now);
                    u32::try_from(now.duration_since(since).as_secs()).unwrap_or(u32::MAX)
                } else {
                    0
                };
                let owner = owners.get(&socket.inode);
                let stopped = socket.waiting > 0 && owner.is_some_and(|owner| is_stopped(owner.pid));
                Listener {
                    address: socket.address,
                    port: socket.port,
                    waiting: socket.waiting,
                    waiting_s,
                    process: owner.map(|owner| owner.name.clone()),
                    stopped,
                }
            })
            .collect()
    }
}

fn is_stopped(pid: u32) -> bool {
    let stat = files::text(&format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| matches!(rest.trim_start().chars().next(), Some('T' | 't')))
}

/// Segments sent and sent again over the last minute.
#[derive(Debug, Default)]
pub(super) struct Retransmits {
    samples: VecDeque<(Instant, u64, u64)>,
}

/// Between two samples.
const SPACING: Duration = Duration::from_secs(10);
/// How far back they go.
const SPAN: Duration = Duration::from_mins(1);
/// A share of fewer segments says nothing.
const ENOUGH: u64 = 200;

impl Retransmits {
    /// Takes in the counters (`OutSegs`, `RetransSegs`); the share of the last minute.
    #[expect(clippy::cast_precision_loss, reason = "segments of a minute")]
    pub(super) fn note(&mut self, counters: Option<(u64, u64)>, now: Instant) -> Option<f64> {
        let (sent, again) = counters?;
        if self.samples.back().is_none_or(|(at, ..)| now.duration_since(*at) >= SPACING) {
            self.samples.push_back((now, sent, again));
        }
        while self.samples.front().is_some_and(|(at, ..)| now.duration_since(*at) > SPAN) {
            self.samples.pop_front();
        }
        let (_, first_sent, first_again) = self.samples.front()?;
        let sent = sent.saturating_sub(*first_sent);
        (sent >= ENOUGH).then(|| again.saturating_sub(*first_again) as f64 / sent as f64)
    }
}

/// `OutSegs` and `RetransSegs` of `/proc/net/snmp`.
pub(super) fn parse_snmp(text: &str) -> Option<(u64, u64)> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let names: Vec<&str> = lines.next()?.split_ascii_whitespace().collect();
    let values: Vec<&str> = lines.next()?.split_ascii_whitespace().collect();
    let of = |wanted: &str| values.get(names.iter().position(|name| *name == wanted)?)?.parse().ok();
    Some((of("OutSegs")?, of("RetransSegs")?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{Owner, Queues, Retransmits, Socket, parse_snmp, parse_tcp};

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2099 00000000:0000 0A 00000000:00000011 00:00000000 00000000   101        0 468806 1 000000001cd85d33 100 0 0 10 0
   1: 00000000:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1677 1 00000000c0731f47 100 0 0 10 0
   2: 0100007F:E28F 0100007F:2099 01 00000000:00000000 00:00000000 00000000     0        0 475313 1 00000000cd7cb3a0 100 0 0 10 0
   3: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 475314 1 00000000cd7cb3a0 100 0 0 10 0
";

    #[test]
    fn listening_sockets_are_read_and_no_further() {
        let socket = |address: &str, port, waiting, inode| Socket { address: address.to_owned(), port, waiting, inode };
        assert_eq!(parse_tcp(TABLE), [socket("127.0.0.1", 8345, 17, 468_806), socket("0.0.0.0", 5432, 0, 1_677)]);
        let six = " sl\n 0: 00000000000000000000000001000000:18EB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 9 1 x\n\
                    1: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 8 1 x\n";
        assert_eq!(parse_tcp(six), [socket("::1", 6379, 0, 9), socket("::", 80, 0, 8)]);
    }

    #[test]
    fn a_queue_is_timed_while_it_is_never_empty() {
        let mut queues = Queues::default();
        let start = Instant::now();
        let owners = BTreeMap::from([(7, Owner { pid: u32::MAX, name: "1 gunicorn".to_owned() })]);
        let mut look = |waiting, secs| {
            let socket = Socket { address: "::".to_owned(), port: 1, waiting, inode: 7 };
            queues.told(vec![socket], &owners, start + Duration::from_secs(secs)).pop().unwrap()
        };
        let timed: Vec<u32> = [(3, 0), (4, 5), (0, 7), (2, 9), (2, 10)].map(|(n, at)| look(n, at).waiting_s).to_vec();
        assert_eq!(timed, [0, 5, 0, 0, 1]);
        let seen = look(1, 11);
        assert!(seen.is_open() && !seen.stopped && seen.process.as_deref() == Some("1 gunicorn"));
    }

    #[test]
    fn the_share_sent_again_is_of_the_last_minute() {
        let text = "Tcp: RtoAlgorithm InSegs OutSegs RetransSegs\nTcp: 1 5 1000 10\nUdp: InDatagrams\nUdp: 3\n";
        assert_eq!(parse_snmp(text), Some((1000, 10)));
        let start = Instant::now();
        let mut sent = Retransmits::default();
        assert_eq!(sent.note(Some((1000, 10)), start), None);
        assert_eq!(sent.note(Some((1100, 20)), start + Duration::from_secs(10)), None);
        let share = sent.note(Some((1400, 50)), start + Duration::from_secs(20)).unwrap();
        assert!((share - 0.1).abs() < 1e-9, "{share}");
        assert_eq!(sent.note(Some((1400, 50)), start + Duration::from_secs(200)), None);
    }

    proptest! {
        #[test]
        fn any_table_is_survived(text in "(\\PC{0,80}\n){0,6}", line in " 0: [0-9A-F]{0,40}:[0-9A-F]{0,6} x 0A [0-9A-F]{0,9}:[0-9A-F]{0,9} a b c d [0-9]{0,30} e") {
            parse_tcp(&text);
            parse_tcp(&format!("\n{line}"));
            parse_snmp(&text);
        }
    }
}
