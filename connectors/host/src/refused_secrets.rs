//! Values of secrets that a manifest refuses: the host's part of a connector's checks, for codecs see no secret.

use crate::manifest::SecretName;
use crate::secrets::ResolvedSecrets;
use regex::{Regex, RegexBuilder};

/// Longest pattern, and what it may take when it is compiled, in bytes.
const PATTERN: usize = 1024;
const COMPILED: usize = 256 * 1024;

/// What a manifest refuses, ready to be asked.
#[derive(Debug, Default)]
pub(crate) struct RefusedSecrets {
    rules: Vec<(SecretName, Vec<(Regex, String)>)>,
}

impl RefusedSecrets {
    /// The rules of a manifest that was checked.
    pub(crate) fn of(secrets: &[SecretName]) -> Result<Self, String> {
        let mut rules = Vec::new();
        for secret in secrets.iter().filter(|secret| !secret.refuse.is_empty()) {
            rules.push((secret.clone(), Self::of_one(secret)?));
        }
        Ok(Self { rules })
    }

    /// # Errors
    /// Which pattern is none, for the operator.
    pub(crate) fn of_one(secret: &SecretName) -> Result<Vec<(Regex, String)>, String> {
        let compile = |rule: &crate::manifest::RefusedValue| {
            if rule.reason.is_empty() || rule.pattern.len() > PATTERN {
                return Err(format!(
                    "`refuse` of `{}` needs a reason and at most {PATTERN} bytes",
                    secret.name
                ));
            }
            let regex = RegexBuilder::new(&rule.pattern).size_limit(COMPILED).build();
            let regex = regex.map_err(|error| format!("`refuse` of `{}`: {error}", secret.name))?;
            Ok((regex, rule.reason.clone()))
        };
        secret.refuse.iter().map(compile).collect()
    }

    /// Why a channel's secrets cannot be used. Never quotes a value.
    pub(crate) fn reason(&self, secrets: &ResolvedSecrets) -> Option<String> {
        if self.rules.is_empty() {
            return None;
        }
        secrets.all().find_map(|(name, value)| {
            let (_, rules) = self.rules.iter().find(|(known, _)| known.names(name))?;
            let (_, reason) = rules.iter().find(|(pattern, _)| pattern.is_match(value.expose()))?;
            Some(format!("secret `{name}`: {reason}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::RefusedValue;
    use crate::secrets::SecretValue;

    #[test]
    fn a_value_is_refused_with_its_reason_and_never_quoted() {
        let refuse =
            vec![RefusedValue { pattern: "(?i)old[.]example".into(), reason: "it is retired".into() }];
        let secret = SecretName {
            name: "url".into(),
            required: true,
            many: false,
            description: String::new(),
            refuse,
        };
        let rules = RefusedSecrets::of(std::slice::from_ref(&secret)).expect("a regular expression");
        let reason = |name: &str, value: &str| {
            let mut secrets = ResolvedSecrets::default();
            secrets.insert(name, vec![SecretValue::new(value.to_owned())]);
            rules.reason(&secrets)
        };
        assert_eq!(reason("url", "https://OLD.example/k").as_deref(), Some("secret `url`: it is retired"));
        assert_eq!(reason("url", "https://new.example/k"), None);
        assert_eq!(reason("other", "https://old.example/k"), None);
        for pattern in ["(", "(?=x)", &"x".repeat(PATTERN + 1)] {
            let refuse = vec![RefusedValue { pattern: pattern.into(), reason: "r".into() }];
            assert!(RefusedSecrets::of(&[SecretName { refuse, ..secret.clone() }]).is_err(), "{pattern}");
        }
    }
}
