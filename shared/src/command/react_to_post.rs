//! Likes and unlikes. The like and the count change in one transaction, and the count changes only if the like does
//! (INV-3). Likes are in no log, so this is not a [`super::Command`]: there are too many likes, and their effects need
//! no order.

use rand::Rng;

use super::{
    attempts::Attempts,
    decision::{Committed, require_active, require_shown},
    run::require_profile,
};
use crate::{
    error::{Error, Rejection},
    model::{
        Clock, Counts, EdgeKey, EdgeState, Like, Limited, PartitionShard, PostId, RateLimited, TallyShard,
        TallySubject, Timestamp, UserId, Version, ranking,
    },
    store::{
        Consistency,
        command_table::CommandTable,
        likes::{LikeLimit, Reaction},
        transaction::Change,
    },
};

/// Makes the caller like a post, or no longer like it. Repeating this changes nothing.
///
/// This costs one round trip of reads, a second one to check blocks if the post is another user's, and one transaction
/// of two items. The first reads are eventually consistent, which costs half: they may be a moment old. If they leave
/// nothing to do, or the like is refused, consistent reads decide; and whatever a transaction rests on is a condition
/// of it. So an old read has two effects at most: a post is liked that was deleted a moment ago, which nobody sees, or
/// whose author has just blocked the caller. Such a like counts, but notices and lists hide it, as every block does.
///
/// While a post is busy, so that reads of it are throttled or writes of its counter meet, a process reads it once in
/// two seconds, because an item that all likes read would limit them. The returned version is that of the caller's log,
/// which a like does not change.
///
/// The rate limit counts likes, not their ends. Its state is written with a random one of several likes, which is then
/// charged for all of them: see [`RateLimit::portion`].
///
/// # Errors
/// [`Rejection::ProfileRequired`] if the caller has no profile; [`Rejection::PostNotFound`] if there is no such post,
/// or if it is deleted and the caller wants to like it; [`Rejection::Blocked`] if one of the two users blocks the
/// other; [`Rejection::RateLimited`] if there were too many likes; [`Error::Conflict`] if races were lost too often or
/// for too long; otherwise as the store's. After an error other than a rejection, the like may have been committed.
pub async fn react_to_post(
    caller: &UserId,
    post: PostId,
    wanted: EdgeState,
    commands: &CommandTable,
    clock: &Clock,
) -> Result<Committed<()>, Error> {
    // Drawn once, so that a like which is decided again is not charged more often.
    let is_charged = rand::rng().random_range(0..commands.rate_limits.likes.portion().get()) == 0;
    let request = Request { caller, post, counter: TallySubject::Post(post), wanted, is_charged, commands, clock };
    let mut attempts = Attempts::start();
    let (mut limit_before, mut version, mut is_unblocked) = (None, None, false);
    let (mut next_read, mut may_be_done) = (Consistency::Eventual, false);
    loop {
        attempts.next().await?;
        let consistency = std::mem::replace(&mut next_read, Consistency::Strong);
        let (found, reaction) = tokio::try_join!(request.version(version), request.read(consistency))?;
        version = Some(found);
        let (committed, now) = (Committed { version: found, output: () }, clock.now());
        // A try whose answer was lost may have been committed, whatever became of the post since.
        if may_be_done && reaction.like.as_ref().is_some_and(|like| like.liked == wanted.is_active()) {
            return Ok(committed);
        }
        let counted_in = commands.busy.tally_shard(&request.counter, now, rand::rng().random());
        let (like, more) = match decide(caller, &reaction, wanted, counted_in, now) {
            Ok(Some(decided)) => decided,
            _ if !consistency.is_strong() => continue,
            Ok(None) => return Ok(committed),
            Err(rejection) => return Err(rejection.into()),
        };
        if !is_unblocked {
            request.require_no_block(&like.author, now).await?;
            is_unblocked = true;
        }
        let before = reaction.limit.unwrap_or_default();
        let limit = match request.charge(before, now) {
            Ok(limit) => limit,
            Err(limited) if limit_before == Some(before.version) => return Err(limited.into()),
            // The like may be older than the state of the limit, and the last of the limit may have gone to the same
            // like, which was sent twice. The next attempt reads a like that is as new as this state.
            Err(_) => {
                limit_before = Some(before.version);
                continue;
            }
        };
        match request.commit(like, counted_in, more, limit, now).await {
            Ok(()) => return Ok(committed),
            Err(Error::Conflict) => may_be_done = true,
            Err(error) => return Err(error),
        }
    }
}

