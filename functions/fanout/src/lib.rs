//! Projects users' logs to the read models: cards, timelines and viewer items. It serves the events of logs on the bus.
//! A record only tells that a user's log has grown. Users of a batch are caught up at once, each user in order.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use aws_lambda_events::{kinesis::KinesisEvent, streams::KinesisEventResponse};
use futures::{StreamExt, future, stream};
use tidings::{
    deadline::Deadline,
    error::Error,
    metrics,
    model::{UserId, Version},
    projection::{Projector, Projectors, catch_up::Progress},
    stream::{
        batch::{ItemOutcome, kinesis_response},
        cloud_event::{self, Hint, POST_CREATED, Received},
        work_queue::Task,
    },
    trace::{self, TraceId},
};

/// Users caught up at once.
const USERS_AT_ONCE: usize = 16;
/// No step of a user begins after this time, and a step that runs then has as much time again. Other users of the lane
/// wait as long.
const TIME_PER_USER: Duration = Duration::from_millis(750);

/// Users of a batch whose turn comes after this time are handed over at once. In a large batch of users who all take
/// long, such as those who comment on a viral post, the last ones would wait for all others otherwise.
const TIME_PER_BATCH: Duration = Duration::from_millis(1500);

/// Half of the time that a handover may take. If SQS does not answer, the record comes again.
const TIME_PER_HANDOVER: Duration = Duration::from_secs(1);

/// Catches up every user of a batch. A user whose catch-up fails or takes too long, or whose turn comes too late, is
/// handed over to the work queue, and so does not hold up other users (INV-9). A record comes again if it is not an
/// event of a log, or if its user can neither be caught up nor handed over.
///
/// # Errors
/// As [`kinesis_response`].
pub async fn handle(
    projectors: &Projectors,
    batch: KinesisEvent,
    deadline: Deadline,
) -> Result<KinesisEventResponse, Error> {
    let hints: Vec<serde_json::Result<Received<Hint>>> =
        batch.records.iter().map(|record| cloud_event::receive(&record.kinesis.data)).collect();
    let turns = deadline.at_most(TIME_PER_BATCH);
    let done: HashMap<_, _> = stream::iter(newest_versions(hints.iter().flatten()))
        .map(|(user, (version, trace))| async move {
            (user, trace::within(trace, catch_up_all(projectors, user, version, deadline, turns)).await)
        })
        .buffer_unordered(USERS_AT_ONCE)
        .collect()
        .await;
    let outcomes = batch.records.iter().zip(&hints).map(|(record, hint)| {
        let done = match hint {
            Ok(hint) => done.get(&hint.data.user).copied().unwrap_or_default(),
            Err(error) => {
                let sequence_number = &record.kinesis.sequence_number;
                tracing::error!(%error, sequence_number, "a record is not an event of a log");
                false
            }
        };
        ItemOutcome { identifier: Some(&record.kinesis.sequence_number), done }
    });
    kinesis_response(outcomes)
}

/// The newest version of each user, with the trace of its event. Authors of new posts come first: their followers wait
/// for them, and hardly anybody waits for anything else.
fn newest_versions<'a>(
    hints: impl Iterator<Item = &'a Received<Hint>>,
) -> Vec<(&'a UserId, (Version, Option<TraceId>))> {
    let mut newest: HashMap<&UserId, (Version, Option<TraceId>)> = HashMap::new();
    let mut authors = HashSet::new();
    for Received { kind, data: hint, trace, .. } in hints {
        let known = newest.entry(&hint.user).or_default();
        if hint.version > known.0 {
            *known = (hint.version, *trace);
        }
        if kind == POST_CREATED {
            authors.insert(&hint.user);
        }
    }
    let mut newest: Vec<_> = newest.into_iter().collect();
    newest.sort_by_key(|(user, _)| !authors.contains(user));
    newest
}

/// Catches up a user to this version in each set of tables. True if none of them has to see the record again.
async fn catch_up_all(
    projectors: &Projectors,
    user: &UserId,
    version: Version,
    deadline: Deadline,
    turns: Deadline,
) -> bool {
    let projectors = match projectors.maintained().await {
        Ok(projectors) => projectors,
        Err(error) => {
            tracing::warn!(%user, %error, "it is not known which tables are kept current");
            return false;
        }
    };
    let sets = projectors.iter().map(|projector| catch_up(projector, user, version, deadline, turns));
    future::join_all(sets).await.into_iter().all(|done| done)
}

/// Catches up a user to this version, unless it is too late to begin. True if the user is caught up, or handed over to
/// the work queue.
async fn catch_up(projector: &Projector, user: &UserId, version: Version, whole: Deadline, turns: Deadline) -> bool {
    if turns.is_near() {
        tracing::info!(%user, %version, "others of the batch take long, so this user is handed over");
        return hand_over(projector, user, Duration::ZERO, whole).await;
    }
    let deadline = whole.at_most(TIME_PER_USER);
    let wait = match deadline.limit(projector.catch_up.user(user, Some(version), deadline)).await {
        Ok(Progress::UpToDate) => return true,
        Ok(Progress::Paused(wait)) => {
            tracing::info!(%user, %version, "a catch-up takes long and is handed over to the work queue");
            wait
        }
        Ok(Progress::Stuck { error, .. }) | Err(error) => {
            match error {
                Error::Conflict => {}
                _ => tracing::warn!(%user, %version, %error, "a catch-up failed and is handed over to the work queue"),
            }
            Duration::ZERO
        }
    };
    hand_over(projector, user, wait, whole).await
}

/// Hands a user over to the work queue, to be caught up after this time. True if that worked.
async fn hand_over(projector: &Projector, user: &UserId, wait: Duration, whole: Deadline) -> bool {
    let task = vec![Task::CatchUp { user: user.clone() }];
    let handed_over = whole.at_most(TIME_PER_HANDOVER).limit(projector.work_queue.send_after(wait, task)).await;
    match &handed_over {
        Ok(()) => metrics::HANDED_OVER.add(1),
        Err(error) => tracing::warn!(%user, %error, "a catch-up could not be handed over to the work queue"),
    }
    handed_over.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authors_of_new_posts_come_first_and_each_user_once_with_the_newest_version() {
        let hint = |kind: &str, user: &str, version: u64| {
            let data = serde_json::json!({"user": user, "version": version});
            let event = serde_json::json!({"type": kind, "data": data});
            cloud_event::receive::<Hint>(event.to_string().as_bytes()).unwrap()
        };
        let followed = "tidings.user.followed.v1";
        let mut hints: Vec<_> = (0..100).map(|number| hint(followed, &format!("f{number}"), 2)).collect();
        hints.push(hint(POST_CREATED, "ada", 7));
        hints.push(hint(followed, "ada", 8));
        hints.push(hint(followed, "ada", 5));
        hints.push(hint(POST_CREATED, "bob", 3));

        let newest = newest_versions(hints.iter());

        let versions: Vec<_> = newest.iter().map(|(user, (version, _))| (user.as_str(), version.get())).collect();
        assert_eq!(versions.len(), 102);
        assert!(versions[..2].contains(&("ada", 8)) && versions[..2].contains(&("bob", 3)), "{versions:?}");
    }
}
