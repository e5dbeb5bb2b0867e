//! Reads and writes of tables in the bill, by request or as capacity.

use super::{HOURS, Writer};

/// Tables and indexes that have capacity with `ProvisionedUnits`, in each of the two sets.
const PROVISIONED: [&str; 4] = ["Timelines", "Viewers", "Cards", "Cards/hottest"];
/// The two tables that a page reads beside its cards; the documents have the sum.
pub(super) const TABLES_OF_HOMES: &str = "Timelines, Viewers";
/// The share of capacity that is used, as `stacks/capacity.yaml` has it.
const SCALING_TARGET: f64 = 0.7;
/// Prices of a read and a write unit by request.
const REQUESTED: [&str; 2] = ["dynamodb_read_units", "dynamodb_write_units"];
/// Prices of a read and a write unit a second for an hour.
const CAPACITY: [&str; 2] = ["dynamodb_provisioned_read_hours", "dynamodb_provisioned_write_hours"];

impl Writer<'_> {
    /// Adds read and write units of a table, for each of `count`.
    pub(super) fn units_of(
        &mut self,
        item: &'static str,
        (what, count): (&str, f64),
        table: &str,
        units: [f64; 2],
        source: &str,
    ) {
        let has_capacity = match table {
            "Commands" => self.settings.commands_provisioned_units > 0.0,
            _ => self.settings.provisioned_units > 0.0 && (PROVISIONED.contains(&table) || table == TABLES_OF_HOMES),
        };
        for (at, name) in ["reads", "writes"].into_iter().enumerate() {
            let what = format!("{what}: {name} of {table}");
            if has_capacity {
                // A unit a second for an hour is 3600 units, of which this share is used.
                self.add(item, &what, [count, units[at] / 3600.0 / SCALING_TARGET], CAPACITY[at], source);
            } else {
                self.add(item, &what, [count, units[at]], REQUESTED[at], source);
            }
        }
    }

    /// Adds the least capacity of the second set, which nobody uses but for a rebuild.
    pub(super) fn idle_capacity(&mut self, item: &'static str) {
        for table in PROVISIONED {
            for price in CAPACITY {
                let what = format!("capacity of {table} that waits for a rebuild");
                self.add(item, &what, [HOURS, self.settings.provisioned_units], price, "ProvisionedUnits");
            }
        }
    }
}
