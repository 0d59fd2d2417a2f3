//! Pages for people who have a link and no login: the full alert (`/a/{token}`) and the way out of a channel
//! (`/u/{token}`). They show texts of strangers, so they hold no script, load nothing, and are kept nowhere.

pub mod alert;
mod gate;
mod paper;
#[cfg(test)]
mod tests;
pub mod way_out;
pub mod words;

use crate::app::Call;
use axum::response::Response;
use gate::Gate;
use http::{HeaderMap, StatusCode};
use notify_core::links::LinkKeys;
use notify_core::time::Timestamp;
use notify_netguard::Network;
use paper::note;
use std::net::IpAddr;
use words::{Language, Words};

/// What the pages need. Made once by `notify serve`.
#[derive(Debug)]
pub struct Pages {
    keys: LinkKeys,
    gate: Gate,
}

impl Pages {
    /// `per_minute`: requests of one client address. `trusted`: proxies that say who their client is.
    #[must_use]
    pub fn new(keys: LinkKeys, per_minute: u32, trusted: Vec<Network>) -> Self {
        Self { keys, gate: Gate::new(per_minute, trusted) }
    }

    /// Whether a form may be sent, known before any of it is read. Mail programs send those of RFC 8058 for all their users
    /// from few addresses, so a token of ours is what counts; who has none is a client like any other.
    pub(crate) fn admits_form(
        &self,
        token: &str,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> bool {
        match self.keys.open_way_out(token) {
            Ok(_) => self.gate.admits_token(token, now),
            Err(_) => self.admits(peer, headers, now),
        }
    }

    fn admits(&self, peer: Option<IpAddr>, headers: &HeaderMap, now: Timestamp) -> bool {
        let forwarded: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
        self.gate.admits(self.gate.client(peer, &forwarded), now)
    }
}

/// What a client that looks too often gets.
pub(crate) fn too_many(headers: &HeaderMap) -> Response {
    let words = words_for(headers);
    note(words, StatusCode::TOO_MANY_REQUESTS, words.too_many)
}

/// The words for somebody of whom only the browser's wish is known.
fn words_for(headers: &HeaderMap) -> &'static Words {
    let wished = headers.get("accept-language").and_then(|value| value.to_str().ok()).unwrap_or_default();
    Language::of(wished.split([',', ';']).next().unwrap_or_default()).words()
}

impl Call {
    fn words(&self) -> &'static Words {
        words_for(&self.headers)
    }

    /// Whether this client may look at one more page.
    fn may_look(&self) -> bool {
        self.app.pages.admits(self.peer, &self.headers, self.app.clock.now())
    }
}
