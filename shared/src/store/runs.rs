//! Marks of runs: how many steps of a run are done, in the table of timelines. A copy of the run that comes to one of
//! these steps later has nothing to do, because the next step was sent before the mark was written. A mark expires when
//! no message of its run can be left in the queue.

use std::time::Duration;

use super::{
    dynamo::{failed, n, newer_wins, number, s},
    key::{self, PK, SK},
    timelines::Timelines,
};
use crate::{
    error::Error,
    model::{RunStep, Timestamp},
};

/// How long a mark is kept: longer than the queue keeps a message, which is 14 days.
const KEPT: Duration = Duration::from_secs(15 * 24 * 60 * 60);

impl Timelines {
    /// Whether this step of a run is done, and the next one was sent.
    pub(crate) async fn is_done(&self, step: RunStep) -> Result<bool, Error> {
        let request = self.dynamo.0.get_item().table_name(self.table.get());
        let request = request.key(PK, s(key::run(step.run))).key(SK, s(key::STEPS)).consistent_read(true);
        let item = request.send().await.map_err(failed("reading how far a walk is"))?.item;
        item.map_or(Ok(false), |item| Ok(number(&item, "steps")? > step.steps))
    }

    /// This step of a run is done, and the next one was sent.
    pub(crate) async fn mark_done(&self, step: RunStep, now: Timestamp) -> Result<(), Error> {
        let request = self.dynamo.0.update_item().table_name(self.table.get());
        let request = request.key(PK, s(key::run(step.run))).key(SK, s(key::STEPS));
        let request = request
            .update_expression("SET steps = :steps, expires_at = :expires_at")
            .condition_expression("attribute_not_exists(steps) OR steps < :steps")
            .expression_attribute_values(":steps", n(step.steps.saturating_add(1)))
            .expression_attribute_values(":expires_at", n(now.after(KEPT).as_secs()));
        request.send().await.map(drop).or_else(newer_wins("writing how far a walk is"))
    }
}
