//! Kinesis: what producers and consumers of a stream ask for.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_local::{
    aws::{ACCOUNT, REGION},
    sources::Writes,
};

use crate::connector::Answer;

/// Records of one PutRecords (Kinesis API reference, "PutRecords").
const PUT_RECORDS_MAX: usize = 500;
/// Bytes of one record's data.
const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Characters of a partition key at most ("PutRecordsRequestEntry").
const PARTITION_KEY_MAX: usize = 256;
/// Records of one GetRecords.
const GET_RECORDS_MAX: usize = 10_000;
/// After this, an iterator has expired (Kinesis API reference, "GetShardIterator").
const ITERATOR_LIFETIME_MS: i64 = 5 * 60 * 1000;
/// Sequence numbers begin here, so that all have the same number of digits.
const SEQUENCE_FIRST: u64 = 1_000_000_000_000_000_000;

/// All streams.
#[derive(Default)]
pub(crate) struct Kinesis {
    streams: BTreeMap<String, Stream>,
    sequence: u64,
    /// Counts the records of each shard, once they are there.
    writes: Arc<Writes>,
}

struct Stream {
    shards: Vec<Vec<Record>>,
}

/// A record of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Number of its shard.
    pub shard: usize,
    /// Its place in the shard.
    pub sequence: String,
    /// What orders records.
    pub partition_key: String,
    /// What the producer sent.
    pub data: Vec<u8>,
    /// When it arrived, in milliseconds since 1970.
    pub arrived_ms: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateStream {
    stream_name: String,
    shard_count: usize,
}

#[derive(Deserialize)]
struct OfStream {
    #[serde(rename = "StreamName")]
    name: Option<String>,
    #[serde(rename = "StreamARN")]
    arn: Option<String>,
}

