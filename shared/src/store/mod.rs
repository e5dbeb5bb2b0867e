//! The four tables: key types, items, access patterns. The only place that names the DynamoDB SDK.
//!
//! [`commands`] is the truth; [`timelines`], [`viewers`] and [`cards`] are read models, disposable. Nothing here decides
//! anything: a store reads and writes what it is told, under the conditions it is told.

pub mod access;
mod card_tallies;
pub mod cards;
mod celebrities;
pub mod command_table;
mod consistency;
mod dynamo;
pub mod edges;
mod key;
mod meter;
pub mod reactions;
pub mod timelines;
pub mod transaction;
pub mod viewers;

pub use card_tallies::StoredTally;
pub use consistency::Consistency;
pub use dynamo::Dynamo;
pub use key::{parse_event_key, parse_like_key, parse_tally_key};
pub use meter::{Cost, Meter};
