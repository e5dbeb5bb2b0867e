//! Kinesis: what each shard takes, and gives to its consumers. PutRecords is done in part: each record that its shard
//! does not take has an error of its own.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use crate::{Bucket, Limits, Peak, Refusal, numbers};

/// The code of a refusal, of a record and of a read.
const EXCEEDED: &str = "ProvisionedThroughputExceededException";
/// The fewest bytes that a record is charged with for reading: its key and sequence number.
const RECORD_FRAME_BYTES: f64 = 80.0;

/// One stream.
#[derive(Debug)]
pub struct Stream {
    shards: Vec<Shard>,
    fan_out: bool,
    growth: Growth,
    written: Written,
    /// The consumer behind each iterator that is in use.
    iterators: BTreeMap<String, Consumer>,
}

/// Who reads a shard.
#[derive(Debug)]
struct Consumer {
    shard: usize,
    /// With enhanced fan-out: what the consumer may read of the shard, whatever others read.
    own_bytes: Option<Bucket>,
}

#[derive(Debug)]
struct Shard {
    write_bytes: Bucket,
    write_records: Bucket,
    read_bytes: Bucket,
    reads: Bucket,
}

/// What was written to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Written {
    /// Records.
    pub records: u64,
    /// Bytes, with each record rounded up to 1 KB, as they are paid for.
    pub billed_bytes: f64,
    /// Bytes that consumers have read.
    pub read_bytes: f64,
}

/// An on-demand stream takes double its previous peak. What it takes more is spread over its shards, as if they had
/// been split.
#[derive(Debug)]
struct Growth {
    /// Bytes a second, of all shards.
    initial: f64,
    peak: Peak,
    factor: f64,
    grown: Duration,
}

/// What becomes of a PutRecords.
#[derive(Debug)]
pub struct Put {
    /// Of each record, whether it was refused.
    refused: Vec<bool>,
}

/// The shard of a partition key, by its MD5 hash (Kinesis API Reference, "PutRecords"), if `shards` divide the space of
/// hashes evenly.
pub fn shard_of(partition_key: &str, shards: usize) -> usize {
    let shards = shards.max(1);
    let hash = u128::from_be_bytes(md5::compute(partition_key.as_bytes()).0);
    usize::try_from(hash / (u128::MAX / shards as u128)).unwrap_or_default().min(shards - 1)
}

impl Stream {
    /// A new on-demand stream.
    pub fn new(limits: &Limits) -> Self {
        let shard = || Shard {
            write_bytes: Bucket::of_seconds(limits.shard_write_bytes, limits.burst_seconds),
            write_records: Bucket::of_seconds(limits.shard_write_records, limits.burst_seconds),
            read_bytes: Bucket::of_seconds(limits.shard_read_bytes, limits.burst_seconds),
            reads: Bucket::of_one_second(limits.shard_reads),
        };
        let initial = f64::from(limits.stream_shards) * limits.shard_write_bytes;
        Self {
            shards: (0..limits.stream_shards.max(1)).map(|_| shard()).collect(),
            fan_out: limits.enhanced_fan_out,
            growth: Growth { initial, peak: Peak::new(limits.burst_seconds), factor: 1.0, grown: Duration::ZERO },
            written: Written::default(),
            iterators: BTreeMap::new(),
        }
    }

    /// Decides about the records of a PutRecords: each is its partition key and its size in bytes. Those that are
    /// refused are to be taken out of the request with [`Put::take_out`].
    pub fn put(&mut self, now: Duration, records: &[(String, usize)]) -> Put {
        if let Some(factor) = self.growth.grow(now) {
            for shard in &mut self.shards {
                let (bytes, count) = (shard.write_bytes.rate() * factor, shard.write_records.rate() * factor);
                shard.write_bytes.set_rate(now, bytes);
                shard.write_records.set_rate(now, count);
                let (bytes, reads) = (shard.read_bytes.rate() * factor, shard.reads.rate() * factor);
                shard.read_bytes.set_rate(now, bytes);
                shard.reads.set_rate(now, reads);
            }
        }
        let count = self.shards.len();
        let refused = records.iter().map(|(key, bytes)| {
            #[expect(clippy::cast_precision_loss, reason = "a record has at most 1 MB")]
            let bytes = (bytes + key.len()) as f64;
            let shard = &mut self.shards[shard_of(key, count)];
            let fits = shard.write_bytes.admits(now) && shard.write_records.try_take(now, 1.0);
            if fits {
                shard.write_bytes.take(now, bytes);
                self.growth.peak.add(now, bytes);
                self.written.records += 1;
                self.written.billed_bytes += (bytes / 1024.0).ceil() * 1024.0;
            }
            !fits
        });
        Put { refused: refused.collect() }
    }

