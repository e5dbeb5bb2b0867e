//! The tables: their keys, items and access patterns. Only this module names the DynamoDB SDK.
//!
//! [`command_table`] is the truth. The read models [`timelines`], [`viewers`], [`cards`] and [`search`], of two tables
//! each, follow from it. A store decides nothing about users and posts: it reads and writes what its caller says, under
//! the conditions that its caller sets. How to do that, it decides itself: in which partition, how often, how many at
//! once.

mod announcements;
pub mod audit_state;
mod busy;
mod cached_cards;
mod cached_rows;
mod cached_viewers;
mod card_tallies;
pub mod cards;
mod celebrities;
pub mod command_table;
pub mod comments;
mod commit;
mod consistency;
mod day_tags;
pub mod demotions;
mod dynamo;
pub mod edges;
mod emptied;
mod erasure;
mod export;
mod followers;
mod inbox_pace;
mod key;
pub mod likes;
mod meter;
mod model_tables;
pub mod notices;
pub mod notification_settings;
mod pushes;
pub mod read_models;
mod read_timeouts;
mod recount;
mod runs;
pub mod scan;
pub mod search;
pub mod segments;
mod spread;
mod spread_notices;
mod statistics;
mod table;
mod tag_rows;
pub mod timelines;
pub mod transaction;
pub mod trending;
mod trending_list;
pub mod viewers;
mod visit_item;
mod visits;

pub use announcements::{Announcement, Announcements};
pub(crate) use cached_rows::{NewestRows, ROWS_MIN, ThroughCache};
pub use card_tallies::StoredTally;
pub use consistency::Consistency;
#[cfg(test)]
pub(crate) use dynamo::BATCH_WRITE_MAX;
pub use dynamo::Dynamo;
pub use emptied::Emptied;
pub use erasure::Remains;
pub use export::{Made, StoredItem};
pub(crate) use inbox_pace::AWAITED_AFTER;
pub(crate) use key::actor;
pub use key::{TRACE, is_published, parse_event_key, parse_like_key, parse_tally_key};
pub use meter::{Cost, Meter};
pub use model_tables::{ModelSizes, ModelTables};
pub use recount::Recounted;
pub use table::{ActiveTables, TableName, TablePair};
pub(crate) use trending::MERGE_COVERS;
