//! Runs the audit for as long as its budget lasts, see `shared/src/audit`. A schedule invokes it.

use serde::Serialize;
use serde_json::Value;
use tidings::{audit::sweep::Sweeper, deadline::Deadline, error::Error, metrics};

/// What a run did.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Items that it looked at.
    checked: u64,
    /// What was wrong.
    found: u64,
    /// Tasks that it sent to repair it.
    repairs: u64,
    /// Read units that it spent.
    units: u64,
}

/// Goes on with the audit. What the event says does not matter.
///
/// # Errors
/// As [`Sweeper::run`]. Lambda then invokes the function again, and the schedule does so anyway.
pub async fn handle(sweeper: &Sweeper, _event: Value, deadline: Deadline) -> Result<Report, Error> {
    let run = sweeper.run(deadline).await?;
    metrics::AUDITS.add(1);
    metrics::AUDITED.add(run.checked as usize);
    metrics::REPAIRED.add(run.repairs as usize);
    Ok(Report { checked: run.checked, found: run.found, repairs: run.repairs, units: run.units })
}
