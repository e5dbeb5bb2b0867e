//! AWS's limits before the embedded servers, as clients see them.

use std::{collections::HashMap, time::Duration};

use aws_limits::{Limits, numbers};
use aws_sdk_dynamodb::{
    Client,
    config::retry::RetryConfig,
    error::ProvideErrorMetadata,
    types::{AttributeValue, PutRequest, ReturnConsumedCapacity, WriteRequest},
};
use aws_sdk_kinesis::{primitives::Blob, types::PutRecordsRequestEntry};
use tidings_local::{
    aws, lineage,
    metrics::Metrics,
    servers::{Endpoints, limits::LimitingServers},
    sources::Pace,
    template::model::{KeySchema, KinesisStream, MetricId, Statistic, System, Table},
};

use crate::world::World;

const TABLE: &str = "limited";

async fn limited(world: &World, limits: &Limits, metrics: &Metrics) -> (LimitingServers, Client) {
    world.table(TABLE).await;
    let table = Table {
        name: TABLE.to_owned(),
        attributes: vec![("PK".to_owned(), "S".to_owned())],
        key: KeySchema { partition: "PK".to_owned(), sort: None },
        indexes: Vec::new(),
        stream_view: None,
        ttl_attribute: None,
    };
    let system = System {
        tables: vec![table],
        other_tables: Vec::new(),
        streams: vec![KinesisStream { name: TABLE.to_owned(), shards: 1 }],
        queues: Vec::new(),
        functions: Vec::new(),
        api: None,
        function_urls: Vec::new(),
        alarms: Vec::new(),
        composite_alarms: Vec::new(),
        warnings: Vec::new(),
    };
    let upstream =
        Endpoints { dynamodb: world.dynamodb.clone(), kinesis: world.kinesis.clone(), sqs: world.dynamodb.clone() };
    let servers = LimitingServers::start(&upstream, &system, limits, metrics.clone()).await.unwrap();
    let config = aws::dynamodb(&servers.endpoints.dynamodb).config().to_builder();
    (servers, Client::from_conf(config.retry_config(RetryConfig::disabled()).build()))
}

/// The sum of a metric so far.
fn sum(metrics: &Metrics, namespace: &str, name: &str, dimension: &str) -> Option<f64> {
    let metric = MetricId::new(namespace, name, [(dimension, TABLE.to_owned())]);
    metrics.statistic(&metric, Statistic::Sum, 0, i64::MAX)
}

fn key(key: &str) -> AttributeValue {
    AttributeValue::S(key.to_owned())
}

/// An item of so many bytes: its names and values.
fn item_of(bytes: usize) -> HashMap<String, AttributeValue> {
    let text = "x".repeat(bytes - "PK".len() - "a".len() - "text".len());
    HashMap::from([("PK".to_owned(), key("a")), ("text".to_owned(), AttributeValue::S(text))])
}

#[tokio::test]
async fn units_have_the_documented_sizes() {
    let world = World::start();
    world.table(TABLE).await;
    let client = aws::dynamodb(&world.dynamodb);
    let [written, read] = [numbers::WRITE_UNIT_BYTES, numbers::READ_UNIT_BYTES].map(|number| number.count() as usize);
    let total = ReturnConsumedCapacity::Total;
    for (bytes, units) in [(written, 1.0), (written + 1, 2.0)] {
        let put = client.put_item().table_name(TABLE).set_item(Some(item_of(bytes)));
        let answer = put.return_consumed_capacity(total.clone()).send().await.unwrap();
        assert_eq!(answer.consumed_capacity.unwrap().capacity_units, Some(units), "a write of {bytes} bytes");
    }
    for (bytes, units) in [(read, 1.0), (read + 1, 2.0)] {
        client.put_item().table_name(TABLE).set_item(Some(item_of(bytes))).send().await.unwrap();
        for (is_consistent, factor) in [(true, 1.0), (false, numbers::EVENTUAL_READ_UNITS.value)] {
            let get = client.get_item().table_name(TABLE).key("PK", key("a")).consistent_read(is_consistent);
            let answer = get.return_consumed_capacity(total.clone()).send().await.unwrap();
            let consumed = answer.consumed_capacity.unwrap().capacity_units;
            assert_eq!(consumed, Some(units * factor), "a read of {bytes} bytes");
        }
    }
}

