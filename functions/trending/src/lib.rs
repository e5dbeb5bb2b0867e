//! Shows counters on cards: likes, comments and heat of posts, which also decide what trends, and followers of users.
//! Shows who likes a post, too, tells its author, and counts likes of the day. It serves the events of counters and
//! likes on the bus.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use aws_lambda_events::{kinesis::KinesisEvent, streams::KinesisEventResponse};
use futures::{FutureExt, StreamExt, future, stream};
use tidings::{
    deadline::Deadline,
    error::Error,
    metrics,
    model::{Clock, Group, LikeChange, PostId, TallyChange, TallyShard, TallySubject, UserId},
    projection::{CardSets, LIKES_AT_ONCE, NoticeSets, notices::Notices, tally},
    stream::{
        batch::{ItemOutcome, kinesis_response},
        cloud_event::{AnyEvent, NotAnEvent, Received, receive_any},
        work_queue::Task,
    },
};

/// A counter, or the likes of a post, are given up after twice this time, and their records come again.
const TIME_PER_ITEM: Duration = Duration::from_secs(5);
/// Items written at once.
const ITEMS_AT_ONCE: usize = 16;
/// How long the work queue waits for a card that is still to be made. A post usually has its card in this time.
const CARD_DELAY: Duration = Duration::from_secs(2);

/// What is written together of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Item {
    /// A counter, on its card.
    Counter(TallySubject),
    /// The likes of a post: in the list of those who like it, and in its author's inbox.
    Likes(PostId),
}

/// Why something was not written.
enum NotWritten {
    /// The card is still to be made, or makes no sense: then the work queue keeps the task for a person, and nothing on
    /// the bus waits for it.
    Early(TallySubject, BTreeSet<TallyShard>),
    /// It has to come again.
    Failed(Item),
}

/// Shows the counters and likes of a batch. If a counter is earlier than its card, the work queue sets it from the
/// truth later. A record comes again if its item could not be written in time, or if it is the event of neither.
///
/// # Errors
/// As [`kinesis_response`] and [`NoticeSets::maintained`].
pub async fn handle(
    cards: &CardSets,
    notices: &NoticeSets,
    clock: &Clock,
    batch: KinesisEvent,
    deadline: Deadline,
) -> Result<KinesisEventResponse, Error> {
    let events: Vec<_> = batch.records.iter().map(|record| receive_any(&record.kinesis.data)).collect();
    let (counters, likes) = changes(&events, notices);
    // Without likes, nobody needs to know in which tables they are shown.
    let shown_in = if likes.is_empty() { Vec::new() } else { deadline.limit(notices.maintained()).await? };
    let shown_in = &shown_in;
    let counted = async {
        let counted = deadline.at_most(TIME_PER_ITEM).limit(count_likes(shown_in, &likes)).await;
        counted.inspect_err(|error| tracing::warn!(%error, "likes could not be counted")).is_ok()
    };
    let counters = stream::iter(&counters)
        .map(|(subject, changes)| put_counter(cards, subject, changes, deadline.at_most(TIME_PER_ITEM)));
    let (counters, is_counted) =
        future::join(counters.buffer_unordered(ITEMS_AT_ONCE).collect::<Vec<_>>(), counted.boxed_local()).await;
    let likes = stream::iter(&likes).map(async |(post, likes)| {
        let is_shown = put_likes(shown_in, *post, likes, deadline.at_most(TIME_PER_ITEM)).await;
        // If there are too many likes of a post, the worker of a task counts them.
        let is_done = is_shown && (is_counted || are_too_many(likes));
        (!is_done).then_some(NotWritten::Failed(Item::Likes(*post)))
    });
    let likes = likes.buffer_unordered(ITEMS_AT_ONCE).collect::<Vec<_>>().boxed_local().await;
    let not_written = counters.into_iter().chain(likes).flatten().collect();
    let failed = leave_to_queue(cards, clock, not_written, deadline).await;
    if let Some(oldest) = events.iter().flatten().filter_map(|received| received.at).min() {
        metrics::COUNT_LAG.record(clock.now().since(oldest));
    }
    let outcomes = batch.records.iter().zip(&events).map(|(record, event)| {
        let sequence_number = record.kinesis.sequence_number.as_str();
        ItemOutcome { identifier: Some(sequence_number), done: is_done(event, sequence_number, &failed) }
    });
    kinesis_response(outcomes)
}

