//! All rules of one tenant behind one immutable value: an indexed base, what has changed since, and what has gone.

use super::Pattern;
use super::index::{Fixed, Layer, Loose, NotJson, Paths, Scratch};
use crate::json::{self, Limits};
use crate::problem::Problem;
use serde_json::Value;
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Rules that are tried one by one before they get an index of their own.
const MAX_LOOSE: usize = 16;
/// Rules in an index that is built anew for a few more: what a single change waits for at most.
const MAX_SMALL: usize = 64;
/// Parts that are searched one after the other before the small ones are joined.
const MAX_PARTS: usize = 12;
/// Rules changed since the base was built from which on [`RuleSet::folded`] is worth its time.
const MAX_CHANGED: usize = 512;
/// A trie larger than this is made anew when the set is folded, without the paths of rules that have gone.
const MAX_KEPT_PATHS: usize = 10_000;

/// Patterns with their keys; answers come in the order of the keys, whatever the order of insertion.
///
/// Immutable: [`Self::with`], [`Self::without`] and [`Self::changed`] give a changed set, which shares nearly all with
/// this one, and leave this one as it is. So readers that hold one are never disturbed, and whoever publishes the new
/// one (behind an `Arc` or a swap) makes the change visible at once. Cloning is cheap.
///
/// A change of a few rules costs microseconds whatever the size of the set. Every so many changes
/// [`Self::wants_folding`]: [`Self::folded`] then builds the whole index anew, off the path of events.
#[derive(Debug)]
pub struct RuleSet<K>(Arc<Inner<K>>);

#[derive(Debug)]
struct Inner<K> {
    /// Of all parts.
    paths: Arc<Paths>,
    /// The base and then what came since, each with an index of its own.
    parts: Vec<Part<K>>,
    /// The latest.
    loose: Vec<Arc<Loose<K>>>,
}

#[derive(Debug)]
struct Part<K> {
    layer: Arc<Layer<K>>,
    /// Places in it whose rules have gone or were replaced.
    gone: Arc<HashSet<usize, Fixed>>,
}

impl<K> Clone for Part<K> {
    fn clone(&self) -> Self {
        Self { layer: Arc::clone(&self.layer), gone: Arc::clone(&self.gone) }
    }
}

impl<K: Ord> Part<K> {
    fn new(layer: Layer<K>) -> Self {
        Self { layer: Arc::new(layer), gone: Arc::default() }
    }

    fn len(&self) -> usize {
        self.layer.rules.len() - self.gone.len()
    }

    fn live(&self) -> impl Iterator<Item = (&K, &Pattern)> {
        let all = self.layer.rules.iter().enumerate();
        all.filter(|(place, _)| !self.gone.contains(place)).map(|(_, (key, pattern))| (key, pattern))
    }

    fn place_of(&self, key: &K) -> Option<usize> {
        let place = self.layer.rules.binary_search_by(|(known, _)| known.cmp(key)).ok();
        place.filter(|place| !self.gone.contains(place))
    }

    fn take_out(&mut self, key: &K) {
        if let Some(place) = self.place_of(key) {
            Arc::make_mut(&mut self.gone).insert(place);
        }
    }
}

impl<K> Clone for RuleSet<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

