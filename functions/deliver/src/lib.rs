//! Works on the tasks of the work queue: steps of walks, ending follows of blocked users, catching up users that
//! `fanout` handed over, and redoing events that were in the quarantine.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};
use tidings::{
    deadline::Deadline,
    error::Error,
    metrics,
    model::Timestamp,
    projection::{
        Projector,
        quarantine::{OnFailure, catch_up_or_quarantine, redo},
    },
    stream::{
        batch::{ItemOutcome, sqs_response},
        quarantine::Quarantine,
        work_queue::{TRACEPARENT, Task},
    },
    trace::{self, TraceId},
};

/// Messages worked on at once.
const MESSAGES_AT_ONCE: usize = 4;
/// Receives of a catch-up after which the event at which it is stuck is put into the quarantine. These are fewer than
/// the queue's own `maxReceiveCount`, after which the whole catch-up would go to the quarantine.
const RECEIVES_MAX: u32 = 5;

/// Works on a batch. Messages whose task fails, or is not done in time, come again. The template sets a batch size of
/// [`MESSAGES_AT_ONCE`], so no task waits for another one, and one that takes too long costs no other a receive.
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
            let identifier = message.message_id.as_deref();
            let work = async {
                // Boxed, because the nested type of the futures is too deep for the compiler.
                let done = deadline.limit(Box::pin(work(projector, quarantine, message, deadline))).await;
                match &done {
                    Ok(()) => metrics::TASKS_DONE.add(1),
                    Err(error) => {
                        metrics::TASKS_FAILED.add(1);
                        tracing::warn!(id = identifier, %error, "a task failed, and its message will come again");
                    }
                }
                done.is_ok()
            };
            if let Some(sent_at) = sent_at(message) {
                metrics::TASK_AGE.record(projector.clock.now().since(sent_at));
            }
            ItemOutcome { identifier, done: trace::within(trace_of(message), work).await }
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
    let Projector { catch_up, walks, blocked_follows, work_queue, .. } = projector;
    let body = message.body.as_deref().unwrap_or_default();
    match serde_json::from_str(body).map_err(|error| Error::poison("a message of the work queue", error))? {
        Task::Walk(walk) => walks.advance(walk).await,
        Task::EndFollow { follower, followee } => blocked_follows.end(&follower, &followee).await,
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

/// When the message was sent.
fn sent_at(message: &SqsMessage) -> Option<Timestamp> {
    message.attributes.get("SentTimestamp")?.parse().ok().map(Timestamp::from_ms)
}

/// The trace in which the task was sent.
fn trace_of(message: &SqsMessage) -> Option<TraceId> {
    TraceId::from_traceparent(message.message_attributes.get(TRACEPARENT)?.string_value.as_deref()?)
}

/// How often SQS has handed out the message.
fn receives(message: &SqsMessage) -> u32 {
    message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
}
