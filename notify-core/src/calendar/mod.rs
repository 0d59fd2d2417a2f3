//! stub
use crate::ids::{CalendarId, ContactId};
use crate::ledger::commitment::PlainDigest;
use crate::time::Timestamp;
use jiff::tz::TimeZone;
pub enum CalendarState {
    Inside { until: Option<Timestamp> },
    Outside { until: Option<Timestamp> },
}
#[derive(Debug, Clone, Default)]
pub struct Calendars;
pub struct CompiledCalendar {
    pub id: CalendarId,
    pub version: u64,
    pub digest: PlainDigest,
}
impl Calendars {
    pub fn get(&self, _: &CalendarId) -> Option<&CompiledCalendar> {
        None
    }
}
impl CompiledCalendar {
    pub fn at(&self, _at: Timestamp, _local: Option<&TimeZone>) -> CalendarState {
        CalendarState::Outside { until: None }
    }
    pub fn next_start(&self, _after: Timestamp, _local: Option<&TimeZone>) -> Option<Timestamp> {
        None
    }
}
#[derive(Debug, Clone, Default)]
pub struct Contacts;
pub struct Contact {
    pub locale: Option<String>,
    pub time_zone: TimeZone,
    pub quiet_hours: Vec<crate::document::noise::QuietHours>,
    pub budget: Option<crate::document::noise::Budget>,
}
impl Contacts {
    pub fn get(&self, _: &ContactId) -> Option<&Contact> {
        None
    }
}
