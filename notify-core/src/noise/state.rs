//! What one tenant's controls remember, and how one decision looks at it.
//!
//! The state is changed only by whole [`Change`]s that a plan gives back. Whoever commits them can take them back: each
//! application leaves an [`Undo`].

use super::key::StateKey;
use super::remembered::Remembered;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// Keys are hashes already.
#[derive(Debug, Default, Clone)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks_exact(8) {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.0 = self.0.rotate_left(5) ^ u64::from_le_bytes(word);
        }
    }
    fn write_usize(&mut self, _length: usize) {}
}

/// One thing to remember from now on, or (`None`) to forget.
pub type Change = (StateKey, Option<Remembered>);

/// What the changed keys held before.
#[derive(Debug, Default)]
pub struct Undo(Vec<Change>);

impl Undo {
    /// What a later change overwrote.
    pub fn then(&mut self, mut later: Self) {
        self.0.append(&mut later.0);
    }
}

/// Expired things are looked for only when there are at least so many.
const FEW: usize = 1_024;

/// Everything that a tenant's controls remember.
#[derive(Debug, Clone, Default)]
pub struct NoiseState {
    all: HashMap<StateKey, Remembered, BuildHasherDefault<KeyHasher>>,
    timers: BTreeSet<(i64, StateKey)>,
    /// The next number of things at which the expired ones are dropped.
    sweep_at: usize,
}

impl NoiseState {
    #[must_use]
    pub fn get(&self, key: &StateKey) -> Option<&Remembered> {
        self.all.get(key)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The first timer, by (due, key).
    #[must_use]
    pub fn next_timer(&self) -> Option<(i64, StateKey)> {
        self.timers.first().copied()
    }

    /// Timers that are due at `now`, in order.
    pub fn due(&self, now: i64) -> impl Iterator<Item = (i64, StateKey)> + '_ {
        self.timers.iter().copied().take_while(move |(due, _)| *due <= now)
    }

    /// Open windows and held alerts, in order of their ends.
    pub fn timers(&self) -> impl Iterator<Item = (StateKey, &Remembered)> {
        self.timers.iter().filter_map(|(_, key)| Some((*key, self.all.get(key)?)))
    }

    /// Takes changes over; of several about one key the last counts.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>) -> Undo {
        let mut undo = Vec::new();
        for (key, value) in changes {
            undo.push((key, self.put(key, value)));
        }
        Undo(undo)
    }

    /// As before these changes. Later ones must have been undone first.
    pub fn undo(&mut self, undo: Undo) {
        for (key, value) in undo.0.into_iter().rev() {
            self.put(key, value);
        }
    }

    fn put(&mut self, key: StateKey, value: Option<Remembered>) -> Option<Remembered> {
        let due = value.as_ref().and_then(Remembered::due_at);
        let before = match value {
            Some(value) => self.all.insert(key, value),
            None => self.all.remove(&key),
        };
        if let Some(due) = before.as_ref().and_then(Remembered::due_at) {
            self.timers.remove(&(due, key));
        }
        if let Some(due) = due {
            self.timers.insert((due, key));
        }
        before
    }

    /// Drops what has expired, once there is twice as much as after the last time: the work is a constant for each thing
    /// remembered. Gives back what the store may drop as well.
    pub fn sweep(&mut self, now: i64) -> Vec<StateKey> {
        if self.all.len() < self.sweep_at.max(FEW) {
            return Vec::new();
        }
        let mut gone = Vec::new();
        self.all.retain(|key, value| {
            let keep = value.expires_at().is_none_or(|expires| expires > now);
            if !keep {
                gone.push(*key);
            }
            keep
        });
        self.sweep_at = self.all.len() * 2;
        gone
    }
}

impl FromIterator<(StateKey, Remembered)> for NoiseState {
    fn from_iter<I: IntoIterator<Item = (StateKey, Remembered)>>(all: I) -> Self {
        let mut state = Self::default();
        for (key, value) in all {
            state.put(key, Some(value));
        }
        state
    }
}

/// Most events change a handful of keys; up to so many are looked through.
const SCANNED: usize = 16;

