//! Every number of the model: what AWS's documentation says, with the page, and what it does not say and is assumed
//! here, with the reason. The pages were read in stored copies in November 2026.

use std::{ops::RangeInclusive, time::Duration};

/// A number, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number {
    /// What it is.
    pub name: &'static str,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// Where it comes from.
    pub source: Source,
}

/// Where a number comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A page of AWS's documentation.
    Document(&'static str),
    /// No page says it. This is why the number is what it is.
    Assumption(&'static str),
}

impl Number {
    /// The value as a duration, if the unit is `s` or `ms`.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(if self.unit == "ms" { self.value / 1000.0 } else { self.value })
    }

    /// The value as a count.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are small and positive")]
    pub fn count(&self) -> u32 {
        self.value as u32
    }
}

/// Defines the numbers, and the list of all.
macro_rules! numbers {
    ($($name:ident, $value:expr, $unit:expr, $says:expr, $kind:ident $from:expr;)*) => {
        $(
            #[doc = $says]
            pub const $name: Number =
                Number { name: $says, value: $value, unit: $unit, source: Source::$kind($from) };
        )*
        /// All numbers.
        pub const ALL: &[Number] = &[$($name),*];
    };
}

const PARTITIONS: &str =
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html";
const ON_DEMAND: &str = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html";
const DYNAMODB_QUOTAS: &str = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html";
const TRANSACTIONS: &str = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html";
const KINESIS_QUOTAS: &str = "https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html";
const KINESIS_MODES: &str = "https://docs.aws.amazon.com/streams/latest/dev/how-do-i-size-a-stream.html";
const KINESIS_CONSUMERS: &str = "https://docs.aws.amazon.com/streams/latest/dev/building-consumers.html";
const LAMBDA_KINESIS: &str = "https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html";
const LAMBDA_DYNAMODB: &str = "https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html";
const LAMBDA_QUOTAS: &str = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html";
const LAMBDA_CONCURRENCY: &str = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html";
const LAMBDA_SCALING: &str = "https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html";
const LAMBDA_SQS_PROVISIONED: &str = "https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html";
const LAMBDA_SQS: &str = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html";
const LAMBDA_MEMORY: &str = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html";
const LAMBDA_RECURSION: &str = "https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html";
const FAIR_QUEUES: &str =
    "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues-detailed.html";
const SQS_QUOTAS: &str =
    "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html";
const HTTP_API: &str = "https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html";

