//! Shows counters on cards: likes, comments and heat of posts, which also decide what trends, and followers of users.
//! Shows who likes a post, too, and tells its author. It serves the events of counters and likes on the bus.

use std::collections::{BTreeMap, HashSet};

use aws_lambda_events::{kinesis::KinesisEvent, streams::KinesisEventResponse};
use futures::{FutureExt, StreamExt, TryStreamExt, future::LocalBoxFuture, stream};
use tidings::{
    deadline::Deadline,
    error::Error,
    metrics,
    model::{Clock, Group, LikeChange, PostId, TallyChange, TallySubject, Timestamp, UserId},
    projection::{notices::Notices, tally},
    store::cards::Cards,
    stream::{
        batch::{ItemOutcome, kinesis_response},
        cloud_event::{AnyEvent, NotAnEvent, Received, receive_any},
    },
};

/// Items written at once.
const ITEMS_AT_ONCE: usize = 16;

/// Likes of a post written at once.
const LIKES_AT_ONCE: usize = 8;

/// What is to be written of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Shown {
    /// A counter, on its card.
    Counter(TallySubject),
    /// The likes of a post: in the list of those who like it, and in its author's inbox.
    Likes(PostId),
}

/// Shows the counters and likes of a batch. A record comes again if its item could not be written in time, or if it is
/// the event of neither.
///
/// # Errors
/// As [`kinesis_response`].
pub async fn handle(
    cards: &Cards,
    notices: &Notices,
    clock: &Clock,
    batch: KinesisEvent,
    deadline: Deadline,
) -> Result<KinesisEventResponse, Error> {
    let events: Vec<_> = batch.records.iter().map(|record| receive_any(&record.kinesis.data)).collect();
    let (counters, likes) = changes(&events);
    let counters = counters.iter().map(|(subject, changes)| -> Written<'_> {
        async move {
            let error = deadline.limit(tally::show(cards, subject, changes)).await.err()?;
            tracing::warn!(?subject, %error, "a counter could not be written to its card");
            Some(Shown::Counter(subject.clone()))
        }
        .boxed_local()
    });
    let likes = likes.iter().map(|(post, likes)| -> Written<'_> {
        async move {
            let error = deadline.limit(show_likes(notices, *post, likes)).await.err()?;
            tracing::warn!(%post, %error, "likes could not be shown");
            Some(Shown::Likes(*post))
        }
        .boxed_local()
    });
    let failed: HashSet<Shown> = stream::iter(counters.chain(likes))
        .buffer_unordered(ITEMS_AT_ONCE)
        .filter_map(async |failed| failed)
        .collect()
        .await;
    let oldest: Option<Timestamp> = events.iter().flatten().filter_map(|received| received.at).min();
    if let Some(oldest) = oldest {
        metrics::COUNT_LAG.record(clock.now().since(oldest));
    }
    let outcomes = batch.records.iter().zip(&events).map(|(record, event)| {
        let done = match event.as_ref().map(|received| &received.data) {
            Ok(AnyEvent::Counter(change)) => !failed.contains(&Shown::Counter(change.subject.clone())),
            Ok(AnyEvent::Like(like)) => !failed.contains(&Shown::Likes(like.post)),
            other => {
                let sequence_number = &record.kinesis.sequence_number;
                tracing::error!(?other, sequence_number, "a record is the event of neither a counter nor a like");
                false
            }
        };
        ItemOutcome { identifier: Some(&record.kinesis.sequence_number), done }
    });
    kinesis_response(outcomes)
}

/// A write, which says what it was to write if it failed.
type Written<'a> = LocalBoxFuture<'a, Option<Shown>>;

/// The images of each counter, and the newest change of each like, by post. So each item is written once.
fn changes(
    events: &[Result<Received<AnyEvent>, NotAnEvent>],
) -> (BTreeMap<TallySubject, Vec<TallyChange>>, BTreeMap<PostId, BTreeMap<UserId, LikeChange>>) {
    let (mut counters, mut likes) = (Vec::new(), BTreeMap::<_, BTreeMap<_, LikeChange>>::new());
    for event in events.iter().flatten() {
        match &event.data {
            AnyEvent::Counter(change) => counters.push(change.clone()),
            AnyEvent::Like(like) => {
                let newest = likes.entry(like.post).or_default().entry(like.user.clone());
                let newest = newest.or_insert_with(|| like.clone());
                if like.like_version > newest.like_version {
                    newest.clone_from(like);
                }
            }
            AnyEvent::Log(_) => {}
        }
    }
    (tally::by_counter(counters), likes)
}

/// Shows these likes of a post, and then tells its author once.
async fn show_likes(notices: &Notices, post: PostId, likes: &BTreeMap<UserId, LikeChange>) -> Result<(), Error> {
    let shown = stream::iter(likes.values()).map(|like| notices.show_like(like));
    shown.buffer_unordered(LIKES_AT_ONCE).try_collect::<()>().await?;
    // What has ended makes no group grow, and nobody is notified of their own likes.
    match likes.values().find(|like| like.liked && like.user != like.author) {
        Some(like) => notices.settle(&like.author, Group::Like(post), None).await,
        None => Ok(()),
    }
}
