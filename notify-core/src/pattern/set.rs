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
/// Rules changed since the base was built from which on [`RuleSet::folded`] is worth its time.
const MAX_RECENT: usize = 512;

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
    /// Of all layers.
    paths: Arc<Paths>,
    base: Arc<Layer<K>>,
    /// Places in `base` that have gone or were replaced.
    gone: Arc<Gone>,
    recent: Arc<Layer<K>>,
    gone_recently: Arc<Gone>,
    loose: Vec<Arc<Loose<K>>>,
}

type Gone = HashSet<usize, Fixed>;

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
        let mut paths = Paths::default();
        let base = Arc::new(Layer::build(rules, &mut paths));
        let recent = Arc::new(Layer::build([], &mut paths));
        let (gone, gone_recently) = (Arc::default(), Arc::default());
        Self(Arc::new(Inner { paths: Arc::new(paths), base, gone, recent, gone_recently, loose: Vec::new() }))
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
        let changes: BTreeMap<K, Option<Pattern>> = changes.into_iter().collect();
        let Inner { base, recent, .. } = &*self.0;
        let mut next = Inner {
            paths: Arc::clone(&self.0.paths),
            base: Arc::clone(base),
            gone: Arc::clone(&self.0.gone),
            recent: Arc::clone(recent),
            gone_recently: Arc::clone(&self.0.gone_recently),
            loose: self.0.loose.iter().filter(|loose| !changes.contains_key(&loose.key)).cloned().collect(),
        };
        for key in changes.keys() {
            mark_gone(base, &mut next.gone, key);
            mark_gone(recent, &mut next.gone_recently, key);
        }
        let put: Vec<(K, Pattern)> =
            changes.into_iter().filter_map(|(key, pattern)| Some((key, pattern?))).collect();
        if next.loose.len() + put.len() <= MAX_LOOSE {
            for (key, pattern) in put {
                let paths = extended(&mut next.paths, &pattern);
                next.loose.push(Arc::new(Loose::new(key, pattern, paths)));
            }
        } else {
            let loose = next.loose.drain(..).map(|loose| (loose.key.clone(), loose.pattern.clone()));
            let all = live(&next.recent, &next.gone_recently).map(cloned).chain(loose).chain(put);
            next.recent = Arc::new(Layer::build(all, Arc::make_mut(&mut next.paths)));
            next.gone_recently = Arc::default();
        }
        Self(Arc::new(next))
    }

    /// Whether so much has changed since the last whole build that [`Self::folded`] is due (off the path of events).
    #[must_use]
    pub fn wants_folding(&self) -> bool {
        self.0.recent.rules.len() + self.0.gone.len() > MAX_RECENT
    }

    /// The same rules, built anew as a whole.
    #[must_use]
    pub fn folded(&self) -> Self {
        Self::new(self.iter().map(cloned))
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
        let Inner { paths, base, gone, recent, gone_recently, loose } = &*self.0;
        for (layer, gone) in [(base, gone), (recent, gone_recently)] {
            if layer.rules.is_empty() {
                continue;
            }
            layer.find(paths, scratch, event, |place| {
                if gone.is_empty() || !gone.contains(&place) {
                    keys.extend(layer.rules.get(place).map(|(key, _)| key));
                }
            });
        }
        let in_base = keys.len();
        keys.extend(loose.iter().filter(|rule| rule.matches(paths, scratch, event)).map(|rule| &rule.key));
        if !recent.rules.is_empty() || keys.len() > in_base {
            keys.sort_unstable();
        }
    }

    /// Every rule, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Pattern)> {
        let Inner { base, gone, recent, gone_recently, loose, .. } = &*self.0;
        let mut changed: Vec<(&K, &Pattern)> = live(recent, gone_recently).collect();
        changed.extend(loose.iter().map(|rule| (&rule.key, &rule.pattern)));
        changed.sort_unstable_by_key(|(key, _)| *key);
        let (mut base, mut changed) = (live(base, gone).peekable(), changed.into_iter().peekable());
        std::iter::from_fn(move || match (base.peek(), changed.peek()) {
            (Some((a, _)), Some((b, _))) if b < a => changed.next(),
            (Some(_), _) => base.next(),
            (None, _) => changed.next(),
        })
    }

    /// The pattern under that key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&Pattern> {
        let Inner { base, gone, recent, gone_recently, loose, .. } = &*self.0;
        let loose = loose.iter().find(|rule| rule.key == *key).map(|rule| &rule.pattern);
        loose.or_else(|| {
            [(recent, gone_recently), (base, gone)].into_iter().find_map(|(layer, gone)| {
                let place = place_of(layer, key).filter(|place| !gone.contains(place))?;
                layer.rules.get(place).map(|(_, pattern)| pattern)
            })
        })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        let Inner { base, gone, recent, gone_recently, loose, .. } = &*self.0;
        base.rules.len() - gone.len() + recent.rules.len() - gone_recently.len() + loose.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn cloned<K: Clone>((key, pattern): (&K, &Pattern)) -> (K, Pattern) {
    (key.clone(), pattern.clone())
}

fn live<'l, K>(layer: &'l Layer<K>, gone: &'l Gone) -> impl Iterator<Item = (&'l K, &'l Pattern)> {
    let all = layer.rules.iter().enumerate();
    all.filter(|(place, _)| !gone.contains(place)).map(|(_, (key, pattern))| (key, pattern))
}

fn place_of<K: Ord>(layer: &Layer<K>, key: &K) -> Option<usize> {
    layer.rules.binary_search_by(|(known, _)| known.cmp(key)).ok()
}

fn mark_gone<K: Ord>(layer: &Layer<K>, gone: &mut Arc<Gone>, key: &K) {
    if let Some(place) = place_of(layer, key) {
        Arc::make_mut(gone).insert(place);
    }
}

/// The trie with the pattern's paths; copied only when it has some that are new.
fn extended<'p>(paths: &'p mut Arc<Paths>, pattern: &Pattern) -> &'p Paths {
    if !super::index::knows(paths, pattern) {
        super::index::learn(Arc::make_mut(paths), pattern);
    }
    paths
}
