//! The state of the audit: one item of the command table. It belongs to no user, and nothing follows from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    command_table::CommandTable,
    dynamo::{failed, item, n, newer_wins, s},
    key::{self, PK, SK},
    scan::ScanKey,
};
use crate::{error::Error, model::Timestamp};

/// Sort key of the state.
const STATE: &str = "STATE";
/// The attribute by which a sweep is requested. Its writers do not wait for each other.
const REQUESTED: &str = "sweep_requested_at";

/// How far the audit has come.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditState {
    /// Number of writes so far. Of two audits at once, the second one to write finds another number.
    pub revision: u64,
    /// Number of rounds that were begun.
    pub round: u64,
    /// When this round began.
    pub round_began_at: Option<Timestamp>,
    /// Where it goes on. None between two rounds.
    pub position: Option<Position>,
    /// When units were last granted.
    pub last_run_at: Option<Timestamp>,
    /// Read units that were spent beyond what was granted.
    pub debt_units: u64,
    /// Items that this round has looked at.
    pub checked: u64,
    /// What this round has found, by the kind of finding.
    pub found: BTreeMap<String, u64>,
    /// Somebody knows of lost work: a round has to begin after this moment, and end.
    #[serde(skip_serializing)]
    pub sweep_requested_at: Option<Timestamp>,
}

/// A place in a round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The table.
    pub table: Table,
    /// The item behind which the round goes on. None at the table's beginning.
    pub after: Option<ScanKey>,
}

/// The tables in the order in which a round goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// The truth: what is missing or wrong in the read models?
    Commands,
    /// Rows: does each follow from the truth?
    Timelines,
    /// Viewer items: does each belong to a user?
    Viewers,
    /// Cards: is there what each is about?
    Cards,
    /// The search index: does each row follow from the truth?
    Search,
}

impl CommandTable {
    /// The state of the audit. At first, nothing was audited.
    pub async fn audit_state(&self) -> Result<AuditState, Error> {
        let state = self.get("the state of the audit", key::AUDIT.to_owned(), STATE.to_owned()).await?;
        Ok(state.unwrap_or_default())
    }

    /// Replaces the state that was read with the revision before. A request for a sweep stays.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another audit replaced it meanwhile.
    pub async fn put_audit_state(&self, state: &AuditState) -> Result<(), Error> {
        let mut update = self
            .dynamo
            .0
            .update_item()
            .table_name(&self.table)
            .key(PK, s(key::AUDIT))
            .key(SK, s(STATE))
            .condition_expression("attribute_not_exists(revision) OR revision = :before")
            .expression_attribute_values(":before", n(state.revision.saturating_sub(1)));
        let mut assignments = Vec::new();
        for (name, value) in item(state)? {
            assignments.push(format!("#{name} = :{name}"));
            update = update
                .expression_attribute_names(format!("#{name}"), &name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        let update = update.update_expression(format!("SET {}", assignments.join(", ")));
        update.send().await.map(|_| ()).map_err(failed("writing the state of the audit"))
    }

    /// Requests a sweep of everything that was written up to this moment.
    pub async fn request_sweep(&self, at: Timestamp) -> Result<(), Error> {
        self.dynamo
            .0
            .update_item()
            .table_name(&self.table)
            .key(PK, s(key::AUDIT))
            .key(SK, s(STATE))
            .update_expression(format!("SET {REQUESTED} = :at"))
            .condition_expression(format!("attribute_not_exists({REQUESTED}) OR {REQUESTED} < :at"))
            .expression_attribute_values(":at", n(at.as_ms()))
            .send()
            .await
            .map(|_| ())
            .or_else(newer_wins("requesting a sweep"))
    }

    /// The sweep that was requested at this moment is done. A later request stays.
    pub async fn end_sweep(&self, requested_at: Timestamp) -> Result<(), Error> {
        self.dynamo
            .0
            .update_item()
            .table_name(&self.table)
            .key(PK, s(key::AUDIT))
            .key(SK, s(STATE))
            .update_expression(format!("REMOVE {REQUESTED}"))
            .condition_expression(format!("{REQUESTED} = :at"))
            .expression_attribute_values(":at", n(requested_at.as_ms()))
            .send()
            .await
            .map(|_| ())
            .or_else(newer_wins("ending a sweep"))
    }
}
