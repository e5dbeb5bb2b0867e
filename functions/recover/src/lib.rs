//! Does what an event source mapping gave up. The queue `FailedBatches` has a message for every batch: it names records
//! of a stream. This function reads them again and sends tasks that have the same effect: users are caught up, counters
//! are set, and items are published. Each task is tried for days, while a stream keeps its records for hours.
//!
//! If the stream no longer has some of the records, nobody can say whom they were about. Then the audit has to go
//! through everything.

mod notice;
mod shards;

use std::collections::{BTreeMap, BTreeSet};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use tidings::{
    deadline::Deadline,
    error::Error,
    metrics,
    model::{Clock, PostId, TallyChange, UserId},
    runtime::Runtime,
    store::{command_table::CommandTable, is_published},
    stream::{
        batch::{ItemOutcome, receives, sent_at, sqs_response},
        cloud_event::{AnyEvent, NotAnEvent, receive_any},
        failed_batches::FailedBatches,
        quarantine::Quarantine,
        work_queue::{Task, WorkQueue},
    },
    trace::TraceId,
};

use notice::{Notice, rest_of};
use shards::{End, Found, ItemKey, Record, Shards};

/// What the function works with.
#[derive(Debug)]
pub struct Recoverer {
    commands: CommandTable,
    shards: Shards,
    work_queue: WorkQueue,
    failed_batches: FailedBatches,
    quarantine: Quarantine,
    clock: Clock,
}

impl Recoverer {
    /// Puts the parts together.
    ///
    /// # Errors
    /// If the environment lacks something.
    pub fn new(runtime: &Runtime) -> anyhow::Result<Self> {
        Ok(Self {
            commands: runtime.commands()?,
            shards: Shards::new(runtime.config()),
            work_queue: runtime.work_queue()?,
            failed_batches: runtime.failed_batches()?,
            quarantine: runtime.quarantine()?,
            clock: runtime.clock.clone(),
        })
    }
}

/// Works on a batch of messages, one after the other. A message whose records cannot be read at present, or not in
/// time, comes again, later each time.
///
/// # Errors
/// As [`sqs_response`].
pub async fn handle(recoverer: &Recoverer, batch: SqsEvent, deadline: Deadline) -> Result<SqsBatchResponse, Error> {
    let mut outcomes = Vec::new();
    for message in &batch.records {
        if let Some(sent_at) = sent_at(message) {
            metrics::TASK_AGE.record(recoverer.clock.now().since(sent_at));
        }
        let recovered = deadline.limit(recover(recoverer, message.body.as_deref().unwrap_or_default()));
        let done = match recovered.await {
            Ok(()) => true,
            Err(error @ Error::Poison { .. }) => put_aside(recoverer, message, &error).await,
            Err(error) => {
                put_off(recoverer, message, &error).await;
                false
            }
        };
        outcomes.push(ItemOutcome { identifier: message.message_id.as_deref(), done });
    }
    sqs_response(outcomes)
}

async fn recover(recoverer: &Recoverer, body: &str) -> Result<(), Error> {
    let not_a_notice = |why: &dyn std::fmt::Display| Error::poison("a report of a failed batch", why);
    let notice: Notice = serde_json::from_str(body).map_err(|error| not_a_notice(&error))?;
    let (tasks, end, records, last) = match (&notice.kinesis, &notice.table) {
        (Some(batch), None) => {
            let Found { records, end } = recoverer.shards.data(batch).await?;
            let (count, last) = (records.len(), last(&records));
            let Events { tasks, end, newer } = tasks_of_events(&records, end);
            if let Some(kind) = newer {
                // The others need not wait for that release.
                recoverer.work_queue.send_traced(tasks).await?;
                return Err(Error::transient("reading an event", format!("only a newer release knows {kind}")));
            }
            (tasks, end, count, last)
        }
        (None, Some(batch)) => {
            let Found { records, end } = recoverer.shards.keys(batch).await?;
            (tasks_of_items(&records), end, records.len(), last(&records))
        }
        _ => return Err(not_a_notice(&"it names no records of one stream")),
    };
    let count = tasks.len();
    recoverer.work_queue.send_traced(tasks).await?;
    metrics::RECOVERED.add(records);
    match (end, last) {
        (End::Complete, _) => {}
        (End::More, Some(last)) => {
            let rest = rest_of(body, &last).map_err(|error| not_a_notice(&error))?;
            recoverer.failed_batches.send(rest).await?;
        }
        (End::Gone | End::More, _) => {
            tracing::error!(?notice, "the stream no longer has these records, so everything is audited");
            recoverer.commands.request_sweep(recoverer.clock.now()).await?;
        }
    }
    tracing::info!(records, tasks = count, ?end, "a failed batch was recovered");
    Ok(())
}

