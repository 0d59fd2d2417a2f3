//! How often one client may look: a token cannot be guessed, but trying costs us work.

use notify_core::time::Timestamp;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// Addresses that are remembered at once. When so many looked within a minute, new ones share one place.
const ADDRESSES: usize = 10_000;

/// Counts requests of each address by the minute.
#[derive(Debug)]
pub struct Gate {
    per_minute: u32,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    minute: i64,
    by: HashMap<Option<IpAddr>, u32>,
}

impl Gate {
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, seen: Mutex::default() }
    }

    pub fn admits(&self, address: Option<IpAddr>, now: Timestamp) -> bool {
        let minute = now.as_second().div_euclid(60);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.minute != minute {
            *seen = Seen { minute, by: HashMap::new() };
        }
        let room = seen.by.len() < ADDRESSES || seen.by.contains_key(&address);
        let count = seen.by.entry(address.filter(|_| room)).or_default();
        *count = count.saturating_add(1);
        *count <= self.per_minute
    }
}

/// Whom a request is counted for. A proxy in our own network names its client last in `X-Forwarded-For`; what others
/// write there is not believed. One network of IPv6 is one client.
pub fn client(peer: Option<IpAddr>, forwarded: Option<&str>) -> Option<IpAddr> {
    let named = || forwarded?.rsplit(',').next()?.trim().parse::<IpAddr>().ok();
    let address = match peer {
        Some(peer) if is_near(peer) => named().or(Some(peer)),
        peer => peer,
    };
    address.map(|address| match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    })
}

fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn clients() {
        let check = |peer: &str, forwarded: Option<&str>, expected: &str| {
            assert_eq!(client(Some(ip(peer)), forwarded), Some(ip(expected)), "{peer} {forwarded:?}");
        };
        check("203.0.113.7", None, "203.0.113.7");
        check("203.0.113.7", Some("198.51.100.1"), "203.0.113.7");
        check("127.0.0.1", Some("198.51.100.1"), "198.51.100.1");
        check("10.1.1.1", Some("192.0.2.9, 198.51.100.1"), "198.51.100.1");
        check("::1", Some("nonsense"), "::");
        check("::ffff:10.0.0.1", Some("198.51.100.1"), "198.51.100.1");
        check("2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::");
        assert_eq!(client(None, Some("198.51.100.1")), None);
    }

    #[test]
    fn so_many_in_a_minute() {
        let gate = Gate::new(2);
        let at = |second| Timestamp::from_second(second).unwrap();
        let ask = |address: &str, second| gate.admits(Some(ip(address)), at(second));
        assert_eq!([ask("1.1.1.1", 0), ask("1.1.1.1", 30), ask("1.1.1.1", 59)], [true, true, false]);
        assert!(ask("1.1.1.2", 59));
        assert!(ask("1.1.1.1", 60));
        for number in 0..u32::try_from(ADDRESSES).unwrap() + 10 {
            gate.admits(Some(IpAddr::V4((0x0a00_0000 + number).into())), at(120));
        }
        assert!(gate.seen.lock().unwrap().by.len() <= ADDRESSES + 1);
        assert!(!ask("9.9.9.9", 121), "strangers share a place then");
    }
}
