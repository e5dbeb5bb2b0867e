//! Tidings: everything except for the plumbing of the single Lambda functions.
//!
//! - [`command`] decides commands and commits their events to the command table.
//! - [`projection`] keeps the read models up to date with the command table.
//! - [`audit`] compares the two, and sends tasks that repair what is wrong.
//! - [`query`] reads pages from the read models.
//! - [`model`] has the plain values that all of them use.
//! - [`store`] is the only way to DynamoDB.
//! - [`stream`] has what passes between functions: the bus, the work queue, the quarantine, and partial batch
//!   responses.
//! - [`celebrities`] tells both projections and queries whose posts are pulled.
//! - [`read_models`] tells both which tables the read models are in.
//! - [`shared_cache`] is a server that keeps what many processes read. It may be absent, and it may fail.
//! - [`http`] turns API Gateway's requests into calls, and results into responses.
//! - [`error`] says which error goes where.
//! - [`deadline`] says until when an invocation works. [`runtime`] is what every `main` shares.
//! - [`metrics`] has the metrics that functions write, and [`trace`] the id that logs of one request have in common.
//!
//! One idea decides most questions: a message is a hint, and the command table is the truth.

pub mod audit;
mod cache;
pub mod celebrities;
pub mod command;
#[cfg(test)]
mod compatibility;
pub mod deadline;
pub mod error;
pub mod http;
pub mod metrics;
pub mod model;
pub mod projection;
pub mod query;
pub mod read_models;
pub mod retry;
pub mod runtime;
#[cfg(test)]
mod samples;
pub mod shared_cache;
pub mod store;
pub mod stream;
#[cfg(test)]
mod test_world;
pub mod tickets;
pub mod trace;
mod trust;
