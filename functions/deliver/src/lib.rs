//! The queue → read models: rows for large audiences, catch-ups that `fanout` handed over, and events to be redone.

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use futures::{StreamExt, stream};
use tidings::{
    error::Error,
    projection::Projector,
    store::timelines::Row,
    stream::{
        batch::BatchResponse,
        work_queue::{Task, WorkQueue},
    },
};

/// Messages worked on at once.
const MESSAGES_AT_ONCE: usize = 4;
/// Receives of a catch-up after which the event that it is stuck at is put aside. Fewer than the queue's own
/// `maxReceiveCount`, which would put the whole catch-up aside.
const RECEIVES_MAX: u32 = 5;

/// Works on a batch; messages that fail come again.
pub async fn handle(projector: &Projector, quarantine: &WorkQueue, batch: SqsEvent) -> BatchResponse {
    let outcomes: Vec<_> = stream::iter(&batch.records)
        .map(|message| async move {
            let done = work(projector, quarantine, message).await;
            let id = message.message_id.as_deref().unwrap_or_default();
            if let Err(error) = &done {
                tracing::warn!(id, %error, "a message failed and will come again");
            }
            (id, done.is_ok())
        })
        .buffer_unordered(MESSAGES_AT_ONCE)
        .collect()
        .await;
    BatchResponse::queue(outcomes)
}

async fn work(projector: &Projector, quarantine: &WorkQueue, message: &SqsMessage) -> Result<(), Error> {
    let body = message.body.as_deref().unwrap_or_default();
    match serde_json::from_str(body).map_err(|error| Error::poison("a message", error))? {
        Task::PushToHomes { post, author, viewers } => projector.deliver(&Row { post, author }, viewers).await,
        Task::EnumerateAudience { post, author, after, found } => {
            projector.spread(&Row { post, author }, after, found).await
        }
        Task::BackfillHomes { author, after } => projector.demote(&author, after).await,
        Task::CatchUp { user } => {
            let last_try = receives(message) >= RECEIVES_MAX;
            projector.catch_up_or_quarantine(&user, last_try, quarantine).await
        }
        Task::Redo { user, version, .. } => projector.redo(&user, version).await,
    }
}

fn receives(message: &SqsMessage) -> u32 {
    message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
}
