//! Fluent text bundles: `t("key", name=value)` and the chain of locales it looks in.

use super::budget::{Budget, Fault, MAX_OUTPUT, MAX_TEMPLATE_SOURCE, Outcome};
use super::markdown;
use super::value::Val;
use crate::document::template::BUNDLE_SCHEMA;
use crate::document::{Bundle, Version};
use crate::ids::TemplateId;
use crate::problem::{Code, Problem};
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::cell::Cell;
use std::fmt;
use unic_langid::LanguageIdentifier;

/// `{`, and `(` inside of it, within each other; the FTL parser recurses on both.
const MAX_NESTING: usize = 30;

/// All texts of one locale.
struct LocaleTexts {
    locale: String,
    bundle: FluentBundle<FluentResource>,
    digests: Vec<String>,
}

/// All texts of a tenant.
#[derive(Default)]
pub struct Texts(Vec<LocaleTexts>);

impl Texts {
    /// Parses all bundles. One that is broken is left out and reported; the others work.
    pub fn compile(bundles: &[Version<Bundle>]) -> (Self, Vec<(TemplateId, Problem)>) {
        let mut texts = Self::default();
        let mut problems = Vec::new();
        let mut sorted: Vec<_> = bundles.iter().collect();
        // Of two texts with one key the first stays: that must not depend on the order they were listed in.
        sorted.sort_by(|a, b| a.document.id.cmp(&b.document.id));
        for version in sorted {
            match parse(&version.document) {
                Ok((language, resource)) => {
                    let home = texts.home(&language);
                    home.digests.push(version.digest.clone());
                    if let Err(errors) = home.bundle.add_resource(resource) {
                        for error in errors {
                            problems.push((version.document.id.clone(), duplicate(&error.to_string())));
                        }
                    }
                }
                Err(problem) => problems.push((version.document.id.clone(), problem)),
            }
        }
        (texts, problems)
    }

    fn home(&mut self, language: &LanguageIdentifier) -> &mut LocaleTexts {
        let locale = language.to_string();
        let index = self.0.iter().position(|known| known.locale == locale).unwrap_or_else(|| {
            let mut bundle = FluentBundle::new_concurrent(vec![language.clone()]);
            // The marks U+2068 and U+2069 around each value would show in plain-text channels.
            bundle.set_use_isolating(false);
            let name = locale.clone();
            let known = bundle.add_function("NUMBER", number).and_then(|()| {
                bundle.add_function("DATETIME", move |values, named| datetime(values, named, &name))
            });
            debug_assert!(known.is_ok(), "a new bundle has no functions");
            self.0.push(LocaleTexts { locale, bundle, digests: Vec::new() });
            self.0.len() - 1
        });
        &mut self.0[index]
    }

    /// Where to look for a text: asked locale, its language, the tenant's default, its language, `en`.
    pub fn chain<'e>(&'e self, asked: &'e str, default: &str) -> Chain<'e> {
        let mut places: Vec<&LocaleTexts> = Vec::with_capacity(3);
        let mut consider = |wanted: &str| {
            let found = self.0.iter().find(|known| same_locale(&known.locale, wanted));
            places.extend(found.filter(|found| !places.iter().any(|known| std::ptr::eq(*known, *found))));
        };
        for locale in [asked, default, "en"] {
            consider(locale);
            if let Some((language, _)) = locale.split_once(['-', '_']) {
                consider(language);
            }
        }
        Chain { asked, places, used: Cell::new(None) }
    }
}

/// `de_AT`, `de-at` and `de-AT` are one.
fn same_locale(known: &str, wanted: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    known.len() == wanted.len() && known.bytes().map(plain).eq(wanted.bytes().map(plain))
}

/// The places one message looks for its texts, best first.
pub struct Chain<'e> {
    asked: &'e str,
    places: Vec<&'e LocaleTexts>,
    /// Best place that gave a text so far.
    used: Cell<Option<usize>>,
}

