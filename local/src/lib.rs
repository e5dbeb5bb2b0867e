//! Runs Tidings on one machine: the same functions and the same template as on AWS, with local servers in place of AWS.
//!
//! - [`template`] reads `template.yaml` into a [`template::model::System`].
//! - [`cargo`] builds the binaries of the functions.
//! - [`cache_server`] runs a Redis or Valkey server as the shared cache.
//! - [`servers`] are the embedded DynamoDB, Kinesis and SQS. [`aws`] makes clients for them.
//! - [`lambda`] runs the binaries behind the Lambda Runtime API. [`invoke`] is how the other parts call functions,
//!   and [`limited`] how many of these calls Lambda would take.
//! - [`sources`] are the event source mappings.
//! - [`gateway`] is the HTTP API, and serves the console. [`dev_routes`] are the routes for tests and for the console's
//!   inside view, which shows what [`observe`] sees. [`demo`] makes up users.
//! - [`stack`] starts and stops all of these, over a [`data_dir`] that survives `kill -9`.
//! - [`remote`] is the gateway alone, in front of functions that run elsewhere.

pub mod aws;
pub mod cache_server;
pub mod cargo;
pub mod data_dir;
pub mod demo;
pub mod dev_routes;
pub mod gateway;
mod http_server;
pub mod invoke;
mod json;
pub mod lambda;
pub mod limited;
pub mod lineage;
mod loopback;
pub mod metric_routes;
pub mod metrics;
pub mod observe;
pub mod remote;
pub mod servers;
pub mod sources;
pub mod stack;
pub mod template;
