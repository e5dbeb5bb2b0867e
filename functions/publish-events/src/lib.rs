//! Publishes the changes of the command table to the bus: events of logs, likes, and counters. It serves the table's
//! stream (INV-1). Only `deliver` writes to the bus, too: what could not be published here.

use std::collections::HashMap;

use aws_lambda_events::{
    dynamodb::{Event, EventRecord},
    streams::DynamoDbEventResponse,
};
use futures::{StreamExt, stream};
use serde_dynamo::AttributeValue;
use tidings::{
    deadline::Deadline,
    error::Error,
    metrics,
    model::{Clock, Timestamp},
    store,
    stream::{
        batch::{ItemOutcome, dynamodb_response},
        bus::Bus,
        cloud_event::{CHANGES_MAX, CloudEvent, StreamChange},
        quarantine::Quarantine,
        work_queue::Task,
    },
};

/// Records put into the quarantine at once.
const PUT_ASIDE_AT_ONCE: usize = 8;

/// Publishes the records of a batch. Records that could not be published come again. A record that makes no sense is
/// put into the quarantine, so that it holds up nobody.
///
/// # Errors
/// As [`dynamodb_response`].
pub async fn handle(
    bus: &Bus,
    quarantine: &Quarantine,
    clock: &Clock,
    batch: Event,
    deadline: Deadline,
) -> Result<DynamoDbEventResponse, Error> {
    let (mut outcomes, mut changes, mut senseless, mut oldest) = (Vec::new(), Vec::new(), Vec::new(), None);
    for record in newest(&batch.records) {
        match change(record) {
            Ok(change) => {
                let committed_at = committed_at(record);
                oldest = oldest.into_iter().chain(committed_at).min();
                changes.push(Told { outcome: outcomes.len(), change, committed_at });
            }
            Err(error) => senseless.push((outcomes.len(), record, error)),
        }
        outcomes.push(ItemOutcome { identifier: record.change.sequence_number.as_deref(), done: false });
    }
    let (events, told_by): (Vec<_>, Vec<_>) = events(changes).into_iter().unzip();
    // The events come first: nobody waits for those that make no sense.
    let published = deadline.half().limit(async { Ok(bus.publish(&events).await) }).await;
    let published = published.unwrap_or_else(|_| vec![false; events.len()]);
    metrics::PUBLISHED.add(published.iter().filter(|published| **published).count());
    if let Some(oldest) = oldest {
        metrics::PUBLISH_LAG.record(clock.now().since(oldest));
    }
    for (told, done) in told_by.into_iter().zip(published) {
        for outcome in told {
            outcomes[outcome].done = done;
        }
    }
    let put = stream::iter(senseless)
        .map(async |(at, record, error)| (at, put_aside(quarantine, record, &error, deadline).await))
        .buffer_unordered(PUT_ASIDE_AT_ONCE);
    for (at, done) in put.collect::<Vec<_>>().await {
        outcomes[at].done = done;
    }
    dynamodb_response(outcomes)
}

/// What a record tells the bus.
struct Told<T> {
    /// Which outcome it has.
    outcome: usize,
    change: T,
    committed_at: Option<Timestamp>,
}

/// The events of a batch, each with the outcomes that it has. Likes and counters share events, those of one post
/// together, so that a consumer finds them in one batch.
fn events(changes: Vec<Told<StreamChange>>) -> Vec<(CloudEvent, Vec<usize>)> {
    let (mut events, mut counters, mut likes) = (Vec::new(), Vec::new(), Vec::new());
    for Told { outcome, change, committed_at } in changes {
        match change {
            StreamChange::Log(event) => events.push((event.committed_at(committed_at), vec![outcome])),
            StreamChange::Counter(change) => counters.push(Told { outcome, change, committed_at }),
            StreamChange::Like(change) => likes.push(Told { outcome, change, committed_at }),
        }
    }
    counters.sort_by(|one, other| one.change.subject.cmp(&other.change.subject));
    likes.sort_by_key(|like| like.change.post);
    events.extend(shared(&counters, CloudEvent::of_counters));
    events.extend(shared(&likes, CloudEvent::of_likes));
    events
}

/// Events that share these changes. The time of an event is that of its oldest change.
fn shared<T: Clone>(
    changes: &[Told<T>],
    event: impl Fn(&[T]) -> CloudEvent,
) -> impl Iterator<Item = (CloudEvent, Vec<usize>)> {
    changes.chunks(CHANGES_MAX).map(move |told| {
        let changes: Vec<_> = told.iter().map(|told| told.change.clone()).collect();
        let oldest = told.iter().filter_map(|told| told.committed_at).min();
        (event(&changes).committed_at(oldest), told.iter().map(|told| told.outcome).collect())
    })
}

/// Puts a record that cannot be published into the quarantine. True if that succeeded.
async fn put_aside(quarantine: &Quarantine, record: &EventRecord, error: &Error, deadline: Deadline) -> bool {
    let [pk, sk] = key(record).map(|part| part.unwrap_or_default().to_owned());
    tracing::error!(pk, sk, %error, "an item is put into the quarantine, because it cannot be published");
    let put = deadline.limit(quarantine.put(&Task::Republish { pk, sk, error: error.to_string() })).await;
    if let Err(error) = &put {
        tracing::warn!(%error, "the quarantine did not take an item");
    }
    put.is_ok()
}

