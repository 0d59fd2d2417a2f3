//! A tenant's configuration, compiled once per version and then only read.

use crate::document::{Bundle, Channel, Kind, Rule, Template, Version};
use crate::ids::{ChannelId, RuleId, TenantId};
use crate::ledger::commitment::PlainDigest;
use crate::pattern::RuleSet;
use crate::problem::{Code, Problem};
use crate::render::Library;
use std::collections::BTreeMap;

/// Everything `plan` needs to know about a tenant.
pub struct Snapshot {
    pub tenant: TenantId,
    pub config_version: u64,
    /// Enabled rules by priority (higher first), then id.
    pub rules: Vec<CompiledRule>,
    /// Also the disabled ones: a decision names why nothing was sent.
    pub channels: BTreeMap<ChannelId, Version<Channel>>,
    pub library: Library,
    pub default_locale: String,
    matcher: RuleSet<usize>,
}

#[derive(Debug)]
pub struct CompiledRule {
    pub rule: Rule,
    pub version: u64,
    pub digest: PlainDigest,
}

/// A stored document that this build cannot use. It is left out and reported, never a reason to stop a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub kind: Kind,
    pub id: String,
    pub problem: Problem,
}

impl Snapshot {
    /// Compiles what the store holds. Documents were checked when they were saved, so `Broken` is normally empty.
    #[must_use]
    pub fn compile(
        tenant: TenantId,
        config_version: u64,
        default_locale: &str,
        rules: Vec<Version<Rule>>,
        channels: Vec<Version<Channel>>,
        templates: &[Version<Template>],
        bundles: &[Version<Bundle>],
    ) -> (Self, Vec<Broken>) {
        let mut broken = Vec::new();
        let mut compiled = Vec::new();
        for Version { version, digest, document } in rules {
            if !document.enabled {
                continue;
            }
            let digest = PlainDigest::parse(&digest).ok_or_else(|| {
                Problem::new(Code::Internal, "", "its digest cannot be read", "save the rule again")
            });
            let pattern = document.pattern();
            match digest.and_then(|digest| Ok((digest, pattern?))) {
                Ok((digest, pattern)) => {
                    compiled.push((CompiledRule { rule: document, version, digest }, pattern))
                }
                Err(problem) => {
                    broken.push(Broken { kind: Kind::Rule, id: document.id.to_string(), problem })
                }
            }
        }
        compiled.sort_by(|(a, _), (b, _)| {
            b.rule.priority.cmp(&a.rule.priority).then_with(|| a.rule.id.cmp(&b.rule.id))
        });
        let (rules, patterns): (Vec<_>, Vec<_>) = compiled.into_iter().unzip();
        let (library, failures) = Library::compile(templates, bundles, default_locale);
        broken.extend(failures.into_iter().map(|(kind, id, problem)| Broken {
            kind,
            id: id.to_string(),
            problem,
        }));
        let channels = channels.into_iter().map(|c| (c.document.id.clone(), c)).collect();
        let matcher = RuleSet::new(patterns.into_iter().enumerate());
        let default_locale = default_locale.to_owned();
        (Self { tenant, config_version, rules, channels, library, default_locale, matcher }, broken)
    }

    /// The rules that match, by priority, then id.
    #[must_use]
    pub fn matching(&self, event: &serde_json::Value) -> Vec<&CompiledRule> {
        self.matcher.matching(event).into_iter().filter_map(|index| self.rules.get(*index)).collect()
    }

    /// # Errors
    /// [`Code::NotFound`] when the tenant has no enabled rule of this id.
    pub fn rule(&self, id: &RuleId) -> Result<&CompiledRule, Problem> {
        self.rules.iter().find(|rule| &rule.rule.id == id).ok_or_else(|| {
            Problem::new(
                Code::NotFound,
                "",
                format!("there is no enabled rule `{id}`"),
                "list the rules with `notify rule list`",
            )
        })
    }
}
