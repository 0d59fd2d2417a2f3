//! How often one client may look: a token cannot be guessed, but trying costs us work.

use notify_core::links::WayOut;
use notify_core::time::Timestamp;
use notify_netguard::Network;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

/// What is remembered at once. Beyond that the oldest is forgotten, so that nobody shares a place with strangers.
const REMEMBERED: usize = 20_000;
/// Clients of one IPv6 network of 48 bits, which one customer may have whole.
const OF_48_BITS: u32 = 16;
const MINUTE: i64 = 60;
const DAY: i64 = 86_400;
/// How often a recipient may come back to a channel in a day. Leaving is always possible after that.
const BACK_A_DAY: u32 = 5;
/// How often a recipient may leave in a day: as often as they can come back, with room for an admin's help.
const OUT_A_DAY: u32 = 20;

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    /// An IPv4 address, or a network of 64 bits.
    Client(Option<IpAddr>),
    Wide(Ipv6Addr),
    /// A way out that we signed.
    Token(u64),
}

/// Counts looks and changes.
#[derive(Debug)]
pub struct Gate {
    per_minute: u32,
    /// Proxies whose word is taken for who their client is.
    trusted: Vec<Network>,
    looks: Mutex<Counts<Who>>,
    changes: Mutex<Counts<(String, bool)>>,
}