/// All records of events and likes, and the newest record of each counter. So a busy counter is published once a batch.
/// The version tells which record is the newest, not the order of the batch.
fn newest(records: &[EventRecord]) -> impl Iterator<Item = &EventRecord> {
    let mut newest = HashMap::new();
    for (at, record) in records.iter().enumerate() {
        let candidate = (version(record), at);
        newest.entry(key(record)).and_modify(|known| *known = candidate.max(*known)).or_insert(candidate);
    }
    let kept = move |(at, record): &(usize, &EventRecord)| {
        let key @ [pk, sk] = key(record);
        let of_counter = store::parse_tally_key(pk.unwrap_or_default(), sk.unwrap_or_default()).is_some();
        !of_counter || newest.get(&key).is_some_and(|(_, newest)| newest == at)
    };
    records.iter().enumerate().filter(kept).map(|(_, record)| record)
}

/// The version of the item. An item without one has version 0.
fn version(record: &EventRecord) -> u64 {
    match record.change.new_image.get("version") {
        Some(AttributeValue::N(number)) => number.parse().unwrap_or_default(),
        _ => 0,
    }
}

fn key(record: &EventRecord) -> [Option<&str>; 2] {
    ["PK", "SK"].map(|name| match record.change.keys.get(name) {
        Some(AttributeValue::S(text)) => Some(text.as_str()),
        _ => None,
    })
}

/// When the change was committed, rounded to seconds by DynamoDB. None if the record does not tell.
fn committed_at(record: &EventRecord) -> Option<Timestamp> {
    let ms = u64::try_from(record.change.approximate_creation_date_time.timestamp_millis()).ok()?;
    (ms > 0).then(|| Timestamp::from_ms(ms))
}

fn change(record: &EventRecord) -> Result<StreamChange, Error> {
    let item = serde_dynamo::from_item(record.change.new_image.clone());
    StreamChange::from_item(item.map_err(|error| Error::poison("an item to be published", error))?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    fn record(pk: &str, sk: &str, version: u64) -> EventRecord {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let mut record = EventRecord::default();
        record.change.keys = HashMap::from([("PK".to_owned(), text(pk)), ("SK".to_owned(), text(sk))]).into();
        record.change.new_image =
            HashMap::from([("version".to_owned(), AttributeValue::N(version.to_string()))]).into();
        record
    }

    fn kept(records: &[EventRecord]) -> Vec<usize> {
        newest(records).map(|kept| records.iter().position(|record| std::ptr::eq(record, kept)).unwrap()).collect()
    }

    const POST: &str = "0197f0a0-1111-7222-8333-944455556666";

    #[test]
    fn of_a_counter_only_the_newest_record_is_published_and_of_a_like_each() {
        let like = format!("LIKES#{POST}");
        let (first, second) = (format!("TALLY#POST#{POST}#0"), format!("TALLY#POST#{POST}#9"));
        let records = [
            record(&first, "TALLY", 1),
            record("USER#ada", &like, 1),
            record(&second, "TALLY", 1),
            record("USER#ada", &like, 2),
            record(&first, "TALLY", 2),
            record("USER#ada", "EVENT#000000000001", 1),
        ];
        assert_eq!(kept(&records), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn likes_and_counters_share_events_and_each_record_has_its_outcome() {
        let like = |user: usize| {
            StreamChange::from_item(
                json!({
                    "PK": format!("USER#u{user}"), "SK": format!("LIKES#{POST}"),
                    "liked": true, "author": "ada", "heat": 1, "version": 1,
                })
                .as_object()
                .unwrap()
                .clone(),
            )
        };
        let log =
            StreamChange::from_item(json!({"PK": "USER#ada", "SK": "EVENT#000000000001"}).as_object().unwrap().clone());
        let changes = (0..2 * CHANGES_MAX + 1).map(like).chain([log]).map(Result::unwrap).enumerate();
        let told = changes.map(|(outcome, change)| Told {
            outcome,
            change,
            committed_at: Some(Timestamp::from_ms(1_000_000 - outcome as u64)),
        });
        let events = events(told.collect());
        let mut outcomes: Vec<_> = events.iter().flat_map(|(_, outcomes)| outcomes.clone()).collect();
        outcomes.sort_unstable();
        assert_eq!(outcomes, (0..2 * CHANGES_MAX + 2).collect::<Vec<_>>());
        let sizes: Vec<_> = events.iter().map(|(_, outcomes)| outcomes.len()).collect();
        assert_eq!(sizes, [1, CHANGES_MAX, CHANGES_MAX, 1]);
        let keys: HashSet<_> = events.iter().map(|(event, _)| event.partition_key()).collect();
        assert_eq!(keys.len(), 4, "they go to different shards of the bus");
        let times = json!(events.iter().map(|(event, _)| event).collect::<Vec<_>>());
        assert_eq!(times[1]["time"], Timestamp::from_ms(1_000_000 - (CHANGES_MAX as u64 - 1)).to_string());
    }

    #[test]
    fn the_newest_is_that_with_the_highest_version_wherever_it_stands() {
        let counter = format!("TALLY#POST#{POST}#0");
        let published = |versions: [u64; 3]| kept(&versions.map(|version| record(&counter, "TALLY", version)));
        assert_eq!(published([5, 7, 6]), [1]);
        assert_eq!(published([10, 9, 2]), [0]);
        assert_eq!(published([5, 6, 6]), [2]);
    }
}
