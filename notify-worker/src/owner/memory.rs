//! What noise control remembers of one tenant, in memory, with a way back for every commit that is not durable yet.
//!
//! Only the tenant's owner plans, so its copy is the truth as soon as what it wrote is durable. A batch is planned on
//! what the batches before it leave behind, although those are still being written. When one of them is refused, those
//! after it are refused as well (each names the version that it was planned with), and all are taken back.

use notify_core::noise::{Change, NoiseState, StateKey, StateRow, Undo};
use notify_core::time::Timestamp;
use notify_store::model::NoiseMemory;
use notify_store::{Bookkeeping, Guard, NoiseChanges, StoreError};
use std::collections::{BTreeMap, VecDeque};

/// Expired rows dropped with one commit: enough to keep up, few enough not to be felt.
const FORGOTTEN_AT_ONCE: usize = 256;

/// The state of a tenant's noise control.
#[derive(Debug)]
pub(super) struct Memory {
    pub state: NoiseState,
    /// In the store, once everything under way is durable.
    version: u64,
    /// Batches that are being written, by the version that they make; oldest first.
    flights: VecDeque<(u64, Undo)>,
    trouble: Trouble,
    /// Rows in the store that say nothing any more.
    expired: Vec<StateKey>,
    /// The configuration for which the periods of scheduled digests were opened.
    pub armed_for: Option<u64>,
}

/// What has to happen before anything else is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    None,
    /// A batch was not written: it and those after it are to be taken back.
    TakeBack,
    /// Nobody knows what the store holds: it is to be read again.
    Reload,
}

/// The changes of one batch as they are collected; of one key the last counts.
#[derive(Debug, Default)]
pub(super) struct Noted {
    changes: BTreeMap<StateKey, Option<notify_core::noise::Remembered>>,
    undo: Vec<Undo>,
}

impl Memory {
    /// From the store, without what has expired at `at`.
    ///
    /// # Errors
    /// When this build cannot read something that alerts wait in. Anything else that it cannot read is reported and
    /// forgotten: at worst something is sent once more.
    pub fn load(stored: NoiseMemory, at: Timestamp) -> Result<Self, StoreError> {
        let (mut expired, mut known) = (Vec::new(), Vec::new());
        for (key, value) in stored.states {
            match StateRow::read(&value) {
                Ok(remembered) if remembered.expires_at().is_some_and(|end| end <= at.as_microsecond()) => {
                    expired.push(key);
                }
                Ok(remembered) => known.push((key, remembered)),
                Err(error) if ["{\"window\"", "{\"held\""].iter().any(|kind| value.starts_with(kind)) => {
                    let what = format!("a digest or held alert ({key}) cannot be read: {error}");
                    return Err(StoreError::Corrupt(what));
                }
                Err(error) => {
                    tracing::error!(%key, %error, "a stored state of noise control cannot be read; it is forgotten");
                }
            }
        }
        Ok(Self {
            state: known.into_iter().collect(),
            version: stored.version,
            flights: VecDeque::new(),
            trouble: Trouble::None,
            expired,
            armed_for: None,
        })
    }

    /// Whether nothing may be planned until all that is under way has landed.
    pub fn in_trouble(&self) -> bool {
        self.trouble != Trouble::None
    }

    /// After everything has landed: takes back what was not written. False: it has to be loaded anew.
    pub fn recover(&mut self) -> bool {
        if self.trouble == Trouble::Reload {
            return false;
        }
        while let Some((version, undo)) = self.flights.pop_back() {
            self.state.undo(undo);
            self.version = version - 1;
        }
        self.trouble = Trouble::None;
        true
    }

    pub fn next_timer(&self) -> Option<Timestamp> {
        self.state.next_timer().and_then(|(due, _)| Timestamp::from_microsecond(due).ok())
    }

    /// Whether a timer fires before something that happens at this time.
    pub fn is_due(&self, at: Timestamp) -> bool {
        self.state.next_timer().is_some_and(|(due, _)| due <= at.as_microsecond())
    }

    /// Remembers the changes of one plan.
    pub fn note(&mut self, noted: &mut Noted, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        noted.undo.push(self.state.apply(changes.iter().cloned()));
        noted.changes.extend(changes);
    }

