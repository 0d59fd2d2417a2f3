//! What one event holds at the paths that some rule asks about.

use super::hash;
use super::paths::{PathId, Paths};
use crate::pattern::evaluate::MAX_EVENT_DEPTH;
use crate::pattern::number::Num;
use crate::pattern::operator::Scalar;
use serde_json::Value;

/// The wanted values of one event. Kept between events, so that matching does not allocate.
#[derive(Debug, Default)]
pub(super) struct Leaves {
    /// All texts, one after the other.
    text: String,
    leaves: Vec<Leaf>,
    /// By path.
    slots: Vec<Slot>,
    /// The paths that hold a value, each once.
    present: Vec<PathId>,
    /// Marks what is of this event; older marks are as good as none.
    epoch: u32,
    /// Whether any wanted path of this event met an array.
    arrays: bool,
}

#[derive(Debug)]
struct Leaf {
    /// The leaf before it at the same path, plus one.
    before: u32,
    hash: u64,
    value: Held,
}

#[derive(Debug)]
enum Held {
    Null,
    Bool(bool),
    Number(Num),
    Text(u32, u32),
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// The event that `last` is of.
    epoch: u32,
    last: u32,
    /// The event in which this path held an array.
    array: u32,
}

impl Leaves {
    /// Forgets the event before.
    pub(super) fn begin(&mut self, paths: &Paths) {
        self.text.clear();
        self.leaves.clear();
        self.present.clear();
        self.arrays = false;
        if self.slots.len() < paths.len() {
            self.slots.resize(paths.len(), Slot::default());
        }
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.slots.fill(Slot::default());
            self.epoch = 1;
        }
    }

    /// The wanted values of `event`, which is an object or holds none.
    pub(super) fn read(&mut self, paths: &Paths, event: &Value) {
        self.begin(paths);
        if event.is_object() {
            self.walk(paths, Paths::ROOT, event, 0);
        }
    }

    fn walk(&mut self, paths: &Paths, path: PathId, value: &Value, depth: usize) {
        if depth > MAX_EVENT_DEPTH {
            return;
        }
        match value {
            Value::Object(fields) => {
                if paths.has_children(path) {
                    for (name, inner) in fields {
                        if let Some(child) = paths.child(path, name) {
                            self.walk(paths, child, inner, depth + 1);
                        }
                    }
                }
            }
            Value::Array(items) => {
                self.note_array(path);
                items.iter().for_each(|item| self.walk(paths, path, item, depth + 1));
            }
            scalar => {
                if let Some(scalar) = Scalar::of(scalar).filter(|_| paths.is_wanted(path)) {
                    self.push(path, scalar);
                }
            }
        }
    }

    pub(super) fn push(&mut self, path: PathId, value: Scalar<'_>) {
        let hash = hash::of(value);
        let value = match value {
            Scalar::Null => Held::Null,
            Scalar::Bool(b) => Held::Bool(b),
            Scalar::Number(number) => Held::Number(number),
            Scalar::Text(text) => {
                let start = self.text.len();
                self.text.push_str(text);
                Held::Text(small(start), small(self.text.len()))
            }
        };
        self.keep(path, hash, value);
    }

    fn keep(&mut self, path: PathId, hash: u64, value: Held) {
        let Some(slot) = self.slots.get_mut(path.at()) else { return };
        let before = if slot.epoch == self.epoch {
            slot.last
        } else {
            self.present.push(path);
            0
        };
        self.leaves.push(Leaf { before, hash, value });
        *slot = Slot { epoch: self.epoch, last: small(self.leaves.len()), ..*slot };
    }

    pub(super) fn note_array(&mut self, path: PathId) {
        if let Some(slot) = self.slots.get_mut(path.at()) {
            slot.array = self.epoch;
            self.arrays = true;
        }
    }

    /// Whether any path that some rule names ran into an array.
    pub(super) const fn has_arrays(&self) -> bool {
        self.arrays
    }

    /// Whether the path runs through an array of this event, or ends in one.
    pub(super) fn meets_array(&self, paths: &Paths, path: PathId) -> bool {
        let mut at = Some(path);
        while let Some(path) = at {
            if self.slots.get(path.at()).is_some_and(|slot| slot.array == self.epoch) {
                return true;
            }
            at = paths.parent(path);
        }
        false
    }

    pub(super) fn present(&self) -> &[PathId] {
        &self.present
    }

    /// The values at a path, the last first.
    pub(super) fn values(&self, path: PathId) -> Values<'_> {
        let slot = self.slots.get(path.at()).filter(|slot| slot.epoch == self.epoch);
        Values { leaves: self, next: slot.map_or(0, |slot| slot.last) }
    }

    /// All wanted values of this event.
    pub(super) fn len(&self) -> usize {
        self.leaves.len()
    }

    /// Nothing of this event is at that path.
    pub(super) fn is_absent(&self, path: PathId) -> bool {
        self.slots.get(path.at()).is_none_or(|slot| slot.epoch != self.epoch)
    }
}

pub(super) struct Values<'l> {
    leaves: &'l Leaves,
    next: u32,
}

impl<'l> Iterator for Values<'l> {
    type Item = (u64, Scalar<'l>);

    fn next(&mut self) -> Option<Self::Item> {
        let leaf = self.leaves.leaves.get((self.next as usize).checked_sub(1)?)?;
        self.next = leaf.before;
        let value = match leaf.value {
            Held::Null => Scalar::Null,
            Held::Bool(b) => Scalar::Bool(b),
            Held::Number(number) => Scalar::Number(number),
            Held::Text(start, end) => {
                Scalar::Text(self.leaves.text.get(start as usize..end as usize).unwrap_or_default())
            }
        };
        Some((leaf.hash, value))
    }
}

/// Events are far below four gigabytes.
fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
