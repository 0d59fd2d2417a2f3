//! The documents of noise control, compiled together.

use super::inhibition::Inhibitions;
use super::overrides::Overrides;
use super::silence::{Inside, Silences, Windows};
use crate::calendar::{CalendarState, Calendars, Contacts};
use crate::document::Policy;
use crate::document::noise::{Setting, Storm};
use crate::ids::CalendarId;
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
}

impl NoiseConfig {
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
