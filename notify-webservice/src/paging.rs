//! Page tokens as clients see them: bound to the list, its tenant and its filters.
//!
//! A token is the place where the list goes on and a checksum over what it belongs to. A token that was damaged, made
//! up, or taken from another list is refused; it never quietly gives another page, or none. It guards against
//! mistakes, not against people: whoever may read the list may read all of it.

use crate::app::Call;
use notify_core::ids::hex;
use notify_core::problem::{Code, Problem};
use notify_store::model::Page;
use sha2::{Digest, Sha256};

impl Call {
    /// `limit` and `pageToken` of this request.
    ///
    /// # Errors
    /// `invalid-parameter`, or `invalid-page-token` when the token is not one of this very list.
    pub fn page(&self) -> Result<Page, Problem> {
        let mut page = self.query.page()?;
        page.after = page.after.map(|token| self.unseal(&token).ok_or_else(bad_token)).transpose()?;
        Ok(page)
    }

    /// The token that leads to what follows `place`.
    #[must_use]
    pub fn sealed(&self, place: Option<String>) -> Option<String> {
        place.map(|place| format!("{place}.{}", self.checksum(&place)))
    }

    fn unseal(&self, token: &str) -> Option<String> {
        let (place, checksum) = token.rsplit_once('.')?;
        (self.checksum(place) == checksum).then(|| place.to_owned())
    }

    fn checksum(&self, place: &str) -> String {
        let filters = self.query.others(&["limit", "pageToken"]);
        let mut hash = Sha256::new();
        let parts = [self.tenant().as_str(), &self.path, place].into_iter();
        for part in parts.chain(filters.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()])) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hex(hash.finalize().get(..6).unwrap_or_default())
    }
}

/// The problem of a token that is none.
#[must_use]
pub fn bad_token() -> Problem {
    Problem::new(
        Code::InvalidPageToken,
        "pageToken",
        "this is no page token of this list with these filters",
        "give `nextPageToken` of the page before, unchanged, with the filters of the page before",
    )
}
