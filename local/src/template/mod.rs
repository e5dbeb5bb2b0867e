//! Reads `template.yaml`.

pub mod model;
