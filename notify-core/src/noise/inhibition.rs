//! Inhibition: a source that fires mutes targets with equal values.
//!
//! An event that ends something is not muted by what it ends, whether [`Sides::sources`] is applied before or after
//! [`Sides::targets`] is asked for.
//!
//! **A source never mutes itself or its like.** An event that matches both sides fires under a key of its own, which
//! only mutes targets that match one side. So two alerts that are each other's source and target do not silence each
//! other, and a repeat of an alert is not muted by the alert it repeats.
//!
//! **Missing values are never equal.** An event that lacks one of the `equal` values, or has `null` or an empty text
//! there, neither fires nor is muted. In Alertmanager two absent labels are equal, so a misspelt label mutes everything.

use super::key::StateKey;
use super::silence::digest_of;
use crate::document::inhibition::Patterns;
use crate::document::{Inhibition, Kind, Version};
use crate::duration::Length;
use crate::ids::InhibitionId;
use crate::jcs;
use crate::ledger::commitment::PlainDigest;
use crate::pattern::RuleSet;
use crate::plan::Broken;
use serde_json::Value;
use std::sync::Arc;

/// The inhibitions of a tenant. Immutable; clones share.
#[derive(Debug, Clone, Default)]
pub struct Inhibitions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    all: Vec<Compiled>,
    patterns: RuleSet<(u32, Side)>,
}

impl Default for Inner {
    fn default() -> Self {
        Self { all: Vec::new(), patterns: RuleSet::new([]) }
    }
}

#[derive(Debug)]
struct Compiled {
    id: InhibitionId,
    version: u64,
    digest: PlainDigest,
    /// What a source is: states of another source, or by other values, are not this inhibition's.
    source: String,
    equal: Vec<String>,
    lasts: Length,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Source,
    Resolve,
    Target,
}

/// Which sources a state stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Like {
    SourceAlone,
    SourceAndTarget,
}

/// What an event changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceChange<'s> {
    pub id: &'s InhibitionId,
    pub version: u64,
    pub key: StateKey,
    /// `false`: it is over.
    pub firing: bool,
    /// From the event's logical time, without news.
    pub lasts: Length,
}

/// What an event would be muted by: a source that fires under this key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'s> {
    pub id: &'s InhibitionId,
    pub version: u64,
    pub digest: PlainDigest,
    pub key: StateKey,
}

impl Inhibitions {
    /// Documents were checked when they were saved, so `Broken` is normally empty.
    #[must_use]
    pub fn compile(documents: Vec<Version<Inhibition>>) -> (Self, Vec<Broken>) {
        let mut documents = documents;
        documents.retain(|version| version.document.enabled);
        documents.sort_unstable_by(|a, b| a.document.id.cmp(&b.document.id));
        let (mut all, mut patterns, mut broken) = (Vec::new(), Vec::new(), Vec::new());
        for Version { version, digest, document } in documents {
            let compiled = digest_of(&digest).and_then(|digest| Ok((digest, document.patterns()?)));
            match compiled {
                Ok((digest, Patterns { source, resolve, target })) => {
                    let place = u32::try_from(all.len()).unwrap_or(u32::MAX);
                    patterns.push(((place, Side::Source), source));
                    patterns.extend(resolve.map(|resolve| ((place, Side::Resolve), resolve)));
                    patterns.push(((place, Side::Target), target));
                    all.push(Compiled {
                        source: serde_json::to_string(&document.source).unwrap_or_default(),
                        id: document.id,
                        version,
                        digest,
                        equal: document.equal,
                        lasts: document.r#for,
                    });
                }
                Err(problem) => {
                    broken.push(Broken { kind: Kind::Inhibition, id: document.id.to_string(), problem });
                }
            }
        }
        (Self(Arc::new(Inner { all, patterns: RuleSet::new(patterns) })), broken)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.all.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.all.len()
    }

