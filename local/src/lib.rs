//! Tidings on one machine: the deployable system, not a model of it.
//!
//! [`template`] reads `template.yaml` into a [`template::model::System`]; [`servers`] are the embedded DynamoDB, Kinesis and SQS;
//! [`lambda`] runs function binaries behind the Lambda Runtime API; [`sources`] are the event source mappings;
//! [`gateway`] is the HTTP API; [`stack`] puts them together.

pub mod gateway;
pub mod invoke;
pub mod lambda;
pub mod servers;
pub mod sources;
pub mod stack;
pub mod template;
