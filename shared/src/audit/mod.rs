//! The audit: compares the read models with the truth, in both directions, and sends tasks that repair what is wrong.
//!
//! Everything that the projections do follows from messages. If messages are lost, because a stream gave up records or
//! a queue kept a message for too long, something stays undone, and nobody knows of it. The audit finds it without any
//! message: it goes through all tables, step by step, and looks at each item.
//!
//! - [`check`] looks at one item, and says what is wrong with what follows from it. It writes nothing.
//! - `index` looks at the search index.
//! - `deleted` knows what may be there of a deleted account.
//! - [`sweep`] goes through the tables within a budget, and sends the tasks that repair what is wrong.
//!
//! The audit never writes read models itself. A task that repairs something reads the truth again, and changes nothing
//! where nothing is wrong. So a false finding costs a few reads, and does no harm.

pub mod check;
mod deleted;
mod findings;
mod index;
mod notices;
mod statistics;
pub mod sweep;

pub use check::Auditor;
pub use findings::{Finding, Kind};
