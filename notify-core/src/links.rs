//! Links that carry their own right: the page of one alert (`/a/{token}`) and the way out of a channel
//! (`/u/{token}`). Whoever has the link needs no login, so a token says exactly what it opens, cannot be guessed or
//! changed, and the former ends.
//!
//! ```text
//! alert    base64url(1 ‖ minutes since 1970 when it ends, u32 BE ‖ delivery, 16 bytes ‖ tenant ‖ MAC)
//! channel  base64url(2 ‖ length of tenant, u8 ‖ tenant ‖ channel ‖ MAC)
//! way out  channel token ‖ "." ‖ base64url(MAC of the recipient)
//! ```
//!
//! A MAC is the first 16 bytes of HMAC-SHA256. A recipient's is made with a key of the channel, which a transport may
//! have without being able to make anything else: it never sees the site's key.

use crate::ids::{ChannelId, DeliveryId, TenantId, hex};
use crate::time::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of a MAC.
const MAC: usize = 16;
const ALERT: u8 = 1;
const CHANNEL: u8 = 2;
/// Keys of a ring.
pub const MOST_KEYS: usize = 8;
/// Characters of a token; longer ones are not looked at.
pub const MOST_CHARACTERS: usize = 280;
/// Bytes that a link of ours may have (`notify_connector.h`).
pub const MOST_LINK_BYTES: usize = 512;
/// Bytes of [`Links::base`]: what is left of a link when the longest token is taken off.
pub const MOST_BASE_BYTES: usize = 200;

/// The site's keys: the newest signs, all verify.
#[derive(Clone)]
pub struct LinkKeys(Vec<Zeroizing<[u8; 32]>>);

/// `keys/links.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    /// 64 hexadecimal digits each, newest first.
    keys: Vec<String>,
}

/// Why a file holds no keys. No part of it is kept here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not `{{\"keys\": [\"…\"]}}` with 1 to {MOST_KEYS} different keys of 64 hexadecimal digits, newest first"
)]
pub struct InvalidKeys;

/// Why a link opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// None of ours, damaged, or made up.
    #[error("this is no link of ours")]
    Unknown,
    #[error("the link has expired")]
    Expired,
}

/// What the link of an alert opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertLink {
    pub tenant: TenantId,
    pub delivery: DeliveryId,
    pub expires_at: Timestamp,
}

/// What a way out is about. Whose it is follows from the addresses of the channel: see [`Self::is_of`].
#[derive(Clone)]
pub struct WayOut {
    pub tenant: TenantId,
    pub channel: ChannelId,
    key: Zeroizing<[u8; 32]>,
    recipient: [u8; MAC],
}

/// What a transport needs to make a way out for each recipient.
#[derive(Clone, PartialEq, Eq)]
pub struct WayOutMaker {
    /// Channel token and the dot after it.
    pub prefix: String,
    pub key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for LinkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} link keys", self.0.len())
    }
}

impl fmt::Debug for WayOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "way out of {}/{}", self.tenant, self.channel)
    }
}

impl fmt::Debug for WayOutMaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("way out of a channel")
    }
}

impl LinkKeys {
    #[must_use]
    pub fn one(key: [u8; 32]) -> Self {
        Self(vec![Zeroizing::new(key)])
    }

    /// # Errors
    /// [`InvalidKeys`].
    pub fn parse(text: &str) -> Result<Self, InvalidKeys> {
        let file: KeyFile = serde_json::from_str(text).map_err(|_| InvalidKeys)?;
        let read = |key: &String| crate::ledger::commitment::parse_hex32(key).map(Zeroizing::new);
        let keys: Option<Vec<_>> = file.keys.iter().map(read).collect();
        let keys = keys.filter(|keys| (1..=MOST_KEYS).contains(&keys.len())).ok_or(InvalidKeys)?;
        let repeated =
            keys.iter().enumerate().any(|(at, key)| keys.iter().take(at).any(|other| other == key));
        if repeated { Err(InvalidKeys) } else { Ok(Self(keys)) }
    }

    /// The text that [`Self::parse`] reads.
    #[must_use]
    pub fn to_text(&self) -> String {
        let keys: Vec<String> = self.0.iter().map(|key| format!("    \"{}\"", hex(&**key))).collect();
        format!("{{\n  \"keys\": [\n{}\n  ]\n}}\n", keys.join(",\n"))
    }

