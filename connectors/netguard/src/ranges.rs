//! The table of addresses that are not the public internet.
//!
//! Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and updates), IANA IPv6 Address Space
//! (only `2000::/3` is global unicast, so everything else is refused by default), and the metadata endpoints that the
//! cloud providers document.

use crate::network::Network;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why a range is not public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RangeKind {
    Metadata,
    Unspecified,
    ThisNetwork,
    Loopback,
    Private,
    Shared,
    LinkLocal,
    ProtocolAssignments,
    Documentation,
    Benchmarking,
    SixToFourRelay,
    Multicast,
    Broadcast,
    Reserved,
    UniqueLocal,
    SiteLocal,
    Ipv4Compatible,
    Ipv4Translated,
    Nat64Local,
    SixToFour,
    Teredo,
    Orchid,
    SegmentRouting,
    Discard,
    NotGlobalUnicast,
}

impl RangeKind {
    /// In words, with the article: "a loopback address".
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Metadata => "a cloud metadata address",
            Self::Unspecified => "the unspecified address",
            Self::ThisNetwork => "an address of \"this network\" (0.0.0.0/8)",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::Shared => "a shared address (carrier-grade NAT, 100.64.0.0/10)",
            Self::LinkLocal => "a link-local address",
            Self::ProtocolAssignments => "an address of the IETF protocol assignments",
            Self::Documentation => "a documentation address",
            Self::Benchmarking => "a benchmarking address",
            Self::SixToFourRelay => "a 6to4 relay address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::Reserved => "a reserved address",
            Self::UniqueLocal => "a unique local address",
            Self::SiteLocal => "a site-local address",
            Self::Ipv4Compatible => "an IPv4-compatible IPv6 address (deprecated)",
            Self::Ipv4Translated => "an IPv4-translated IPv6 address",
            Self::Nat64Local => "a local NAT64 address",
            Self::SixToFour => "a 6to4 address",
            Self::Teredo => "a Teredo address",
            Self::Orchid => "an ORCHID address",
            Self::SegmentRouting => "a segment routing (SRv6) address",
            Self::Discard => "a discard-only address",
            Self::NotGlobalUnicast => "not a global unicast address",
        }
    }
}

/// A range of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub network: Network,
    pub kind: RangeKind,
}

const fn r4(a: u8, b: u8, c: u8, d: u8, prefix: u8, kind: RangeKind) -> Range {
    Range { network: Network::v4([a, b, c, d], prefix), kind }
}

const fn r6(segments: [u16; 8], prefix: u8, kind: RangeKind) -> Range {
    Range { network: Network::v6(segments, prefix), kind }
}

/// First match wins, so narrow ranges stand before those that contain them: an allow entry for `169.254.0.0/16` must
/// not open the metadata service with it.
static IPV4: &[Range] = &[
    r4(169, 254, 169, 254, 32, RangeKind::Metadata), // AWS, Google, Azure, Oracle, DigitalOcean, …
    r4(169, 254, 169, 253, 32, RangeKind::Metadata), // AWS resolver
    r4(169, 254, 169, 123, 32, RangeKind::Metadata), // AWS time
    r4(169, 254, 170, 2, 32, RangeKind::Metadata),   // AWS ECS task credentials
    r4(169, 254, 170, 23, 32, RangeKind::Metadata),  // AWS EKS pod identity
    r4(169, 254, 0, 23, 32, RangeKind::Metadata),    // Tencent
    r4(100, 100, 100, 200, 32, RangeKind::Metadata), // Alibaba
    r4(192, 0, 0, 192, 32, RangeKind::Metadata),     // Oracle Classic
    r4(168, 63, 129, 16, 32, RangeKind::Metadata), // Azure WireServer: a public address, only reachable inside
    r4(0, 0, 0, 0, 32, RangeKind::Unspecified),
    r4(0, 0, 0, 0, 8, RangeKind::ThisNetwork),
    r4(10, 0, 0, 0, 8, RangeKind::Private),
    r4(100, 64, 0, 0, 10, RangeKind::Shared),
    r4(127, 0, 0, 0, 8, RangeKind::Loopback),
    r4(169, 254, 0, 0, 16, RangeKind::LinkLocal),
    r4(172, 16, 0, 0, 12, RangeKind::Private),
    r4(192, 0, 0, 0, 24, RangeKind::ProtocolAssignments),
    r4(192, 0, 2, 0, 24, RangeKind::Documentation),
    r4(192, 88, 99, 0, 24, RangeKind::SixToFourRelay),
    r4(192, 168, 0, 0, 16, RangeKind::Private),
    r4(198, 18, 0, 0, 15, RangeKind::Benchmarking),
    r4(198, 51, 100, 0, 24, RangeKind::Documentation),
    r4(203, 0, 113, 0, 24, RangeKind::Documentation),
    r4(224, 0, 0, 0, 4, RangeKind::Multicast),
    r4(255, 255, 255, 255, 32, RangeKind::Broadcast),
    r4(240, 0, 0, 0, 4, RangeKind::Reserved),
];

