//! IP networks. A text that is not an IP address, and an address of the other family, never match.

use std::net::IpAddr;

/// A network as address bits and a mask of the same family.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Network {
    source: Box<str>,
    bits: Bits,
    mask: u128,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Bits {
    V4(u32),
    V6(u128),
}

/// One network: family, mask and the bits under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NetKey {
    pub(super) v6: bool,
    pub(super) mask: u128,
    pub(super) net: u128,
}

/// An address as [`NetKey`]s know it: family and bits.
pub(super) fn address(text: &str) -> Option<(bool, u128)> {
    // The longest textual address has 45 bytes; nothing longer needs a parse.
    match (text.len() <= 45).then(|| text.parse())?.ok()? {
        IpAddr::V4(v4) => Some((false, u128::from(v4.to_bits()))),
        IpAddr::V6(v6) => Some((true, v6.to_bits())),
    }
}

impl Network {
    /// `address/length`; bits behind the length are ignored (`10.0.0.7/8` is `10.0.0.0/8`).
    pub(super) fn parse(source: &str) -> Option<Self> {
        let (address, length) = source.split_once('/')?;
        // `u32::from_str` would take `+8` and `08`.
        let plain = length.bytes().all(|b| b.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
        let length: u32 = length.parse().ok().filter(|_| plain)?;
        let (bits, width) = match address.parse().ok()? {
            IpAddr::V4(v4) => (Bits::V4(v4.to_bits()), 32_u32),
            IpAddr::V6(v6) => (Bits::V6(v6.to_bits()), 128_u32),
        };
        let host_bits = width.checked_sub(length)?;
        let host_mask = u128::MAX.checked_shr(128 - host_bits).unwrap_or(0);
        Some(Self { source: source.into(), bits, mask: !host_mask })
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// The network as a number with its mask, by which networks of one family and length can be looked up.
    pub(super) fn key(&self) -> NetKey {
        match self.bits {
            Bits::V4(net) => NetKey { v6: false, mask: self.mask, net: u128::from(net) & self.mask },
            Bits::V6(net) => NetKey { v6: true, mask: self.mask, net: net & self.mask },
        }
    }

    /// Whether every address of `other` is in this network.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.overlaps(other) && self.mask & other.mask == self.mask
    }

    /// Whether some address is in both. Two networks never overlap in part: one is in the other, or they are apart.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let shared = self.mask & other.mask;
        match (self.bits, other.bits) {
            (Bits::V4(a), Bits::V4(b)) => u128::from(a ^ b) & shared == 0,
            (Bits::V6(a), Bits::V6(b)) => (a ^ b) & shared == 0,
            _ => false,
        }
    }

    pub(super) fn contains(&self, text: &str) -> bool {
        let key = self.key();
        address(text).is_some_and(|(v6, bits)| v6 == key.v6 && bits & key.mask == key.net)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_inside_each_other_or_apart() {
        for (outer, inner, covers, overlaps) in [
            ("10.0.0.0/8", "10.1.0.0/16", true, true),
            ("10.1.0.0/16", "10.0.0.0/8", false, true),
            ("10.0.0.0/8", "10.0.0.9/8", true, true),
            ("10.0.0.0/8", "11.0.0.0/16", false, false),
            ("0.0.0.0/0", "1.2.3.4/32", true, true),
            ("::/0", "10.0.0.0/8", false, false),
            ("2001:db8::/32", "2001:db8:1::/48", true, true),
        ] {
            let (outer, inner) = (Network::parse(outer).unwrap(), Network::parse(inner).unwrap());
            assert_eq!((outer.covers(&inner), outer.overlaps(&inner)), (covers, overlaps), "{inner:?}");
            assert_eq!(inner.overlaps(&outer), overlaps);
        }
    }

    #[test]
    fn networks_hold_their_own_family_only() {
        for (net, inside, outside) in [
            ("10.0.0.0/24", "10.0.0.255", "10.0.1.0"),
            ("10.0.0.7/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.1/32", "192.0.2.1", "192.0.2.0"),
            ("192.0.2.1/31", "192.0.2.0", "192.0.2.2"),
            ("0.0.0.0/0", "255.255.255.255", "::"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("2001:db8::/32", "2001:DB8:ffff::", "2001:db9::"),
            ("2001:db8::1/128", "2001:db8:0:0:0:0:0:1", "2001:db8::2"),
            ("10.0.0.0/8", "10.0.0.0", "::ffff:10.0.0.1"),
            ("10.0.0.0/8", "10.0.0.0", "010.0.0.1"),
            ("10.0.0.0/8", "10.0.0.0", "10.0.0.0/8"),
        ] {
            let network = Network::parse(net).unwrap();
            assert!(network.contains(inside), "{inside} in {net}");
            assert!(!network.contains(outside), "{outside} in {net}");
        }
    }

    #[test]
    fn malformed_networks_are_refused() {
        for text in [
            "10.0.0.0",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0/8",
            "/8",
            "a/8",
            "10.0.0.0/",
            "",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