    /// The token of an alert's page.
    #[must_use]
    pub fn alert(&self, tenant: &TenantId, delivery: &DeliveryId, expires_at: Timestamp) -> String {
        let minutes = u32::try_from(expires_at.as_second().max(0) / 60).unwrap_or(u32::MAX);
        let mut payload = vec![ALERT];
        payload.extend(minutes.to_be_bytes());
        payload.extend(raw(delivery).unwrap_or_default());
        payload.extend(tenant.as_str().as_bytes());
        self.sealed(payload)
    }

    /// # Errors
    /// [`LinkFault::Expired`] only for a token that we made: nothing is told of others.
    pub fn open_alert(&self, token: &str, now: Timestamp) -> Result<AlertLink, LinkFault> {
        let (payload, _) = self.unsealed(token).ok_or(LinkFault::Unknown)?;
        let link = read_alert(&payload).ok_or(LinkFault::Unknown)?;
        if link.expires_at <= now { Err(LinkFault::Expired) } else { Ok(link) }
    }

    /// What makes the ways out of a channel.
    #[must_use]
    pub fn ways_out(&self, tenant: &TenantId, channel: &ChannelId) -> WayOutMaker {
        let mut payload = vec![CHANNEL, u8::try_from(tenant.as_str().len()).unwrap_or(u8::MAX)];
        payload.extend(tenant.as_str().as_bytes());
        payload.extend(channel.as_str().as_bytes());
        let key = self.0.first().map(|key| recipients_key(key, &payload)).unwrap_or_default();
        WayOutMaker { prefix: format!("{}.", self.sealed(payload)), key }
    }

    /// # Errors
    /// [`LinkFault::Unknown`].
    pub fn open_way_out(&self, token: &str) -> Result<WayOut, LinkFault> {
        self.way_out(token).ok_or(LinkFault::Unknown)
    }

    fn way_out(&self, token: &str) -> Option<WayOut> {
        let (channel, recipient) = token.split_once('.')?;
        let (payload, signer) = self.unsealed(channel)?;
        let key = recipients_key(signer, &payload);
        let [CHANNEL, length, names @ ..] = payload.as_slice() else { return None };
        let (tenant, channel) = names.split_at_checked(usize::from(*length))?;
        Some(WayOut {
            tenant: TenantId::new(std::str::from_utf8(tenant).ok()?).ok()?,
            channel: ChannelId::new(std::str::from_utf8(channel).ok()?).ok()?,
            key,
            recipient: decoded(recipient)?.try_into().ok()?,
        })
    }

    /// What may be kept of a text to know it again: without the newest key it tells nothing, not even whether a guess is right.
    #[must_use]
    pub fn print(&self, about: &str, text: &str) -> Option<String> {
        Some(print(self.0.first()?, about, text))
    }

    /// Whether this is the print of the text, by any of the keys.
    #[must_use]
    pub fn is_print(&self, kept: &str, about: &str, text: &str) -> bool {
        self.0.iter().any(|key| print(key, about, text) == kept)
    }

    /// Names the newest key for people who compare several homes. Nothing leads back from it to the key.
    #[must_use]
    pub fn id(&self) -> String {
        let id =
            self.0.first().map(|key| mac(&**key, b"notify-studio key id 1\0", b"").finalize().into_bytes());
        id.and_then(|id| id.get(..4).map(hex)).unwrap_or_default()
    }

    fn sealed(&self, mut payload: Vec<u8>) -> String {
        if let Some(key) = self.0.first() {
            let mac = mac(&**key, b"notify-studio link 1\0", &payload).finalize().into_bytes();
            payload.extend(mac.iter().take(MAC));
        }
        URL_SAFE_NO_PAD.encode(payload)
    }

    /// What was sealed, and the key that did it.
    fn unsealed(&self, token: &str) -> Option<(Vec<u8>, &[u8; 32])> {
        let mut payload = decoded(token)?;
        let tag = payload.split_off(payload.len().checked_sub(MAC)?);
        // Each comparison takes the same time wherever it differs.
        let signed = |key: &&Zeroizing<[u8; 32]>| {
            mac(&***key, b"notify-studio link 1\0", &payload).verify_truncated_left(&tag).is_ok()
        };
        let key = self.0.iter().find(signed)?;
        Some((payload, key))
    }
}