static IPV6: &[Range] = &[
    r6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, RangeKind::Metadata), // AWS
    r6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253], 128, RangeKind::Metadata), // AWS resolver
    r6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], 128, RangeKind::Metadata),  // AWS EKS pod identity
    r6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, RangeKind::Metadata),  // Google
    r6([0; 8], 128, RangeKind::Unspecified),
    r6([0, 0, 0, 0, 0, 0, 0, 1], 128, RangeKind::Loopback),
    r6([0; 8], 96, RangeKind::Ipv4Compatible),
    r6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, RangeKind::Ipv4Translated), // RFC 2765
    r6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, RangeKind::Nat64Local),  // RFC 8215
    r6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, RangeKind::Discard),
    r6([0x100, 0, 0, 1, 0, 0, 0, 0], 64, RangeKind::Discard), // RFC 9780, dummy prefix
    r6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, RangeKind::Teredo),
    r6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, RangeKind::Benchmarking),
    r6([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28, RangeKind::Orchid),
    r6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28, RangeKind::Orchid),
    r6([0x2001, 0x30, 0, 0, 0, 0, 0, 0], 28, RangeKind::ProtocolAssignments), // drone remote identification
    r6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, RangeKind::ProtocolAssignments),
    r6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, RangeKind::Documentation),
    r6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, RangeKind::SixToFour),
    r6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, RangeKind::Documentation), // RFC 9637
    r6([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, RangeKind::Reserved),      // 6bone, returned
    r6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, RangeKind::SegmentRouting),
    r6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, RangeKind::UniqueLocal),
    r6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, RangeKind::LinkLocal),
    r6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, RangeKind::SiteLocal),
    r6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, RangeKind::Multicast),
];

const GLOBAL_UNICAST: Network = Network::v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
const NAT64: Network = Network::v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
const EVERY_IPV6: Network = Network::v6([0; 8], 0);

/// The range that makes an address non-public, or `None` for the public internet. IPv4 inside IPv6 (mapped, and the
/// well-known NAT64 prefix) must have been unwrapped with [`unwrap_ipv4`] before.
#[must_use]
pub fn range_of(address: IpAddr) -> Option<Range> {
    match address {
        IpAddr::V4(_) => IPV4.iter().find(|range| range.network.contains(address)).copied(),
        IpAddr::V6(_) => IPV6.iter().find(|range| range.network.contains(address)).copied().or_else(|| {
            let outside = !GLOBAL_UNICAST.contains(address) && !NAT64.contains(address);
            outside.then_some(Range { network: EVERY_IPV6, kind: RangeKind::NotGlobalUnicast })
        }),
    }
}

/// `::ffff:a.b.c.d` and `64:ff9b::a.b.c.d` lead to the IPv4 host inside: that one has to be checked. Every other
/// address is returned as it is.
#[must_use]
pub fn unwrap_ipv4(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return IpAddr::V4(v4);
    }
    if NAT64.contains(address) { IpAddr::V4(last_32_bits(v6)) } else { address }
}

fn last_32_bits(v6: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = v6.octets();
    Ipv4Addr::new(a, b, c, d)
}