numbers! {
    PARTITION_WRITE_UNITS, 1000.0, "units/s", "Write units of one DynamoDB partition, also for a single item",
        Document PARTITIONS;
    PARTITION_READ_UNITS, 3000.0, "units/s", "Read units of one DynamoDB partition, also for a single item",
        Document PARTITIONS;
    WRITE_UNIT_BYTES, 1024.0, "bytes", "Size of an item that one write unit writes", Document ON_DEMAND;
    READ_UNIT_BYTES, 4096.0, "bytes", "Size of an item that one read unit reads consistently", Document ON_DEMAND;
    EVENTUAL_READ_UNITS, 0.5, "units", "Read units of an eventually consistent read of up to 4 KB", Document ON_DEMAND;
    TRANSACTION_FACTOR, 2.0, "", "Times the units of a write outside of a transaction", Document TRANSACTIONS;
    TABLE_WRITE_UNITS_INITIAL, 4000.0, "units/s", "Write units of a new on-demand table", Document ON_DEMAND;
    TABLE_READ_UNITS_INITIAL, 12_000.0, "units/s", "Read units of a new on-demand table", Document ON_DEMAND;
    TABLE_GROWTH, 2.0, "", "Times its previous peak, an on-demand table takes at once", Document ON_DEMAND;
    TABLE_GROWTH_TIME, 30.0 * 60.0, "s", "Within this time, a table may throttle more than double its previous peak",
        Document ON_DEMAND;
    TABLE_WRITE_UNITS_QUOTA, 40_000.0, "units/s", "Default quota of write units of a table, and of each index",
        Document DYNAMODB_QUOTAS;
    TABLE_READ_UNITS_QUOTA, 40_000.0, "units/s", "Default quota of read units of a table, and of each index",
        Document DYNAMODB_QUOTAS;
    BURST_TIME, 1.0, "s", "Unused capacity that the model keeps for bursts", Assumption
        "The guide promises no burst beyond a partition's 1000 and 3000 units, says that DynamoDB may use burst \
         capacity itself, and that the details may change. The model grants none beyond a second.";
    SPLIT_TIME, 300.0, "s", "A partition that was too hot for so long is split", Assumption
        "The guide says that adaptive capacity isolates frequently accessed items and splits partitions, but not how \
         soon. Minutes are usual. Scenarios are shorter, so that no design is saved by a split.";
    TRANSACTION_TIME_MIN, 5.0, "ms", "Shortest time for which a transaction holds its items", Assumption
        "No page says it. 5 to 20 ms is a single-digit latency for each of the two phases.";
    TRANSACTION_TIME_MAX, 20.0, "ms", "Longest time for which a transaction holds its items", Assumption
        "See the shortest time.";
    SHARD_WRITE_BYTES, 1_048_576.0, "bytes/s", "Bytes that a Kinesis shard takes", Document KINESIS_QUOTAS;
    SHARD_WRITE_RECORDS, 1000.0, "records/s", "Records that a Kinesis shard takes", Document KINESIS_QUOTAS;
    SHARD_READ_BYTES, 2_097_152.0, "bytes/s", "Bytes that all standard consumers of a shard read together",
        Document KINESIS_QUOTAS;
    SHARD_READS, 5.0, "calls/s", "Calls of GetRecords that a shard takes", Document KINESIS_QUOTAS;
    STREAM_SHARDS_INITIAL, 4.0, "shards", "Shards of a new on-demand stream: it takes 4 MB/s", Document KINESIS_QUOTAS;
    STREAM_GROWTH, 2.0, "", "Times its previous peak, an on-demand stream takes", Document KINESIS_MODES;
    STREAM_GROWTH_TIME, 15.0 * 60.0, "s", "Within this time, a stream may throttle more than double its previous peak",
        Document KINESIS_MODES;
    KINESIS_POLLS, 1.0, "polls/s", "Lambda polls a shard of Kinesis so often", Document LAMBDA_KINESIS;
    FAN_OUT_DELAY, 70.0, "ms", "Usual delay of a record with enhanced fan-out", Document KINESIS_CONSUMERS;
    DYNAMODB_STREAM_POLLS, 4.0, "polls/s", "Lambda polls a shard of a DynamoDB stream so often",
        Document LAMBDA_DYNAMODB;
    SQS_POLLERS_INITIAL, 5.0, "batches", "Batches of a queue that Lambda processes at once at first",
        Document LAMBDA_SQS;
    SQS_POLLERS_GROWTH, 300.0, "batches/min", "More batches at once, while there are messages", Document LAMBDA_SQS;
    SQS_POLLERS_MAX, 1250.0, "batches", "Batches of a queue that Lambda processes at once at most",
        Document LAMBDA_SQS;
    SQS_POLLER_BATCHES, 10.0, "batches", "Batches at once of a poller of a mapping in provisioned mode",
        Document LAMBDA_SQS_PROVISIONED;
    SQS_POLLER_POLLS, 10.0, "polls/s", "Polls of such a poller at most", Document LAMBDA_SQS_PROVISIONED;
    NOISY_IN_FLIGHT, 30.0, "messages", "A tenant is noisy from so many messages in flight on", Document FAIR_QUEUES;
    NOISY_SHARE, 0.1, "", "and if these are more than this share of all in flight", Document FAIR_QUEUES;
    SQS_IN_FLIGHT, 120_000.0, "messages", "Messages of a standard queue in flight at most", Document SQS_QUOTAS;
    CONCURRENCY, 1000.0, "invocations", "Default quota of an account's concurrent invocations", Document LAMBDA_QUOTAS;
    REQUESTS_PER_CONCURRENCY, 10.0, "invocations/s", "Invocations a second, for each concurrent one",
        Document LAMBDA_CONCURRENCY;
    ENVIRONMENTS_GROWTH, 1000.0, "environments", "New environments of a function within the growth time",
        Document LAMBDA_SCALING;
    ENVIRONMENTS_GROWTH_TIME, 10.0, "s", "The growth time", Document LAMBDA_SCALING;
    REQUESTS_GROWTH, 10_000.0, "invocations/s", "More invocations a second of a function within the growth time",
        Document LAMBDA_SCALING;
    CHAIN_MAX, 16.0, "invocations", "Invocations of a function in one chain before Lambda stops it",
        Document LAMBDA_RECURSION;
    MEMORY_OF_ONE_CPU, 1769.0, "MB", "Memory at which a function has one processor", Document LAMBDA_MEMORY;
    COLD_START, 150.0, "ms", "Start of a new environment, beside the function's own", Assumption
        "No page says it. Published measurements of functions in Rust lie between 50 and 250 ms, with TLS.";
    CALL_PROCESSOR, 0.39, "ms", "Processor time of a function for each call of AWS", Assumption
        "Measured with release 0.2: 1952 µs for a page of 20 posts with five calls. A page takes about half of \
         that by now (docs/benchmarks.md), so this errs on the side of caution.";
    API_REQUESTS, 10_000.0, "requests/s", "Default quota of an account's HTTP API requests", Document HTTP_API;
    API_BURST, 5_000.0, "requests", "Requests at once beyond the rate", Document HTTP_API;
    READ_LATENCY, 3.0, "ms", "Median time of a read of DynamoDB", Assumption
        "The guide says single-digit milliseconds. Times are lognormal; p99 is 3.2 times the median.";
    WRITE_LATENCY, 5.0, "ms", "Median time of a write of DynamoDB", Assumption "See reads.";
    KINESIS_LATENCY, 15.0, "ms", "Median time of PutRecords", Assumption
        "No page says it. Published measurements lie between 10 and 30 ms.";
    SQS_LATENCY, 8.0, "ms", "Median time of a call of SQS", Assumption
        "No page says it. Published measurements lie between 5 and 15 ms.";
    LATENCY_SPREAD, 0.5, "", "Standard deviation of the logarithm of a time", Assumption
        "With it, p99 is 3.2 times the median.";
}

/// For how long a transaction holds its items: between these times, at random.
pub fn transaction_time() -> RangeInclusive<Duration> {
    TRANSACTION_TIME_MIN.duration()..=TRANSACTION_TIME_MAX.duration()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn transactions_hold_their_items_for_5_to_20_ms() {
        assert_eq!(transaction_time(), Duration::from_millis(5)..=Duration::from_millis(20));
    }

    #[test]
    fn every_number_has_a_page_of_aws_or_a_reason() {
        for number in ALL {
            match number.source {
                Source::Document(page) => assert!(page.starts_with("https://docs.aws.amazon.com/"), "{number:?}"),
                Source::Assumption(reason) => assert!(reason.len() > 5, "{number:?}"),
            }
            assert!(number.value > 0.0, "{number:?}");
        }
        let names: BTreeSet<_> = ALL.iter().map(|number| number.name).collect();
        assert_eq!(names.len(), ALL.len(), "two numbers have the same name");
    }
}
