//! YAML 1.2 core schema to JSON values.
