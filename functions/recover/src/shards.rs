//! Reads records again from a stream, from a given one on.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodbstreams::{
    error::{DisplayErrorContext, ProvideErrorMetadata},
    types::{AttributeValue, ShardIteratorType as TablePosition},
};
use aws_sdk_kinesis::types::ShardIteratorType as KinesisPosition;
use tidings::error::Error;

use crate::notice::{Batch, order};

/// Records of one page at most.
const PAGE: i32 = 1000;
/// A shard is read five times a second, by everybody together.
const PAGE_PAUSE: Duration = Duration::from_millis(200);
/// Pages that are read at most. Kinesis may answer with empty pages before the next record.
const PAGES_MAX: usize = 10;
/// The errors by which AWS says that there is no such stream or shard any more, or no record at this place. Access is
/// denied to every stream that is not the deployment's own one, such as that of a table that was lost.
const GONE: [&str; 5] = [
    "TrimmedDataAccessException",
    "ResourceNotFoundException",
    "InvalidArgumentException",
    "ValidationException",
    "AccessDeniedException",
];

/// Clients of streams.
#[derive(Debug, Clone)]
pub(crate) struct Shards {
    kinesis: aws_sdk_kinesis::Client,
    streams: aws_sdk_dynamodbstreams::Client,
}

/// A record: its sequence number and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record<T> {
    pub(crate) sequence: String,
    pub(crate) holds: T,
}

/// The key of an item of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ItemKey {
    pub(crate) pk: String,
    pub(crate) sk: String,
}

/// The records of a batch that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found<T> {
    /// The records, in the order of the shard.
    pub(crate) records: Vec<Record<T>>,
    /// What became of the others.
    pub(crate) end: End,
}

/// How reading a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All records were read.
    Complete,
    /// There are more. The last record that was read is the first one of the rest.
    More,
    /// The stream no longer has some of the records.
    Gone,
}

/// A page of a shard.
struct Page<T> {
    records: Vec<Record<T>>,
    next: Option<String>,
}

/// Why a page could not be read.
enum Unread {
    Gone,
    Failed(Error),
}

impl Shards {
    /// Clients with this configuration. Nothing is sent yet.
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self { kinesis: aws_sdk_kinesis::Client::new(config), streams: aws_sdk_dynamodbstreams::Client::new(config) }
    }

    /// The data of the batch's records in a Kinesis stream.
    ///
    /// # Errors
    /// [`Error::Transient`] if the stream cannot be read at present.
    pub(crate) async fn data(&self, batch: &Batch) -> Result<Found<Vec<u8>>, Error> {
        read(batch, self.kinesis_iterator(batch).await, async |iterator| self.kinesis_page(batch, iterator).await).await
    }

    /// The keys of the batch's records in the stream of a table.
    ///
    /// # Errors
    /// [`Error::Transient`] if the stream cannot be read at present.
    pub(crate) async fn keys(&self, batch: &Batch) -> Result<Found<ItemKey>, Error> {
        read(batch, self.table_iterator(batch).await, async |iterator| self.table_page(iterator).await).await
    }

    async fn kinesis_iterator(&self, batch: &Batch) -> Result<Option<String>, Unread> {
        let kinesis = &self.kinesis;
        let request = kinesis.get_shard_iterator().stream_arn(&batch.stream_arn).shard_id(&batch.shard_id);
        let request = request.shard_iterator_type(KinesisPosition::AtSequenceNumber);
        let answer = request.starting_sequence_number(&batch.start_sequence_number).send().await;
        Ok(answer.map_err(|error| unread(error.code(), &error))?.shard_iterator)
    }

    async fn kinesis_page(&self, batch: &Batch, iterator: &str) -> Result<Page<Vec<u8>>, Unread> {
        let kinesis = &self.kinesis;
        let request = kinesis.get_records().stream_arn(&batch.stream_arn).shard_iterator(iterator);
        let answer = request.limit(PAGE).send().await.map_err(|error| unread(error.code(), &error))?;
        // An iterator that leads to nothing leads to nothing for ever, as far as this shard has records.
        let is_at_end = answer.records.is_empty() && answer.millis_behind_latest == Some(0);
        let record = |record: aws_sdk_kinesis::types::Record| Record {
            sequence: record.sequence_number,
            holds: record.data.into_inner(),
        };
        let records = answer.records.into_iter().map(record).collect();
        Ok(Page { records, next: answer.next_shard_iterator.filter(|_| !is_at_end) })
    }

    async fn table_iterator(&self, batch: &Batch) -> Result<Option<String>, Unread> {
        let streams = &self.streams;
        let request = streams.get_shard_iterator().stream_arn(&batch.stream_arn).shard_id(&batch.shard_id);
        let request = request.shard_iterator_type(TablePosition::AtSequenceNumber);
        let answer = request.sequence_number(&batch.start_sequence_number).send().await;
        Ok(answer.map_err(|error| unread(error.code(), &error))?.shard_iterator)
    }

    async fn table_page(&self, iterator: &str) -> Result<Page<ItemKey>, Unread> {
        let streams = &self.streams;
        let request = streams.get_records().shard_iterator(iterator).limit(PAGE);
        let answer = request.send().await.map_err(|error| unread(error.code(), &error))?;
        let record = |record: aws_sdk_dynamodbstreams::types::Record| {
            let change = record.dynamodb?;
            let part = |name: &str| match change.keys.as_ref()?.get(name) {
                Some(AttributeValue::S(text)) => Some(text.clone()),
                _ => None,
            };
            Some(Record { holds: ItemKey { pk: part("PK")?, sk: part("SK")? }, sequence: change.sequence_number? })
        };
        let records = answer.records.unwrap_or_default().into_iter().filter_map(record).collect();
        Ok(Page { records, next: answer.next_shard_iterator })
    }
}

