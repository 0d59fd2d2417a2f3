//! Who waits for which answer: slots whose tokens carry a generation, so that an answer that comes late, twice or to
//! nobody is counted and never reaches somebody else.

use tokio::sync::oneshot;

/// What kind of answer a slot waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaits {
    Prepared,
    Outcome,
    Validated,
}

/// One answer of the child, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Prepared { code: i32, request_json: Vec<u8>, detail: String },
    Outcome { code: i32, retry_after_ms: Option<u64>, detail: String, provider_reference: Option<String> },
    Validated { code: i32, problems_json: Vec<u8> },
}

impl Answer {
    const fn kind(&self) -> Awaits {
        match self {
            Self::Prepared { .. } => Awaits::Prepared,
            Self::Outcome { .. } => Awaits::Outcome,
            Self::Validated { .. } => Awaits::Validated,
        }
    }
}

struct Slot {
    /// Odd while taken.
    generation: u32,
    waiter: Option<(Awaits, oneshot::Sender<Answer>)>,
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Delivered,
    /// Its call was answered or given up before.
    Late,
    /// No call ever had this token.
    Unknown,
    /// The call waits for another kind of answer; it is failed.
    WrongKind,
}

/// Slots by index; the token is `generation << 32 | index`.
#[derive(Default)]
pub struct Pending {
    slots: Vec<Slot>,
    free: Vec<u32>,
    taken: usize,
    closed: bool,
}

impl Pending {
    /// Reserves a slot; `None` once closed, or when 2^32 calls wait.
    pub fn insert(&mut self, awaits: Awaits) -> Option<(u64, oneshot::Receiver<Answer>)> {
        if self.closed {
            return None;
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(Slot { generation: 0, waiter: None });
                index
            }
        };
        let slot = self.slots.get_mut(index as usize)?;
        let (sender, receiver) = oneshot::channel();
        slot.generation = slot.generation.wrapping_add(1);
        slot.waiter = Some((awaits, sender));
        self.taken += 1;
        Some((token(slot.generation, index), receiver))
    }

    /// Hands an answer to whoever waits for it.
    pub fn deliver(&mut self, token: u64, answer: Answer) -> Fate {
        let generation = (token >> 32) as u32;
        let known = self.slots.get((token & 0xffff_ffff) as usize);
        let Some(slot) = known else { return Fate::Unknown };
        if slot.generation != generation || slot.waiter.is_none() {
            // Generations only count up, so a smaller one was given out once. (After 2^31 reuses of one slot this may say
            // "unknown" for "late": a word in a counter.)
            return if generation <= slot.generation && generation % 2 == 1 {
                Fate::Late
            } else {
                Fate::Unknown
            };
        }
        match self.release(token) {
            Some((awaits, sender)) if awaits == answer.kind() => {
                // The receiver may have gone at this very moment: then it is late.
                if sender.send(answer).is_ok() { Fate::Delivered } else { Fate::Late }
            }
            Some(_) => Fate::WrongKind,
            None => Fate::Late,
        }
    }

    /// Gives a call up. A later answer is late.
    pub fn forget(&mut self, token: u64) {
        drop(self.release(token));
    }

    fn release(&mut self, token: u64) -> Option<(Awaits, oneshot::Sender<Answer>)> {
        let index = (token & 0xffff_ffff) as u32;
        let slot = self.slots.get_mut(index as usize)?;
        if slot.generation != (token >> 32) as u32 {
            return None;
        }
        let waiter = slot.waiter.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        self.taken -= 1;
        Some(waiter)
    }

    /// Fails every waiting call (their receivers see a closed channel) and refuses new ones.
    pub fn close(&mut self) -> usize {
        self.closed = true;
        let failed = self.taken;
        self.slots.clear();
        self.free.clear();
        self.taken = 0;
        failed
    }

    #[must_use]
    pub const fn len(&self) -> usize {
        self.taken
    }
}

const fn token(generation: u32, index: u32) -> u64 {
    (generation as u64) << 32 | index as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn answer(code: i32) -> Answer {
        Answer::Outcome { code, retry_after_ms: None, detail: String::new(), provider_reference: None }
    }

    #[test]
    fn each_fate() {
        let mut pending = Pending::default();
        let (first, mut receiver) = pending.insert(Awaits::Outcome).unwrap();
        assert_eq!(pending.deliver(first, answer(1)), Fate::Delivered);
        assert_eq!(receiver.try_recv(), Ok(answer(1)));
        assert_eq!(pending.deliver(first, answer(2)), Fate::Late, "twice");
        let (second, mut receiver) = pending.insert(Awaits::Outcome).unwrap();
        assert_ne!(first, second, "a reused slot has another token");
        assert_eq!(pending.deliver(first, answer(3)), Fate::Late, "the slot's new owner gets nothing");
        assert!(receiver.try_recv().is_err());
        pending.forget(second);
        assert_eq!(pending.deliver(second, answer(4)), Fate::Late, "given up");
        assert_eq!(pending.deliver(77, answer(5)), Fate::Unknown);
        assert_eq!(pending.deliver(u64::MAX, answer(5)), Fate::Unknown);
        let (third, mut receiver) = pending.insert(Awaits::Prepared).unwrap();
        assert_eq!(pending.deliver(third, answer(6)), Fate::WrongKind);
        assert!(receiver.try_recv().is_err());
        assert_eq!(pending.len(), 0);
        let (_, mut receiver) = pending.insert(Awaits::Outcome).unwrap();
        assert_eq!(pending.close(), 1);
        assert!(receiver.try_recv().is_err());
        assert!(pending.insert(Awaits::Outcome).is_none());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert,
        Deliver(prop::sample::Index),
        Forget(prop::sample::Index),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => Just(Step::Insert),
            3 => any::<prop::sample::Index>().prop_map(Step::Deliver),
            1 => any::<prop::sample::Index>().prop_map(Step::Forget),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        /// Against a map as the model: an answer reaches the call with that very token, once, or nobody.
        #[test]
        fn answers_never_reach_another_call(steps in steps()) {
            let mut pending = Pending::default();
            let mut waiting = BTreeMap::new();
            let mut issued = Vec::new();
            for (number, step) in steps.into_iter().enumerate() {
                let number = i32::try_from(number).unwrap();
                match step {
                    Step::Insert => {
                        let (token, receiver) = pending.insert(Awaits::Outcome).unwrap();
                        prop_assert!(waiting.insert(token, receiver).is_none());
                        issued.push(token);
                    }
                    Step::Deliver(index) if !issued.is_empty() => {
                        let token = *index.get(&issued);
                        let fate = pending.deliver(token, answer(number));
                        match waiting.remove(&token) {
                            Some(mut receiver) => {
                                prop_assert_eq!(fate, Fate::Delivered);
                                prop_assert_eq!(receiver.try_recv(), Ok(answer(number)));
                            }
                            None => prop_assert_eq!(fate, Fate::Late),
                        }
                    }
                    Step::Forget(index) if !issued.is_empty() => {
                        let token = *index.get(&issued);
                        pending.forget(token);
                        waiting.remove(&token);
                    }
                    _ => {}
                }
                prop_assert_eq!(pending.len(), waiting.len());
                for receiver in waiting.values_mut() {
                    prop_assert!(receiver.try_recv().is_err(), "nobody else got anything");
                }
            }
        }
    }
}