fn last<T>(records: &[Record<T>]) -> Option<String> {
    records.last().map(|record| record.sequence.clone())
}

/// What follows from the events of a batch.
struct Events {
    /// Each with the trace of the newest event that it follows from.
    tasks: Vec<(Task, Option<TraceId>)>,
    end: End,
    /// The type of an event that only a newer release knows.
    newer: Option<String>,
}

/// What `fanout` and `trending` would have done. An event that makes no sense counts as one that is gone: it may have
/// been about anybody.
fn tasks_of_events(records: &[Record<Vec<u8>>], mut end: End) -> Events {
    let mut newer = None;
    let (mut users, mut counters) = (BTreeMap::<UserId, _>::new(), BTreeMap::new());
    let mut likes = BTreeMap::<PostId, (BTreeSet<UserId>, Option<TraceId>)>::new();
    for Record { sequence, holds } in records {
        let event = receive_any(holds).map(|received| (received.data, received.trace));
        match event {
            Ok((AnyEvent::Log(hint), trace)) => drop(users.insert(hint.user, trace)),
            Ok((AnyEvent::Counters(changes), trace)) => {
                for TallyChange { subject, shard, .. } in changes {
                    let (shards, newest) = counters.entry(subject).or_insert_with(|| (BTreeSet::new(), trace));
                    shards.insert(shard);
                    *newest = trace;
                }
            }
            Ok((AnyEvent::Likes(changes), newest)) => {
                for like in changes {
                    let (users, trace) = likes.entry(like.post).or_default();
                    users.insert(like.user);
                    *trace = newest;
                }
            }
            Err(NotAnEvent::Newer(kind)) => newer = Some(kind),
            Err(NotAnEvent::Malformed(why)) => {
                tracing::error!(sequence, why, "a record of the bus makes no sense");
                end = End::Gone;
            }
        }
    }
    let users = users.into_iter().map(|(user, trace)| (Task::CatchUp { user }, trace));
    let counters = counters.into_iter().map(|(subject, (shards, trace))| {
        let shards = shards.into_iter().collect();
        (Task::SettleTally { subject, shards }, trace)
    });
    let likes = likes.into_iter().flat_map(|(post, (users, trace))| {
        let tasks = Task::settle_likes(post, users);
        tasks.into_iter().map(move |task| (task, trace))
    });
    Events { tasks: users.chain(counters).chain(likes).collect(), end, newer }
}

/// What `publish-events` would have done. Items are published as they are now.
fn tasks_of_items(records: &[Record<ItemKey>]) -> Vec<(Task, Option<TraceId>)> {
    let keys: BTreeSet<_> = records.iter().map(|record| (&record.holds.pk, &record.holds.sk)).collect();
    let published = keys.into_iter().filter(|(pk, sk)| is_published(pk, sk));
    let error = || "the stream gave up its record".to_owned();
    let task = |(pk, sk): (&String, &String)| Task::Republish { pk: pk.clone(), sk: sk.clone(), error: error() };
    // The item has its trace, which is published with it.
    published.map(|key| (task(key), None)).collect()
}

/// Puts a message that can never be understood into the quarantine. True if that succeeded.
async fn put_aside(recoverer: &Recoverer, message: &SqsMessage, error: &Error) -> bool {
    let id = message.message_id.as_deref();
    tracing::error!(id, %error, "a message is put into the quarantine");
    let put = recoverer.quarantine.put_body(message.body.clone().unwrap_or_default()).await;
    if let Err(error) = &put {
        tracing::warn!(id, %error, "the quarantine did not take a message");
    }
    put.is_ok()
}

/// Lets a message come again later.
async fn put_off(recoverer: &Recoverer, message: &SqsMessage, error: &Error) {
    let id = message.message_id.as_deref();
    tracing::warn!(id, %error, "a failed batch could not be recovered, and its message will come again");
    let Some(handle) = &message.receipt_handle else { return };
    if let Err(error) = recoverer.failed_batches.put_off(handle, receives(message)).await {
        tracing::warn!(id, %error, "a message could not be put off, and comes again after the visibility timeout");
    }
}
