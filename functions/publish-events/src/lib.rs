//! The stream of the command table → the bus. The only writer of the bus (INV-1).

use aws_lambda_events::dynamodb::{Event, EventRecord};
use tidings::stream::{batch::BatchResponse, bus::Bus, event::CloudEvent};

/// Publishes what a batch brings; what could not be published comes again.
pub async fn handle(bus: &Bus, batch: Event) -> BatchResponse {
    let (mut events, mut sequence_numbers) = (Vec::new(), Vec::new());
    for record in &batch.records {
        match cloud_event(record) {
            Some(event) => {
                events.push(event);
                sequence_numbers.push(record.change.sequence_number.as_deref().unwrap_or_default());
            }
            // The mapping's filter lets through only keys of the log, and any such key makes an event.
            None => tracing::error!(keys = ?record.change.keys, "a record is not of the log"),
        }
    }
    let published = bus.publish(&events).await;
    BatchResponse::stream(sequence_numbers.into_iter().zip(published))
}

fn cloud_event(record: &EventRecord) -> Option<CloudEvent> {
    let item = serde_dynamo::from_item(record.change.new_image.clone()).ok()?;
    CloudEvent::from_item(&item)
}