thread_local! {
    /// For callers that do not keep buffers of their own. Holds nothing that an answer depends on.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl<K: Ord + Clone> RuleSet<K> {
    /// Takes patterns that are compiled already (cloning one is cheap: it is shared). Of equal keys the last wins.
    pub fn new(rules: impl IntoIterator<Item = (K, Pattern)>) -> Self {
        let mut paths = Arc::default();
        let base = Part::new(Layer::build(rules, &mut paths));
        Self(Arc::new(Inner { paths, parts: vec![base], loose: Vec::new() }))
    }

    /// Compiles every pattern.
    ///
    /// # Errors
    /// The key of the first rule whose pattern is refused, with the problem; no rule is left out in silence.
    pub fn compile<'p>(rules: impl IntoIterator<Item = (K, &'p Value)>) -> Result<Self, (K, Problem)> {
        let mut compiled = Vec::new();
        for (key, pattern) in rules {
            match Pattern::compile(pattern) {
                Ok(pattern) => compiled.push((key, pattern)),
                Err(problem) => return Err((key, problem)),
            }
        }
        Ok(Self::new(compiled))
    }

    /// This set with one more rule, or with the rule of an equal key replaced.
    #[must_use]
    pub fn with(&self, key: K, pattern: Pattern) -> Self {
        self.changed([(key, Some(pattern))])
    }

    /// This set without the rule of that key.
    #[must_use]
    pub fn without(&self, key: &K) -> Self {
        self.changed([(key.clone(), None)])
    }

    /// This set with rules put (`Some`) and taken out (`None`); of equal keys the last change counts.
    #[must_use]
    pub fn changed(&self, changes: impl IntoIterator<Item = (K, Option<Pattern>)>) -> Self {
        // The last key of equal ones too: it may carry more than what it is compared by.
        let mut last: BTreeMap<K, Option<Pattern>> = BTreeMap::new();
        for (key, pattern) in changes {
            last.remove(&key);
            last.insert(key, pattern);
        }
        let changes = last;
        let mut next = Inner {
            paths: Arc::clone(&self.0.paths),
            parts: self.0.parts.clone(),
            loose: self.0.loose.iter().filter(|loose| !changes.contains_key(&loose.key)).cloned().collect(),
        };
        for part in &mut next.parts {
            changes.keys().for_each(|key| part.take_out(key));
        }
        let put: Vec<(K, Pattern)> =
            changes.into_iter().filter_map(|(key, pattern)| Some((key, pattern?))).collect();
        if next.loose.len() + put.len() <= MAX_LOOSE {
            for (key, pattern) in put {
                let paths = extended(&mut next.paths, &pattern);
                next.loose.push(Arc::new(Loose::new(key, pattern, paths)));
            }
        } else {
            next.index_loose(put);
        }
        Self(Arc::new(next))
    }

    /// Whether so much has changed since the last whole build that [`Self::folded`] is due (off the path of events).
    #[must_use]
    pub fn wants_folding(&self) -> bool {
        let (base, since) = self.0.parts.split_first().unzip();
        let added: usize = since.unwrap_or_default().iter().map(Part::len).sum();
        let gone = base.map_or(0, |base| base.gone.len());
        // Of a small base also when most of it has gone: it would be held for good.
        added + gone > MAX_CHANGED
            || (gone > MAX_LOOSE && gone * 2 > base.map_or(0, |base| base.layer.rules.len()))
    }

    /// The same rules, built anew as a whole.
    #[must_use]
    pub fn folded(&self) -> Self {
        if self.0.paths.len() > MAX_KEPT_PATHS || self.0.loose.len() == self.len() {
            return Self::new(self.iter().map(cloned));
        }
        // What parts hold is shared already, and the trie knows it.
        let base = Layer::of_shared(self.iter().map(cloned).collect(), &self.0.paths);
        let paths = Arc::clone(&self.0.paths);
        Self(Arc::new(Inner { paths, parts: vec![Part::new(base)], loose: Vec::new() }))
    }

    /// The keys of all rules that match, in the order of the keys. An event that is not an object matches none.
    #[must_use]
    pub fn matching(&self, event: &Value) -> Vec<&K> {
        SCRATCH.with_borrow_mut(|scratch| self.matching_with(scratch, event))
    }

    /// [`Self::matching`] with buffers of the caller.
    pub fn matching_with<'s>(&'s self, scratch: &mut Scratch, event: &Value) -> Vec<&'s K> {
        let mut keys = Vec::new();
        if event.is_object() {
            scratch.read(&self.0.paths, event);
            self.find(scratch, &|| Some(event), &mut keys);
        }
        keys
    }

    /// As [`Self::matching`], from the event's text in one pass that keeps only what the rules ask about. The keys are
    /// put into `keys`, which is emptied first.
    ///
    /// The text must be one that [`json::parse`] accepts (intake sees to it): what that refuses and plain JSON allows,
    /// duplicate keys above all, is not looked for here.
    ///
    /// # Errors
    /// When the text is not JSON.
    pub fn matching_text<'s>(
        &'s self,
        scratch: &mut Scratch,
        text: &str,
        keys: &mut Vec<&'s K>,
    ) -> Result<(), NotJson> {
        keys.clear();
        scratch.scan(&self.0.paths, text)?;
        if !text.trim_ascii_start().starts_with('{') {
            return Ok(());
        }
        let parsed = OnceCell::new();
        let limits = Limits { max_bytes: usize::MAX, max_depth: 120 };
        let event = || parsed.get_or_init(|| json::parse(text.as_bytes(), limits).ok()).as_ref();
        self.find(scratch, &event, keys);
        Ok(())
    }

    fn find<'s, 'e>(
        &'s self,
        scratch: &mut Scratch,
        event: &impl Fn() -> Option<&'e Value>,
        keys: &mut Vec<&'s K>,
    ) {
        let Inner { paths, parts, loose } = &*self.0;
        let mut sources = 0;
        for Part { layer, gone } in parts {
            let before = keys.len();
            layer.find(paths, scratch, event, |place| {
                if gone.is_empty() || !gone.contains(&place) {
                    keys.extend(layer.rules.get(place).map(|(key, _)| key));
                }
            });
            sources += usize::from(keys.len() > before);
        }
        let before = keys.len();
        keys.extend(loose.iter().filter(|rule| rule.matches(paths, scratch, event)).map(|rule| &rule.key));
        // One part gives its keys in their order.
        if sources > 1 || keys.len() > before {
            keys.sort_unstable();
        }
    }

    /// Every rule, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Pattern)> {
        let (base, since) = self.0.parts.split_first().unzip();
        let mut changed: Vec<(&K, &Pattern)> =
            since.unwrap_or_default().iter().flat_map(Part::live).collect();
        changed.extend(self.0.loose.iter().map(|rule| (&rule.key, &rule.pattern)));
        changed.sort_unstable_by_key(|(key, _)| *key);
        let mut base = base.into_iter().flat_map(Part::live).peekable();
        let mut changed = changed.into_iter().peekable();
        std::iter::from_fn(move || match (base.peek(), changed.peek()) {
            (Some((a, _)), Some((b, _))) if b < a => changed.next(),
            (Some(_), _) => base.next(),
            (None, _) => changed.next(),
        })
    }

    /// The pattern under that key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&Pattern> {
        let loose = self.0.loose.iter().find(|rule| rule.key == *key).map(|rule| &rule.pattern);
        loose.or_else(|| {
            let place = |part: &'_ Part<K>| part.place_of(key);
            let (part, place) = self.0.parts.iter().find_map(|part| Some((part, place(part)?)))?;
            part.layer.rules.get(place).map(|(_, pattern)| pattern)
        })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.parts.iter().map(Part::len).sum::<usize>() + self.0.loose.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn cloned<K: Clone>((key, pattern): (&K, &Pattern)) -> (K, Pattern) {
    (key.clone(), pattern.clone())
}

impl<K: Ord + Clone> Inner<K> {
    /// Puts the loose rules and these into an index: with the last one if that stays small, else into one of their own.
    fn index_loose(&mut self, put: Vec<(K, Pattern)>) {
        let loose = self.loose.drain(..).map(|loose| (loose.key.clone(), loose.pattern.clone()));
        let mut rules: Vec<(K, Pattern)> = loose.chain(put).collect();
        // Small parts are joined with each other when there are many parts, else only the last one with what is new.
        let most = if self.parts.len() >= MAX_PARTS { MAX_CHANGED } else { MAX_SMALL };
        let last = self.parts.len() - 1;
        let mut place = 0;
        self.parts.retain(|part| {
            let is_base = place == 0;
            let asked = place == last || most == MAX_CHANGED;
            place += 1;
            let joins = !is_base && asked && part.len() <= most;
            if joins {
                rules.extend(part.live().map(cloned));
            }
            !joins
        });
        self.parts.push(Part::new(Layer::build(rules, &mut self.paths)));
    }
}

/// The trie with the pattern's paths; copied only when it has some that are new.
fn extended<'p>(paths: &'p mut Arc<Paths>, pattern: &Pattern) -> &'p Paths {
    super::index::learn(paths, pattern);
    paths
}
