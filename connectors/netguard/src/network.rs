//! CIDR networks and the operator's allow entries (`10.0.0.0/8`, `127.0.0.1:9000`, `[fd00::/8]:443`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address with a prefix length. Bits after the prefix are always zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a network: {reason}; write `10.0.0.0/8`, `127.0.0.1:9000`, `fd00::/8` or `[fd00::/8]:443`"
)]
pub struct InvalidNetwork {
    pub text: String,
    pub reason: &'static str,
}

impl Network {
    pub(crate) const fn v4(octets: [u8; 4], prefix: u8) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3])), prefix }
    }

    pub(crate) const fn v6(segments: [u16; 8], prefix: u8) -> Self {
        let s = segments;
        Self { address: IpAddr::V6(Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7])), prefix }
    }

    /// # Errors
    /// When the prefix is too long for the address, or the address has bits after the prefix (a typing error that
    /// would otherwise silently mean a wider network).
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, &'static str> {
        let width = if address.is_ipv4() { 32 } else { 128 };
        if prefix > width {
            return Err("the prefix is longer than the address");
        }
        let network = Self { address, prefix };
        if network.masked(address) == network.masked_self_bits() {
            Ok(network)
        } else {
            Err("the address has bits set after the prefix")
        }
    }

    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Bits.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && self.masked(address) == self.masked_self_bits()
    }

    /// True when every address of `other` is one of `self`.
    #[must_use]
    pub fn covers(&self, other: &Network) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    fn masked_self_bits(&self) -> u128 {
        bits(self.address)
    }

    fn masked(&self, address: IpAddr) -> u128 {
        let width: u32 = if address.is_ipv4() { 32 } else { 128 };
        let host_bits = width.saturating_sub(u32::from(self.prefix));
        u128::MAX.checked_shl(host_bits).map_or(0, |mask| bits(address) & mask)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;
    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let invalid = |reason| InvalidNetwork { text: text.to_owned(), reason };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid("the address is not an IP address"))?;
        // `::ffff:10.0.0.0/104` would never match: checks see the unwrapped IPv4 address.
        if let IpAddr::V6(v6) = address
            && v6.to_ipv4_mapped().is_some()
        {
            return Err(invalid("write the IPv4 address itself, not its IPv6 form"));
        }
        let prefix = match prefix {
            None if address.is_ipv4() => 32,
            None => 128,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| invalid("the prefix is longer than the address"))?
            }
            Some(_) => return Err(invalid("the prefix is not a number")),
        };
        Self::new(address, prefix).map_err(invalid)
    }
}

/// One entry of `[egress] allow`: a network, and the port if the entry names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AllowedNetwork {
    pub network: Network,
    /// Absent: every port.
    pub port: Option<u16>,
}

impl AllowedNetwork {
    pub(crate) fn lifts(&self, blocked: &Network, address: IpAddr, port: u16) -> bool {
        blocked.covers(&self.network)
            && self.network.contains(address)
            && self.port.is_none_or(|allowed| allowed == port)
    }
}

impl fmt::Display for AllowedNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.network.address) {
            (None, _) => self.network.fmt(f),
            (Some(port), IpAddr::V4(_)) => write!(f, "{}:{port}", self.network),
            (Some(port), IpAddr::V6(_)) => write!(f, "[{}]:{port}", self.network),
        }
    }
}

impl FromStr for AllowedNetwork {
    type Err = InvalidNetwork;
    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let invalid = |reason| InvalidNetwork { text: text.to_owned(), reason };
        let (network, port) = if let Some(rest) = text.strip_prefix('[') {
            let (network, tail) = rest.split_once(']').ok_or_else(|| invalid("`]` is missing"))?;
            match tail.strip_prefix(':') {
                Some(port) => (network, Some(port)),
                None if tail.is_empty() => (network, None),
                None => return Err(invalid("after `]` only `:port` may follow")),
            }
        } else if text.bytes().filter(|b| *b == b':').count() == 1 {
            text.split_once(':').map_or((text, None), |(network, port)| (network, Some(port)))
        } else {
            (text, None)
        };
        let port = match port {
            None => None,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                match digits.parse() {
                    Ok(port) if port != 0 => Some(port),
                    _ => return Err(invalid("the port is not between 1 and 65535")),
                }
            }
            Some(_) => return Err(invalid("the port is not a number")),
        };
        let network = network.parse().map_err(|error: InvalidNetwork| invalid(error.reason))?;
        Ok(Self { network, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_read_and_print() {
        for (text, expected) in [
            ("10.0.0.0/8", Ok("10.0.0.0/8")),
            ("127.0.0.1", Ok("127.0.0.1/32")),
            ("127.0.0.1:9000", Ok("127.0.0.1/32:9000")),
            ("10.0.0.0/8:443", Ok("10.0.0.0/8:443")),
            ("::1", Ok("::1/128")),
            ("fd00::/8", Ok("fd00::/8")),
            ("[fd00::/8]:443", Ok("[fd00::/8]:443")),
            ("[::1]", Ok("::1/128")),
            ("0.0.0.0/0", Ok("0.0.0.0/0")),
            ("10.0.0.1/8", Err("the address has bits set after the prefix")),
            ("10.0.0.0/33", Err("the prefix is longer than the address")),
            ("10.0.0.0/999", Err("the prefix is longer than the address")),
            ("10.0.0.0/", Err("the prefix is not a number")),
            ("10.0.0.0/+8", Err("the prefix is not a number")),
            ("10.0/8", Err("the address is not an IP address")),
            ("localhost", Err("the address is not an IP address")),
            ("127.0.0.1:0", Err("the port is not between 1 and 65535")),
            ("127.0.0.1:65536", Err("the port is not between 1 and 65535")),
            ("127.0.0.1:http", Err("the port is not a number")),
            ("[::1", Err("`]` is missing")),
            ("[::1]9", Err("after `]` only `:port` may follow")),
            ("::ffff:127.0.0.1", Err("write the IPv4 address itself, not its IPv6 form")),
            ("", Err("the address is not an IP address")),
        ] {
            let read = text.parse::<AllowedNetwork>();
            let shown = read.as_ref().map(ToString::to_string).map_err(|error| error.reason);
            assert_eq!(shown.as_deref().map_err(|reason| *reason), expected, "{text}");
            if let Ok(entry) = read {
                assert_eq!(entry.to_string().parse(), Ok(entry), "{text} printed and read again");
            }
        }
    }

    #[test]
    fn covers_is_containment() {
        for (outer, inner, expected) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("0.0.0.0/0", "10.0.0.0/8", true),
            ("::/0", "10.0.0.0/8", false),
            ("fc00::/7", "fd00::/8", true),
            ("10.0.0.0/8", "11.0.0.0/16", false),
        ] {
            let (outer, inner): (Network, Network) = (outer.parse().unwrap(), inner.parse().unwrap());
            assert_eq!(outer.covers(&inner), expected, "{outer} covers {inner}");
        }
    }
}
