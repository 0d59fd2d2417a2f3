mod conformance;
mod generators;
mod indexed;
mod own_cases;
mod properties;
mod refusals;
mod set;
mod support;
