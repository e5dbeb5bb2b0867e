//! Pushes of a row into many homes, as far as DynamoDB takes them. While a table is throttled, what was written stays
//! written: only the rest is tried again, so that throttling does not feed itself.

use futures::future::join_all;

use super::timelines::{BATCH_WRITE_MAX, Row, Timeline, Timelines};
use crate::error::Error;

impl Timelines {
    /// Puts the row into these timelines. Returns those of the calls that failed.
    ///
    /// # Errors
    /// As [`Timelines::put`], if no call succeeded.
    pub(crate) async fn put_some(&self, timelines: &[Timeline], row: &Row) -> Result<Vec<Timeline>, Error> {
        let calls = || timelines.chunks(BATCH_WRITE_MAX);
        let written = join_all(calls().map(|some| self.put(some, row))).await;
        let (mut left, mut failed) = (Vec::new(), None);
        for (some, written) in calls().zip(written) {
            if let Err(error) = written {
                left.extend_from_slice(some);
                failed = Some(error);
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
