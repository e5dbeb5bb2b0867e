//! The bus → read models. A record tells only that a user's log has grown: each user of a batch is caught up, users
//! at once, one user in order.

use std::collections::HashMap;

use aws_lambda_events::kinesis::KinesisEvent;
use futures::{StreamExt, stream};
use tidings::{
    error::Error,
    model::{UserId, Version},
    projection::{Progress, Projector},
    stream::{
        batch::BatchResponse,
        cloud_event::{self, Hint},
        work_queue::Task,
    },
};

/// Users caught up at once.
const USERS_AT_ONCE: usize = 16;

/// Catches up every user of a batch. One that fails is handed to the queue and holds up nobody (INV-9); a record that is
/// no event, or whose user can neither be caught up nor handed over, comes again.
pub async fn handle(projector: &Projector, batch: KinesisEvent) -> BatchResponse {
    let hints: Vec<serde_json::Result<Hint>> =
        batch.records.iter().map(|record| cloud_event::parse(&record.kinesis.data)).collect();
    let mut newest: HashMap<&UserId, Version> = HashMap::new();
    for hint in hints.iter().flatten() {
        let version = newest.entry(&hint.user).or_default();
        *version = hint.version.max(*version);
    }
    let done: HashMap<_, _> = stream::iter(newest)
        .map(|(user, version)| async move { (user, catch_up(projector, user, version).await) })
        .buffer_unordered(USERS_AT_ONCE)
        .collect()
        .await;
    let outcomes = batch.records.iter().zip(&hints).map(|(record, hint)| {
        let done = match hint {
            Ok(hint) => done.get(&hint.user).copied().unwrap_or_default(),
            Err(error) => {
                tracing::error!(%error, sequence_number = record.kinesis.sequence_number, "a record is no event");
                false
            }
        };
        (record.kinesis.sequence_number.as_str(), done)
    });
    BatchResponse::stream(outcomes)
}

/// Whether nothing is left to do here.
async fn catch_up(projector: &Projector, user: &UserId, version: Version) -> bool {
    let error = match projector.catch_up(user, Some(version)).await {
        Ok(Progress::UpToDate) => return true,
        Ok(Progress::Stuck { error, .. }) | Err(error) => error,
    };
    match error {
        Error::Conflict => {}
        _ => tracing::warn!(%user, %version, %error, "catch-up handed over"),
    }
    let handed_over = projector.work_queue.send(vec![Task::CatchUp { user: user.clone() }]).await;
    if let Err(error) = &handed_over {
        tracing::warn!(%user, %error, "could not be handed over");
    }
    handed_over.is_ok()
}