    /// Remembers a new iterator of this shard. A consumer goes on with the next iterator that each read gives it.
    pub fn iterator(&mut self, iterator: &str, shard: &str) {
        let shard: usize = shard.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or_default();
        let own_bytes = self.shards.get(shard).filter(|_| self.fan_out).map(|shard| shard.read_bytes.clone());
        self.iterators.insert(iterator.to_owned(), Consumer { shard, own_bytes });
    }

    /// Decides about a read. Iterators that nobody told of pass.
    ///
    /// # Errors
    /// `ProvisionedThroughputExceededException`: more than five reads a second of the shard, or more than 2 MB/s by all
    /// of its standard consumers together. With enhanced fan-out, more than 2 MB/s by this consumer.
    pub fn read(&mut self, now: Duration, iterator: &str) -> Result<(), Refusal> {
        let Some(consumer) = self.iterators.get_mut(iterator) else { return Ok(()) };
        let admitted = match (&mut consumer.own_bytes, self.shards.get_mut(consumer.shard)) {
            (Some(own_bytes), _) => own_bytes.admits(now),
            (None, Some(shard)) => shard.read_bytes.admits(now) && shard.reads.try_take(now, 1.0),
            (None, None) => true,
        };
        if admitted {
            return Ok(());
        }
        let body = json!({"__type": EXCEEDED, "message": "Rate exceeded for shard"});
        Err(Refusal { status: 400, body, what: "bus reads, shard".to_owned() })
    }

    /// Charges a read, and remembers its next iterator. `bytes` has the sizes of the records' data.
    pub fn has_read(&mut self, now: Duration, iterator: &str, next: Option<&str>, records: usize, bytes: usize) {
        let Some(mut consumer) = self.iterators.remove(iterator) else { return };
        #[expect(clippy::cast_precision_loss, reason = "a page has at most 10 MB")]
        let bytes = bytes as f64 + RECORD_FRAME_BYTES * records as f64;
        self.written.read_bytes += bytes;
        let shared = self.shards.get_mut(consumer.shard).map(|shard| &mut shard.read_bytes);
        if let Some(from) = consumer.own_bytes.as_mut().or(shared) {
            from.take(now, bytes);
        }
        if let Some(next) = next {
            self.iterators.insert(next.to_owned(), consumer);
        }
    }

    /// What was written so far.
    pub fn written(&self) -> Written {
        self.written
    }
}

impl Growth {
    /// By what the stream grows now, if it does: every 15 minutes it takes double the peak of that time.
    fn grow(&mut self, now: Duration) -> Option<f64> {
        if now.saturating_sub(self.grown) < numbers::STREAM_GROWTH_TIME.duration() {
            return None;
        }
        let wanted = self.peak.take() * numbers::STREAM_GROWTH.value / self.initial;
        self.grown = now;
        let factor = (wanted / self.factor).max(1.0);
        self.factor *= factor;
        (factor > 1.0).then_some(factor)
    }
}

impl Put {
    /// How many records were refused.
    pub fn refused(&self) -> usize {
        self.refused.iter().filter(|refused| **refused).count()
    }

    /// Takes the refused records out of the request. False if none is left in it.
    pub fn take_out(&self, request: &mut Value) -> bool {
        let Some(records) = request["Records"].as_array_mut() else { return false };
        let mut refused = self.refused.iter();
        records.retain(|_| !refused.next().copied().unwrap_or_default());
        !records.is_empty()
    }

