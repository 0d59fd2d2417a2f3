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
use gate::Gate;
use notify_core::links::LinkKeys;
use words::{Language, Words};

/// What the pages need. Made once by `notify serve`.
#[derive(Debug)]
pub struct Pages {
    keys: LinkKeys,
    gate: Gate,
}

impl Pages {
    /// `per_minute`: requests of one client address.
    #[must_use]
    pub fn new(keys: LinkKeys, per_minute: u32) -> Self {
        Self { keys, gate: Gate::new(per_minute) }
    }
}

impl Call {
    /// The words for somebody of whom only the browser's wish is known.
    fn words(&self) -> &'static Words {
        let wished = self.header("accept-language").unwrap_or_default();
        Language::of(wished.split([',', ';']).next().unwrap_or_default()).words()
    }

    /// Whether this client may look at one more page.
    fn may_look(&self) -> bool {
        let forwarded = self.headers.get_all("x-forwarded-for").iter().next_back();
        let forwarded = forwarded.and_then(|value| value.to_str().ok());
        self.app.pages.gate.admits(gate::client(self.peer, forwarded), self.app.clock.now())
    }
}
