//! Merging TOML tables key by key, remembering where each value came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Prefix of environment variables; `__` separates section and key.
const PREFIX: &str = "NOTIFY__";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(PathBuf),
    /// Name of the variable.
    Environment(String),
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// One setting for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    pub key: String,
    /// As TOML, without passwords.
    pub value: String,
    pub origin: Origin,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{} cannot be read: {reason}", file.display())]
    File { file: PathBuf, reason: String },
    #[error("{origin} is not TOML: {reason}")]
    Syntax { origin: Origin, reason: String },
    #[error("{origin}: there is no key `{key}`{}", did_you_mean(suggestion.as_deref()))]
    UnknownKey { origin: Origin, key: String, suggestion: Option<String> },
    #[error("{origin}: `{key}` must be {expected}, not {found}")]
    Type { origin: Origin, key: String, expected: &'static str, found: String },
    #[error("`{key}` must {must}")]
    Bounds { key: &'static str, must: &'static str },
    #[error("a value does not fit: {reason}")]
    Value { reason: String },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|key| format!("; did you mean `{key}`?")).unwrap_or_default()
}

/// Values by `section.key`, the latest layer on top.
pub struct Layers {
    values: BTreeMap<String, (Value, Origin)>,
}

impl Layers {
    pub fn new(defaults: &str) -> Result<Self, ConfigError> {
        let mut layers = Self { values: BTreeMap::new() };
        for (key, value) in flatten(parse(defaults, &Origin::Default)?) {
            layers.values.insert(key, (value, Origin::Default));
        }
        Ok(layers)
    }

    pub fn file(&mut self, file: &Path, text: &str) -> Result<(), ConfigError> {
        let origin = Origin::File(file.to_owned());
        for (key, value) in flatten(parse(text, &origin)?) {
            self.put(&key, value, origin.clone())?;
        }
        Ok(())
    }

    pub fn environment(&mut self, variables: &[(String, String)]) -> Result<(), ConfigError> {
        for (name, text) in variables {
            if let Some(rest) = name.strip_prefix(PREFIX) {
                let key = rest.to_ascii_lowercase().replace("__", ".");
                self.set(&key, text, Origin::Environment(name.clone()))?;
            }
        }
        Ok(())
    }

    /// A value given as text, read as the type that the key has.
    pub fn set(&mut self, key: &str, text: &str, origin: Origin) -> Result<(), ConfigError> {
        let Some((current, _)) = self.values.get(key) else { return Err(self.unknown(key, origin)) };
        let wrong = |expected| ConfigError::Type {
            origin: origin.clone(),
            key: key.to_owned(),
            expected,
            found: format!("`{text}`"),
        };
        let value = match current {
            Value::Integer(_) => Value::Integer(text.trim().parse().map_err(|_| wrong("a whole number"))?),
            Value::Boolean(_) => Value::Boolean(text.trim().parse().map_err(|_| wrong("true or false"))?),
            Value::Array(_) if text.trim_start().starts_with('[') => {
                let table: Table =
                    toml::from_str(&format!("x = {text}")).map_err(|_| wrong("a TOML list"))?;
                table.get("x").cloned().ok_or_else(|| wrong("a TOML list"))?
            }
            Value::Array(items) => {
                let numbers = items.first().is_some_and(Value::is_integer);
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                let read = |part: &str| match (numbers, part.parse()) {
                    (true, Ok(number)) => Ok(Value::Integer(number)),
                    (true, Err(_)) => Err(wrong("a list of whole numbers")),
                    (false, _) => Ok(Value::String(part.to_owned())),
                };
                Value::Array(parts.map(read).collect::<Result<_, _>>()?)
            }
            _ => Value::String(text.to_owned()),
        };
        self.put(key, value, origin)
    }

    fn put(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), ConfigError> {
        let Some((current, _)) = self.values.get(key) else { return Err(self.unknown(key, origin)) };
        if !current.same_type(&value) {
            return Err(ConfigError::Type {
                origin,
                key: key.to_owned(),
                expected: current.type_str(),
                found: value.type_str().to_owned(),
            });
        }
        self.values.insert(key.to_owned(), (value, origin));
        Ok(())
    }

    fn unknown(&self, key: &str, origin: Origin) -> ConfigError {
        let nearest = self.values.keys().map(|known| (distance(key, known), known)).min();
        let suggestion =
            nearest.filter(|(steps, _)| *steps <= 3.max(key.len() / 3)).map(|(_, known)| known.clone());
        ConfigError::UnknownKey { origin, key: key.to_owned(), suggestion }
    }

    pub fn explained(&self) -> Vec<Explained> {
        let shown = |(key, (value, origin)): (&String, &(Value, Origin))| Explained {
            key: key.clone(),
            value: match value {
                Value::String(text) if key == "store.url" => format!("\"{}\"", without_password(text)),
                other => other.to_string(),
            },
            origin: origin.clone(),
        };
        self.values.iter().map(shown).collect()
    }

    pub fn into_table(self) -> Table {
        let mut root = Table::new();
        for (key, (value, _)) in self.values {
            let (section, name) = key.split_once('.').unwrap_or(("", &key));
            let section = root.entry(section.to_owned()).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                section.insert(name.to_owned(), value);
            }
        }
        root
    }
}

fn parse(text: &str, origin: &Origin) -> Result<Table, ConfigError> {
    toml::from_str(text).map_err(|error: toml::de::Error| ConfigError::Syntax {
        origin: origin.clone(),
        reason: error.to_string(),
    })
}

fn flatten(table: Table) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    for (section, value) in table {
        match value {
            Value::Table(inner) => {
                out.extend(inner.into_iter().map(|(key, value)| (format!("{section}.{key}"), value)));
            }
            other => out.push((section, other)),
        }
    }
    out
}

/// The URL as it may be shown. One that cannot be read is hidden from its scheme on: its password could be anywhere.
fn without_password(url: &str) -> String {
    if url.starts_with("sqlite:") {
        return url.to_owned();
    }
    let Ok(mut parsed) = url::Url::parse(url) else {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        return format!("{scheme}://hidden, because it is no URL");
    };
    if parsed.password().is_some() {
        let _ = parsed.set_password(Some("hidden"));
    }
    // PostgreSQL's URLs may carry it as a parameter.
    if parsed.query().is_some() {
        let shown: Vec<(String, String)> = parsed
            .query_pairs()
            .map(|(name, value)| {
                let secret = name.to_ascii_lowercase().contains("password");
                (name.into_owned(), if secret { "hidden".to_owned() } else { value.into_owned() })
            })
            .collect();
        parsed.query_pairs_mut().clear().extend_pairs(shown);
    }
    parsed.to_string()
}

/// Levenshtein's distance, for suggestions.
pub fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (to, cell) in b.chars().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            left = (above + 1).min(left + 1).min(diagonal + usize::from(from != to));
            diagonal = above;
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}
