//! Works on the tasks of the work queue: steps of walks and of rebuilds, ending follows of blocked users, catching up
//! users that `fanout` handed over, redoing what was in the quarantine, and repairing what `audit` found.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};
use tidings::{
    deadline::Deadline,
    error::Error,
    metrics,
    model::{Clock, RunStep},
    projection::{
        Projector, Projectors,
        quarantine::{catch_up_or_quarantine, redo},
        rebuild::Rebuilder,
    },
    store::timelines::Row,
    stream::{
        batch::{ItemOutcome, receives, sent_at, sqs_response},
        publisher::Publisher,
        quarantine::Quarantine,
        work_queue::{Message, RUN, TRACEPARENT, Task, WorkQueue},
    },
    trace::{self, TraceId},
};

/// Messages worked on at once.
const MESSAGES_AT_ONCE: usize = 10;

/// What the function works with.
#[derive(Debug, Clone)]
pub struct Deliverer {
    /// The projections to each set of tables.
    pub projectors: Projectors,
    /// Takes steps of rebuilds.
    pub rebuilder: Rebuilder,
    /// The queue of what can never succeed.
    pub quarantine: Quarantine,
    /// Publishes items that could not be published.
    pub publisher: Publisher,
    /// The queue that the tasks come from.
    pub work_queue: WorkQueue,
    /// The clock.
    pub clock: Clock,
}

/// Works on a batch. A message whose task fails, or is not done in time, comes again, later each time. A task that can
/// never succeed is put into the quarantine when it has come again: what made no sense may have been a user whose
/// account was deleted a moment before, and the second attempt finds that out. The template sets a batch size of
/// [`MESSAGES_AT_ONCE`], so no task waits for another one. A task that takes too long fails alone: it ends at the
/// deadline, and only its own message was received in vain.
///
/// # Errors
/// As [`sqs_response`].
pub async fn handle(deliverer: &Deliverer, batch: SqsEvent, deadline: Deadline) -> Result<SqsBatchResponse, Error> {
    let outcomes: Vec<_> = stream::iter(&batch.records)
        .map(|message| async move {
            let identifier = message.message_id.as_deref();
            if let Some(sent_at) = sent_at(message) {
                metrics::TASK_AGE.record(deliverer.clock.now().since(sent_at));
            }
            // Boxed, because the nested type of the futures is too deep for the compiler.
            let work = Box::pin(settle(deliverer, message, deadline));
            ItemOutcome { identifier, done: trace::within(trace_of(message), work).await }
        })
        .buffer_unordered(MESSAGES_AT_ONCE)
        .collect()
        .await;
    sqs_response(outcomes)
}

/// Works on a message. True if it is done: its task is, or it is in the quarantine.
async fn settle(deliverer: &Deliverer, message: &SqsMessage, deadline: Deadline) -> bool {
    let done = match deadline.limit(work(deliverer, message, deadline)).await {
        Ok(()) => {
            metrics::TASKS_DONE.add(1);
            return true;
        }
        Err(error @ Error::Poison { .. }) if receives(message) > 1 => {
            put_aside(&deliverer.quarantine, message, &error).await
        }
        Err(error) => {
            put_off(deliverer, message, &error).await;
            false
        }
    };
    if !done {
        metrics::TASKS_FAILED.add(1);
    }
    done
}

async fn work(deliverer: &Deliverer, message: &SqsMessage, deadline: Deadline) -> Result<(), Error> {
    let (on, task) = match Message::parse(message.body.as_deref().unwrap_or_default())? {
        Message::On { on, task } => (Some(on), task),
        Message::OnAll(task) => (None, task),
    };
    match task {
        Task::Rebuild(step) => return deliverer.rebuilder.step(step, deadline.half()).await,
        Task::Republish { pk, sk, .. } => return deliverer.publisher.republish(&pk, &sk).await,
        _ => {}
    }
    // Whatever begins a walk says nothing of a run.
    let run = attribute(message, RUN).and_then(|run| run.parse().ok()).unwrap_or_else(RunStep::first);
    let projectors = deliverer.projectors.of_task(on, &task).await?;
    if projectors.is_empty() {
        tracing::info!(on = on.map(|on| on.to_string()), ?task, "nobody keeps these tables current any more");
    }
    for projector in &projectors {
        work_on(projector, &deliverer.quarantine, task.clone(), run, deadline).await?;
    }
    Ok(())
}