    /// On which sides of which inhibitions an event stands; asked once for each event.
    #[must_use]
    pub fn of_event<'s>(&'s self, event: &Value) -> Sides<'s> {
        if self.is_empty() {
            return Sides(Vec::new());
        }
        let mut sides: Vec<Standing<'s>> = Vec::new();
        // They come by inhibition.
        for (place, side) in self.0.patterns.matching(event) {
            let Some(inhibition) = self.0.all.get(*place as usize) else { continue };
            let known = sides.last_mut().filter(|last| std::ptr::eq(last.inhibition, inhibition));
            let standing = match known {
                Some(known) => known,
                None => {
                    let Some(values) = inhibition.values(event) else { continue };
                    sides.push(Standing { inhibition, values, source: false, resolve: false, target: false });
                    let Some(last) = sides.last_mut() else { continue };
                    last
                }
            };
            match side {
                Side::Source => standing.source = true,
                Side::Resolve => standing.resolve = true,
                Side::Target => standing.target = true,
            }
        }
        Sides(sides)
    }

    /// [`Self::of_event`] and [`Sides::sources`].
    #[must_use]
    pub fn sources(&self, event: &Value) -> Vec<SourceChange<'_>> {
        self.of_event(event).sources()
    }

    /// [`Self::of_event`] and [`Sides::targets`].
    #[must_use]
    pub fn targets(&self, event: &Value) -> Vec<Target<'_>> {
        self.of_event(event).targets()
    }
}

/// What one event is to the inhibitions.
#[derive(Debug, Clone)]
pub struct Sides<'s>(Vec<Standing<'s>>);

#[derive(Debug, Clone)]
struct Standing<'s> {
    inhibition: &'s Compiled,
    values: Vec<String>,
    source: bool,
    resolve: bool,
    target: bool,
}

impl<'s> Sides<'s> {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What this event changes; the same key at most once.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceChange<'s>> {
        let mut changes = Vec::new();
        for standing in &self.0 {
            let Compiled { id, version, lasts, .. } = standing.inhibition;
            let mut change = |like, firing| {
                let key = standing.key(like);
                changes.push(SourceChange { id, version: *version, key, firing, lasts: *lasts });
            };
            if standing.resolve {
                // What it ends may have been of either kind.
                change(Like::SourceAlone, false);
                change(Like::SourceAndTarget, false);
            } else if standing.source {
                change(if standing.target { Like::SourceAndTarget } else { Like::SourceAlone }, true);
            }
        }
        changes
    }

    /// What would mute this event, by inhibition. Nothing of an inhibition that it ends: whoever asks may not have taken
    /// over [`Self::sources`] yet.
    #[must_use]
    pub fn targets(&self) -> Vec<Target<'s>> {
        let mut targets = Vec::new();
        for standing in self.0.iter().filter(|standing| standing.target && !standing.resolve) {
            let Compiled { id, version, digest, .. } = standing.inhibition;
            let by: &[Like] = if standing.source {
                &[Like::SourceAlone]
            } else {
                &[Like::SourceAlone, Like::SourceAndTarget]
            };
            targets.extend(by.iter().map(|like| Target {
                id,
                version: *version,
                digest: *digest,
                key: standing.key(*like),
            }));
        }
        targets
    }
}

impl Standing<'_> {
    fn key(&self, like: Like) -> StateKey {
        let Compiled { id, source, equal, .. } = self.inhibition;
        let like = match like {
            Like::SourceAlone => "source",
            Like::SourceAndTarget => "both",
        };
        let fixed = ["inhibition", id.as_str(), like, source];
        let parts =
            fixed.into_iter().chain(equal.iter().zip(&self.values).flat_map(|(p, v)| [p.as_str(), v]));
        StateKey::derive(parts.map(str::as_bytes))
    }
}

impl Compiled {
    /// One text per value, the same for equal ones. `None` when one is missing.
    fn values(&self, event: &Value) -> Option<Vec<String>> {
        self.equal
            .iter()
            .map(|pointer| match event.pointer(pointer)? {
                Value::Null => None,
                Value::String(text) if text.is_empty() => None,
                value => {
                    let mut value = value.clone();
                    let canonical = jcs::canonicalise(&mut value);
                    Some(canonical.unwrap_or_else(|_| value.to_string()))
                }
            })
            .collect()
    }
}
