//! Traffic of each interface from `/proc/net/dev`.
//!
//! Read here rather than through sysinfo: that opens nine files per interface (one of which, `speed`, waits for the
//! kernel's network lock) and lists all addresses besides, on a host with many containers for milliseconds each time.

use crate::domain::host::Network;
use crate::domain::text::plain;

/// Interfaces of a reading, at most; the busiest are kept.
pub(super) const MOST: usize = 64;

/// What has gone through one interface since it came up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Traffic {
    name: String,
    received: u64,
    sent: u64,
    errors: u64,
}

/// Every interface of `/proc/net/dev` but loopback. Lines that are none are left out.
pub(super) fn parse_dev(text: &str) -> Vec<Traffic> {
    text.lines().filter_map(parse_line).filter(|traffic| traffic.name != "lo").collect()
}

/// `name: bytes packets errs drop fifo frame compressed multicast`, then the same for sending (`proc_pid_net(5)`).
fn parse_line(line: &str) -> Option<Traffic> {
    let (name, counters) = line.split_once(':')?;
    let counters = counters.split_ascii_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
    let [received, _, receive_errors, _, _, _, _, _, sent, _, send_errors, ..] = counters.as_slice() else {
        return None;
    };
    Some(Traffic {
        name: plain(name, 32),
        received: *received,
        sent: *sent,
        errors: receive_errors.saturating_add(*send_errors),
    })
}

/// Rates over the `seconds` from `before` to `now`, sorted by name. An interface that wasn't there before has none yet;
/// one whose counters began anew stands at zero.
#[expect(clippy::cast_precision_loss, reason = "differences of counters are small")]
pub(super) fn rates(before: &[Traffic], now: &[Traffic], seconds: f64) -> Vec<Network> {
    let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
    let interface = |now: &Traffic| {
        let before = before.iter().find(|before| before.name == now.name)?;
        Some(Network {
            name: now.name.clone(),
            received_per_s: rate(now.received, before.received),
            sent_per_s: rate(now.sent, before.sent),
            errors_per_s: rate(now.errors, before.errors),
        })
    };
    let mut networks: Vec<_> = now.iter().filter_map(interface).collect();
    let bytes = |network: &Network| network.received_per_s + network.sent_per_s;
    networks.sort_by(|a, b| bytes(b).total_cmp(&bytes(a)));
    networks.truncate(MOST);
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    networks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MOST, Network, Traffic, parse_dev, rates};

    const DEV: &str = "Inter-|   Receive                                                |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
        lo: 9730966   30522    0    0    0     0          0         0  9730966   30522    0    0    0     0       0          0\n  \
        eth0:268066774    8594    1    0    0     0          0         0   636510    5012    2    0    0     0       0          0\n";

    fn traffic(name: &str, received: u64, sent: u64, errors: u64) -> Traffic {
        Traffic { name: name.to_owned(), received, sent, errors }
    }

    #[test]
    fn the_kernels_page_is_read_without_loopback() {
        assert_eq!(parse_dev(DEV), [traffic("eth0", 268_066_774, 636_510, 3)]);
    }

    #[test]
    fn broken_lines_are_left_out() {
        assert_eq!(parse_dev("eth0: 1 2 3\neth1: x 2 3 4 5 6 7 8 9 10 11 12\n\u{0}\n:::\n"), []);
    }

    #[test]
    fn rates_are_per_second_of_those_seen_twice() {
        let before = [traffic("a", 1000, 0, 0), traffic("gone", 1, 1, 1), traffic("anew", 500, 500, 5)];
        let now = [traffic("b", 7, 7, 7), traffic("anew", 10, 10, 0), traffic("a", 3000, 500, 4)];
        let network = |name: &str, received_per_s, sent_per_s, errors_per_s| Network {
            name: name.to_owned(),
            received_per_s,
            sent_per_s,
            errors_per_s,
        };
        assert_eq!(rates(&before, &now, 2.0), [network("a", 1000.0, 250.0, 2.0), network("anew", 0.0, 0.0, 0.0)]);
    }

    #[test]
    fn of_many_the_busiest_are_kept() {
        let many =
            |factor: u64| (0..200).map(|i| traffic(&format!("veth{i:03}"), i * factor, 0, 0)).collect::<Vec<_>>();
        let networks = rates(&many(1), &many(2), 1.0);
        assert_eq!(networks.len(), MOST);
        assert_eq!(networks.first().map(|network| network.name.as_str()), Some("veth136"));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "([a-z]{0,4}:? ?([0-9]{1,21} ?){0,17}\n|\\PC{0,40}\n){0,8}") {
            let now = parse_dev(&text);
            prop_assert!(rates(&parse_dev(DEV), &now, 1.0).len() <= now.len());
        }
    }
}
