//! Works on the tasks of the work queue: steps of walks, catching up users that `fanout` handed over, and redoing
//! events that were in the quarantine.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};
use tidings::{
    deadline::Deadline,
    error::Error,
    projection::{
        Projector,
        quarantine::{OnFailure, catch_up_or_quarantine, redo},
    },
    stream::{
        batch::{ItemOutcome, sqs_response},
        quarantine::Quarantine,
        work_queue::Task,
    },
};

/// Messages worked on at once.
const MESSAGES_AT_ONCE: usize = 4;
/// Receives of a catch-up after which the event at which it is stuck is put into the quarantine. These are fewer than
/// the queue's own `maxReceiveCount`, after which the whole catch-up would go to the quarantine.
const RECEIVES_MAX: u32 = 5;

/// Works on a batch. Messages whose task fails, or is not done in time, come again. The template sets a batch size of
/// one, so a task that takes too long costs no other task a receive.
///
/// # Errors
/// As [`sqs_response`].
pub async fn handle(
    projector: &Projector,
    quarantine: &Quarantine,
    batch: SqsEvent,
    deadline: Deadline,
) -> Result<SqsBatchResponse, Error> {
    let outcomes: Vec<_> = stream::iter(&batch.records)
        .map(|message| async move {
            let done = deadline.limit(work(projector, quarantine, message, deadline)).await;
            let identifier = message.message_id.as_deref();
            if let Err(error) = &done {
                tracing::warn!(id = identifier, %error, "a task failed, and its message will come again");
            }
            ItemOutcome { identifier, done: done.is_ok() }
        })
        .buffer_unordered(MESSAGES_AT_ONCE)
        .collect()
        .await;
    sqs_response(outcomes)
}

async fn work(
    projector: &Projector,
    quarantine: &Quarantine,
    message: &SqsMessage,
    deadline: Deadline,
) -> Result<(), Error> {
    let Projector { catch_up, walks, work_queue } = projector;
    let body = message.body.as_deref().unwrap_or_default();
    match serde_json::from_str(body).map_err(|error| Error::poison("a message of the work queue", error))? {
        Task::Walk(walk) => walks.advance(walk).await,
        Task::CatchUp { user } => {
            let is_last_try = receives(message) >= RECEIVES_MAX;
            let on_failure = if is_last_try { OnFailure::Quarantine } else { OnFailure::TryAgain };
            match catch_up_or_quarantine(catch_up, quarantine, &user, on_failure, deadline).await? {
                None => Ok(()),
                Some(wait) => work_queue.send_after(wait, vec![Task::CatchUp { user }]).await,
            }
        }
        Task::Redo { user, version, .. } => redo(catch_up, &user, version).await,
    }
}

/// How often SQS has handed out the message.
fn receives(message: &SqsMessage) -> u32 {
    message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
}