/// Counts within a window of time.
#[derive(Debug)]
struct Counts<K> {
    window: i64,
    by: HashMap<K, u32>,
    oldest: VecDeque<K>,
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self { window: i64::MIN, by: HashMap::new(), oldest: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash> Counts<K> {
    /// Counts one more; how many there are with it.
    fn one_more(&mut self, key: K, window: i64) -> u32 {
        if self.window != window {
            *self = Self { window, ..Self::default() };
        }
        if !self.by.contains_key(&key) {
            if self.by.len() >= REMEMBERED
                && let Some(oldest) = self.oldest.pop_front()
            {
                self.by.remove(&oldest);
            }
            self.oldest.push_back(key.clone());
        }
        let count = self.by.entry(key).or_default();
        *count = count.saturating_add(1);
        *count
    }
}

impl Gate {
    pub fn new(per_minute: u32, trusted: Vec<Network>) -> Self {
        Self { per_minute, trusted, looks: Mutex::default(), changes: Mutex::default() }
    }

    /// Whether this client may look once more.
    pub fn admits(&self, address: Option<IpAddr>, now: Timestamp) -> bool {
        let address = address.map(|address| address.to_canonical());
        let narrow = address.map(|address| network(address, 4));
        let wide = address.and_then(|address| match network(address, 3) {
            IpAddr::V6(wide) => Some(wide),
            IpAddr::V4(_) => None,
        });
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.as_second().div_euclid(MINUTE);
        let admitted = looks.one_more(Who::Client(narrow), minute) <= self.per_minute;
        let most = self.per_minute.saturating_mul(OF_48_BITS);
        wide.is_none_or(|wide| looks.one_more(Who::Wide(wide), minute) <= most) && admitted
    }

    /// Whether this way out may be posted to once more. A token that we signed has a count of its own: those who send for
    /// many recipients do so from few addresses.
    pub fn admits_token(&self, token: &str, now: Timestamp) -> bool {
        use std::hash::{DefaultHasher, Hasher as _};
        let mut hasher = DefaultHasher::new();
        token.hash(&mut hasher);
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.as_second().div_euclid(MINUTE);
        looks.one_more(Who::Token(hasher.finish()), minute) <= self.per_minute
    }

    /// Whether a recipient may change once more today. Each change is a ledger entry, which stays for good.
    pub fn admits_change(&self, way: &WayOut, address: &str, out: bool, now: Timestamp) -> bool {
        let whose = format!("{}\n{}\n{address}", way.tenant, way.channel);
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let count = changes.one_more((whose, out), now.as_second().div_euclid(DAY));
        count <= if out { OUT_A_DAY } else { BACK_A_DAY }
    }

    /// Whom a request is counted for. Proxies that the operator trusts, and those of this machine, name their client in
    /// `X-Forwarded-For`, each what it has seen at the end; what others write there is not believed.
    pub fn client(&self, peer: Option<IpAddr>, forwarded: &[&str]) -> Option<IpAddr> {
        let mut client = peer?.to_canonical();
        let named = forwarded.iter().flat_map(|line| line.split(',')).rev();
        for named in named {
            if !self.trusts(client) {
                break;
            }
            let Some(named) = address(named.trim()) else { break };
            client = named;
        }
        Some(client)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.trusted.iter().any(|network| network.contains(address))
    }
}

/// Some proxies write the port too.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse::<IpAddr>().ok().or_else(with_port).or_else(bare).map(|address| address.to_canonical())
}

/// So many groups of an IPv6 address; an IPv4 address as it is.
fn network(address: IpAddr, groups: usize) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let mut segments = address.segments();
            segments.iter_mut().skip(groups).for_each(|segment| *segment = 0);
            IpAddr::V6(segments.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify_core::ids::{ChannelId, TenantId};
    use notify_core::links::LinkKeys;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn clients() {
        let trusted = ["10.1.0.0/16", "2001:db8:ffff::/48"].map(|network| network.parse().unwrap());
        let gate = Gate::new(1, trusted.to_vec());
        let check = |peer: &str, forwarded: &[&str], expected: &str| {
            assert_eq!(gate.client(Some(ip(peer)), forwarded), Some(ip(expected)), "{peer} {forwarded:?}");
        };
        check("203.0.113.7", &[], "203.0.113.7");
        check("203.0.113.7", &["198.51.100.1"], "203.0.113.7");
        // A private address alone is nobody's word.
        check("10.2.0.1", &["198.51.100.1"], "10.2.0.1");
        check("192.168.1.1", &["198.51.100.1"], "192.168.1.1");
        check("127.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check("10.1.1.1", &["192.0.2.9, 198.51.100.1"], "198.51.100.1");
        check("10.1.1.1", &["192.0.2.9", "198.51.100.1"], "198.51.100.1");
        check("127.0.0.1", &["192.0.2.9, 198.51.100.1, 10.1.2.3"], "198.51.100.1");
        check("10.1.1.1", &["198.51.100.1:5123"], "198.51.100.1");
        check("10.1.1.1", &["[2001:db8::7]:443"], "2001:db8::7");
        check("10.1.1.1", &["[2001:db8::7]"], "2001:db8::7");
        check("2001:db8:ffff::1", &["2001:db8::7"], "2001:db8::7");
        check("::1", &["nonsense"], "::1");
        check("10.1.1.1", &["198.51.100.1, unknown"], "10.1.1.1");
        check("::ffff:10.1.0.1", &["::ffff:198.51.100.1"], "198.51.100.1");
        assert_eq!(gate.client(None, &["198.51.100.1"]), None);
    }

    #[test]
    fn so_many_in_a_minute() {
        let gate = Gate::new(2, vec![]);
        let ask = |address: &str, second| gate.admits(Some(ip(address)), at(second));
        assert_eq!([ask("1.1.1.1", 0), ask("1.1.1.1", 30), ask("1.1.1.1", 59)], [true, true, false]);
        assert!(ask("1.1.1.2", 59));
        assert!(ask("1.1.1.1", 60));
        for number in 0..u32::try_from(REMEMBERED).unwrap() + 10 {
            assert!(gate.admits(Some(IpAddr::V4((0x0a00_0000 + number).into())), at(120)));
        }
        assert!(gate.looks.lock().unwrap().by.len() <= REMEMBERED);
        assert_eq!([ask("9.9.9.9", 121), ask("9.9.9.9", 121), ask("9.9.9.9", 121)], [true, true, false]);
        assert!(ask("9.9.9.8", 121), "strangers share no place");
    }

    #[test]
    fn networks_of_ipv6() {
        let gate = Gate::new(2, vec![]);
        let ask = |address: &str| gate.admits(Some(ip(address)), at(0));
        assert_eq!(
            [ask("2001:db8:1:1::1"), ask("2001:db8:1:1::2"), ask("2001:db8:1:1::3")],
            [true, true, false]
        );
        // One customer with 65,536 of them is not 65,536 clients.
        let admitted = (0..1_000).filter(|number| ask(&format!("2001:db8:2:{number:x}::1"))).count();
        assert_eq!(admitted, 2 * OF_48_BITS as usize);
        assert!(ask("2001:db8:3::1"));
    }

    #[test]
    fn tokens_are_counted_by_themselves() {
        let gate = Gate::new(2, vec![]);
        let ask = |token: &str| gate.admits_token(token, at(0));
        assert_eq!([ask("a"), ask("a"), ask("a"), ask("b")], [true, true, false, true]);
    }

    #[test]
    fn changes_of_a_day() {
        let gate = Gate::new(2, vec![]);
        let keys = LinkKeys::one([1; 32]);
        let made = keys.ways_out(&TenantId::new("t").unwrap(), &ChannelId::new("c").unwrap());
        let way = keys.open_way_out(&made.of("a@example.org")).unwrap();
        let admitted = |address: &str, out: bool, second| {
            (0..100).filter(|_| gate.admits_change(&way, address, out, at(second))).count()
        };
        assert_eq!(admitted("a@example.org", false, 0), BACK_A_DAY as usize);
        assert_eq!(admitted("a@example.org", true, 1), OUT_A_DAY as usize);
        assert_eq!(admitted("b@example.org", false, 2), BACK_A_DAY as usize);
        assert_eq!(admitted("a@example.org", false, DAY), BACK_A_DAY as usize);
    }
}
