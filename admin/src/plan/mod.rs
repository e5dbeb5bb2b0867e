//! What a month costs: a model of the bill. It knows no deployment.
//!
//! - `load.rs` has the load, and what differs between deployments.
//! - `units.rs` has what requests and commands need, as it was measured: `units.json`.
//! - `bill.rs` multiplies: how many × how much each × the price of `aws-limits/prices.json`.
//! - `changes.rs` makes the bill again with one thing changed.
//!
//! Every line tells its factors, and where each comes from.

mod bill;
mod changes;
mod load;
mod units;

#[cfg(test)]
mod tests;

pub(crate) use bill::{Bill, ITEMS, Line};
pub(crate) use changes::{Change, of_parameters, of_several};
pub(crate) use load::{Load, Settings};
pub(crate) use units::Units;