impl<'e> Chain<'e> {
    /// The locale whose text was used, if any was; the most wanted one when several were.
    pub fn used_locale(&self) -> Option<&'e str> {
        self.used.get().and_then(|index| self.places.get(index)).map(|place| place.locale.as_str())
    }

    /// Digests of every bundle that was looked into: also one without the key decides what is shown.
    pub fn digests(&self) -> Vec<String> {
        self.places.iter().flat_map(|place| place.digests.iter().cloned()).collect()
    }

    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    fn find(
        &self,
        key: &str,
    ) -> Option<(usize, &'e FluentBundle<FluentResource>, &'e fluent_syntax::ast::Pattern<&'e str>)> {
        let (id, attribute) =
            key.split_once('.').map_or((key, None), |(id, attribute)| (id, Some(attribute)));
        self.places.iter().enumerate().find_map(|(index, place)| {
            let message = place.bundle.get_message(id)?;
            let pattern = match attribute {
                None => message.value()?,
                Some(name) => message.get_attribute(name)?.value(),
            };
            Some((index, &place.bundle, pattern))
        })
    }

    /// Formats one text. In Markdown the bundle's own words are markup, and the values given to it are escaped.
    pub fn format(
        &self,
        key: &str,
        values: &[(&str, Val<'_>)],
        markdown: bool,
        budget: &Budget,
    ) -> Outcome<String> {
        let Some((index, bundle, pattern)) = self.find(key) else {
            let looked: Vec<_> = self.places.iter().map(|place| place.locale.as_str()).collect();
            let looked = if looked.is_empty() { "no bundle".to_owned() } else { looked.join(", ") };
            return Err(Fault::new(
                format!("no text `{key}` for locale `{}` (looked in {looked})", self.asked),
                format!("add `{key} = …` to a text bundle of that locale, or of `en`"),
            ));
        };
        self.used.set(Some(self.used.get().map_or(index, |best| best.min(index))));
        let mut args = FluentArgs::with_capacity(values.len());
        for (name, value) in values {
            args.set(*name, argument(value, markdown, budget)?);
        }
        let mut out = Bounded { text: String::with_capacity(64), full: false };
        let mut errors = Vec::new();
        let written = bundle.write_pattern(&mut out, pattern, Some(&args), &mut errors);
        budget.make(out.text.len())?;
        if out.full || written.is_err() {
            return Err(Fault::new(
                format!("the text `{key}` becomes longer than {MAX_OUTPUT} bytes"),
                "give it shorter values",
            ));
        }
        if let Some(error) = errors.first() {
            return Err(Fault::new(
                format!("the text `{key}` of locale `{}` failed: {error}", self.places[index].locale),
                "give `t` every value that the text names",
            ));
        }
        Ok(out.text)
    }
}

fn argument<'v>(value: &'v Val<'_>, markdown: bool, budget: &Budget) -> Outcome<FluentValue<'v>> {
    // Fluent counts in floats; beyond 2^53 only the text is exact.
    const EXACT: u64 = 1 << 53;
    Ok(match value {
        Val::Int(int) if int.unsigned_abs() <= EXACT => FluentValue::from(*int),
        Val::Float(float) => FluentValue::from(*float),
        Val::Safe(text) if markdown => FluentValue::from(&**text),
        other => {
            let text = other.to_text()?;
            if markdown {
                budget.make(markdown::escaped_bound(&text))?;
                let mut escaped = String::with_capacity(text.len() + 8);
                markdown::push_escaped(&mut escaped, &text);
                FluentValue::from(escaped)
            } else {
                budget.make(text.len())?;
                FluentValue::from(text.to_string())
            }
        }
    })
}

/// Stops writing instead of growing: nested references multiply ("billion laughs").
struct Bounded {
    text: String,
    full: bool,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if self.text.len() + more.len() > MAX_OUTPUT {
            self.full = true;
            return Err(fmt::Error);
        }
        self.text.push_str(more);
        Ok(())
    }
}

/// `NUMBER($n, minimumFractionDigits: 2)`. The library's own one allocates as many digits as it is asked for.
fn number<'a>(values: &[FluentValue<'a>], named: &FluentArgs) -> FluentValue<'a> {
    const MAX_DIGITS: usize = 20;
    let Some(FluentValue::Number(number)) = values.first() else { return FluentValue::Error };
    let mut number = number.clone();
    number.options.merge(named);
    number.options.minimum_fraction_digits =
        number.options.minimum_fraction_digits.map(|d| d.min(MAX_DIGITS));
    FluentValue::Number(number)
}

/// `DATETIME($time, zone: "Europe/Berlin", style: "date")`.
fn datetime<'a>(values: &[FluentValue<'a>], named: &FluentArgs, locale: &str) -> FluentValue<'a> {
    let Some(FluentValue::String(time)) = values.first() else { return FluentValue::Error };
    let text = |name, otherwise| match named.get(name) {
        Some(FluentValue::String(text)) => text.to_string(),
        _ => String::from(otherwise),
    };
    date_time(time, &text("zone", "UTC"), &text("style", "both"), locale)
        .map_or(FluentValue::Error, FluentValue::from)
}

/// An RFC 3339 time in words of the locale: English, German, or ISO order for all others. Any other text is
/// returned as it is: a producer's odd time must not keep an alert back.
pub fn date_time(time: &str, zone: &str, style: &str, locale: &str) -> Outcome<String> {
    let zone = if zone == "UTC" {
        TimeZone::UTC
    } else {
        TimeZone::get(zone).map_err(|_| {
            let shown: String = zone.chars().take(40).collect();
            Fault::new(format!("there is no time zone `{shown}`"), "use an IANA name such as `Europe/Berlin`")
        })?
    };
    let (date, clock) = match locale.split(['-', '_']).next() {
        Some("en") => ("%-d %b %Y", "%H:%M %Z"),
        Some("de") => ("%d.%m.%Y", "%H:%M %Z"),
        _ => ("%Y-%m-%d", "%H:%M %Z"),
    };
    let format = match style {
        "both" => format!("{date}, {clock}"),
        "date" => date.to_owned(),
        "time" => clock.to_owned(),
        other => {
            let shown: String = other.chars().take(40).collect();
            return Err(Fault::new(format!("`{shown}` is no style of time"), "use `both`, `date` or `time`"));
        }
    };
    let Ok(at) = time.trim().parse::<Timestamp>() else { return Ok(time.to_owned()) };
    Ok(at.to_zoned(zone).strftime(&format).to_string())
}

