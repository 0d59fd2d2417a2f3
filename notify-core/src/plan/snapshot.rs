//! A tenant's configuration, compiled once per document and then only read.

use super::by_id::RulesById;
use crate::document::console::built_in;
use crate::document::noise::{Digest, DigestMode, Empty};
use crate::document::{Bundle, Channel, Kind, Rule, Template, Version};
use crate::ids::{ChannelId, RuleId, TenantId};
use crate::ledger::commitment::PlainDigest;
use crate::noise::config::{NoiseConfig, NoiseDocuments};
use crate::pattern::{Pattern, RuleSet};
use crate::problem::{Code, Problem};
use crate::render::Library;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything `plan` needs to know about a tenant.
///
/// Immutable, and cheap to clone: [`Self::changed`] gives another one that shares what did not change, so readers that
/// hold this one are never disturbed.
#[derive(Clone)]
pub struct Snapshot {
    pub tenant: TenantId,
    pub config_version: u64,
    /// Also the disabled ones: a decision names why nothing was sent.
    pub channels: Arc<BTreeMap<ChannelId, Version<Channel>>>,
    pub library: Arc<Library>,
    pub default_locale: String,
    pub noise: Arc<NoiseConfig>,
    /// Enabled rules by priority (higher first), then id.
    rules: RuleSet<Arc<CompiledRule>>,
    by_id: RulesById,
    /// Rules with a digest that is sent even if nothing happens.
    armed: Arc<BTreeMap<RuleId, Arc<CompiledRule>>>,
}

/// A rule that can be planned with. Ordered as rules are planned: by priority (higher first), then id.
#[derive(Debug)]
pub struct CompiledRule {
    /// Without its `match`, `filters` and `tests`: the compiled pattern stands for it, and 100,000 of them need not be kept
    /// twice.
    pub rule: Rule,
    pub version: u64,
    pub digest: PlainDigest,
}

impl Ord for CompiledRule {
    fn cmp(&self, other: &Self) -> Ordering {
        other.rule.priority.cmp(&self.rule.priority).then_with(|| self.rule.id.cmp(&other.rule.id))
    }
}

impl PartialOrd for CompiledRule {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for CompiledRule {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for CompiledRule {}

/// A stored document that this build cannot use. It is left out and reported, never a reason to stop a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub kind: Kind,
    pub id: String,
    pub problem: Problem,
}

/// A tenant's current documents.
#[derive(Debug, Clone, Default)]
pub struct Documents {
    pub rules: Vec<Version<Rule>>,
    pub channels: Vec<Version<Channel>>,
    pub texts: Texts,
    pub noise: NoiseDocuments,
}

/// What differs from an earlier configuration: each document as it is now, `None` where it is gone. Of several about
/// one document the last counts.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    pub config_version: u64,
    pub rules: Vec<(RuleId, Option<Version<Rule>>)>,
    pub channels: Vec<(ChannelId, Option<Version<Channel>>)>,
    /// All templates and bundles, when any of them changed: they are compiled together.
    pub texts: Option<Texts>,
    /// All documents of noise control, when any of them changed.
    pub noise: Option<NoiseDocuments>,
}

/// Templates and bundles as they are now.
pub type Texts = (Vec<Version<Template>>, Vec<Version<Bundle>>);

impl Snapshot {
    /// Compiles what the store holds. Documents were checked when they were saved, so `Broken` is normally empty.
    #[must_use]
    pub fn compile(
        tenant: TenantId,
        config_version: u64,
        default_locale: &str,
        documents: Documents,
    ) -> (Self, Vec<Broken>) {
        let Documents { rules, channels, texts: (templates, bundles), noise } = documents;
        let mut broken = Vec::new();
        let noise = NoiseConfig::compile(noise, &mut broken);
        let enabled = rules.into_iter().filter(|rule| rule.document.enabled);
        let compiled: Vec<_> = enabled.filter_map(|rule| compile_rule(rule, &mut broken)).collect();
        let library = library(&templates, &bundles, default_locale, &mut broken);
        let snapshot = Self {
            tenant,
            config_version,
            channels: Arc::new(with_built_in(channels)),
            library,
            default_locale: default_locale.to_owned(),
            noise: Arc::new(noise),
            by_id: RulesById::new(compiled.iter().map(|(rule, _)| Arc::clone(rule))),
            armed: Arc::new(compiled.iter().filter_map(|(rule, _)| armed(rule)).collect()),
            rules: RuleSet::new(compiled),
        };
        (snapshot, broken)
    }

