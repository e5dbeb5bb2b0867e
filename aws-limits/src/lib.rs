//! AWS's limits on throughput, as a model. The simulation and the local stack ask it whether a request passes, so that
//! code meets the same refusals as on AWS. No function depends on this crate.
//!
//! - [`numbers`] has every number, with the document of AWS that it comes from, or as an assumption with its reason.
//! - [`limits`] are the numbers that one account has: the default quotas, raised ones, or a fraction of them.
//! - [`dynamodb`], [`kinesis`], [`lambda`], [`http_api`] and [`sqs`] decide about requests. They answer what is too
//!   much with AWS's own errors.
//! - [`prices`] has what AWS asks for each unit, at one date.
//!
//! Nothing here reads a clock: each call gets the time since any fixed moment. So the model runs in virtual time as
//! well as in real time, and is the same in each run.

mod bucket;
pub mod dynamodb;
pub mod http_api;
pub mod kinesis;
pub mod lambda;
pub mod limits;
pub mod numbers;
pub mod prices;
pub mod sqs;

pub use bucket::{Bucket, Peak};
pub use limits::Limits;

/// An answer of AWS that refuses a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// JSON document.
    pub body: serde_json::Value,
    /// What was too much, for a report: `Cards/hottest partition write`.
    pub what: String,
}
