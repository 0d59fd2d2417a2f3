mod conformance;
mod own_cases;
mod properties;
mod refusals;
mod set;
pub(super) mod support;
