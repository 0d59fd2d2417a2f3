//! The contact document: a person, or a group of them, and where they are reached. It is personal: ledger entries hold a
//! commitment to it and never its text.

use super::noise::{Budget, HoursMode, QuietHours};
use super::noise_fields;
use super::parse::{Parsed, seal};
use super::reader::Reader;
use crate::ids::ContactId;
use crate::problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// `schema: notify-contact@1`.
pub const SCHEMA: &str = "notify-contact@1";
/// Most channel types in `addresses`.
pub const MAX_TYPES: usize = 32;
/// Most addresses of one channel type.
pub const MAX_ADDRESSES: usize = 16;
/// Longest address, in characters.
pub const MAX_ADDRESS: usize = 320;
/// Most members of a group.
pub const MAX_MEMBERS: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Contact {
    pub schema: String,
    pub id: ContactId,
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    pub r#type: Type,
    /// Channel type to addresses, the preferred one first. A group may have some of its own, such as a list's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<String, Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// IANA name. Calendars with `timeZone: contact` are read in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quiet_hours: Vec<QuietHours>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Of a group: people and groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<ContactId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    Person,
    Group,
}

/// # Errors
/// [`Code::InvalidContact`], [`Code::UnknownField`], with the place and never with an address.
pub fn parse_contact(value: &Value) -> Result<Parsed<Contact>, Problem> {
    let code = Code::InvalidContact;
    let reader = Reader::document(value, code, SCHEMA)?;
    let known = [
        "schema",
        "id",
        "name",
        "description",
        "labels",
        "type",
        "addresses",
        "locale",
        "timeZone",
        "quietHours",
        "budget",
        "members",
    ];
    reader.only(&known, &[])?;
    let types = [("person", Type::Person), ("group", Type::Group)];
    let r#type = noise_fields::word(&reader, "type", &types)?;
    let time_zone = reader.line("timeZone", super::calendar::MAX_ZONE)?;
    if let Some(name) = &time_zone {
        crate::calendar::time_zone(name, "/timeZone")
            .map_err(|problem| Problem::new(code, problem.path, problem.reason, problem.fix))?;
    }
    let contact = Contact {
        schema: SCHEMA.to_owned(),
        id: reader.id("id")?,
        name: reader.name()?,
        description: reader.description()?,
        labels: reader.labels()?,
        r#type: r#type.ok_or_else(|| {
            reader.fault("type", "`type` is missing", "write `type: person` or `type: group`")
        })?,
        addresses: addresses(&reader)?,
        locale: reader.locale("locale")?,
        time_zone,
        quiet_hours: noise_fields::hours(&reader, "quietHours", HoursMode::Hold)?,
        budget: noise_fields::budget(&reader, "budget")?,
        members: members(&reader)?,
    };
    match contact.r#type {
        Type::Person if reader.get("members").is_some() => {
            return Err(reader.fault("members", "a person has no members", "write `type: group`"));
        }
        Type::Group if contact.members.is_empty() => {
            let fix = "name people or groups in `members`";
            return Err(reader.fault("members", "a group has at least one member", fix));
        }
        _ => {}
    }
    seal(contact, code)
}

fn addresses(contact: &Reader) -> Result<BTreeMap<String, Vec<String>>, Problem> {
    let Some(value) = contact.get("addresses") else { return Ok(BTreeMap::new()) };
    let reader = Reader::new(value, "/addresses", Code::InvalidContact)?;
    if reader.members().len() > MAX_TYPES {
        let reason = format!("more than {MAX_TYPES} channel types");
        return Err(contact.fault("addresses", reason, "keep those that are used"));
    }
    if !reader.members().keys().all(|name| crate::ids::is_slug(name)) {
        let reason = "a name here is not a channel type";
        return Err(contact.fault("addresses", reason, "write e.g. `email: [anna@example.org]`"));
    }
    let one = |name: &String| {
        let list = reader.list(name, 1..=MAX_ADDRESSES)?;
        let address = |(index, value): (usize, &Value)| {
            let plain = |text: &&str| {
                (1..=MAX_ADDRESS).contains(&text.chars().count()) && !text.chars().any(char::is_control)
            };
            value.as_str().filter(plain).map(str::to_owned).ok_or_else(|| {
                let path = format!("{}/{index}", reader.at(name));
                let reason = format!("an address is a text of 1 to {MAX_ADDRESS} characters on one line");
                Problem::new(Code::InvalidContact, path, reason, "write it in quotes")
            })
        };
        Ok((name.clone(), list.iter().enumerate().map(address).collect::<Result<_, _>>()?))
    };
    reader.members().keys().map(one).collect()
}

fn members(contact: &Reader) -> Result<Vec<ContactId>, Problem> {
    let own = contact.get("id").and_then(Value::as_str);
    let mut seen = BTreeSet::new();
    let one = |(index, value): (usize, &Value)| {
        let at = format!("/members/{index}");
        let fault = |reason: &str, fix: &str| Problem::new(Code::InvalidContact, at.clone(), reason, fix);
        let id: ContactId = value
            .as_str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| fault("this is not a contact id", "write the id of a contact"))?;
        if own == Some(id.as_str()) {
            return Err(fault("a group is not a member of itself", "leave it out"));
        }
        if !seen.insert(id.clone()) {
            return Err(fault("this member is named twice", "leave it out"));
        }
        Ok(id)
    };
    contact.list("members", 0..=MAX_MEMBERS)?.iter().enumerate().map(one).collect()
}
