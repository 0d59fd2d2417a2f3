//! Overrides: controls that do not stop some alerts for a time.

use super::control::Control;
use super::scoped::{Builder, Entry, Matched, Scoped};
use super::silence::digest_of;
use crate::document::{Kind, Override, Version};
use crate::ids::{ChannelId, OverrideId, RuleId};
use crate::ledger::commitment::PlainDigest;
use crate::plan::Broken;
use crate::time::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// The overrides of a tenant. Immutable; clones share.
#[derive(Debug, Clone, Default)]
pub struct Overrides(Arc<Scoped<Compiled>>);

#[derive(Debug)]
struct Compiled {
    id: OverrideId,
    version: u64,
    digest: PlainDigest,
    controls: Vec<Control>,
}

/// An override that bypasses a control for an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverrideHit<'s> {
    pub id: &'s OverrideId,
    pub version: u64,
    pub digest: PlainDigest,
    pub until: Option<Timestamp>,
}

impl Overrides {
    /// Documents were checked when they were saved, so `Broken` is normally empty.
    #[must_use]
    pub fn compile(documents: Vec<Version<Override>>) -> (Self, Vec<Broken>) {
        let mut documents = documents;
        documents.sort_unstable_by(|a, b| a.document.id.cmp(&b.document.id));
        let (mut builder, mut broken) = (Builder::default(), Vec::new());
        for Version { version, digest, document } in documents {
            let id = document.id.clone();
            let controls = document.controls.clone();
            let added = digest_of(&digest).and_then(|digest| {
                builder.add(&document.scope(), Compiled { id: id.clone(), version, digest, controls })
            });
            if let Err(problem) = added {
                broken.push(Broken { kind: Kind::Override, id: id.to_string(), problem });
            }
        }
        (Self(Arc::new(builder.build())), broken)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The overrides that are about an event at this time: asked once for each event.
    #[must_use]
    pub fn of_event(&self, event: &Value, at: Timestamp) -> Bypasses<'_> {
        Bypasses { matched: self.0.of_event(event), at }
    }
}

/// The overrides that are about one event.
#[derive(Debug)]
pub struct Bypasses<'s> {
    matched: Matched<'s, Compiled>,
    at: Timestamp,
}

impl<'s> Bypasses<'s> {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.matched.is_empty()
    }

    /// The override that lets this alert pass this control; of several the one that lasts longest, then by id.
    #[must_use]
    pub fn bypassed(&self, rule: &RuleId, channel: &ChannelId, control: Control) -> Option<OverrideHit<'s>> {
        if self.is_empty() {
            return None;
        }
        let named = |compiled: &Compiled| compiled.controls.contains(&control);
        let Entry { until, value, .. } = self.matched.longest(rule, channel, self.at, named)?;
        Some(OverrideHit { id: &value.id, version: value.version, digest: value.digest, until: *until })
    }
}
