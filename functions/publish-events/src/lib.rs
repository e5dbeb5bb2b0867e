//! The stream of the command table → the bus. The only writer of the bus (INV-1).

use std::collections::HashMap;

use aws_lambda_events::dynamodb::{Event, EventRecord};
use serde_dynamo::AttributeValue;
use tidings::stream::{batch::BatchResponse, bus::Bus, event::CloudEvent};

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
            None => {
                tracing::error!(keys = ?record.change.keys, "a record is neither of the log, nor a like, nor of a counter")
            }
        }
    }
    let published = bus.publish(&events).await;
    BatchResponse::stream(sequence_numbers.into_iter().zip(published))
}

/// The records less those that a later one of the same item makes needless: a busy counter is published once a batch.
/// Items of the log are written once, so none of them is left out.
fn newest(records: &[EventRecord]) -> impl Iterator<Item = &EventRecord> {
    let last: HashMap<_, _> = records.iter().enumerate().map(|(at, record)| (key(record), at)).collect();
    records.iter().enumerate().filter(move |(at, record)| last.get(&key(record)) == Some(at)).map(|(_, record)| record)
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
