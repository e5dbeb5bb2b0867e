//! Shows counters on cards: likes, comments and heat of posts, which also decide what trends, and followers of users.
//! It serves the events of counters on the bus.

use std::{collections::HashSet, time::Duration};

use aws_lambda_events::{kinesis::KinesisEvent, streams::KinesisEventResponse};
use futures::{StreamExt, stream};
use tidings::{
    deadline::Deadline,
    error::Error,
    metrics,
    model::{Clock, TallyChange, TallySubject, Timestamp},
    projection::{CardSets, tally},
    stream::{
        batch::{ItemOutcome, kinesis_response},
        cloud_event::{self, Received},
    },
};

/// A counter is given up after twice this time, and its records come again.
const TIME_PER_COUNTER: Duration = Duration::from_secs(5);
/// Cards written at once.
const CARDS_AT_ONCE: usize = 16;

/// Shows the counters of a batch. A record comes again if its card could not be written in time, or if it is not the
/// event of a counter.
///
/// # Errors
/// As [`kinesis_response`].
pub async fn handle(
    cards: &CardSets,
    clock: &Clock,
    batch: KinesisEvent,
    deadline: Deadline,
) -> Result<KinesisEventResponse, Error> {
    let changes: Vec<serde_json::Result<Received<TallyChange>>> =
        batch.records.iter().map(|record| cloud_event::receive(&record.kinesis.data)).collect();
    let counters = tally::by_counter(changes.iter().flatten().map(|received| received.data.clone()).collect());
    let failed: HashSet<TallySubject> = stream::iter(counters)
        .map(|(subject, changes)| async move {
            let error = deadline.at_most(TIME_PER_COUNTER).limit(show(cards, &subject, &changes)).await.err()?;
            tracing::warn!(?subject, %error, "a counter could not be written to its card");
            Some(subject)
        })
        .buffer_unordered(CARDS_AT_ONCE)
        .filter_map(async |failed| failed)
        .collect()
        .await;
    let oldest: Option<Timestamp> = changes.iter().flatten().filter_map(|received| received.at).min();
    if let Some(oldest) = oldest {
        metrics::COUNT_LAG.record(clock.now().since(oldest));
    }
    let outcomes = batch.records.iter().zip(&changes).map(|(record, change)| {
        let done = match change {
            Ok(change) => !failed.contains(&change.data.subject),
            Err(error) => {
                let sequence_number = &record.kinesis.sequence_number;
                tracing::error!(%error, sequence_number, "a record is not the event of a counter");
                false
            }
        };
        ItemOutcome { identifier: Some(&record.kinesis.sequence_number), done }
    });
    kinesis_response(outcomes)
}

/// Shows a counter on the cards of each set of tables.
async fn show(cards: &CardSets, subject: &TallySubject, changes: &[TallyChange]) -> Result<(), Error> {
    for cards in cards.maintained().await? {
        tally::show(&cards, subject, changes).await?;
    }
    Ok(())
}
