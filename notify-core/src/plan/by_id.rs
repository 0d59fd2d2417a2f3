//! Compiled rules by id, so that one of 100,000 is found and replaced without touching the others.

use super::CompiledRule;
use crate::ids::RuleId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Enough that a shard of 100,000 rules is copied in microseconds, few enough that the outer list costs nothing.
const SHARDS: usize = 256;

type Shard = Arc<[Arc<CompiledRule>]>;

/// Immutable: a change shares every shard that it does not touch.
#[derive(Debug, Clone)]
pub(super) struct RulesById {
    /// Each in the order of the ids.
    shards: Arc<[Shard]>,
}

impl RulesById {
    pub fn new(rules: impl IntoIterator<Item = Arc<CompiledRule>>) -> Self {
        let mut shards: Vec<Vec<Arc<CompiledRule>>> = vec![Vec::new(); SHARDS];
        for rule in rules {
            if let Some(shard) = shards.get_mut(place(&rule.rule.id)) {
                shard.push(rule);
            }
        }
        let sealed = shards.into_iter().map(|mut shard| {
            shard.sort_by(|a, b| a.rule.id.cmp(&b.rule.id));
            Shard::from(shard)
        });
        Self { shards: sealed.collect() }
    }

    pub fn get(&self, id: &RuleId) -> Option<&Arc<CompiledRule>> {
        let shard = self.shards.get(place(id))?;
        let found = shard.binary_search_by(|rule| rule.rule.id.cmp(id)).ok()?;
        shard.get(found)
    }

    /// `None` takes a rule out.
    pub fn changed(&self, changes: &BTreeMap<RuleId, Option<Arc<CompiledRule>>>) -> Self {
        let mut by_shard: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for (id, rule) in changes {
            by_shard.entry(place(id)).or_default().push((id, rule));
        }
        let mut shards: Vec<Shard> = self.shards.to_vec();
        for (at, changes) in by_shard {
            let Some(slot) = shards.get_mut(at) else { continue };
            let mut rules: BTreeMap<&RuleId, &Arc<CompiledRule>> =
                slot.iter().map(|rule| (&rule.rule.id, rule)).collect();
            for (id, rule) in changes {
                match rule {
                    Some(rule) => rules.insert(id, rule),
                    None => rules.remove(id),
                };
            }
            let changed: Shard = rules.into_values().cloned().collect();
            *slot = changed;
        }
        Self { shards: shards.into() }
    }
}

/// FNV-1a: the same in every process, and nothing that an author gains by guessing (a shard is searched, not scanned).
fn place(id: &RuleId) -> usize {
    let hash = id.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    usize::try_from(hash % SHARDS as u64).unwrap_or_default()
}
