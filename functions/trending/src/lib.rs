//! Shows counters on cards: likes, comments and heat of posts, which also decide what trends, and followers of users.
//! It serves the events of counters on the bus.

use std::{collections::HashMap, time::Duration};

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
        work_queue::{Task, WorkQueue},
    },
};

/// A counter is given up after twice this time, and its records come again.
const TIME_PER_COUNTER: Duration = Duration::from_secs(5);
/// Cards written at once.
const CARDS_AT_ONCE: usize = 16;
/// How long the work queue waits for a card that is still to be made. A post usually has its card in this time.
const CARD_DELAY: Duration = Duration::from_secs(2);

/// Shows the counters of a batch. If a counter is earlier than its card, the work queue sets it from the truth later.
/// A record comes again if its card could not be written in time, or if it is not the event of a counter.
///
/// # Errors
/// As [`kinesis_response`].
pub async fn handle(
    cards: &CardSets,
    work_queue: &WorkQueue,
    clock: &Clock,
    batch: KinesisEvent,
    deadline: Deadline,
) -> Result<KinesisEventResponse, Error> {
    let changes: Vec<serde_json::Result<Received<TallyChange>>> =
        batch.records.iter().map(|record| cloud_event::receive(&record.kinesis.data)).collect();
    let counters = tally::by_counter(changes.iter().flatten().map(|received| received.data.clone()).collect());
    let shown: HashMap<TallySubject, Result<bool, Error>> = stream::iter(counters)
        .map(|(subject, changes)| async move {
            let shown = deadline.at_most(TIME_PER_COUNTER).limit(cards.show(&subject, &changes)).await;
            (subject, shown)
        })
        .buffer_unordered(CARDS_AT_ONCE)
        .collect()
        .await;
    let without_card = shown.iter().filter(|(_, shown)| matches!(shown, Ok(false)));
    let later: Vec<_> = without_card.map(|(subject, _)| Task::SettleTally { subject: subject.clone() }).collect();
    let handed_over = later.is_empty() || {
        let sent = deadline.limit(work_queue.send_after(CARD_DELAY, later)).await;
        sent.inspect_err(|error| tracing::warn!(%error, "early counters could not be handed over")).is_ok()
    };
    for (subject, shown) in &shown {
        if let Err(error) = shown {
            tracing::warn!(?subject, %error, "a counter could not be written to its card");
        }
    }
    let oldest: Option<Timestamp> = changes.iter().flatten().filter_map(|received| received.at).min();
    if let Some(oldest) = oldest {
        metrics::COUNT_LAG.record(clock.now().since(oldest));
    }
    let outcomes = batch.records.iter().zip(&changes).map(|(record, change)| {
        let done = match change {
            Ok(change) => matches!(shown.get(&change.data.subject), Some(Ok(on_card)) if *on_card || handed_over),
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
