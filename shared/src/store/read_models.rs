//! What the command table knows about the read models: which tables are active, and how far a rebuild is. This belongs
//! to no user, and nothing in a read model follows from it.

use serde::{Deserialize, Serialize};

use super::{
    command_table::CommandTable,
    consistency::Consistency,
    dynamo::{failed, item, n, s, value},
    key::{self, PK, SK},
    scan::ScanKey,
};
use crate::{
    error::Error,
    model::{Phase, PostId, ReadModelsState, Timestamp, Work},
};

/// Sort key of the state.
const STATE: &str = "STATE";
/// Digits of a segment's number in its key.
const SEGMENT_DIGITS: usize = 4;

/// How far a segment of a rebuild is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Number of writes so far.
    pub revision: u64,
    /// The rebuild that it belongs to.
    pub rebuild: Timestamp,
    /// The phase that it belongs to.
    pub phase: Phase,
    /// Steps that were taken in this phase.
    pub steps: u64,
    /// The item behind which the segment goes on. None at its beginning.
    pub after: Option<ScanKey>,
    /// If an item is worked on in parts: the item, and the post below which the next part begins.
    pub within: Option<(ScanKey, PostId)>,
    /// Whether all of it is done.
    pub is_done: bool,
    /// What was done in this phase.
    pub done: Work,
    /// When it was last written.
    pub at: Timestamp,
}

impl CommandTable {
    /// Which tables are active, and the rebuild that is under way.
    pub async fn read_models(&self, consistency: Consistency) -> Result<ReadModelsState, Error> {
        let answer = self
            .dynamo
            .0
            .get_item()
            .table_name(&self.table)
            .key(PK, s(key::READ_MODELS))
            .key(SK, s(STATE))
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(failed("reading the state of the read models"))?;
        answer.item.map_or(Ok(ReadModelsState::default()), |item| value("the state of the read models", item))
    }

    /// Replaces the state that was read as `before`.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it was replaced meanwhile.
    pub async fn put_read_models(&self, before: &ReadModelsState, state: ReadModelsState) -> Result<(), Error> {
        let state = ReadModelsState { revision: before.revision + 1, ..state };
        self.replace(STATE.to_owned(), before.revision, &state).await
    }

    /// A segment of a rebuild's phase. One of another rebuild or phase counts as not begun.
    pub async fn segment(&self, rebuild: Timestamp, phase: Phase, number: u32) -> Result<Segment, Error> {
        let stored: Option<Segment> =
            self.get("a segment of a rebuild", key::READ_MODELS.to_owned(), segment_key(number)).await?;
        let revision = stored.as_ref().map_or(0, |segment| segment.revision);
        let ours = stored.filter(|segment| segment.rebuild == rebuild && segment.phase == phase);
        Ok(ours.unwrap_or_else(|| Segment {
            revision,
            rebuild,
            phase,
            steps: 0,
            after: None,
            within: None,
            is_done: false,
            done: Work::default(),
            at: rebuild,
        }))
    }

    /// All segments of a rebuild's phase that were begun. One page holds them: there are at most a thousand.
    pub async fn segments(&self, rebuild: Timestamp, phase: Phase) -> Result<Vec<Segment>, Error> {
        let answer = self
            .dynamo
            .0
            .query()
            .table_name(&self.table)
            .key_condition_expression("PK = :read_models AND begins_with(SK, :segments)")
            .expression_attribute_values(":read_models", s(key::READ_MODELS))
            .expression_attribute_values(":segments", s(key::SEGMENT_PREFIX))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed("reading the segments of a rebuild"))?;
        let segments = answer.items.unwrap_or_default().into_iter().map(|item| value("a segment of a rebuild", item));
        let ours = |segment: &Segment| segment.rebuild == rebuild && segment.phase == phase;
        Ok(segments.collect::<Result<Vec<_>, _>>()?.into_iter().filter(ours).collect())
    }

    /// Replaces a segment that was read with the revision `before`.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it was replaced meanwhile.
    pub async fn put_segment(&self, number: u32, before: u64, segment: Segment) -> Result<(), Error> {
        self.replace(segment_key(number), before, &Segment { revision: before + 1, ..segment }).await
    }

    /// Replaces an item whose attribute `revision` is `before`; 0 stands for no item.
    async fn replace(&self, sk: String, before: u64, stored: &impl Serialize) -> Result<(), Error> {
        let mut update = self
            .dynamo
            .0
            .update_item()
            .table_name(&self.table)
            .key(PK, s(key::READ_MODELS))
            .key(SK, s(sk))
            .condition_expression(if before == 0 { "attribute_not_exists(PK)" } else { "#revision = :before" });
        if before > 0 {
            update = update.expression_attribute_values(":before", n(before));
        }
        let mut assignments = Vec::new();
        for (name, value) in item(stored)? {
            assignments.push(format!("#{name} = :{name}"));
            update = update
                .expression_attribute_names(format!("#{name}"), &name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        let update = update.update_expression(format!("SET {}", assignments.join(", ")));
        update.send().await.map(|_| ()).map_err(failed("writing how far a rebuild is"))
    }
}

fn segment_key(number: u32) -> String {
    format!("{}{number:0SEGMENT_DIGITS$}", key::SEGMENT_PREFIX)
}