    /// This configuration after changes; the same as compiling the changed documents from scratch.
    #[must_use]
    pub fn changed(&self, changes: Changes) -> (Self, Vec<Broken>) {
        let mut broken = Vec::new();
        let mut next = self.clone();
        next.config_version = changes.config_version;
        if !changes.channels.is_empty() {
            let channels = Arc::make_mut(&mut next.channels);
            for (id, channel) in changes.channels {
                match channel {
                    Some(channel) => channels.insert(id, channel),
                    None => match built_in().filter(|own| own.document.id == id) {
                        Some(own) => channels.insert(id, own),
                        None => channels.remove(&id),
                    },
                };
            }
        }
        if let Some((templates, bundles)) = changes.texts {
            next.library = library(&templates, &bundles, &self.default_locale, &mut broken);
        }
        if let Some(noise) = changes.noise {
            next.noise = Arc::new(NoiseConfig::compile(noise, &mut broken));
        }
        let last: BTreeMap<RuleId, Option<Version<Rule>>> = changes.rules.into_iter().collect();
        next.change_rules(last, &mut broken);
        (next, broken)
    }

    fn change_rules(&mut self, changes: BTreeMap<RuleId, Option<Version<Rule>>>, broken: &mut Vec<Broken>) {
        let mut index = BTreeMap::new();
        let mut patterns = Vec::new();
        for (id, change) in changes {
            let known = self.by_id.get(&id);
            let enabled = change.filter(|rule| rule.document.enabled);
            if let (Some(known), Some(rule)) = (known, &enabled)
                && known.version == rule.version
            {
                continue;
            }
            let compiled = enabled.and_then(|rule| compile_rule(rule, broken));
            // Of equal keys the last change counts, so a rule that stays is not taken out.
            patterns.extend(known.map(|known| (Arc::clone(known), None)));
            index.insert(id, compiled.as_ref().map(|(rule, _)| Arc::clone(rule)));
            patterns.extend(compiled.map(|(rule, pattern)| (rule, Some(pattern))));
        }
        if index.is_empty() {
            return;
        }
        for (id, rule) in &index {
            match rule.as_ref().and_then(armed) {
                Some((id, rule)) => drop(Arc::make_mut(&mut self.armed).insert(id, rule)),
                None if self.armed.contains_key(id) => drop(Arc::make_mut(&mut self.armed).remove(id)),
                None => {}
            }
        }
        self.rules = self.rules.changed(patterns);
        self.by_id = self.by_id.changed(&index);
    }

    /// This configuration with one rule in place of all, enabled: what a preview looks at.
    ///
    /// # Errors
    /// When its pattern or its digest is not valid.
    pub fn with_rule_alone(&self, mut rule: Version<Rule>) -> Result<Self, Problem> {
        rule.document.enabled = true;
        let mut broken = Vec::new();
        let compiled = compile_rule(rule, &mut broken);
        if let Some(Broken { problem, .. }) = broken.pop() {
            return Err(problem);
        }
        Ok(Self {
            by_id: RulesById::new(compiled.iter().map(|(rule, _)| Arc::clone(rule))),
            armed: Arc::new(compiled.iter().filter_map(|(rule, _)| armed(rule)).collect()),
            rules: RuleSet::new(compiled),
            ..self.clone()
        })
    }