/// What is wanted, and what it takes.
struct Request<'a> {
    caller: &'a UserId,
    post: PostId,
    /// The post's counter.
    counter: TallySubject,
    wanted: EdgeState,
    /// Whether the like is charged for several.
    is_charged: bool,
    commands: &'a CommandTable,
    clock: &'a Clock,
}

impl Request<'_> {
    /// The version of the caller's log, if the caller has a profile and may act. A like does not change the log, so its
    /// head is read once.
    async fn version(&self, known: Option<Version>) -> Result<Version, Error> {
        if let Some(version) = known {
            return Ok(version);
        }
        let head = self.commands.head(self.caller).await?;
        require_profile(&head)?;
        require_active(head.standing)?;
        Ok(head.version)
    }

    /// Reads the like and, unless this process knows of it, the post.
    async fn read(&self, consistency: Consistency) -> Result<Reaction, Error> {
        let (busy, begun) = (&self.commands.busy, self.clock.now());
        let known = busy.author(self.post, begun);
        let is_post_read = known.is_none();
        let reaction = self.commands.reaction(self.caller, self.post, self.wanted, known, consistency).await?;
        if let Some(post) = reaction.post.as_ref().filter(|post| is_post_read && post.hidden.is_none()) {
            busy.know_author(self.post, &post.author, begun);
            if reaction.was_throttled {
                busy.spread_more(&self.counter, self.clock.now());
            }
        }
        Ok(reaction)
    }

    /// Checks that a like meets no block. This comes before the transaction, not in it. A block that comes in between
    /// is too late for this like. It hides the notice of the like, as every block does.
    async fn require_no_block(&self, author: &UserId, now: Timestamp) -> Result<(), Error> {
        if !self.wanted.is_active() || author == self.caller {
            return Ok(());
        }
        let is_blocked = match self.commands.busy.is_busy(&self.counter, now) {
            true => self.commands.block_with_busy(self.caller, author, now).await?,
            false => self.commands.block_between(self.caller, author).await?,
        };
        if !is_blocked {
            return Ok(());
        }
        // The block may have ended a moment ago.
        let edges = self.commands.edges(&EdgeKey::blocks(self.caller, author)).await?;
        if edges.block_between(self.caller, author) { Err(Rejection::Blocked.into()) } else { Ok(()) }
    }

    /// The state of the limit after a portion of likes, if the request has to write it.
    fn charge(&self, before: LikeLimit, at: Timestamp) -> Result<Option<LikeLimit>, Rejection> {
        if !self.wanted.is_active() {
            return Ok(None);
        }
        let rate_limit = &self.commands.rate_limits.likes;
        let spent = rate_limit.charge(before.spent, at, rate_limit.portion().get());
        let spent = spent.map_err(|retry_after| RateLimited { kind: Limited::Likes, retry_after })?;
        Ok(self.is_charged.then_some(LikeLimit { spent, version: before.version + 1 }))
    }

    /// Writes the like, adds to this shard of the post's counter, and charges the limit, all or none of it.
    async fn commit(
        &self,
        like: Like,
        counted_in: TallyShard,
        more: Counts,
        limit: Option<LikeLimit>,
        at: Timestamp,
    ) -> Result<(), Error> {
        let user = || self.caller.clone();
        let mut changes = vec![
            Change::PutLike { user: user(), post: self.post, like },
            Change::Count { subject: self.counter.clone(), shard: counted_in, more },
        ];
        changes.extend(limit.map(|limit| Change::PutLikeLimit { user: user(), limit }));
        self.commands.commit_like(self.caller, &changes, &self.counter, at).await
    }
}

