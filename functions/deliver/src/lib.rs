//! Works on the tasks of the work queue: pushing posts to large audiences, backfilling homes for demotions, purging
//! deleted posts, catching up users that `fanout` handed over, redoing what was in the quarantine, and repairing what
//! `audit` found.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};
use tidings::{
    error::Error,
    projection::{
        Projector,
        quarantine::{catch_up_or_quarantine, redo},
    },
    store::timelines::Row,
    stream::{
        batch::{ItemOutcome, sqs_response},
        publisher::Publisher,
        quarantine::Quarantine,
        work_queue::Task,
    },
};

/// Messages worked on at once.
const MESSAGES_AT_ONCE: usize = 4;

/// What the function works with.
#[derive(Debug, Clone)]
pub struct Deliverer {
    /// The projections.
    pub projector: Projector,
    /// The queue of what can never succeed.
    pub quarantine: Quarantine,
    /// Publishes items that could not be published.
    pub publisher: Publisher,
}

/// Works on a batch. A message whose task fails comes again, later each time. A task that can never succeed is put into
/// the quarantine.
///
/// # Errors
/// As [`sqs_response`].
pub async fn handle(deliverer: &Deliverer, batch: SqsEvent) -> Result<SqsBatchResponse, Error> {
    let outcomes: Vec<_> = stream::iter(&batch.records)
        .map(|message| async move {
            let done = match work(deliverer, message).await {
                Ok(()) => true,
                Err(error @ Error::Poison { .. }) => put_aside(&deliverer.quarantine, message, &error).await,
                Err(error) => {
                    put_off(deliverer, message, &error).await;
                    false
                }
            };
            ItemOutcome { identifier: message.message_id.as_deref(), done }
        })
        .buffer_unordered(MESSAGES_AT_ONCE)
        .collect()
        .await;
    sqs_response(outcomes)
}

async fn work(deliverer: &Deliverer, message: &SqsMessage) -> Result<(), Error> {
    let Deliverer { projector, quarantine, publisher } = deliverer;
    let Projector { catch_up, audience, demotion, purge, repair, .. } = projector;
    match Task::parse(message.body.as_deref().unwrap_or_default())? {
        Task::PushToHomes { post, author, viewers } => audience.push_to_homes(&Row { post, author }, viewers).await,
        Task::EnumerateAudience { post, author, after, found } => {
            audience.enumerate_audience(&Row { post, author }, after, found).await
        }
        Task::BackfillHomes { author, after } => demotion.backfill_step(&author, after).await,
        Task::PurgePost { post, .. } => purge.step(post).await,
        Task::CatchUp { user } => catch_up_or_quarantine(catch_up, quarantine, &user).await,
        Task::Redo { user, version, .. } => redo(catch_up, &user, version).await,
        Task::Republish { pk, sk, .. } => publisher.republish(&pk, &sk).await,
        Task::Reapply { user, after } => repair.reapply_step(&user, after).await,
        Task::SettleUser { user } => repair.settle_user(&user).await,
        Task::SettlePost { post } => repair.settle_post(post).await,
        Task::SettleTally { subject } => repair.settle_tally(&subject).await,
        Task::CheckRow { timeline, post, author } => repair.check_row(&timeline, &Row { post, author }).await,
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
    if let Err(error) = deliverer.projector.work_queue.put_off(handle, receives).await {
        tracing::warn!(id, %error, "a message could not be put off, and comes again after the visibility timeout");
    }
}

/// How often SQS has handed out the message.
fn receives(message: &SqsMessage) -> u32 {
    message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
}
