//! The documents of noise control, compiled together.

use super::inhibition::Inhibitions;
use super::overrides::Overrides;
use super::silence::{Inside, Silences, Windows};
use crate::calendar::{CalendarState, Calendars, Contacts};
use crate::document::noise::{Setting, Storm};
use crate::document::{Calendar, Contact, Inhibition, Override, Policy, Silence, Version, policy};
use crate::ids::CalendarId;
use crate::plan::Broken;
use crate::time::Timestamp;

/// What a tenant's noise control is made of.
#[derive(Debug, Clone, Default)]
pub struct NoiseConfig {
    pub calendars: Calendars,
    pub contacts: Contacts,
    pub silences: Silences,
    pub inhibitions: Inhibitions,
    pub overrides: Overrides,
    pub policy: Policy,
    /// 0: there is no document.
    pub policy_version: u64,
}

/// The current documents of noise control.
#[derive(Debug, Clone, Default)]
pub struct NoiseDocuments {
    pub calendars: Vec<Version<Calendar>>,
    pub contacts: Vec<Version<Contact>>,
    pub silences: Vec<Version<Silence>>,
    pub inhibitions: Vec<Version<Inhibition>>,
    pub overrides: Vec<Version<Override>>,
    pub policies: Vec<Version<Policy>>,
}

impl NoiseConfig {
    /// What cannot be used is left out and reported.
    #[must_use]
    pub fn compile(documents: NoiseDocuments, broken: &mut Vec<Broken>) -> Self {
        let mut take = |mut found: Vec<Broken>| broken.append(&mut found);
        let (calendars, faults) = Calendars::compile(documents.calendars);
        take(faults);
        let (contacts, faults) = Contacts::compile(documents.contacts);
        take(faults);
        let (silences, faults) = Silences::compile(documents.silences);
        take(faults);
        let (inhibitions, faults) = Inhibitions::compile(documents.inhibitions);
        take(faults);
        let (overrides, faults) = Overrides::compile(documents.overrides);
        take(faults);
        let policy = documents.policies.into_iter().find(|policy| policy.document.id == policy::NOISE);
        Self {
            silences,
            inhibitions,
            overrides,
            policy_version: policy.as_ref().map_or(0, |policy| policy.version),
            policy: policy.map(|policy| policy.document).unwrap_or_default(),
            calendars,
            contacts,
        }
    }

    /// When bursts become storms; `None`: never.
    #[must_use]
    pub fn storm(&self) -> Option<Storm> {
        match &self.policy.storm {
            None => Some(Storm::default()),
            Some(Setting::On(storm)) => Some(storm.clone()),
            Some(Setting::Off(_)) => None,
        }
    }
}

/// Calendars of maintenance have the zone they name; nobody reads them in their own.
impl Windows for Calendars {
    fn inside(&self, calendar: &CalendarId, at: Timestamp) -> Option<Inside> {
        match self.get(calendar)?.at(at, None) {
            CalendarState::Inside { until } => Some(Inside { until }),
            CalendarState::Outside { .. } => None,
        }
    }
}