/// The like as it is to be stored, and what to add to the post's counter. None if the like is as it is wanted already.
fn decide(
    caller: &UserId,
    reaction: &Reaction,
    wanted: EdgeState,
    counted_in: TallyShard,
    at: Timestamp,
) -> Result<Option<(Like, Counts)>, Rejection> {
    let (before, liked) = (reaction.like.as_ref(), wanted.is_active());
    // An unlike stays possible after the post was deleted, as every end of an edge does.
    let post = reaction.post.as_ref().ok_or(Rejection::PostNotFound)?;
    if liked {
        require_shown(post.hidden, &post.author, caller)?;
    }
    if before.is_some_and(|like| like.liked) == liked {
        return Ok(None);
    }
    // An unlike subtracts the heat that the like added. Authors do not count on their own posts.
    let heat = match before {
        Some(like) if !liked => like.heat,
        _ if post.author == *caller => 0,
        _ => ranking::like_heat(post.post.created_at(), at),
    };
    let version = before.map_or(1, |like| like.version + 1);
    let first_at = before.map_or(Some(at), |like| like.at);
    let shard = before.map_or_else(|| PartitionShard::of_edge(counted_in), |like| like.shard);
    let like = Like { liked, author: post.author.clone(), heat, version, at: first_at, shard };
    let one = Counts { likes: 1, heat, ..Counts::default() };
    Ok(Some((like, if liked { one } else { -one })))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        command::BlockUser,
        model::ReactedPost,
        samples::{NOW, post, user},
        test_world::{Calls, Failure, World},
    };

    fn clicks() -> impl Strategy<Value = Vec<EdgeState>> {
        proptest::collection::vec(prop_oneof![Just(EdgeState::Active), Just(EdgeState::Ended)], 0..20)
    }

    proptest! {
        #[test]
        fn after_any_clicks_the_counts_are_those_of_the_like(clicks in clicks()) {
            let mut reaction = Reaction { post: Some(ReactedPost::from(&post())), ..Reaction::default() };
            let (mut counted, shard) = (Counts::default(), TallyShard::default());
            for (hour, wanted) in clicks.iter().enumerate() {
                let at = NOW.after(Duration::from_secs(60 * 60 * hour as u64));
                if let Some((like, more)) = decide(&user("bob"), &reaction, *wanted, shard, at).unwrap() {
                    prop_assert_eq!(like.version, reaction.like.map_or(1, |like| like.version + 1));
                    counted = counted + more;
                    reaction.like = Some(like);
                }
            }
            let likes = clicks.last().is_some_and(|wanted| wanted.is_active());
            let heat = reaction.like.filter(|like| like.liked).map_or(0, |like| like.heat);
            prop_assert_eq!(counted, Counts { likes: likes.into(), heat, ..Counts::default() });
        }
    }

    #[test]
    fn a_missing_or_deleted_post_cannot_be_liked() {
        let deleted = Reaction { post: Some(ReactedPost::from(&post().scrubbed(NOW))), ..Reaction::default() };
        for reaction in [Reaction::default(), deleted.clone()] {
            assert_eq!(
                decide(&user("bob"), &reaction, EdgeState::Active, TallyShard::default(), NOW),
                Err(Rejection::PostNotFound)
            );
        }
        assert_eq!(
            decide(&user("bob"), &Reaction::default(), EdgeState::Ended, TallyShard::default(), NOW),
            Err(Rejection::PostNotFound)
        );
        assert_eq!(decide(&user("bob"), &deleted, EdgeState::Ended, TallyShard::default(), NOW), Ok(None));
    }

    #[test]
    fn a_like_can_be_taken_back_after_the_post_was_deleted() {
        let (like, _) = decide(
            &user("bob"),
            &Reaction { post: Some(ReactedPost::from(&post())), ..Reaction::default() },
            EdgeState::Active,
            TallyShard::default(),
            NOW,
        )
        .unwrap()
        .unwrap();
        let deleted = Reaction {
            post: Some(ReactedPost::from(&post().scrubbed(NOW))),
            like: Some(like.clone()),
            ..Reaction::default()
        };
        let (unlike, more) =
            decide(&user("bob"), &deleted, EdgeState::Ended, TallyShard::default(), NOW).unwrap().unwrap();
        assert!(!unlike.liked);
        assert_eq!((more.likes, more.heat), (-1, -like.heat));
    }

    #[test]
    fn an_authors_own_like_is_counted_without_heat() {
        let reaction = Reaction { post: Some(ReactedPost::from(&post())), ..Reaction::default() };
        let (like, more) =
            decide(&post().author, &reaction, EdgeState::Active, TallyShard::default(), NOW).unwrap().unwrap();
        assert_eq!((like.heat, more), (0, Counts { likes: 1, ..Counts::default() }));
    }

    /// A world in which users may like so many posts in an hour. Ada has joined and written posts.
    async fn posts_of_ada(likes_per_hour: u64, posts: usize) -> (World, Vec<PostId>) {
        let world = World::with_rate_limit("LIKES_PER_HOUR", likes_per_hour);
        world.other.join(&["ada"]).await;
        let mut ids = Vec::new();
        for _ in 0..posts {
            ids.push(world.other.post("ada", "hello").await);
        }
        (world, ids)
    }

    async fn react(world: &World, id: &str, post: PostId, wanted: EdgeState) -> Result<Committed<()>, Error> {
        react_to_post(&user(id), post, wanted, &world.tested.commands, &world.tested.clock).await
    }

    fn refusal(result: Result<Committed<()>, Error>) -> Rejection {
        match result {
            Err(Error::Rejected(rejection)) => rejection,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn likes_above_the_limit_are_refused_and_ends_are_free() {
        let (world, posts) = posts_of_ada(3, 4).await;
        world.other.join(&["bob"]).await;
        for post in &posts[..3] {
            react(&world, "bob", *post, EdgeState::Active).await.unwrap();
            react(&world, "bob", *post, EdgeState::Active).await.unwrap();
        }
        react(&world, "bob", posts[0], EdgeState::Ended).await.unwrap();
        let before = world.tables();

        let Rejection::RateLimited(limited) = refusal(react(&world, "bob", posts[3], EdgeState::Active).await) else {
            panic!("another reason")
        };

        assert_eq!((limited.kind, world.tables()), (Limited::Likes, before));
        world.pass(limited.retry_after + Duration::from_millis(1));
        react(&world, "bob", posts[3], EdgeState::Active).await.unwrap();
        assert!(matches!(refusal(react(&world, "bob", posts[0], EdgeState::Active).await), Rejection::RateLimited(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_like_that_is_tried_several_times_is_charged_once() {
        let (world, posts) = posts_of_ada(2, 3).await;
        world.other.join(&["bob"]).await;
        world.network.lose_answers(Calls("TransactWriteItems", ""), 3);
        let lost = react(&world, "bob", posts[0], EdgeState::Active).await;
        assert!(matches!(lost, Err(Error::Transient { .. }) | Ok(_)), "{lost:?}");
        react(&world, "bob", posts[0], EdgeState::Active).await.unwrap();
        world.network.fail_next(Calls("TransactWriteItems", ""), 2, Failure::Cancelled);
        react(&world, "bob", posts[1], EdgeState::Active).await.unwrap();
        assert!(matches!(refusal(react(&world, "bob", posts[2], EdgeState::Active).await), Rejection::RateLimited(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_like_whose_answer_was_lost_is_accepted_although_the_post_is_deleted_by_now() {
        let (world, posts) = posts_of_ada(9, 1).await;
        world.other.join(&["bob"]).await;
        let (other, post) = (world.other.clone(), posts[0]);
        world.network.lose_answers(Calls("TransactWriteItems", ""), 1);
        world.network.before(Calls("TransactWriteItems", ""), async move || {
            other.delete("ada", post).await;
        });

        react(&world, "bob", post, EdgeState::Active).await.unwrap();

        // By then, the process no longer knows the post.
        world.pass(Duration::from_secs(3));
        assert_eq!(refusal(react(&world, "bob", post, EdgeState::Active).await), Rejection::PostNotFound);
    }

    #[tokio::test(start_paused = true)]
    async fn a_high_limit_is_reached_about_where_it_is_and_writes_its_state_seldom() {
        let (world, posts) = posts_of_ada(1000, 1).await;
        world.other.join(&["bob"]).await;
        let mut accepted = 0;
        for _ in 0..2000 {
            if react(&world, "bob", posts[0], EdgeState::Active).await.is_err() {
                break;
            }
            react(&world, "bob", posts[0], EdgeState::Ended).await.unwrap();
            accepted += 1;
        }
        // 100 charges of 10 likes each. Their number has a standard deviation of 10 %.
        assert!((500..1700).contains(&accepted), "{accepted}");
        assert!(world.network.count(Calls("TransactWriteItems", "LIMIT#LIKES")) <= 101);
    }

    #[tokio::test(start_paused = true)]
    async fn a_like_that_is_sent_twice_at_once_is_not_refused_for_its_own_charge() {
        let (world, posts) = posts_of_ada(1, 1).await;
        world.other.join(&["bob"]).await;
        let (other, post) = (world.other.clone(), posts[0]);
        world.network.before(Calls("TransactWriteItems", ""), async move || {
            react_to_post(&user("bob"), post, EdgeState::Active, &other.commands, &other.clock).await.unwrap();
        });

        react(&world, "bob", post, EdgeState::Active).await.unwrap();

        let limit = world
            .other
            .commands
            .reaction(&user("bob"), post, EdgeState::Active, None, Consistency::Strong)
            .await
            .unwrap()
            .limit
            .unwrap();
        assert_eq!(limit.version, 1, "charged once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_that_has_just_ended_refuses_no_like() {
        let (world, posts) = posts_of_ada(100, 1).await;
        world.other.join(&["bob"]).await;
        world.tested.meets_a_crowd(&TallySubject::Post(posts[0]));
        let block = |wanted| BlockUser { blocked: user("bob"), wanted };
        world.other.done("ada", &block(EdgeState::Active)).await;
        assert_eq!(refusal(react(&world, "bob", posts[0], EdgeState::Active).await), Rejection::Blocked);

        world.other.done("ada", &block(EdgeState::Ended)).await;
        react(&world, "bob", posts[0], EdgeState::Active).await.unwrap();
    }
}