#[derive(Deserialize)]
struct PutRecords {
    #[serde(flatten)]
    stream: OfStream,
    #[serde(rename = "Records")]
    records: Vec<PutRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecord {
    data: String,
    partition_key: String,
}

#[derive(Deserialize)]
struct GetShardIterator {
    #[serde(flatten)]
    stream: OfStream,
    #[serde(rename = "ShardId")]
    shard: String,
    #[serde(rename = "ShardIteratorType")]
    kind: String,
    #[serde(rename = "StartingSequenceNumber")]
    sequence: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetRecords {
    shard_iterator: String,
    limit: Option<usize>,
}

/// Why a request is refused: code and message.
type Error = (&'static str, String);

impl Kinesis {
    /// Without any stream.
    pub(crate) fn new(writes: Arc<Writes>) -> Self {
        Self { writes, ..Self::default() }
    }

    /// Answers one operation.
    pub(crate) fn call(&mut self, now_ms: i64, operation: &str, body: &[u8]) -> Answer {
        let answered = match operation {
            "CreateStream" => parse(body).and_then(|request| self.create_stream(request)),
            "DescribeStreamSummary" => parse(body).and_then(|request| self.describe(&request)),
            "ListShards" => parse(body).and_then(|request| self.list_shards(&request)),
            "PutRecords" => parse(body).and_then(|request| self.put_records(now_ms, request)),
            "GetShardIterator" => parse(body).and_then(|request| self.iterator(now_ms, &request)),
            "GetRecords" => parse(body).and_then(|request| self.get_records(now_ms, &request)),
            _ => Err(("UnknownOperationException", format!("{operation} is not served here"))),
        };
        match answered {
            Ok(answer) => Answer::new(200, &answer),
            Err((code, message)) => Answer::error(400, code, &message),
        }
    }

    /// Every record of a stream, in the order of each shard.
    pub(crate) fn records(&self, stream: &str) -> Vec<Record> {
        self.streams.get(stream).map(|stream| stream.shards.concat()).unwrap_or_default()
    }

    fn stream(&mut self, of: &OfStream) -> Result<(&str, &mut Stream), Error> {
        let name = of.name.as_deref().or_else(|| of.arn.as_deref()?.rsplit('/').next()).unwrap_or_default();
        let stream = self.streams.iter_mut().find(|(found, _)| *found == name);
        let (name, stream) = stream.ok_or_else(|| ("ResourceNotFoundException", format!("Stream {name} not found")))?;
        Ok((name, stream))
    }

    fn create_stream(&mut self, request: CreateStream) -> Result<Value, Error> {
        let shards = vec![Vec::new(); request.shard_count.max(1)];
        if self.streams.contains_key(&request.stream_name) {
            return Err(("ResourceInUseException", format!("Stream {} exists", request.stream_name)));
        }
        self.streams.insert(request.stream_name, Stream { shards });
        Ok(json!({}))
    }

    fn describe(&mut self, request: &OfStream) -> Result<Value, Error> {
        let (name, stream) = self.stream(request)?;
        Ok(json!({"StreamDescriptionSummary": {
            "StreamName": name, "StreamARN": format!("arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{name}"),
            "StreamStatus": "ACTIVE", "RetentionPeriodHours": 24, "StreamCreationTimestamp": 0.0,
            "EnhancedMonitoring": [], "OpenShardCount": stream.shards.len(),
        }}))
    }

    fn list_shards(&mut self, request: &OfStream) -> Result<Value, Error> {
        let (_, stream) = self.stream(request)?;
        let count = stream.shards.len();
        let shard = |number: usize| {
            let (first, last) = (first_hash(number, count), first_hash(number + 1, count).wrapping_sub(1));
            json!({
                "ShardId": shard_id(number),
                "HashKeyRange": {"StartingHashKey": first.to_string(), "EndingHashKey": last.to_string()},
                "SequenceNumberRange": {"StartingSequenceNumber": SEQUENCE_FIRST.to_string()},
            })
        };
        Ok(json!({"Shards": (0..count).map(shard).collect::<Vec<_>>()}))
    }

    fn put_records(&mut self, now_ms: i64, request: PutRecords) -> Result<Value, Error> {
        if request.records.is_empty() || request.records.len() > PUT_RECORDS_MAX {
            let message = format!("{} records; 1 to {PUT_RECORDS_MAX} are allowed", request.records.len());
            return Err(("InvalidArgumentException", message));
        }
        let (mut sequence, writes) = (self.sequence, Arc::clone(&self.writes));
        let (_, stream) = self.stream(&request.stream)?;
        let mut results = Vec::new();
        for record in request.records {
            let data = BASE64.decode(&record.data).map_err(|error| ("SerializationException", error.to_string()))?;
            if data.len() > RECORD_BYTES_MAX {
                return Err(("InvalidArgumentException", format!("a record has {} bytes", data.len())));
            }
            let key_characters = record.partition_key.chars().count();
            if !(1..=PARTITION_KEY_MAX).contains(&key_characters) {
                return Err(("ValidationException", format!("a partition key has {key_characters} characters")));
            }
            let hash = u128::from_be_bytes(md5::compute(record.partition_key.as_bytes()).0);
            let count = stream.shards.len();
            let shard = (0..count).rev().find(|shard| first_hash(*shard, count) <= hash).unwrap_or_default();
            sequence += 1;
            let number = (SEQUENCE_FIRST + sequence).to_string();
            let id = shard_id(shard);
            writes.count_shard(&id);
            results.push(json!({"ShardId": id, "SequenceNumber": number}));
            let partition_key = record.partition_key;
            stream.shards[shard].push(Record { shard, sequence: number, partition_key, data, arrived_ms: now_ms });
        }
        self.sequence = sequence;
        Ok(json!({"FailedRecordCount": 0, "Records": results}))
    }

    fn iterator(&mut self, now_ms: i64, request: &GetShardIterator) -> Result<Value, Error> {
        let (name, stream) = self.stream(&request.stream)?;
        let shard = (0..stream.shards.len()).find(|number| shard_id(*number) == request.shard);
        let shard = shard.ok_or_else(|| ("ResourceNotFoundException", format!("Shard {} not found", request.shard)))?;
        let records = &stream.shards[shard];
        let sequence = request.sequence.as_deref().unwrap_or_default();
        // All sequence numbers have the same length, so their order is that of texts.
        let position = match request.kind.as_str() {
            "TRIM_HORIZON" => 0,
            "LATEST" => records.len(),
            "AT_SEQUENCE_NUMBER" => records.partition_point(|record| record.sequence.as_str() < sequence),
            "AFTER_SEQUENCE_NUMBER" => records.partition_point(|record| record.sequence.as_str() <= sequence),
            other => return Err(("InvalidArgumentException", format!("no iterator type {other}"))),
        };
        Ok(json!({"ShardIterator": iterator(name, shard, position, now_ms)}))
    }

    fn get_records(&mut self, now_ms: i64, request: &GetRecords) -> Result<Value, Error> {
        let invalid = || ("InvalidArgumentException", "Invalid ShardIterator".to_owned());
        let mut parts = request.shard_iterator.split('/');
        let mut next = || parts.next().ok_or_else(invalid);
        let (name, shard, position, issued_ms) = (next()?, next()?, next()?, next()?);
        let number = |text: &str| text.parse::<usize>().map_err(|_| invalid());
        let (shard, position) = (number(shard)?, number(position)?);
        if issued_ms.parse::<i64>().map_err(|_| invalid())? + ITERATOR_LIFETIME_MS < now_ms {
            return Err(("ExpiredIteratorException", "Iterator expired".to_owned()));
        }
        let stream = self.streams.get(name).ok_or_else(invalid)?;
        let records = stream.shards.get(shard).ok_or_else(invalid)?;
        let limit = request.limit.unwrap_or(GET_RECORDS_MAX).min(GET_RECORDS_MAX);
        let page: Vec<_> = records.iter().skip(position).take(limit).map(document).collect();
        let next = iterator(name, shard, position + page.len(), now_ms);
        Ok(json!({"Records": page, "NextShardIterator": next, "MillisBehindLatest": 0}))
    }
}

fn document(record: &Record) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2⁵³")]
    let arrived = record.arrived_ms as f64 / 1000.0;
    json!({
        "Data": BASE64.encode(&record.data), "PartitionKey": record.partition_key, "SequenceNumber": record.sequence,
        "ApproximateArrivalTimestamp": arrived,
    })
}

/// The lowest hash key of a shard. Shards split the space of hash keys evenly.
fn first_hash(shard: usize, count: usize) -> u128 {
    (u128::MAX / count as u128).wrapping_mul(shard as u128)
}

fn shard_id(number: usize) -> String {
    format!("shardId-{number:012}")
}

fn iterator(stream: &str, shard: usize, position: usize, issued_ms: i64) -> String {
    format!("{stream}/{shard}/{position}/{issued_ms}")
}

fn parse<Request: serde::de::DeserializeOwned>(body: &[u8]) -> Result<Request, Error> {
    serde_json::from_slice(body).map_err(|error| ("SerializationException", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(shards: usize) -> Kinesis {
        let mut kinesis = Kinesis::default();
        let created = kinesis.create_stream(CreateStream { stream_name: "s".to_owned(), shard_count: shards });
        assert_eq!(created, Ok(json!({})));
        kinesis
    }

    fn call(kinesis: &mut Kinesis, now_ms: i64, operation: &str, request: &Value) -> (u16, Value) {
        let answer = kinesis.call(now_ms, operation, request.to_string().as_bytes());
        (answer.status, answer.json())
    }

    fn put(kinesis: &mut Kinesis, keys: &[&str]) -> (u16, Value) {
        let record = |key: &&str| json!({"Data": BASE64.encode(key), "PartitionKey": key});
        let records: Vec<_> = keys.iter().map(record).collect();
        call(kinesis, 7, "PutRecords", &json!({"StreamName": "s", "Records": records}))
    }

    #[test]
    fn records_of_one_key_are_in_one_shard_in_their_order() {
        let mut kinesis = stream(4);
        put(&mut kinesis, &["a", "b", "c", "d", "e", "f"]);
        put(&mut kinesis, &["a"]);
        let of_a: Vec<_> = kinesis.records("s").into_iter().filter(|record| record.data == b"a").collect();
        assert_eq!(of_a.len(), 2);
        assert_eq!(of_a[0].shard, of_a[1].shard);
        assert!(of_a[0].sequence < of_a[1].sequence);
        let shards: std::collections::BTreeSet<_> =
            kinesis.records("s").into_iter().map(|record| record.shard).collect();
        assert!(shards.len() > 1, "{shards:?}");
    }

    #[test]
    fn a_shard_is_read_page_by_page_and_after_a_sequence_number() {
        let mut kinesis = stream(1);
        let (_, answer) = put(&mut kinesis, &["a", "b", "c"]);
        let first = answer["Records"][0]["SequenceNumber"].clone();
        let read = |kinesis: &mut Kinesis, iterator: &Value, limit: usize| {
            let page = call(kinesis, 8, "GetRecords", &json!({"ShardIterator": iterator, "Limit": limit})).1;
            let keys: Vec<_> = page["Records"].as_array().unwrap().iter().map(|r| r["PartitionKey"].clone()).collect();
            (keys, page["NextShardIterator"].clone())
        };
        let ask = json!({"StreamName": "s", "ShardId": shard_id(0), "ShardIteratorType": "TRIM_HORIZON"});
        let oldest = call(&mut kinesis, 8, "GetShardIterator", &ask).1["ShardIterator"].clone();
        let (keys, next) = read(&mut kinesis, &oldest, 2);
        assert_eq!(keys, ["a", "b"]);
        let (keys, next) = read(&mut kinesis, &next, 2);
        assert_eq!(keys, ["c"]);
        assert_eq!(read(&mut kinesis, &next, 2).0, [""; 0]);
        let ask = json!({"StreamName": "s", "ShardId": shard_id(0), "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
            "StartingSequenceNumber": first});
        let after = call(&mut kinesis, 8, "GetShardIterator", &ask).1["ShardIterator"].clone();
        assert_eq!(read(&mut kinesis, &after, 9).0, ["b", "c"]);
    }

    #[test]
    fn limits_are_those_of_aws() {
        let mut kinesis = stream(1);
        assert_eq!(put(&mut kinesis, &["k"; 500]).0, 200);
        assert_eq!(put(&mut kinesis, &["k"; 501]).0, 400);
        assert_eq!(put(&mut kinesis, &[]).0, 400);
        let missing = call(&mut kinesis, 0, "ListShards", &json!({"StreamName": "other"}));
        assert_eq!((missing.0, &missing.1["__type"]), (400, &json!("ResourceNotFoundException")));
        let ask = json!({"StreamName": "s", "ShardId": shard_id(0), "ShardIteratorType": "LATEST"});
        let iterator = call(&mut kinesis, 0, "GetShardIterator", &ask).1["ShardIterator"].clone();
        let late = call(&mut kinesis, ITERATOR_LIFETIME_MS + 1, "GetRecords", &json!({"ShardIterator": iterator}));
        assert_eq!(late.1["__type"], "ExpiredIteratorException");
    }
}
