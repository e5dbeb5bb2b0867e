//! The bus → the numbers on cards. So far these are followers; what trending sorts by is one more such number.

use std::collections::HashSet;

use aws_lambda_events::kinesis::KinesisEvent;
use futures::{StreamExt, stream};
use tidings::{
    model::{TallyChange, UserId},
    projection::tally,
    store::cards::Cards,
    stream::{batch::BatchResponse, event},
};

/// Cards written at once.
const CARDS_AT_ONCE: usize = 16;

/// Takes in the images of a batch; records whose card could not be written, or that are no images, come again.
pub async fn handle(cards: &Cards, batch: KinesisEvent) -> BatchResponse {
    let changes: Vec<serde_json::Result<TallyChange>> =
        batch.records.iter().map(|record| event::parse(&record.kinesis.data)).collect();
    let counters = tally::by_counter(changes.iter().flatten().cloned().collect());
    let failed: HashSet<UserId> = stream::iter(counters)
        .map(|(user, changes)| async move {
            let error = tally::show(cards, &user, &changes).await.err()?;
            tracing::warn!(%user, %error, "a counter could not be shown");
            Some(user)
        })
        .buffer_unordered(CARDS_AT_ONCE)
        .filter_map(async |failed| failed)
        .collect()
        .await;
    let outcomes = batch.records.iter().zip(&changes).map(|(record, change)| {
        let done = match change {
            Ok(change) => !failed.contains(&change.counted),
            Err(error) => {
                tracing::error!(%error, sequence_number = record.kinesis.sequence_number, "a record is no image");
                false
            }
        };
        (record.kinesis.sequence_number.as_str(), done)
    });
    BatchResponse::stream(outcomes)
}
