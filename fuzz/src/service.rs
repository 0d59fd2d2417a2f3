//! What reaches the service over sockets and pipes: tokens, page tokens, manifests, frames.

use crate::ledger::signing_key;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer;
use http::{HeaderMap, HeaderValue, header};
use notify_connector_host::frame::{self, FromChild, ToChild};
use notify_connector_host::manifest::Manifest;
use notify_core::links::LinkKeys;
use notify_core::time::Timestamp;
use notify_webservice::auth::{Authenticator, Presented, TokenKey};

// The web layer's own reader of query parameters, which it does not export.
#[path = "../../notify-webservice/src/query.rs"]
#[allow(dead_code)]
mod query;

/// A plug-in's manifest.
pub fn manifest(data: &[u8]) {
    if let Ok(manifest) = Manifest::parse(data) {
        let _ = manifest.file();
    }
}

/// A stream of frames, read by both sides; what is read is written as it was.
pub fn frame(mut data: &[u8]) {
    while let Ok(Some(raw)) = frame::split(data) {
        let mut written = Vec::new();
        if let Ok(frame) = ToChild::read(&raw) {
            frame.write(raw.token, &mut written).expect("it had this size");
            assert_eq!(written, data[..raw.consumed]);
        }
        written.clear();
        if let Ok(frame) = FromChild::read(&raw) {
            frame.write(raw.token, &mut written).expect("it had this size");
            assert_eq!(written, data[..raw.consumed]);
        }
        data = &data[raw.consumed..];
    }
}

/// An `Authorization` header as it comes (nobody can sign one by chance), and the same bytes as claims that are signed.
pub fn token(data: &[u8]) {
    let authenticator = Authenticator::new(TokenKey::from_signing_key(signing_key()));
    let now = "2026-11-22T06:00:00Z".parse().expect("a time");
    let caller = |value: &[u8]| {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_bytes(value).ok()?);
        authenticator.caller(&headers, now).ok()
    };
    assert!(caller(data).is_none(), "a token that nobody signed");
    let head = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"EdDSA"}"#);
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(data));
    let signature = URL_SAFE_NO_PAD.encode(signing_key().sign(signed.as_bytes()).to_bytes());
    let presented = caller(format!("Bearer {signed}.{signature}").as_bytes());
    if let Some(Presented::New(caller, _) | Presented::Known(caller)) = presented {
        assert!(caller.expires_at > 1_795_327_200 - 120 && caller.not_before <= 1_795_327_200 + 120);
    }
}

/// The token of a page, as it comes (nobody can make one by chance), and the same bytes with a right MAC in front of what
/// reads them: what opens is what was sealed.
pub fn link(data: &[u8]) {
    let keys = LinkKeys::one([8; 32]);
    let now = "2026-11-22T06:00:00Z".parse().expect("a time");
    let text = String::from_utf8_lossy(data);
    for token in [text.clone().into_owned(), URL_SAFE_NO_PAD.encode(data)] {
        assert!(keys.open_alert(&token, now).is_err(), "a link that nobody signed");
        assert!(!keys.open_way_out(&token).is_ok_and(|way| way.is_of(&text)));
    }
    let mut names = text.split('\n');
    let (Ok(tenant), Ok(channel)) = (
        names.next().unwrap_or_default().parse::<notify_core::ids::TenantId>(),
        names.next().unwrap_or_default().parse::<notify_core::ids::ChannelId>(),
    ) else {
        return;
    };
    let address = names.next().unwrap_or_default();
    let way = keys.open_way_out(&keys.ways_out(&tenant, &channel).of(address)).expect("made here");
    assert!(way.is_of(address) && way.tenant == tenant && way.channel == channel);
    let delivery = notify_core::ids::DeliveryId::derive([address]);
    let opened = keys.open_alert(&keys.alert(&tenant, &delivery, Timestamp::MAX), now).expect("made here");
    assert!((opened.tenant, opened.delivery) == (tenant, delivery));
}

/// A query string with `limit` and `pageToken`.
pub fn page(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(page) = query::Query::parse(Some(text), &["limit", "pageToken"]).and_then(|query| query.page())
    {
        assert!((1..=500).contains(&page.limit));
        assert!(page.after.is_none_or(|token| (1..=512).contains(&token.len())));
    }
}