    /// Adds the refused records to the answer of the others, in the order of the request.
    pub fn merge(&self, answer: &mut Value) {
        let mut done = match answer["Records"].take() {
            Value::Array(records) => records.into_iter(),
            _ => Vec::new().into_iter(),
        };
        let failed = json!({"ErrorCode": EXCEEDED, "ErrorMessage": "Rate exceeded for shard"});
        let each = |refused: &bool| if *refused { failed.clone() } else { done.next().unwrap_or_default() };
        let records: Vec<Value> = self.refused.iter().map(each).collect();
        let count = records.iter().filter(|record| record.get("ErrorCode").is_some()).count();
        *answer = json!({"Records": records, "FailedRecordCount": count});
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(stream: &mut Stream, now: Duration, count: usize, bytes: usize) -> usize {
        let records = vec![("key".to_owned(), bytes - "key".len()); count];
        count - stream.put(now, &records).refused()
    }

    #[test]
    fn a_shard_takes_1000_records_and_1_mb_a_second() {
        for (bytes, limit) in [(100, 1000), (10_240, 103)] {
            let mut stream = Stream::new(&Limits::new_account());
            // The first second empties the full bucket.
            let each_second: Vec<usize> =
                (0..3).map(|second| put(&mut stream, Duration::from_secs(second), 3000, bytes)).collect();
            assert!(each_second.iter().skip(1).all(|done| done.abs_diff(limit) <= 1), "{bytes}: {each_second:?}");
        }
    }

    #[test]
    fn a_new_stream_has_four_shards() {
        let mut stream = Stream::new(&Limits::new_account());
        let records: Vec<_> = (0..8000).map(|number| (format!("key {number}"), 50)).collect();
        assert_eq!(8000 - stream.put(Duration::ZERO, &records).refused(), 4000);
    }

    #[test]
    fn refused_records_have_errors_of_their_own() {
        let mut stream = Stream::new(&Limits { shard_write_records: 1.0, ..Limits::new_account() });
        let put = stream.put(Duration::ZERO, &[("a".to_owned(), 1), ("a".to_owned(), 1)]);
        let mut request = json!({"Records": [{"Data": "1"}, {"Data": "2"}]});
        assert!(put.take_out(&mut request));
        assert_eq!(request, json!({"Records": [{"Data": "1"}]}));
        let mut answer = json!({"FailedRecordCount": 0, "Records": [{"SequenceNumber": "7"}]});
        put.merge(&mut answer);
        assert_eq!(answer["FailedRecordCount"], 1);
        assert_eq!(answer["Records"][0]["SequenceNumber"], "7");
        assert_eq!(answer["Records"][1]["ErrorCode"], EXCEEDED);
    }

    #[test]
    fn standard_consumers_share_five_reads_and_2_mb_a_second() {
        let mut stream = Stream::new(&Limits::new_account());
        stream.iterator("a", "shardId-000000000001");
        let reads = (0..9).filter(|_| stream.read(Duration::ZERO, "a").is_ok()).count();
        assert_eq!(reads, 5);
        let second = Duration::from_secs(1);
        stream.has_read(second, "a", Some("b"), 1, 4 * 1024 * 1024);
        assert_eq!(stream.read(second, "b").unwrap_err().body["__type"], EXCEEDED);
        // 4 MB take two seconds, less the second that the shard had not used.
        assert!(stream.read(Duration::from_millis(2100), "b").is_ok());
    }

    #[test]
    fn with_enhanced_fan_out_consumers_do_not_share() {
        let mut stream = Stream::new(&Limits { enhanced_fan_out: true, ..Limits::new_account() });
        stream.iterator("a", "shardId-000000000000");
        assert!((0..20).all(|_| stream.read(Duration::ZERO, "a").is_ok()));
        stream.iterator("b", "shardId-000000000000");
        let second = Duration::from_secs(1);
        stream.has_read(second, "a", Some("c"), 1, 4 * 1024 * 1024);
        assert_eq!(stream.read(second, "c").unwrap_err().body["__type"], EXCEEDED, "each reads 2 MB a second");
        assert!(stream.read(second, "b").is_ok());
        assert!(stream.read(Duration::from_millis(2100), "c").is_ok());
    }

    #[test]
    fn a_stream_takes_double_its_peak_after_a_quarter_of_an_hour() {
        let mut stream = Stream::new(&Limits::new_account());
        let mut last = 0;
        for second in 0..1000 {
            let records: Vec<_> = (0..20).map(|number| (format!("{second} {number}"), 500_000)).collect();
            last = 20 - stream.put(Duration::from_secs(second), &records).refused();
        }
        // Each shard takes its MB, and a record beyond it: at first some 2.1 of 0.5 MB, and then at least twice that.
        assert!(last >= 16, "{last}");
    }
}