/// Puts a counter on its card. Returns why it could not.
async fn put_counter(
    cards: &CardSets,
    subject: &TallySubject,
    changes: &[TallyChange],
    limit: Deadline,
) -> Option<NotWritten> {
    let early = || NotWritten::Early(subject.clone(), changes.iter().map(|change| change.shard).collect());
    match limit.limit(cards.show(subject, changes)).await {
        Ok(true) => None,
        Ok(false) => Some(early()),
        Err(error @ Error::Poison { .. }) => {
            tracing::error!(?subject, %error, "a counter is left to the work queue");
            Some(early())
        }
        Err(error) => {
            tracing::warn!(?subject, %error, "a counter could not be written to its card");
            Some(NotWritten::Failed(Item::Counter(subject.clone())))
        }
    }
}

/// Shows likes of a post in all sets of tables, or leaves them to the work queue. Returns whether it could.
async fn put_likes(shown_in: &[Notices], post: PostId, likes: &Likes, limit: Deadline) -> bool {
    for notices in shown_in {
        let shown = match limit.limit(show_likes(notices, post, likes)).await {
            Err(error @ Error::Poison { .. }) => {
                tracing::error!(%post, %error, "likes are left to the work queue");
                limit.limit(leave_likes(notices, post, likes)).await
            }
            shown => shown,
        };
        if let Err(error) = shown {
            tracing::warn!(%post, %error, "likes could not be shown");
            return false;
        }
    }
    true
}

/// Whether nothing of a record's event has failed.
fn is_done(event: &Result<Received<AnyEvent>, NotAnEvent>, sequence_number: &str, failed: &HashSet<Item>) -> bool {
    match event.as_ref().map(|received| &received.data) {
        Ok(AnyEvent::Counters(changes)) => {
            !changes.iter().any(|change| failed.contains(&Item::Counter(change.subject.clone())))
        }
        Ok(AnyEvent::Likes(likes)) => !likes.iter().any(|like| failed.contains(&Item::Likes(like.post))),
        other => {
            tracing::error!(?other, sequence_number, "a record is the event of neither counters nor likes");
            false
        }
    }
}

/// Leaves early counters to the queue, but for the shards for which a task waits already. Returns what has to come
/// again.
async fn leave_to_queue(
    cards: &CardSets,
    clock: &Clock,
    not_written: Vec<NotWritten>,
    deadline: Deadline,
) -> HashSet<Item> {
    let now = clock.now();
    let (mut early, mut failed) = (Vec::new(), HashSet::new());
    for it in not_written {
        match it {
            NotWritten::Early(subject, mut shards) => {
                shards.retain(|shard| !cards.waiting.has(&subject, *shard, now));
                if !shards.is_empty() {
                    early.push((subject, Vec::from_iter(shards)));
                }
            }
            NotWritten::Failed(item) => drop(failed.insert(item)),
        }
    }
    if early.is_empty() {
        return failed;
    }
    let task = |(subject, shards): &(TallySubject, Vec<_>)| {
        let (subject, shards) = (subject.clone(), shards.clone());
        Task::SettleTally { subject, shards }
    };
    match deadline.limit(cards.work_queue.send_after(CARD_DELAY, early.iter().map(task).collect())).await {
        Ok(()) => early.iter().for_each(|(subject, shards)| cards.waiting.add(subject, shards, now)),
        Err(error) => {
            tracing::warn!(%error, "early counters could not be handed over");
            failed.extend(early.into_iter().map(|(subject, _)| Item::Counter(subject)));
        }
    }
    failed
}

/// A like, and whether its event is so late that the command table has to tell what became of it.
#[derive(Clone)]
struct Heard {
    like: LikeChange,
    may_be_gone: bool,
}

/// Likes of a post, by user.
type Likes = BTreeMap<UserId, Heard>;