    /// Whether so many rules have changed that [`Self::folded`] is due (off the path of events).
    #[must_use]
    pub fn wants_folding(&self) -> bool {
        self.rules.wants_folding()
    }

    /// The same configuration with its set of rules built anew as a whole.
    #[must_use]
    pub fn folded(&self) -> Self {
        Self { rules: self.rules.folded(), ..self.clone() }
    }

    /// The rules that match, by priority, then id.
    #[must_use]
    pub fn matching(&self, event: &serde_json::Value) -> Vec<&CompiledRule> {
        self.rules.matching(event).into_iter().map(AsRef::as_ref).collect()
    }

    /// Enabled rules with their patterns, by priority, then id.
    pub fn rules(&self) -> impl Iterator<Item = (&CompiledRule, &Pattern)> {
        self.rules.iter().map(|(rule, pattern)| (rule.as_ref(), pattern))
    }

    /// The compiled pattern of a rule of this snapshot.
    pub(super) fn pattern(&self, rule: &CompiledRule) -> Option<&Pattern> {
        self.by_id.get(&rule.rule.id).and_then(|rule| self.rules.get(rule))
    }

    /// Rules with a digest that is sent even if nothing happens.
    pub(super) fn armed(&self) -> impl Iterator<Item = &CompiledRule> {
        self.armed.values().map(AsRef::as_ref)
    }

    /// Whether some digest is sent even if nothing happens.
    #[must_use]
    pub fn sends_silence(&self) -> bool {
        !self.armed.is_empty()
    }

    /// How many rules are enabled.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// # Errors
    /// [`Code::NotFound`] when the tenant has no enabled rule of this id.
    pub fn rule(&self, id: &RuleId) -> Result<&CompiledRule, Problem> {
        self.by_id.get(id).map(AsRef::as_ref).ok_or_else(|| {
            Problem::new(
                Code::NotFound,
                "",
                format!("there is no enabled rule `{id}`"),
                "list the rules with `notify rule list`",
            )
        })
    }
}

/// A document that has the name of a built-in channel from before there was one goes on as it is until it is deleted.
fn with_built_in(channels: Vec<Version<Channel>>) -> BTreeMap<ChannelId, Version<Channel>> {
    built_in().into_iter().chain(channels).map(|c| (c.document.id.clone(), c)).collect()
}

fn armed(rule: &Arc<CompiledRule>) -> Option<(RuleId, Arc<CompiledRule>)> {
    let sends_silence = |digest: &Digest| digest.mode == DigestMode::Schedule && digest.empty == Empty::Send;
    let any = rule.rule.actions.iter().any(|action| action.digest.as_ref().is_some_and(sends_silence));
    any.then(|| (rule.rule.id.clone(), Arc::clone(rule)))
}

fn compile_rule(rule: Version<Rule>, broken: &mut Vec<Broken>) -> Option<(Arc<CompiledRule>, Pattern)> {
    let Version { version, digest, mut document } = rule;
    let digest = PlainDigest::parse(&digest)
        .ok_or_else(|| Problem::new(Code::Internal, "", "its digest cannot be read", "save the rule again"));
    let pattern = document.pattern();
    match digest.and_then(|digest| Ok((digest, pattern?))) {
        Ok((digest, pattern)) => {
            (document.r#match, document.filters) = (None, None);
            // They were run when the rule was saved.
            document.tests = Vec::new();
            Some((Arc::new(CompiledRule { rule: document, version, digest }), pattern))
        }
        Err(problem) => {
            broken.push(Broken { kind: Kind::Rule, id: document.id.to_string(), problem });
            None
        }
    }
}

fn library(
    templates: &[Version<Template>],
    bundles: &[Version<Bundle>],
    default_locale: &str,
    broken: &mut Vec<Broken>,
) -> Arc<Library> {
    let (library, failures) = Library::compile(templates, bundles, default_locale);
    broken.extend(failures.into_iter().map(|(kind, id, problem)| Broken {
        kind,
        id: id.to_string(),
        problem,
    }));
    Arc::new(library)
}
