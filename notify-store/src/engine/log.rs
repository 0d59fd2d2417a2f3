//! A tenant's ledger inside a transaction: `notify_core::ledger` does the work, this keeps key and head together.

use crate::commit::Refused;
use crate::sql::row::corrupt;
use crate::store::StoreError;
use notify_core::ledger::EntryDraft;
use notify_core::ledger::append::{AppendError, Appended, Appender, LogState};
use notify_core::ledger::keys::{LogKey, LogKeys};
use notify_core::ledger::statement::DraftFault;
use notify_core::ledger::tree::CompactRange;
use notify_core::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The site's log keys, each derived once: deriving costs more than signing.
#[derive(Debug)]
pub struct Keyring {
    keys: LogKeys,
    derived: Mutex<HashMap<String, Arc<LogKey>>>,
}

impl Keyring {
    /// # Errors
    /// When `site` is not a lower-case host name.
    pub fn new(site: &str, seed: [u8; 32]) -> Result<Self, StoreError> {
        let keys = LogKeys::new(site, seed).map_err(|fault| StoreError::Misconfigured(fault.to_string()))?;
        Ok(Self { keys, derived: Mutex::default() })
    }

    fn key(&self, origin: &str) -> Result<Arc<LogKey>, StoreError> {
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = derived.get(origin) {
            return Ok(Arc::clone(key));
        }
        let key = self.keys.log_key(origin).map_err(|fault| {
            StoreError::Misconfigured(format!("the log `{origin}` is not one of this site: {fault}"))
        })?;
        let key = Arc::new(key);
        derived.insert(origin.to_owned(), Arc::clone(&key));
        Ok(key)
    }
}

#[derive(Debug)]
pub struct Log {
    appender: Appender,
    key: Arc<LogKey>,
}

impl Log {
    /// An empty log, for a tenant that is being created.
    pub fn create(keys: &Keyring, opaque: &str) -> Result<Self, Refused> {
        let origin = keys.keys.tenant_origin(opaque).map_err(|fault| Refused::BadEntry(fault.to_string()))?;
        let key = keys.key(&origin).map_err(|fault| Refused::BadEntry(fault.to_string()))?;
        Ok(Self { appender: Appender::new(LogState::empty(origin)), key })
    }

    /// The log of a head row.
    pub fn resume(
        keys: &Keyring,
        origin: String,
        size: u64,
        range: &[u8],
        last_at: Timestamp,
    ) -> Result<Self, StoreError> {
        let range = CompactRange::from_bytes(size, range).map_err(corrupt)?;
        Self::at(keys, LogState { origin, range, last_at: (size > 0).then_some(last_at) })
    }

    /// A log that stands where it was left.
    pub fn at(keys: &Keyring, state: LogState) -> Result<Self, StoreError> {
        let key = keys.key(&state.origin)?;
        Ok(Self { appender: Appender::new(state), key })
    }

    /// Appends all or none and gives the sequence numbers.
    pub fn append(&mut self, drafts: &[EntryDraft], now: Timestamp) -> Result<Vec<u64>, Refused> {
        self.appender.append(drafts, now).map_err(|error| match error {
            AppendError::Draft(DraftFault::TooLarge { bytes }) => Refused::EntryTooLarge { bytes },
            error => Refused::BadEntry(error.to_string()),
        })
    }

    /// Signs the new head.
    pub fn finish(self) -> Result<Appended, StoreError> {
        self.appender.finish(&self.key).map_err(corrupt)
    }
}
