//! The one address check of the product (protection against server-side request forgery).
//!
//! Two questions, one table: may this URL be called at all ([`Policy::check_url`]), and may this socket address be
//! dialled ([`Policy::check_address`])? Callers ask both, for literals *and* for every address a name resolves to, and
//! then dial exactly the address that was checked. Everything outside the public internet is refused unless the
//! operator names it in `[egress] allow`.

#![forbid(unsafe_code)]

mod network;
mod policy;
mod ranges;

pub use network::{AllowedNetwork, InvalidNetwork, Network};
pub use policy::{Blocked, HostPattern, InvalidHostPattern, Policy, Target, TargetHost};
pub use ranges::{Range, RangeKind, range_of};
pub use url::Url;