impl WayOut {
    /// Whether the link was made for this address.
    #[must_use]
    pub fn is_of(&self, address: &str) -> bool {
        mac(&*self.key, b"", lower_case(address).as_bytes()).verify_truncated_left(&self.recipient).is_ok()
    }
}

impl WayOutMaker {
    /// The token of one recipient. Transports do this themselves; this is the reference.
    #[must_use]
    pub fn of(&self, address: &str) -> String {
        let mac = mac(&*self.key, b"", lower_case(address).as_bytes()).finalize().into_bytes();
        format!("{}{}", self.prefix, URL_SAFE_NO_PAD.encode(mac.get(..MAC).unwrap_or_default()))
    }
}

/// An address as it is compared, kept and signed.
#[must_use]
pub fn lower_case(address: &str) -> String {
    address.trim().to_lowercase()
}

fn read_alert(payload: &[u8]) -> Option<AlertLink> {
    let (kind, rest) = payload.split_first()?;
    let (minutes, rest) = rest.split_first_chunk::<4>()?;
    let (delivery, tenant) = rest.split_first_chunk::<16>()?;
    let seconds = i64::from(u32::from_be_bytes(*minutes)).checked_mul(60)?;
    (*kind == ALERT).then_some(())?;
    Some(AlertLink {
        tenant: TenantId::new(std::str::from_utf8(tenant).ok()?).ok()?,
        delivery: DeliveryId::try_from(format!("{}_{}", DeliveryId::PREFIX, hex(delivery))).ok()?,
        expires_at: Timestamp::from_second(seconds).ok()?,
    })
}

/// The 16 bytes that an id's digits stand for.
fn raw(delivery: &DeliveryId) -> Option<Vec<u8>> {
    let digits = delivery.as_str().rsplit_once('_')?.1.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(pair).collect()
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    if text.len() > MOST_CHARACTERS { None } else { URL_SAFE_NO_PAD.decode(text).ok() }
}

fn print(key: &[u8; 32], about: &str, text: &str) -> String {
    let bytes = [&(about.len() as u64).to_be_bytes(), about.as_bytes(), text.as_bytes()].concat();
    hex(&mac(key, b"notify-studio print 1\0", &bytes).finalize().into_bytes())
}

fn recipients_key(key: &[u8; 32], payload: &[u8]) -> Zeroizing<[u8; 32]> {
    let made = mac(key, b"notify-studio recipients 1\0", payload).finalize().into_bytes();
    Zeroizing::new(made.into())
}

#[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn mac(key: &[u8], domain: &[u8], bytes: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(domain);
    mac.update(bytes);
    mac
}

/// Makes links: the site's keys, where its pages are, and how long the link of an alert is good.
#[derive(Debug, Clone)]
pub struct Links {
    /// `server.public_url` without a slash at its end.
    pub base: String,
    pub keys: LinkKeys,
    pub good_for: SignedDuration,
}

impl Links {
    #[must_use]
    pub fn new(base: String, keys: LinkKeys, days: u16) -> Self {
        Self { base, keys, good_for: SignedDuration::from_hours(i64::from(days) * 24) }
    }

    /// The link of an alert's page. The same on every attempt: it ends so long after the decision.
    #[must_use]
    pub fn alert(&self, tenant: &TenantId, delivery: &DeliveryId, decided_at: Timestamp) -> String {
        let ends = decided_at.saturating_add(self.good_for).unwrap_or(Timestamp::MAX);
        format!("{}/a/{}", self.base, self.keys.alert(tenant, delivery, ends))
    }

    /// What makes the ways out of a channel, with the whole address in front.
    #[must_use]
    pub fn ways_out(&self, tenant: &TenantId, channel: &ChannelId) -> WayOutMaker {
        let made = self.keys.ways_out(tenant, channel);
        WayOutMaker { prefix: format!("{}/u/{}", self.base, made.prefix), ..made }
    }
}

#[cfg(test)]
mod tests;
