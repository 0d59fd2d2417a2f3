//! The fields that some rule names, as a trie: what a walk over an event looks for, and nothing else.

use super::hash;
use std::collections::HashMap;
use std::sync::Arc;

/// One field name below another; [`Paths::ROOT`] is the event itself. Ids are given in the order of insertion and stay
/// the same when a trie is extended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::pattern) struct PathId(u32);

impl PathId {
    pub(super) const fn at(self) -> usize {
        self.0 as usize
    }
}

/// More children than this are found by hash.
const FEW: usize = 8;

#[derive(Debug, Clone, Default)]
struct Node {
    parent: Option<PathId>,
    children: Vec<(Arc<str>, PathId)>,
    /// Only with more than [`FEW`] children: place in `children` by name.
    by_name: Option<HashMap<Arc<str>, u32, hash::Fixed>>,
    /// Whether some rule asks something of the value itself.
    wanted: bool,
}

#[derive(Debug, Clone)]
pub(in crate::pattern) struct Paths {
    nodes: Vec<Node>,
}

impl Default for Paths {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Paths {
    pub(super) const ROOT: PathId = PathId(0);

    pub(in crate::pattern) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The child of that name, made if need be, and the name as the trie keeps it, for rules to share.
    pub(super) fn extend(&mut self, parent: PathId, name: &Arc<str>) -> (Arc<str>, PathId) {
        if let Some((name, known)) = self.entry(parent, name) {
            return (name.clone(), *known);
        }
        // A rule set with four thousand million different paths cannot be held in memory in the first place.
        let id = PathId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Node { parent: Some(parent), ..Node::default() });
        if let Some(node) = self.nodes.get_mut(parent.at()) {
            let place = node.children.len();
            node.children.push((name.clone(), id));
            if node.children.len() > FEW {
                let index = node.by_name.get_or_insert_default();
                for (i, (name, _)) in node.children.iter().enumerate().skip(index.len().min(place)) {
                    index.insert(name.clone(), u32::try_from(i).unwrap_or(u32::MAX));
                }
            }
        }
        (name.clone(), id)
    }

    pub(super) fn want(&mut self, path: PathId) {
        if let Some(node) = self.nodes.get_mut(path.at()) {
            node.wanted = true;
        }
    }

    pub(super) fn is_wanted(&self, path: PathId) -> bool {
        self.nodes.get(path.at()).is_some_and(|node| node.wanted)
    }

    pub(super) fn has_children(&self, path: PathId) -> bool {
        self.nodes.get(path.at()).is_some_and(|node| !node.children.is_empty())
    }

    pub(super) fn child(&self, parent: PathId, name: &str) -> Option<PathId> {
        self.entry(parent, name).map(|(_, id)| *id)
    }

    pub(super) fn entry(&self, parent: PathId, name: &str) -> Option<&(Arc<str>, PathId)> {
        let node = self.nodes.get(parent.at())?;
        match &node.by_name {
            None => node.children.iter().find(|(known, _)| **known == *name),
            Some(index) => node.children.get(*index.get(name)? as usize),
        }
    }

    /// The field that this one is below.
    pub(super) fn parent(&self, path: PathId) -> Option<PathId> {
        self.nodes.get(path.at()).and_then(|node| node.parent)
    }
}
