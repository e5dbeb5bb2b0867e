//! The stream of the command table → the bus. The only writer of the bus (INV-1).

use std::collections::HashMap;

use aws_lambda_events::dynamodb::{Event, EventRecord};
use serde_dynamo::AttributeValue;
use tidings::{
    store,
    stream::{batch::BatchResponse, bus::Bus, event::CloudEvent},
};

/// Publishes what a batch brings; what could not be published comes again.
pub async fn handle(bus: &Bus, batch: Event) -> BatchResponse {
    let (mut events, mut sequence_numbers) = (Vec::new(), Vec::new());
    for record in newest(&batch.records) {
        match cloud_event(record) {
            Some(event) => {
                events.push(event);
                sequence_numbers.push(record.change.sequence_number.as_deref().unwrap_or_default());
            }
            // The mapping's filter lets through only keys of the log, of likes and of counters.
            None => tracing::error!(keys = ?record.change.keys, "a record is of neither log, like nor counter"),
        }
    }
    let published = bus.publish(&events).await;
    BatchResponse::stream(sequence_numbers.into_iter().zip(published))
}

/// The records less those that a later one of the same counter makes needless: a busy counter is published once a batch.
/// What happened, to the log or to a like, is published each time.
fn newest(records: &[EventRecord]) -> impl Iterator<Item = &EventRecord> {
    let last: HashMap<_, _> = records.iter().enumerate().map(|(at, record)| (key(record), at)).collect();
    let kept = move |(at, record): &(usize, &EventRecord)| {
        let key @ [pk, sk] = key(record);
        let of_counter = store::parse_tally_key(pk.unwrap_or_default(), sk.unwrap_or_default()).is_some();
        !of_counter || last.get(&key) == Some(at)
    };
    records.iter().enumerate().filter(kept).map(|(_, record)| record)
}

fn key(record: &EventRecord) -> [Option<&str>; 2] {
    ["PK", "SK"].map(|name| match record.change.keys.get(name) {
        Some(AttributeValue::S(text)) => Some(text.as_str()),
        _ => None,
    })
}

fn cloud_event(record: &EventRecord) -> Option<CloudEvent> {
    let item = serde_dynamo::from_item(record.change.new_image.clone()).ok()?;
    CloudEvent::from_item(&item)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(pk: &str, sk: &str) -> EventRecord {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let mut record = EventRecord::default();
        record.change.keys = HashMap::from([("PK".to_owned(), text(pk)), ("SK".to_owned(), text(sk))]).into();
        record
    }

    #[test]
    fn of_a_counter_only_the_newest_record_is_published_and_of_a_like_each() {
        let (like, post) = ("LIKES#0197f0a0-1111-7222-8333-944455556666", "0197f0a0-1111-7222-8333-944455556666");
        let (first, second) = (format!("TALLY#POST#{post}#0"), format!("TALLY#POST#{post}#9"));
        let records = [
            record(&first, "TALLY"),
            record("USER#ada", like),
            record(&second, "TALLY"),
            record("USER#ada", like),
            record(&first, "TALLY"),
            record("USER#ada", "EVENT#000000000001"),
        ];
        let kept: Vec<_> = newest(&records)
            .map(|kept| records.iter().position(|record| std::ptr::eq(record, kept)).unwrap())
            .collect();
        assert_eq!(kept, [1, 2, 3, 4, 5]);
    }
}