/// The state as one plan sees it: with its own changes, which nobody else sees yet.
#[derive(Debug)]
pub struct View<'s> {
    base: &'s NoiseState,
    changes: Vec<Change>,
    /// Where each changed key stands, once there are too many to look through.
    places: HashMap<StateKey, usize, BuildHasherDefault<KeyHasher>>,
    reads: RefCell<Vec<StateKey>>,
}

impl<'s> View<'s> {
    #[must_use]
    pub fn new(base: &'s NoiseState) -> Self {
        Self { base, changes: Vec::new(), places: HashMap::default(), reads: RefCell::new(Vec::new()) }
    }

    fn place(&self, key: &StateKey) -> Option<usize> {
        if self.changes.len() > SCANNED {
            return self.places.get(key).copied();
        }
        self.changes.iter().position(|(changed, _)| changed == key)
    }

    pub fn get(&self, key: &StateKey) -> Option<&Remembered> {
        self.reads.borrow_mut().push(*key);
        match self.place(key).and_then(|at| self.changes.get(at)) {
            Some((_, value)) => value.as_ref(),
            None => self.base.get(key),
        }
    }

    pub fn put(&mut self, key: StateKey, value: Remembered) {
        self.change(key, Some(value));
    }

    pub fn forget(&mut self, key: StateKey) {
        self.change(key, None);
    }

    fn change(&mut self, key: StateKey, value: Option<Remembered>) {
        if let Some((_, now)) = self.place(&key).and_then(|at| self.changes.get_mut(at)) {
            *now = value;
            return;
        }
        self.changes.push((key, value));
        match self.changes.len() {
            few if few <= SCANNED => {}
            many if many == SCANNED + 1 => {
                self.places = self.changes.iter().enumerate().map(|(at, (key, _))| (*key, at)).collect();
            }
            many => drop(self.places.insert(key, many - 1)),
        }
    }

    /// What was changed, and which keys were looked at.
    #[must_use]
    pub fn finish(self) -> (Vec<Change>, Vec<StateKey>) {
        (self.changes, self.reads.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::super::remembered::Seen;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn key(n: u8) -> StateKey {
        StateKey::derive([[n].as_slice()])
    }

    fn remembered() -> impl Strategy<Value = Option<Remembered>> {
        prop::option::of(prop_oneof![
            (0..100_i64).prop_map(Remembered::Held),
            (0..100_i64).prop_map(Remembered::Bucket),
            (0..100_i64).prop_map(|until| Remembered::Dedupe(Seen { first: 0, until, repeats: 0 })),
        ])
    }

    fn shown(state: &NoiseState) -> (BTreeMap<StateKey, Remembered>, Vec<(i64, StateKey)>) {
        let all = state.all.iter().map(|(key, value)| (*key, value.clone())).collect();
        (all, state.timers.iter().copied().collect())
    }

    proptest! {
        #[test]
        fn a_batch_taken_back_leaves_nothing(
            before in prop::collection::vec((0..10_u8, remembered()), 0..20),
            batch in prop::collection::vec((0..10_u8, remembered()), 0..20),
        ) {
            let changes = |list: Vec<(u8, Option<Remembered>)>| list.into_iter().map(|(n, value)| (key(n), value));
            let mut state = NoiseState::default();
            state.apply(changes(before));
            let then = shown(&state);
            let undo = state.apply(changes(batch));
            // Timers are exactly those of what is remembered.
            let timers = state.all.iter().filter_map(|(key, value)| Some((value.due_at()?, *key)));
            prop_assert_eq!(timers.collect::<BTreeSet<_>>(), state.timers.clone());
            state.undo(undo);
            prop_assert_eq!(shown(&state), then);
        }
    }

    #[test]
    fn what_has_expired_is_dropped_and_the_rest_stays() {
        let all = (0..2_000_u32).map(|n| {
            let key = StateKey::derive([n.to_be_bytes().as_slice()]);
            (key, if n % 2 == 0 { Remembered::Bucket(i64::from(n)) } else { Remembered::Held(0) })
        });
        let mut state: NoiseState = all.collect();
        assert_eq!(state.sweep(1_000).len(), 501);
        assert_eq!(state.len(), 1_499);
        assert_eq!(state.sweep(5_000).len(), 0, "not before there is twice as much");
        assert_eq!(state.due(0).count(), 1_000);
    }
}