/// The images of each counter, and the newest change of each like, by post. So each item is written once.
fn changes(
    events: &[Result<Received<AnyEvent>, NotAnEvent>],
    notices: &NoticeSets,
) -> (BTreeMap<TallySubject, Vec<TallyChange>>, BTreeMap<PostId, Likes>) {
    let (mut counters, mut likes) = (Vec::new(), BTreeMap::<_, Likes>::new());
    for event in events.iter().flatten() {
        match &event.data {
            AnyEvent::Counters(changes) => counters.extend(changes.iter().cloned()),
            AnyEvent::Likes(changes) => {
                for like in changes {
                    let heard = Heard { like: like.clone(), may_be_gone: notices.may_be_gone(event.at) };
                    let newest = likes.entry(like.post).or_default().entry(like.user.clone());
                    let newest = newest.or_insert_with(|| heard.clone());
                    if like.like_version > newest.like.like_version {
                        *newest = heard;
                    }
                }
            }
            AnyEvent::Log(_) => {}
        }
    }
    (tally::by_counter(counters), likes)
}

/// Whether these are more likes of a post than its partitions may take at once. They are left to the work queue.
fn are_too_many(likes: &Likes) -> bool {
    likes.len() > LIKES_AT_ONCE
}

/// Counts the likes of all posts but busy ones together, because they add to few sums. What many others keep it from
/// counting, and what makes no sense, is left to the work queue.
async fn count_likes(shown_in: &[Notices], likes: &BTreeMap<PostId, Likes>) -> Result<(), Error> {
    let likes: Vec<_> = likes.iter().filter(|(_, likes)| !are_too_many(likes)).collect();
    for notices in shown_in {
        match count_in(notices, &likes).await {
            Err(error @ (Error::Conflict | Error::Poison { .. })) => {
                tracing::warn!(%error, "the counting of likes is left to the work queue");
                let tasks = likes.iter().flat_map(|(post, likes)| Task::settle_likes(**post, likes.keys().cloned()));
                notices.work_queue.send(tasks.collect()).await?;
            }
            counted => counted?,
        }
    }
    Ok(())
}

async fn count_in(notices: &Notices, likes: &[(&PostId, &Likes)]) -> Result<(), Error> {
    let heard = || likes.iter().flat_map(|(_, likes)| likes.values());
    let known = heard().filter(|heard| !heard.may_be_gone);
    notices.statistics.count_likes(known.map(|heard| &heard.like)).await?;
    for (post, likes) in likes {
        let late = likes.values().filter(|heard| heard.may_be_gone);
        let late: Vec<_> = late.map(|heard| heard.like.user.clone()).collect();
        notices.statistics.count_likes_as_they_stand(**post, &late).await?;
    }
    Ok(())
}

async fn leave_likes(notices: &Notices, post: PostId, likes: &Likes) -> Result<(), Error> {
    notices.work_queue.send(Task::settle_likes(post, likes.keys().cloned())).await
}

/// Shows these likes of a post, and then tells its author once. If there are too many, they are left to the work queue,
/// so that nothing else waits for them on the bus.
async fn show_likes(notices: &Notices, post: PostId, likes: &Likes) -> Result<(), Error> {
    if are_too_many(likes) {
        return leave_likes(notices, post, likes).await;
    }
    let (late, known): (Vec<_>, Vec<_>) = likes.values().partition(|heard| heard.may_be_gone);
    let late: Vec<_> = late.into_iter().map(|heard| heard.like.user.clone()).collect();
    let mut shown = match !late.is_empty() && notices.shows_likes_of(post).await? {
        true => notices.show_likes_as_they_stand(post, &late).await?,
        false => Vec::new(),
    };
    future::try_join_all(known.iter().map(|heard| notices.show_like(&heard.like))).await?;
    shown.extend(known.into_iter().map(|heard| heard.like.clone()));
    // What has ended makes no group grow, and nobody is notified of their own likes.
    match shown.iter().find(|like| notices.may_grow(like.liked, like.liked_at()) && like.user != like.author) {
        Some(like) => notices.settle(&like.author, Group::Like(post)).await,
        None => Ok(()),
    }
}
