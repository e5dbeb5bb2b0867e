//! The four tables: key types, items, access patterns. The only place that names the DynamoDB SDK.
//!
//! [`commands`] is the truth; [`timelines`], [`viewers`] and [`cards`] are read models, disposable. Nothing here decides
//! anything: a store reads and writes what it is told, under the conditions it is told.

pub mod cards;
pub mod commands;
mod dynamo;
mod key;
pub mod timelines;
pub mod transaction;
pub mod viewers;

pub use dynamo::Dynamo;
pub use key::{parse_event_key, parse_tally_key};
