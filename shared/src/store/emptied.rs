//! Tables of read models that are emptied after a rebuild.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};

use super::{
    dynamo::{BATCH_WRITE_MAX, Dynamo, Item, failed},
    segments::Part,
    table::TableName,
};
use crate::{error::Error, retry::RetryPolicy};

/// Pages without items that are passed over at most.
const EMPTY_PAGES_MAX: usize = 1000;
/// How often deletions that DynamoDB left unprocessed are sent again.
const RETRY: RetryPolicy =
    RetryPolicy { retries_max: 8, first: Duration::from_millis(20), longest: Duration::from_secs(1) };

/// A table of which all items are deleted.
#[derive(Debug, Clone)]
pub struct Emptied {
    dynamo: Dynamo,
    table: TableName,
    has_sort_key: bool,
}

impl Emptied {
    /// The table of this name.
    pub fn new(dynamo: Dynamo, table: TableName, has_sort_key: bool) -> Self {
        Self { dynamo, table, has_sort_key }
    }

    /// Deletes some items of this part of the table. Returns how many, or None if the part is empty.
    pub async fn delete_some(&self, part: Part) -> Result<Option<u64>, Error> {
        let Some(keys) = self.some_keys(part).await? else { return Ok(None) };
        let deleted = keys.len() as u64;
        let deletion = |key: Item| {
            let request = DeleteRequest::builder().set_key(Some(key)).build();
            let request = request.map_err(|error| Error::poison("a deletion", error))?;
            Ok(WriteRequest::builder().delete_request(request).build())
        };
        self.delete(keys.into_iter().map(deletion).collect::<Result<_, Error>>()?).await?;
        Ok(Some(deleted))
    }

    /// The keys of some items of this part of the table, or None if the part is empty. Where much was deleted, DynamoDB
    /// may answer with pages that have no items.
    async fn some_keys(&self, part: Part) -> Result<Option<Vec<Item>>, Error> {
        let mut start = None;
        for _ in 0..EMPTY_PAGES_MAX {
            let answer = self
                .dynamo
                .0
                .scan()
                .table_name(self.table.get())
                .segment(part.number())
                .total_segments(part.total())
                .projection_expression(if self.has_sort_key { "PK, SK" } else { "PK" })
                .limit(i32::try_from(BATCH_WRITE_MAX).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start)
                .consistent_read(true)
                .send()
                .await
                .map_err(failed("reading a table that is emptied"))?;
            let keys = answer.items.unwrap_or_default();
            start = answer.last_evaluated_key;
            if !keys.is_empty() {
                return Ok(Some(keys));
            }
            if start.is_none() {
                return Ok(None);
            }
        }
        Err(Error::transient("emptying a table", "there are too many pages without items"))
    }

    /// Sends deletions, 25 at most, until DynamoDB has done all of them.
    pub(super) async fn delete(&self, mut batch: Vec<WriteRequest>) -> Result<(), Error> {
        let table = self.table.get();
        let mut retries = RETRY.start();
        loop {
            let requests = HashMap::from([(table.to_owned(), batch)]);
            let answer = self.dynamo.0.batch_write_item().set_request_items(Some(requests)).send().await;
            let mut left = answer.map_err(failed("emptying a table"))?.unprocessed_items.unwrap_or_default();
            batch = left.remove(table).unwrap_or_default();
            if batch.is_empty() {
                return Ok(());
            }
            if !retries.wait().await {
                return Err(Error::transient("emptying a table", "DynamoDB left deletions unprocessed"));
            }
        }
    }
}
