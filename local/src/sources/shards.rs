//! Reads DynamoDB streams and Kinesis streams in the same way: shards, iterators and pages of records. It uses the AWS
//! SDK, so every endpoint works. It knows nothing about functions or batches.

use anyhow::Context as _;
use aws_sdk_dynamodbstreams::{error::ProvideErrorMetadata, types::ShardIteratorType as DynamoDbIterator};
use aws_sdk_kinesis::types::ShardIteratorType as KinesisIterator;
use bytes::Bytes;
use time::OffsetDateTime;

use super::{filter::Filters, parts::Clients, record_json};
use crate::template::model::StreamKind;

/// How many records one read asks for. Both services allow this many.
const PAGE_RECORDS_MAX: i32 = 1_000;

/// One record of a stream.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// The sequence number: the place of the record in its shard.
    pub(super) sequence: String,
    /// The partition key, or the key of the item. Records with the same key stay in order.
    pub(super) key: String,
    /// When the record was written, as exactly as the stream tells.
    pub(super) arrival: OffsetDateTime,
    /// Whether the record passes the mapping's filters.
    pub(super) passes: bool,
    /// The record's JSON for the function.
    pub(super) event: Bytes,
}

/// A shard, and the shards that must be read to their end before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) id: String,
    pub(super) parents: Vec<String>,
}

/// Where to begin in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Position {
    TrimHorizon,
    Latest,
    After(String),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The iterator is too old. A new iterator solves this.
    #[error("the shard iterator has expired")]
    Expired,
    /// The stream has deleted the records at this position.
    #[error("the stream has deleted the records after the checkpoint")]
    Trimmed,
    #[error("{0}")]
    Other(String),
}

/// Records, and the iterator of the next page. There is no next page at the end of a closed shard.
pub(super) struct Page {
    pub(super) records: Vec<Record>,
    pub(super) next: Option<String>,
}

impl Page {
    /// Whether the stream may have had more records at the time of the read. The servers in memory, of which this is
    /// asked, end a page early for no other reason.
    pub(super) fn is_full(&self) -> bool {
        i32::try_from(self.records.len()).is_ok_and(|records| records >= PAGE_RECORDS_MAX)
    }
}

/// An open stream.
#[derive(Clone)]
pub(super) struct Stream {
    arn: String,
    client: Client,
    filters: Filters,
}

#[derive(Clone)]
enum Client {
    DynamoDb(aws_sdk_dynamodbstreams::Client),
    Kinesis(aws_sdk_kinesis::Client),
}

impl Stream {
    /// Finds the stream and reads the filters.
    pub(super) async fn open(
        clients: &Clients,
        kind: &StreamKind,
        filters: &[serde_json::Value],
    ) -> anyhow::Result<Self> {
        match kind {
            StreamKind::DynamoDb(table) => {
                let described = clients.dynamodb.describe_table().table_name(table).send().await;
                let arn = described
                    .with_context(|| format!("cannot find table {table}"))?
                    .table
                    .and_then(|table| table.latest_stream_arn)
                    .with_context(|| format!("table {table} has no stream"))?;
                let client = Client::DynamoDb(clients.streams.clone());
                Ok(Self { arn, client, filters: Filters::parse(filters, None)? })
            }
            StreamKind::Kinesis(name) => {
                let described = clients.kinesis.describe_stream_summary().stream_name(name).send().await;
                let arn = described
                    .with_context(|| format!("cannot find stream {name}"))?
                    .stream_description_summary
                    .with_context(|| format!("stream {name} has no description"))?
                    .stream_arn;
                let client = Client::Kinesis(clients.kinesis.clone());
                Ok(Self { arn, client, filters: Filters::parse(filters, Some("data"))? })
            }
        }
    }

    pub(super) fn arn(&self) -> &str {
        &self.arn
    }

    /// The table whose stream this is, if it is one of a table.
    pub(super) fn table(&self) -> Option<&str> {
        self.arn.split_once(":table/")?.1.split('/').next()
    }

    pub(super) fn is_kinesis(&self) -> bool {
        matches!(self.client, Client::Kinesis(_))
    }

    /// All shards that have records or will have some.
    pub(super) async fn shards(&self) -> Result<Vec<Shard>, ReadError> {
        let mut shards = Vec::new();
        match &self.client {
            Client::DynamoDb(client) => {
                let mut start = None;
                loop {
                    let request = client.describe_stream().stream_arn(&self.arn).set_exclusive_start_shard_id(start);
                    let description = request.send().await.map_err(|error| other(&error))?.stream_description;
                    let Some(description) = description else {
                        return Ok(shards);
                    };
                    shards.extend(description.shards.unwrap_or_default().into_iter().map(|shard| Shard {
                        parents: shard.parent_shard_id.into_iter().collect(),
                        id: shard.shard_id.unwrap_or_default(),
                    }));
                    start = description.last_evaluated_shard_id;
                    if start.is_none() {
                        return Ok(shards);
                    }
                }
            }
            Client::Kinesis(client) => {
                let mut token: Option<String> = None;
                loop {
                    let request = match token {
                        Some(token) => client.list_shards().next_token(token),
                        None => client.list_shards().stream_arn(&self.arn),
                    };
                    let page = request.send().await.map_err(|error| other(&error))?;
                    shards.extend(page.shards.unwrap_or_default().into_iter().map(|shard| Shard {
                        parents: shard.parent_shard_id.into_iter().chain(shard.adjacent_parent_shard_id).collect(),
                        id: shard.shard_id,
                    }));
                    token = page.next_token;
                    if token.is_none() {
                        return Ok(shards);
                    }
                }
            }
        }
    }

