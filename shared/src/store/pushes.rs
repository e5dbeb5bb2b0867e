//! Pushes of a row into many homes, as far as DynamoDB takes them. While a table is throttled, what was written stays
//! written: only the rest is tried again, so that throttling does not feed itself.

use futures::future::join_all;

use super::{
    dynamo::BATCH_WRITE_MAX,
    timelines::{Row, Timeline, Timelines},
};
use crate::error::Error;

/// Calls at once.
const CALLS_AT_ONCE: usize = 8;

impl Timelines {
    /// Puts the row into these timelines. After a call has failed, no further ones begin. Returns the timelines of the
    /// calls that failed or did not begin.
    ///
    /// # Errors
    /// As [`Timelines::put`], if no call succeeded.
    pub(crate) async fn put_some(&self, timelines: &[Timeline], row: &Row) -> Result<Vec<Timeline>, Error> {
        let (mut left, mut failed) = (Vec::new(), None);
        for round in timelines.chunks(BATCH_WRITE_MAX * CALLS_AT_ONCE) {
            if failed.is_some() {
                left.extend_from_slice(round);
                continue;
            }
            let calls = || round.chunks(BATCH_WRITE_MAX);
            let written = join_all(calls().map(|some| self.put(some, row))).await;
            for (some, written) in calls().zip(written) {
                if let Err(error) = written {
                    left.extend_from_slice(some);
                    failed = Some(error);
                }
            }
        }
        match failed {
            Some(error) if left.len() == timelines.len() => Err(error),
            Some(error) => {
                tracing::warn!(post = %row.post, left = left.len(), %error, "some rows are written later");
                Ok(left)
            }
            None => Ok(left),
        }
    }
}