#[test]
fn mappings_poll_and_chains_end_as_the_description_of_the_limits_says() {
    let every = |polls: numbers::Number| Duration::from_secs_f64(1.0 / polls.value);
    assert_eq!(Pace::AWS.dynamodb_poll, [every(numbers::DYNAMODB_STREAM_POLLS); 2]);
    assert_eq!(Pace::AWS.kinesis_poll, [every(numbers::KINESIS_POLLS); 2]);
    let [shared, own] = [false, true].map(|enhanced_fan_out| Limits { enhanced_fan_out, ..Limits::new_account() });
    assert_eq!(Pace::limited(&shared).kinesis_poll, Pace::AWS.kinesis_poll);
    assert_eq!(Pace::limited(&own).kinesis_poll, [Duration::from_millis(70); 2]);
    assert_eq!(f64::from(lineage::INVOCATIONS_MAX), numbers::CHAIN_MAX.value);
}

#[tokio::test]
async fn a_hot_item_is_throttled_as_on_aws() {
    let (world, metrics) = (World::start(), Metrics::default());
    let limits = Limits { partition_write_units: 3.0, table_write_units: 12.0, ..Limits::new_account() };
    let (_servers, client) = limited(&world, &limits, &metrics).await;
    let mut codes = Vec::new();
    for _ in 0..8 {
        let written = client.put_item().table_name(TABLE).item("PK", key("hot")).send().await;
        codes.extend(written.err().and_then(|error| error.code().map(str::to_owned)));
    }
    assert_eq!(sum(&metrics, "AWS/DynamoDB", "WriteThrottleEvents", "TableName"), Some(codes.len() as f64));
    assert_eq!(sum(&metrics, "AWS/DynamoDB", "ReadThrottleEvents", "TableName"), None);
    assert!(!codes.is_empty() && codes.iter().all(|code| code == "ThrottlingException"), "{codes:?}");
    let read = client.get_item().table_name(TABLE).key("PK", key("hot")).send().await.unwrap();
    assert!(read.item.is_some(), "reads have limits of their own");
}

#[tokio::test]
async fn a_batch_leaves_what_is_too_much() {
    let (world, metrics) = (World::start(), Metrics::default());
    let limits = Limits { partition_write_units: 2.0, table_write_units: 8.0, ..Limits::new_account() };
    let (_servers, client) = limited(&world, &limits, &metrics).await;
    let mut left = 0;
    for batch in 0..4 {
        let entries = (0..20).map(|number| {
            let put = PutRequest::builder().item("PK", key(&format!("{batch} {number}"))).build().unwrap();
            WriteRequest::builder().put_request(put).build()
        });
        match client.batch_write_item().request_items(TABLE, entries.collect()).send().await {
            Ok(answer) => {
                left += answer.unprocessed_items.unwrap_or_default().get(TABLE).map_or(0, Vec::len);
            }
            Err(error) => {
                assert_eq!(error.code(), Some("ThrottlingException"));
                left += 20;
            }
        }
    }
    let written = client.scan().table_name(TABLE).send().await.unwrap().count;
    assert!(left > 0);
    assert_eq!(written, 80 - i32::try_from(left).unwrap());
}

#[tokio::test]
async fn a_shard_refuses_records_one_by_one() {
    let (world, metrics) = (World::start(), Metrics::default());
    world.stream("limited", 1).await;
    let limits = Limits { stream_shards: 1, shard_write_records: 4.0, ..Limits::new_account() };
    let (servers, _) = limited(&world, &limits, &metrics).await;
    let client = aws::kinesis(&servers.endpoints.kinesis);
    let record = |_| PutRecordsRequestEntry::builder().data(Blob::new(b"x")).partition_key("k").build().unwrap();
    let records: Vec<_> = (0..9).map(record).collect();
    let answer = client.put_records().stream_name("limited").set_records(Some(records)).send().await.unwrap();
    assert_eq!(answer.failed_record_count, Some(5));
    let codes: Vec<_> = answer.records.iter().filter_map(|record| record.error_code.as_deref()).collect();
    assert_eq!(codes, ["ProvisionedThroughputExceededException"; 5]);
    assert_eq!(sum(&metrics, "AWS/Kinesis", "WriteProvisionedThroughputExceeded", "StreamName"), Some(5.0));
    assert!(answer.records.iter().take(4).all(|record| record.sequence_number.is_some()));
}