fn invalid(path: &str, reason: impl Into<String>, fix: &str) -> Problem {
    Problem::new(Code::InvalidBundle, path, reason, fix)
}

fn duplicate(error: &str) -> Problem {
    let reason = format!("another bundle of this locale has the text already: {error}");
    invalid("/messages", reason, "keep the text in one bundle")
}

/// Checks one bundle: locale, syntax, references.
///
/// # Errors
/// A [`Problem`] with the line of the first mistake.
pub fn validate(bundle: &Bundle) -> Result<(), Problem> {
    let (language, resource) = parse(bundle)?;
    let mut texts = Texts::default();
    let home = texts.home(&language);
    if let Err(errors) = home.bundle.add_resource(resource) {
        let first = errors.first().map(ToString::to_string).unwrap_or_default();
        return Err(invalid("/messages", first, "give each text its own key"));
    }
    // A dry run of every text finds references to texts, terms and functions that do not exist.
    let source = FluentResource::try_new(bundle.messages.clone()).ok();
    for entry in source.iter().flat_map(FluentResource::entries) {
        let fluent_syntax::ast::Entry::Message(message) = entry else { continue };
        let Some(pattern) = home.bundle.get_message(message.id.name).and_then(|m| m.value()) else {
            continue;
        };
        let mut errors = Vec::new();
        let mut out = Bounded { text: String::new(), full: false };
        let _ = home.bundle.write_pattern(&mut out, pattern, None, &mut errors);
        let fault = errors.iter().map(ToString::to_string).find(|error| !error.contains("variable"));
        if let Some(fault) = fault {
            let reason = format!("the text `{}` cannot be formatted: {fault}", message.id.name);
            return Err(invalid(
                "/messages",
                reason,
                "functions are NUMBER and DATETIME; texts and terms must exist",
            ));
        }
    }
    Ok(())
}

fn parse(bundle: &Bundle) -> Result<(LanguageIdentifier, FluentResource), Problem> {
    if bundle.schema != BUNDLE_SCHEMA {
        return Err(invalid("/schema", format!("`{}` is not `{BUNDLE_SCHEMA}`", bundle.schema), ""));
    }
    let language: LanguageIdentifier = bundle.locale.parse().map_err(|_| {
        invalid(
            "/locale",
            format!("`{}` is not a BCP 47 language tag", bundle.locale),
            "use a tag such as `de` or `en-GB`",
        )
    })?;
    let source = &bundle.messages;
    if source.len() > MAX_TEMPLATE_SOURCE {
        let reason =
            format!("the texts have {} bytes, more than the {MAX_TEMPLATE_SOURCE} allowed", source.len());
        return Err(invalid("/messages", reason, "split them over several bundles"));
    }
    check_nesting(source)?;
    check_links(source)?;
    let resource = FluentResource::try_new(source.clone()).map_err(|(_, errors)| {
        let first = errors.first();
        let line = first
            .map_or(1, |e| source.as_bytes().iter().take(e.pos.start).filter(|b| **b == b'\n').count() + 1);
        let what = first.map(ToString::to_string).unwrap_or_default();
        invalid(
            "/messages",
            format!("not Fluent: {what} (line {line})"),
            "see projectfluent.org/fluent/guide",
        )
    })?;
    Ok((language, resource))
}

/// Bounds how deep the parser recurses. Quoted braces count too; thirty unbalanced ones are no real text.
fn check_nesting(source: &str) -> Result<(), Problem> {
    let (mut braces, mut parens) = (0_usize, 0_usize);
    for (number, line) in source.lines().enumerate() {
        if braces == 0 && line.starts_with('#') {
            continue;
        }
        for byte in line.bytes() {
            match byte {
                b'{' => braces += 1,
                b'}' => {
                    braces = braces.saturating_sub(1);
                    if braces == 0 {
                        parens = 0;
                    }
                }
                b'(' if braces > 0 => parens += 1,
                b')' => parens = parens.saturating_sub(1),
                _ => {}
            }
            if braces + parens > MAX_NESTING {
                let reason = format!("more than {MAX_NESTING} levels of braces (line {})", number + 1);
                return Err(invalid("/messages", reason, "close every brace"));
            }
        }
    }
    Ok(())
}

/// A value escaped as text must not become the address of a link: `javascript:` survives escaping.
fn check_links(source: &str) -> Result<(), Problem> {
    for (number, line) in source.lines().enumerate() {
        let dense: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        if ["]({", "](<{", "<{"].iter().any(|bad| dense.contains(bad)) {
            let reason = format!("a link's address cannot come from a value here (line {})", number + 1);
            return Err(invalid(
                "/messages",
                reason,
                "make the link in the template: `url | link(t(\"title\"))`",
            ));
        }
    }
    Ok(())
}
