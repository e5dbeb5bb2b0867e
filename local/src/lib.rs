//! Tidings on one machine: the deployable system, not a model of it.
//!
//! [`template`] reads `template.yaml` into a [`template::model::System`]; [`cargo`] builds the function binaries that it
//! names; [`servers`] are the embedded DynamoDB, Kinesis and SQS; [`lambda`] runs the binaries behind the Lambda Runtime
//! API; [`sources`] are the event source mappings; [`gateway`] is the HTTP API, [`dev_routes`] the routes beside it for
//! tests and curiosity; [`stack`] puts them together, over a [`data_dir`] that survives kill -9. [`remote`] is the gateway
//! alone, in front of functions elsewhere.

pub mod aws;
pub mod cargo;
pub mod data_dir;
pub mod dev_routes;
pub mod gateway;
pub mod invoke;
pub mod lambda;
pub mod remote;
pub mod servers;
pub mod sources;
pub mod stack;
pub mod template;