/// Works on a task for one set of tables. `run` is the step of a run that it is, if it is one of a walk.
async fn work_on(
    projector: &Projector,
    quarantine: &Quarantine,
    task: Task,
    run: RunStep,
    deadline: Deadline,
) -> Result<(), Error> {
    let Projector { catch_up, walks, blocked_follows, repair, work_queue, .. } = projector;
    match task {
        Task::Walk(walk) => walks.advance(walk, run).await,
        Task::EndFollow { follower, followee } => blocked_follows.end(&follower, &followee).await,
        Task::CatchUp { user } => match catch_up_or_quarantine(catch_up, quarantine, &user, deadline).await? {
            None => Ok(()),
            Some(wait) => work_queue.send_after(wait, vec![Task::CatchUp { user }]).await,
        },
        Task::Redo { user, version, .. } => redo(catch_up, &user, version).await,
        Task::Reapply { user, after } => repair.reapply_step(&user, after).await,
        Task::SettleUser { user } => repair.settle_user(&user).await,
        Task::SettlePost { post } => repair.settle_post(post).await,
        Task::SettleTally { subject, shards } => repair.settle_tally(&subject, &shards).await,
        Task::SettleLikes { post, users } => repair.settle_likes(post, &users).await,
        Task::MergeTrending { asked_at } => projector.merge_trending(asked_at).await,
        Task::ShowFollows { followee, followers } => projector.notices.show_follows(&followee, &followers).await,
        Task::ShowComments { post, comments } => projector.notices.show_comments(post, &comments).await,
        Task::Notify { user, group } => projector.notices.settle(&user, group).await,
        Task::CheckRow { timeline, post, author } => repair.check_row(&timeline, &Row { post, author }).await,
        Task::Recount(recount) => projector.notices.statistics.recount(&recount).await,
        Task::Index(unsettled) => projector.indexer.settle(unsettled).await,
        // These belong to no set of tables.
        Task::Rebuild(_) | Task::Republish { .. } => Ok(()),
    }
}

/// Puts a message that can never succeed into the quarantine, as it is. True if that succeeded.
async fn put_aside(quarantine: &Quarantine, message: &SqsMessage, error: &Error) -> bool {
    let id = message.message_id.as_deref();
    tracing::error!(id, %error, "a task can never succeed, and is put into the quarantine");
    let put = quarantine.put_body(message.body.clone().unwrap_or_default()).await;
    if let Err(error) = &put {
        tracing::warn!(id, %error, "the quarantine did not take a task");
    }
    put.is_ok()
}

/// Lets a message whose task failed come again later.
async fn put_off(deliverer: &Deliverer, message: &SqsMessage, error: &Error) {
    let (id, receives) = (message.message_id.as_deref(), receives(message));
    tracing::warn!(id, receives, %error, "a task failed, and its message will come again");
    let Some(handle) = &message.receipt_handle else { return };
    if let Err(error) = deliverer.work_queue.put_off(handle, receives).await {
        tracing::warn!(id, %error, "a message could not be put off, and comes again after the visibility timeout");
    }
}

/// The trace in which the task was sent.
fn trace_of(message: &SqsMessage) -> Option<TraceId> {
    TraceId::from_traceparent(attribute(message, TRACEPARENT)?)
}

fn attribute<'a>(message: &'a SqsMessage, name: &str) -> Option<&'a str> {
    message.message_attributes.get(name)?.string_value.as_deref()
}
