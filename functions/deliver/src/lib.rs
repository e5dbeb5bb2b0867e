//! Works on the tasks of the work queue: steps of walks and of rebuilds, ending follows of blocked users, catching up
//! users that `fanout` handed over, and redoing events that were in the quarantine.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};
use tidings::{
    deadline::Deadline,
    error::Error,
    projection::{
        Projector, Projectors,
        quarantine::{OnFailure, catch_up_or_quarantine, redo},
        rebuild::Rebuilder,
    },
    stream::{
        batch::{ItemOutcome, sqs_response},
        quarantine::Quarantine,
        work_queue::{Message, Task},
    },
};

/// What the function works with.
#[derive(Debug)]
pub struct Deliverer {
    /// The projections to each set of tables.
    pub projectors: Projectors,
    /// Takes steps of rebuilds.
    pub rebuilder: Rebuilder,
    /// Where events are put aside.
    pub quarantine: Quarantine,
}

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
pub async fn handle(deliverer: &Deliverer, batch: SqsEvent, deadline: Deadline) -> Result<SqsBatchResponse, Error> {
    let outcomes: Vec<_> = stream::iter(&batch.records)
        .map(|message| async move {
            let done = deadline.limit(work(deliverer, message, deadline)).await;
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

async fn work(deliverer: &Deliverer, message: &SqsMessage, deadline: Deadline) -> Result<(), Error> {
    let Deliverer { projectors, rebuilder, quarantine } = deliverer;
    let (on, task) = match Message::parse(message.body.as_deref().unwrap_or_default())? {
        Message::On { on, task } => (Some(on), task),
        Message::OnAll(task) => (None, task),
    };
    if let Task::Rebuild(step) = task {
        return rebuilder.step(step, deadline.half()).await;
    }
    let is_last_try = receives(message) >= RECEIVES_MAX;
    let on_failure = if is_last_try { OnFailure::Quarantine } else { OnFailure::TryAgain };
    let projectors = projectors.of_task(on, &task).await?;
    if projectors.is_empty() {
        tracing::info!(on = on.map(|on| on.to_string()), ?task, "nobody keeps these tables current any more");
    }
    for projector in &projectors {
        work_on(projector, quarantine, task.clone(), on_failure, deadline).await?;
    }
    Ok(())
}

async fn work_on(
    projector: &Projector,
    quarantine: &Quarantine,
    task: Task,
    on_failure: OnFailure,
    deadline: Deadline,
) -> Result<(), Error> {
    let Projector { catch_up, walks, blocked_follows, work_queue } = projector;
    match task {
        Task::Walk(walk) => walks.advance(walk).await,
        Task::EndFollow { follower, followee } => blocked_follows.end(&follower, &followee).await,
        Task::CatchUp { user } => {
            match catch_up_or_quarantine(catch_up, quarantine, &user, on_failure, deadline).await? {
                None => Ok(()),
                Some(wait) => work_queue.send_after(wait, vec![Task::CatchUp { user }]).await,
            }
        }
        Task::Redo { user, version, .. } => redo(catch_up, &user, version).await,
        // It belongs to no projector.
        Task::Rebuild(_) => Ok(()),
    }
}

/// How often SQS has handed out the message.
fn receives(message: &SqsMessage) -> u32 {
    message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
}