    /// An iterator at a position.
    pub(super) async fn iterator(&self, shard: &str, position: &Position) -> Result<String, ReadError> {
        let sequence = match position {
            Position::After(sequence) => Some(sequence.clone()),
            Position::TrimHorizon | Position::Latest => None,
        };
        // If the stream never had this sequence number, the number is from an earlier stream with the same name.
        let refused = |code: Option<&str>| sequence.is_some() && code.is_some_and(|code| REFUSALS.contains(&code));
        let iterator = match &self.client {
            Client::DynamoDb(client) => {
                let kind = match position {
                    Position::TrimHorizon => DynamoDbIterator::TrimHorizon,
                    Position::Latest => DynamoDbIterator::Latest,
                    Position::After(_) => DynamoDbIterator::AfterSequenceNumber,
                };
                let request =
                    client.get_shard_iterator().stream_arn(&self.arn).shard_id(shard).shard_iterator_type(kind);
                match request.set_sequence_number(sequence.clone()).send().await {
                    Ok(answer) => answer.shard_iterator,
                    Err(error) if refused(error.code()) => return Err(ReadError::Trimmed),
                    Err(error) => return Err(other(&error)),
                }
            }
            Client::Kinesis(client) => {
                let kind = match position {
                    Position::TrimHorizon => KinesisIterator::TrimHorizon,
                    Position::Latest => KinesisIterator::Latest,
                    Position::After(_) => KinesisIterator::AfterSequenceNumber,
                };
                let request =
                    client.get_shard_iterator().stream_arn(&self.arn).shard_id(shard).shard_iterator_type(kind);
                match request.set_starting_sequence_number(sequence.clone()).send().await {
                    Ok(answer) => answer.shard_iterator,
                    Err(error) if refused(error.code()) => return Err(ReadError::Trimmed),
                    Err(error) => return Err(other(&error)),
                }
            }
        };
        iterator.ok_or_else(|| ReadError::Other("the stream returned no shard iterator".into()))
    }

    /// The records at an iterator.
    pub(super) async fn read(&self, shard: &str, iterator: &str) -> Result<Page, ReadError> {
        match &self.client {
            Client::DynamoDb(client) => {
                let request = client.get_records().shard_iterator(iterator).limit(PAGE_RECORDS_MAX);
                let page = request.send().await.map_err(|error| read_error(error.code(), &error))?;
                let records = page.records.unwrap_or_default();
                let records = records.iter().filter_map(|record| self.dynamodb_record(record)).collect();
                Ok(Page { records, next: page.next_shard_iterator })
            }
            Client::Kinesis(client) => {
                let request =
                    client.get_records().stream_arn(&self.arn).shard_iterator(iterator).limit(PAGE_RECORDS_MAX);
                let page = request.send().await.map_err(|error| read_error(error.code(), &error))?;
                let records = page.records.iter().map(|record| self.kinesis_record(shard, record)).collect();
                Ok(Page { records, next: page.next_shard_iterator })
            }
        }
    }

    fn dynamodb_record(&self, record: &aws_sdk_dynamodbstreams::types::Record) -> Option<Record> {
        let data = record.dynamodb.as_ref()?;
        let event = record_json::dynamodb(record, &self.arn);
        Some(Record {
            sequence: data.sequence_number.clone()?,
            key: record_json::dynamodb_key(record),
            arrival: point_in_time(data.approximate_creation_date_time.map_or(0.0, |time| time.as_secs_f64())),
            passes: self.filters.matches(&event),
            event: event.to_string().into(),
        })
    }

    fn kinesis_record(&self, shard: &str, record: &aws_sdk_kinesis::types::Record) -> Record {
        let inner = record_json::kinesis_inner(record);
        let passes = self.filters.matches_body(inner.clone(), "data", record.data.as_ref());
        Record {
            sequence: record.sequence_number.clone(),
            key: record.partition_key.clone().unwrap_or_default(),
            arrival: point_in_time(record.approximate_arrival_timestamp.map_or(0.0, |time| time.as_secs_f64())),
            passes,
            event: record_json::kinesis(inner, &record.sequence_number, shard, &self.arn).to_string().into(),
        }
    }
}

/// The error codes with which a stream refuses a sequence number.
const REFUSALS: [&str; 3] = ["TrimmedDataAccessException", "InvalidArgumentException", "ValidationException"];

fn read_error(code: Option<&str>, error: &(dyn std::error::Error + 'static)) -> ReadError {
    match code {
        Some("ExpiredIteratorException") => ReadError::Expired,
        Some("TrimmedDataAccessException") => ReadError::Trimmed,
        _ => other(error),
    }
}

/// The error with its causes, because the SDK's own text is only "service error".
fn other(error: &(dyn std::error::Error + 'static)) -> ReadError {
    ReadError::Other(aws_sdk_kinesis::error::DisplayErrorContext(error).to_string())
}

fn point_in_time(epoch_seconds: f64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::seconds_f64(epoch_seconds)
}