fn unread(code: Option<&str>, error: &(dyn std::error::Error + 'static)) -> Unread {
    match code {
        Some(code) if GONE.contains(&code) => Unread::Gone,
        _ => Unread::Failed(Error::transient("reading a stream again", DisplayErrorContext(error))),
    }
}

/// Reads the batch page by page. A stream that has deleted the first record begins with a later one, or says so.
async fn read<T>(
    batch: &Batch,
    iterator: Result<Option<String>, Unread>,
    page: impl AsyncFn(&str) -> Result<Page<T>, Unread>,
) -> Result<Found<T>, Error> {
    let mut found = Found { records: Vec::new(), end: End::Gone };
    let mut next = match iterator {
        Ok(iterator) => iterator,
        Err(Unread::Gone) => return Ok(found),
        Err(Unread::Failed(error)) => return Err(error),
    };
    for number in 0..PAGES_MAX {
        let Some(iterator) = next else { return Ok(found) };
        if number > 0 {
            tokio::time::sleep(PAGE_PAUSE).await;
        }
        let page = match page(&iterator).await {
            Ok(page) => page,
            Err(Unread::Gone) => return Ok(found),
            // Whoever begins at the same record again meets the same limit.
            Err(Unread::Failed(_)) if found.records.len() > 1 => break,
            Err(Unread::Failed(error)) => return Err(error),
        };
        let is_beyond = |record: &Record<T>| order(&record.sequence, &batch.end_sequence_number).is_gt();
        let ended = page.records.iter().any(|record| order(&record.sequence, &batch.end_sequence_number).is_ge());
        found.records.extend(page.records.into_iter().take_while(|record| !is_beyond(record)));
        if ended {
            found.end = found.end_if_whole(batch, End::Complete);
            return Ok(found);
        }
        next = page.next;
    }
    // What was read is done, and the rest is another message. If nothing was read, this message comes again.
    match found.records.len() {
        0 | 1 => Err(Error::transient("reading a stream again", "there were only empty pages")),
        _ => {
            found.end = found.end_if_whole(batch, End::More);
            Ok(found)
        }
    }
}

impl<T> Found<T> {
    /// How reading ends, if the first record of the batch was still there.
    fn end_if_whole(&self, batch: &Batch, end: End) -> End {
        let first = self.records.first();
        let is_whole = first.is_some_and(|first| order(&first.sequence, &batch.start_sequence_number).is_eq());
        if is_whole { end } else { End::Gone }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn batch(first: u32, last: u32) -> Batch {
        Batch {
            stream_arn: "stream".to_owned(),
            shard_id: "shard".to_owned(),
            start_sequence_number: first.to_string(),
            end_sequence_number: last.to_string(),
        }
    }

    /// Stands for a page that cannot be read.
    const REFUSED: &[u32] = &[u32::MAX];

    /// Reads records `first` to `last` of a shard whose pages hold these sequence numbers.
    fn found(first: u32, last: u32, pages: &[&[u32]]) -> Result<(Vec<String>, End), Error> {
        let at = Cell::new(0);
        let page = async |_: &str| {
            if pages.get(at.get()) == Some(&REFUSED) {
                return Err(Unread::Failed(Error::transient("reading", "too many reads")));
            }
            let page = pages.get(at.get()).copied().unwrap_or_default();
            at.set(at.get() + 1);
            let record = |sequence: &u32| Record { sequence: sequence.to_string(), holds: () };
            let next = (at.get() < pages.len()).then(String::new);
            Ok(Page { records: page.iter().map(record).collect(), next })
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let found = runtime.block_on(read(&batch(first, last), Ok(Some(String::new())), page))?;
        Ok((found.records.into_iter().map(|record| record.sequence).collect(), found.end))
    }

    fn numbers(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
        numbers.into_iter().map(|number| number.to_string()).collect()
    }

    #[test]
    fn a_batch_is_read_over_pages_and_no_further() {
        assert_eq!(found(9, 12, &[&[9, 10], &[], &[11, 12, 13]]).unwrap(), (numbers(9..=12), End::Complete));
        assert_eq!(found(9, 12, &[&[9, 14]]).unwrap(), (numbers([9]), End::Complete));
    }

    #[test]
    fn records_that_the_stream_has_deleted_are_missed() {
        assert_eq!(found(9, 12, &[&[11, 12]]).unwrap(), (numbers(11..=12), End::Gone));
        assert_eq!(found(9, 12, &[&[20]]).unwrap(), (vec![], End::Gone));
        assert_eq!(found(0, 100, &[&[5, 6], REFUSED]).unwrap(), (numbers(5..=6), End::Gone), "before the rest");
        assert_eq!(found(9, 12, &[&[9, 10]]).unwrap(), (numbers(9..=10), End::Gone), "the shard ends");
    }

    #[test]
    fn a_long_batch_is_read_in_steps() {
        let pages: Vec<Vec<u32>> = (0..20).map(|page| vec![page * 2, page * 2 + 1]).collect();
        let pages: Vec<&[u32]> = pages.iter().map(Vec::as_slice).collect();
        assert_eq!(found(0, 100, &pages).unwrap(), (numbers(0..20), End::More));
        assert!(found(0, 100, &[&[] as &[u32]; 20]).is_err(), "it is tried again");
    }

    #[test]
    fn what_was_read_before_a_read_fails_is_done() {
        assert_eq!(found(0, 100, &[&[0, 1], &[2], REFUSED]).unwrap(), (numbers(0..3), End::More));
        assert!(found(0, 100, &[REFUSED]).is_err());
        assert!(found(0, 100, &[&[0], REFUSED]).is_err(), "the rest would begin with the same record");
    }
}
