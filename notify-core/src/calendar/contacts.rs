//! Contacts as noise control reads them, with their zones at hand.

use crate::document::contact::{Contact as Document, Type};
use crate::document::noise::{Budget, QuietHours};
use crate::document::{Kind, Version};
use crate::ids::ContactId;
use crate::ledger::commitment::PlainDigest;
use crate::plan::Broken;
use crate::problem::{Code, Problem};
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A person or a group.
#[derive(Debug, Clone)]
pub struct Contact {
    pub id: ContactId,
    pub version: u64,
    pub digest: PlainDigest,
    pub r#type: Type,
    pub locale: Option<String>,
    /// For calendars with `timeZone: contact`; UTC where the document says nothing.
    pub time_zone: TimeZone,
    pub quiet_hours: Vec<QuietHours>,
    pub budget: Option<Budget>,
    /// By channel type, the preferred one first.
    pub addresses: BTreeMap<String, Vec<String>>,
    pub members: Vec<ContactId>,
}

/// All contacts of a tenant.
#[derive(Debug, Clone, Default)]
pub struct Contacts(Arc<BTreeMap<ContactId, Contact>>);

impl Contacts {
    /// Compiles what the store holds. Documents were checked when they were saved, so `Broken` is normally empty.
    #[must_use]
    pub fn compile(documents: Vec<Version<Document>>) -> (Self, Vec<Broken>) {
        let (mut contacts, mut broken) = (BTreeMap::new(), Vec::new());
        for document in documents {
            let id = document.document.id.clone();
            match Contact::new(document) {
                Ok(contact) => drop(contacts.insert(id, contact)),
                Err(problem) => broken.push(Broken { kind: Kind::Contact, id: id.to_string(), problem }),
            }
        }
        (Self(Arc::new(contacts)), broken)
    }

    #[must_use]
    pub fn get(&self, id: &ContactId) -> Option<&Contact> {
        self.0.get(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Contact> {
        self.0.values()
    }

    /// The people a contact stands for: itself, or all people of a group and of the groups in it, each once, in the order
    /// of the documents. Ends whatever the documents say.
    #[must_use]
    pub fn people(&self, id: &ContactId) -> Vec<&Contact> {
        let (mut found, mut seen, mut open) = (Vec::new(), BTreeSet::new(), vec![id]);
        while let Some(contact) = open.pop().filter(|_| seen.len() <= self.0.len()).map(|id| self.0.get(id)) {
            let Some(contact) = contact else { continue };
            if !seen.insert(&contact.id) {
                continue;
            }
            match contact.r#type {
                Type::Person => found.push(contact),
                Type::Group => open.extend(contact.members.iter().rev()),
            }
        }
        found
    }
}

impl Contact {
    fn new(document: Version<Document>) -> Result<Self, Problem> {
        let Version { version, digest, document } = document;
        let digest = PlainDigest::parse(&digest).ok_or_else(|| {
            Problem::new(Code::Internal, "", "its digest cannot be read", "save the contact again")
        })?;
        let time_zone = document.time_zone.as_deref().map(|name| super::time_zone(name, "/timeZone"));
        let time_zone = time_zone.transpose()?.unwrap_or(TimeZone::UTC);
        Ok(Self {
            id: document.id,
            version,
            digest,
            r#type: document.r#type,
            locale: document.locale,
            time_zone,
            quiet_hours: document.quiet_hours,
            budget: document.budget,
            addresses: document.addresses,
            members: document.members,
        })
    }
}

/// A chain of members that leads from `id` back to it, if `members` (what a saved group will hold) makes one. `of` tells
/// the members of the others as they are.
#[must_use]
pub fn cycle<'c>(
    id: &'c ContactId,
    members: &'c [ContactId],
    of: impl Fn(&ContactId) -> &'c [ContactId],
) -> Option<Vec<&'c ContactId>> {
    let mut seen = BTreeSet::new();
    // Depth first; the path is what is open.
    let mut path: Vec<(&ContactId, std::slice::Iter<ContactId>)> = vec![(id, members.iter())];
    while let Some((_, rest)) = path.last_mut() {
        match rest.next() {
            None => drop(path.pop()),
            Some(member) if member == id => {
                let mut chain: Vec<_> = path.iter().map(|(id, _)| *id).collect();
                chain.push(id);
                return Some(chain);
            }
            Some(member) if seen.insert(member) => path.push((member, of(member).iter())),
            Some(_) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contacts(groups: &[(&str, &[&str])]) -> Contacts {
        let one = |(id, members): &(&str, &[&str])| {
            let mut value =
                serde_json::json!({ "schema": "notify-contact@1", "id": id, "name": id, "type": "person" });
            if !members.is_empty() {
                value["type"] = "group".into();
                value["members"] = serde_json::json!(members);
            }
            let (document, _, digest) = crate::document::parse_contact(&value).unwrap();
            Version { version: 1, digest, document }
        };
        let (contacts, broken) = Contacts::compile(groups.iter().map(one).collect());
        assert!(broken.is_empty());
        contacts
    }

    #[test]
    fn a_group_is_its_people_each_once_and_a_circle_ends() {
        let check = |groups: &[(&str, &[&str])], of: &str, expected: &[&str]| {
            let contacts = contacts(groups);
            let people = contacts.people(&of.parse().unwrap());
            assert_eq!(people.iter().map(|p| p.id.as_str()).collect::<Vec<_>>(), expected, "{of}");
        };
        let team: &[(&str, &[&str])] = &[
            ("anna", &[]),
            ("ben", &[]),
            ("cleo", &[]),
            ("ops", &["ben", "anna"]),
            ("all", &["ops", "cleo", "anna", "gone"]),
        ];
        check(team, "anna", &["anna"]);
        check(team, "ops", &["ben", "anna"]);
        check(team, "all", &["ben", "anna", "cleo"]);
        check(team, "gone", &[]);
        check(&[("a", &["b"]), ("b", &["a", "x"]), ("x", &[])], "a", &["x"]);
    }

    #[test]
    fn circles_are_found_with_their_chain() {
        let check = |groups: &[(&str, &[&str])], expected: Option<&[&str]>| {
            let ids =
                |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<ContactId>>();
            let all: Vec<(ContactId, Vec<ContactId>)> =
                groups.iter().map(|(id, members)| (id.parse().unwrap(), ids(members))).collect();
            let of = |id: &ContactId| {
                all.iter().find(|(known, _)| known == id).map_or(&[][..], |(_, members)| members)
            };
            let (id, members) = &all[0];
            let found =
                cycle(id, members, of).map(|chain| chain.iter().map(|id| id.as_str()).collect::<Vec<_>>());
            assert_eq!(found.as_deref(), expected, "{groups:?}");
        };
        check(&[("a", &["b", "c"]), ("b", &["c"])], None);
        check(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"])], Some(&["a", "b", "c", "a"]));
        // A circle that does not lead through the group at hand is not its fault.
        check(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])], None);
    }
}