    /// Ends a batch: the guard of its commit, what it writes, and the version that it makes (`None`: it changes
    /// nothing).
    pub fn depart(&mut self, noted: Noted, now: Timestamp) -> (Guard, Option<Bookkeeping>, Option<u64>) {
        let guard = Guard::NoiseVersion(self.version);
        self.expired.extend(self.state.sweep(now.as_microsecond()));
        if noted.changes.is_empty() && self.expired.is_empty() {
            return (guard, None, None);
        }
        self.version += 1;
        let mut undo = Undo::default();
        noted.undo.into_iter().for_each(|step| undo.then(step));
        self.flights.push_back((self.version, undo));
        let mut written = NoiseChanges { next_timer: self.next_timer(), ..NoiseChanges::default() };
        for (key, value) in noted.changes {
            match value {
                Some(value) => written.remember.push(StateRow::of(key, &value)),
                None => written.forget.push(key),
            }
        }
        let from = self.expired.len().saturating_sub(FORGOTTEN_AT_ONCE);
        // What came back meanwhile has a row of its own again.
        written.forget.extend(self.expired.drain(from..).filter(|key| self.state.get(key).is_none()));
        (guard, Some(Bookkeeping::Noise(Box::new(written))), Some(self.version))
    }

    /// A batch is durable.
    pub fn landed(&mut self, version: u64) {
        self.flights.retain(|(flight, _)| *flight != version);
    }

    /// A batch was refused, or could not be written at all.
    /// Whether a batch that was refused for what came before it was refused for one of ours.
    pub fn follows_one_of_ours(&self, version: Option<u64>) -> bool {
        let before = |flight: u64| version.is_none_or(|version| flight < version);
        self.in_trouble() || self.flights.iter().any(|(flight, _)| before(*flight))
    }

    pub fn refused(&mut self, known_not_written: bool) {
        let trouble = if known_not_written { Trouble::TakeBack } else { Trouble::Reload };
        self.trouble = self.trouble.max(trouble);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify_core::noise::Remembered;

    fn key(n: u8) -> StateKey {
        StateKey::derive([[n].as_slice()])
    }

    fn batch(memory: &mut Memory, n: u8, until: i64) -> Option<u64> {
        let mut noted = Noted::default();
        memory.note(&mut noted, vec![(key(n), Some(Remembered::Bucket(until)))]);
        memory.depart(noted, Timestamp::UNIX_EPOCH).2
    }

    #[test]
    fn a_refused_batch_takes_those_after_it_along() {
        let stored = NoiseMemory { version: 7, states: vec![(key(1), r#"{"bucket":5}"#.to_owned())] };
        let mut memory = Memory::load(stored, Timestamp::UNIX_EPOCH).unwrap();
        let first = batch(&mut memory, 1, 10);
        let second = batch(&mut memory, 2, 20);
        let third = batch(&mut memory, 1, 30);
        assert_eq!((first, second, third), (Some(8), Some(9), Some(10)));
        memory.landed(8);
        memory.refused(true);
        memory.refused(true);
        assert!(memory.in_trouble());
        assert!(memory.recover());
        assert_eq!(memory.state.get(&key(1)), Some(&Remembered::Bucket(10)));
        assert_eq!(memory.state.get(&key(2)), None);
        let (guard, ..) = memory.depart(Noted::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(guard, Guard::NoiseVersion(8));
        memory.refused(true);
        memory.refused(false);
        assert!(!memory.recover(), "when it is not known what was written, it is read again");
    }

    #[test]
    fn what_has_expired_is_dropped_from_the_store_too() {
        let states = vec![(key(1), r#"{"bucket":5}"#.to_owned()), (key(2), "{}".to_owned())];
        let mut memory =
            Memory::load(NoiseMemory { version: 0, states }, Timestamp::from_microsecond(6).unwrap())
                .unwrap();
        assert!(memory.state.is_empty());
        let (_, written, version) = memory.depart(Noted::default(), Timestamp::UNIX_EPOCH);
        let Some(Bookkeeping::Noise(written)) = written else { panic!("nothing is written") };
        assert_eq!((written.forget, version), (vec![key(1)], Some(1)));
    }
}
