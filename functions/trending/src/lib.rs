//! The bus → the numbers on cards, and what trends.

use std::collections::HashSet;

use aws_lambda_events::kinesis::KinesisEvent;
use futures::{StreamExt, stream};
use tidings::{
    model::{TallyChange, TallySubject},
    projection::tally,
    store::cards::Cards,
    stream::{batch::BatchResponse, cloud_event},
};

/// Cards written at once.
const CARDS_AT_ONCE: usize = 16;

/// Takes in the images of a batch; records whose card could not be written, or that are no images, come again.
pub async fn handle(cards: &Cards, batch: KinesisEvent) -> BatchResponse {
    let changes: Vec<serde_json::Result<TallyChange>> =
        batch.records.iter().map(|record| cloud_event::parse(&record.kinesis.data)).collect();
    let counters = tally::by_counter(changes.iter().flatten().cloned().collect());
    let failed: HashSet<TallySubject> = stream::iter(counters)
        .map(|(subject, changes)| async move {
            let error = tally::show(cards, &subject, &changes).await.err()?;
            tracing::warn!(?subject, %error, "a counter could not be shown");
            Some(subject)
        })
        .buffer_unordered(CARDS_AT_ONCE)
        .filter_map(async |failed| failed)
        .collect()
        .await;
    let outcomes = batch.records.iter().zip(&changes).map(|(record, change)| {
        let done = match change {
            Ok(change) => !failed.contains(&change.subject),
            Err(error) => {
                tracing::error!(%error, sequence_number = record.kinesis.sequence_number, "a record is no image");
                false
            }
        };
        (record.kinesis.sequence_number.as_str(), done)
    });
    BatchResponse::stream(outcomes)
}
