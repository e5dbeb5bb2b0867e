//! The limits of one account: the default quotas, raised ones, or a fraction of all.

use serde::{Deserialize, Serialize};

use crate::numbers;

/// Seconds of unused capacity that are kept at most, however small the fraction is. A thousandth of a partition takes
/// one write unit a second, which is less than one transaction: what comes in one second of the whole load comes in
/// many seconds of the fraction.
const BURST_SECONDS_MAX: f64 = 10.0;

/// What an account, and the tables, streams and functions in it, may do. Rates are a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The fraction of the load that these limits are for. What a template sets for the whole load shrinks with it.
    pub fraction: f64,
    /// Write units of a partition.
    pub partition_write_units: f64,
    /// Read units of a partition.
    pub partition_read_units: f64,
    /// Seconds of unused capacity that partitions, tables and shards keep for bursts.
    pub burst_seconds: f64,
    /// Write units that a table or index takes at first. `WarmThroughput` raises it.
    pub table_write_units: f64,
    /// Read units that a table or index takes at first.
    pub table_read_units: f64,
    /// Quota of write units of a table or index.
    pub table_write_quota: f64,
    /// Quota of read units of a table or index.
    pub table_read_quota: f64,
    /// Shards of a stream of Kinesis.
    pub stream_shards: u32,
    /// Bytes that a shard takes.
    pub shard_write_bytes: f64,
    /// Records that a shard takes.
    pub shard_write_records: f64,
    /// Bytes that standard consumers read of a shard.
    pub shard_read_bytes: f64,
    /// Calls of GetRecords of a shard.
    pub shard_reads: f64,
    /// Whether each consumer of a stream has its own throughput and is sent records at once.
    pub enhanced_fan_out: bool,
    /// Concurrent invocations.
    pub concurrency: f64,
    /// New environments of a function, a second.
    pub environments: f64,
    /// New environments of a function at once.
    pub environments_at_once: f64,
    /// Invocations a second, for each concurrent one.
    pub requests_per_concurrency: f64,
    /// How much the invocations a second of a function may grow, each second.
    pub requests_growth: f64,
    /// How much they may grow at once.
    pub requests_growth_at_once: f64,
    /// Requests of HTTP APIs.
    pub api_requests: f64,
    /// Requests of HTTP APIs at once.
    pub api_burst: f64,
    /// Batches of a queue at once, at first.
    pub queue_pollers: f64,
    /// Further batches of a queue at once, a minute.
    pub queue_pollers_growth: f64,
    /// Batches of a queue at once, at most.
    pub queue_pollers_max: f64,
    /// From so many messages in flight on, a message group may be noisy.
    pub noisy_in_flight: f64,
    /// Messages of a queue in flight, at most.
    pub queue_in_flight: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new_account()
    }
}

impl Limits {
    /// A new stack with the default quotas.
    pub fn new_account() -> Self {
        Self {
            fraction: 1.0,
            partition_write_units: numbers::PARTITION_WRITE_UNITS.value,
            partition_read_units: numbers::PARTITION_READ_UNITS.value,
            burst_seconds: numbers::BURST_TIME.value,
            table_write_units: numbers::TABLE_WRITE_UNITS_INITIAL.value,
            table_read_units: numbers::TABLE_READ_UNITS_INITIAL.value,
            table_write_quota: numbers::TABLE_WRITE_UNITS_QUOTA.value,
            table_read_quota: numbers::TABLE_READ_UNITS_QUOTA.value,
            stream_shards: numbers::STREAM_SHARDS_INITIAL.count(),
            shard_write_bytes: numbers::SHARD_WRITE_BYTES.value,
            shard_write_records: numbers::SHARD_WRITE_RECORDS.value,
            shard_read_bytes: numbers::SHARD_READ_BYTES.value,
            shard_reads: numbers::SHARD_READS.value,
            enhanced_fan_out: false,
            concurrency: numbers::CONCURRENCY.value,
            environments: numbers::ENVIRONMENTS_GROWTH.value / numbers::ENVIRONMENTS_GROWTH_TIME.value,
            environments_at_once: numbers::ENVIRONMENTS_GROWTH.value,
            requests_per_concurrency: numbers::REQUESTS_PER_CONCURRENCY.value,
            requests_growth: numbers::REQUESTS_GROWTH.value / numbers::ENVIRONMENTS_GROWTH_TIME.value,
            requests_growth_at_once: numbers::REQUESTS_GROWTH.value,
            api_requests: numbers::API_REQUESTS.value,
            api_burst: numbers::API_BURST.value,
            queue_pollers: numbers::SQS_POLLERS_INITIAL.value,
            queue_pollers_growth: numbers::SQS_POLLERS_GROWTH.value,
            queue_pollers_max: numbers::SQS_POLLERS_MAX.value,
            noisy_in_flight: numbers::NOISY_IN_FLIGHT.value,
            queue_in_flight: numbers::SQS_IN_FLIGHT.value,
        }
    }

    /// The same for a fraction of the load: what limits rates and what runs at once shrinks with it. The number of
    /// partitions stays, and so does what a single call takes. Fewer requests come less evenly, so capacity is averaged
    /// over more seconds. Streams have as many shards as this leaves lanes, see [`Limits::lanes`]; what a shard may do
    /// follows from their number. `shard_reads` stays: mappings poll as often.
    #[must_use]
    pub fn scaled(&self, fraction: f64, lanes_per_shard: u32) -> Self {
        let shards = f64::from(self.stream_shards);
        let lanes = (shards * f64::from(lanes_per_shard) * fraction).round().max(1.0);
        let fewer = lanes.min(shards);
        let shard = fraction * shards / fewer;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
        let stream_shards = fewer as u32;
        Self {
            fraction: self.fraction * fraction,
            partition_write_units: self.partition_write_units * fraction,
            partition_read_units: self.partition_read_units * fraction,
            burst_seconds: self.burst_seconds.max((1.0 / fraction).min(BURST_SECONDS_MAX)),
            table_write_units: self.table_write_units * fraction,
            table_read_units: self.table_read_units * fraction,
            table_write_quota: self.table_write_quota * fraction,
            table_read_quota: self.table_read_quota * fraction,
            stream_shards,
            shard_write_bytes: self.shard_write_bytes * shard,
            shard_write_records: self.shard_write_records * shard,
            shard_read_bytes: self.shard_read_bytes * shard,
            concurrency: (self.concurrency * fraction).max(1.0),
            environments: self.environments * fraction,
            environments_at_once: (self.environments_at_once * fraction).max(1.0),
            requests_growth: self.requests_growth * fraction,
            requests_growth_at_once: self.requests_growth_at_once * fraction,
            api_requests: self.api_requests * fraction,
            api_burst: (self.api_burst * fraction).max(1.0),
            queue_pollers: (self.queue_pollers * fraction).max(1.0),
            queue_pollers_growth: self.queue_pollers_growth * fraction,
            queue_pollers_max: (self.queue_pollers_max * fraction).max(1.0),
            noisy_in_flight: self.noisy_in_flight * fraction,
            queue_in_flight: (self.queue_in_flight * fraction).max(1.0),
            ..self.clone()
        }
    }

    /// Lanes of each shard of a scaled stream, for a mapping with this parallelization factor on a stream that has
    /// `shards` without scaling.
    pub fn lanes(&self, shards: u32, parallelization_factor: u32, fraction: f64) -> u32 {
        let lanes = f64::from(shards) * f64::from(parallelization_factor) * fraction / f64::from(self.stream_shards);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
        let lanes = lanes.round().max(1.0) as u32;
        lanes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_account_has_what_the_documents_say() {
        let limits = Limits::new_account();
        assert_eq!((limits.partition_write_units, limits.partition_read_units), (1000.0, 3000.0));
        assert_eq!((limits.table_write_units, limits.table_read_units), (4000.0, 12_000.0));
        assert_eq!((limits.table_write_quota, limits.table_read_quota), (40_000.0, 40_000.0));
        assert_eq!((limits.concurrency, limits.environments), (1000.0, 100.0));
        assert_eq!((limits.api_requests, limits.api_burst), (10_000.0, 5_000.0));
        assert_eq!((limits.queue_pollers, limits.queue_pollers_growth), (5.0, 300.0));
    }

    #[test]
    fn a_fraction_of_a_stream_takes_that_fraction_and_has_as_many_lanes() {
        let whole = Limits::new_account();
        for (fraction, shards, lanes) in [(1.0, 4, 4), (0.5, 4, 2), (0.25, 4, 1), (0.1, 2, 1), (0.01, 1, 1)] {
            let scaled = whole.scaled(fraction, 4);
            assert_eq!((scaled.stream_shards, scaled.lanes(4, 4, fraction)), (shards, lanes), "{fraction}");
            let takes = f64::from(scaled.stream_shards) * scaled.shard_write_records;
            assert!((takes - 4000.0 * fraction).abs() < 1e-6, "{fraction}: {takes}");
            assert_eq!(scaled.burst_seconds, (1.0 / fraction).min(10.0));
        }
    }
}
