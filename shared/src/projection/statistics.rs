//! Counts daily statistics ([decision 0075](../../../docs/decisions/0075-statistics-are-sets-of-facts.md)).
//!
//! What is counted is a set of facts: see [`crate::model::DayFact`]. A worker that hears of an event or a like counts
//! the facts that follow from it. Those that are counted already are passed over, and each other one is written in one
//! transaction with the numbers. So it does not matter how often, in which order, or how late a worker hears.
//!
//! A fact counts as long as both users exist: who did it, and who is credited with it. The erasure of an account
//! removes the facts of both kinds.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, btree_map::Entry},
    iter,
};

use super::owner::LogOwner;
use crate::{
    error::Error,
    model::{
        Cause, Clock, Day, DayFact, LikeChange, LogEvent, Post, PostId, StatisticsPolicy, Timestamp, Totals, UserEvent,
        UserId, Version, facts_of,
    },
    retry::until_no_conflict,
    store::{Consistency, command_table::CommandTable, timelines::Timelines},
    stream::work_queue::Recount,
};

/// Counts the statistics of a set of tables.
#[derive(Debug, Clone)]
pub struct Statistics {
    /// The truth.
    pub commands: CommandTable,
    /// Where facts and numbers stand.
    pub timelines: Timelines,
    /// How long they are kept.
    pub policy: StatisticsPolicy,
    /// The clock.
    pub clock: Clock,
}

impl Statistics {
    /// Counts the facts of consecutive events of a log.
    ///
    /// # Errors
    /// As the stores'. Some of the facts may be counted.
    pub(super) async fn count_events(&self, owner: &LogOwner<'_>, events: &[&LogEvent]) -> Result<(), Error> {
        let kept: Vec<_> = events.iter().copied().filter(|event| self.keeps(Day::of(event.at))).collect();
        if kept.is_empty() {
            return Ok(());
        }
        match owner.profile().await {
            Ok(_) => {}
            // The account is deleted, and nothing may be written for it any more.
            Err(Error::Poison { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        let authors = authors(&self.commands, &kept).await?;
        let mut facts = Vec::new();
        for event in kept {
            let before = totals_before(&self.commands, event, events).await?;
            facts.extend(facts_of(event, before, author_of(event, &authors)));
        }
        self.count(facts, owner.user).await
    }

    /// Counts likes of this moment or later, or the first likes of those that have ended since. What they tell is not
    /// gone ([`NoticeSets::may_be_gone`](super::NoticeSets::may_be_gone)).
    ///
    /// # Errors
    /// As the stores'. Some of the facts may be counted.
    pub async fn count_likes<'a>(&self, likes: impl IntoIterator<Item = &'a LikeChange>) -> Result<(), Error> {
        let mut by_liker = BTreeMap::<&UserId, Vec<DayFact>>::new();
        for LikeChange { user, post, author, at, .. } in likes {
            // Likes of releases before 0.3 do not tell when they began.
            if let Some(day) = at.map(Day::of).filter(|day| self.keeps(*day)) {
                let facts = by_liker.entry(user).or_default();
                facts.extend([DayFact::like(author, day, user, *post), DayFact::active(user, day)]);
            }
        }
        let likers: Vec<_> = by_liker.keys().map(|user| (*user).clone()).collect();
        self.count_of_existing(by_liker.into_values().flatten().collect(), likers).await
    }

    /// Counts likes of a post as the truth has them. Those of a deleted account are not counted.
    ///
    /// # Errors
    /// As the stores'. Some of the facts may be counted.
    pub async fn count_likes_as_they_stand(&self, post: PostId, users: &[UserId]) -> Result<(), Error> {
        if !self.policy.is_on() || users.is_empty() {
            return Ok(());
        }
        self.count_likes(&self.commands.likes_as_they_stand(post, users).await?).await
    }

    /// Counts the tags of a post as it stands, on the day when it was created.
    ///
    /// # Errors
    /// As those of the stores.
    pub(super) async fn count_tags(&self, post: &Post) -> Result<(), Error> {
        let day = Day::of(post.post.created_at());
        if !self.keeps(day) {
            return Ok(());
        }
        self.timelines.count_tags(&self.commands, post, self.policy.expires_at(day)).await
    }

    /// Counts something again, and sets it to what it should be.
    ///
    /// # Errors
    /// [`Error::Poison`] if it makes no sense; [`Error::Conflict`] if other writers kept coming between; otherwise as
    /// the stores'.
    pub async fn recount(&self, recount: &Recount) -> Result<(), Error> {
        let Self { timelines, policy, clock, .. } = self;
        match recount {
            Recount::Event { user, version } => match self.commands.event(user, *version).await? {
                Some(event) => self.count_events(&LogOwner::new(user, &self.commands), &[&event]).await,
                // The account was erased meanwhile.
                None => Ok(()),
            },
            Recount::Fact { facts, fact } => {
                let parsed = Timelines::parse_fact(facts, fact);
                let fact = parsed.ok_or_else(|| Error::poison("a fact", format!("its key is {facts}, {fact}")))?;
                match following(&self.commands, &[&fact]).await?.is_empty() {
                    true => remove(timelines, vec![fact], clock.now()).await,
                    false => Ok(()),
                }
            }
            Recount::User { user, day } => {
                until_no_conflict(async || timelines.recount(user, *day, policy.expires_at(*day)).await).await
            }
            Recount::Sum { day, part } => {
                until_no_conflict(async || timelines.recount_sum(*day, *part, policy.expires_at(*day)).await).await
            }
            Recount::Tags { day, part } => {
                until_no_conflict(async || timelines.recount_tags(*day, *part, policy.expires_at(*day)).await).await
            }
        }
    }

    fn keeps(&self, day: Day) -> bool {
        self.policy.keeps(day, self.clock.now())
    }

    /// Counts facts that this user, who exists, has made.
    async fn count(&self, facts: Vec<DayFact>, by: &UserId) -> Result<(), Error> {
        self.count_of_existing(facts, vec![by.clone()]).await
    }

    async fn count_of_existing(&self, facts: Vec<DayFact>, existing: Vec<UserId>) -> Result<(), Error> {
        let mut open: BTreeSet<_> = facts.into_iter().collect();
        let asked: Vec<_> = open.iter().cloned().collect();
        for counted in self.timelines.counted(&asked, Consistency::Eventual).await? {
            open.remove(&counted);
        }
        let credited: BTreeSet<_> =
            open.iter().map(|fact| &fact.user).filter(|user| !existing.contains(user)).collect();
        let mut existing: BTreeSet<_> = existing.iter().cloned().collect();
        existing.extend(with_profile(&self.commands, credited.into_iter().cloned().collect()).await?);
        for (day, facts) in by_day(open.into_iter().filter(|fact| existing.contains(&fact.user))) {
            self.timelines.count_facts(&facts, self.policy.expires_at(day)).await?;
        }
        Ok(())
    }
}

fn by_day(facts: impl IntoIterator<Item = DayFact>) -> BTreeMap<Day, Vec<DayFact>> {
    let mut days = BTreeMap::<_, Vec<_>>::new();
    for fact in facts {
        days.entry(fact.day).or_default().push(fact);
    }
    days
}

/// Removes facts, whoever is credited with them, and the numbers of those to whom nothing is left of a day. `now` is
/// the present moment.
///
/// # Errors
/// As the store's. Some may be removed.
pub(super) async fn remove(timelines: &Timelines, facts: Vec<DayFact>, now: Timestamp) -> Result<(), Error> {
    let counted = timelines.counted(&facts, Consistency::Strong).await?;
    for facts in by_day(counted).into_values() {
        timelines.remove_facts(&facts, now).await?;
    }
    // Also of facts that are gone: a worker that removed them may have been killed before it came to this.
    let days: BTreeSet<_> = facts.iter().map(|fact| (&fact.user, fact.day)).collect();
    for (user, day) in days {
        until_no_conflict(async || timelines.remove_zeros(user, day).await).await?;
    }
    Ok(())
}

/// The facts of an event that others are credited with. The erasure of the user removes them. It does not know what was
/// before the event, so there may be one too many. The author of a post that makes no sense is not known: if that
/// author is credited with a comment, the audit removes the fact, because the user is gone.
///
/// # Errors
/// As the store's.
pub(super) async fn facts_of_others(commands: &CommandTable, event: &LogEvent) -> Result<Vec<DayFact>, Error> {
    let authors = match authors(commands, &[event]).await {
        Err(error @ Error::Poison { .. }) => {
            tracing::error!(user = %event.user, version = %event.version, %error, "nobody knows whose post it was");
            HashMap::new()
        }
        authors => authors?,
    };
    let most = Totals { following: u64::MAX, ..Totals::default() };
    let mut facts = facts_of(event, Some(most), author_of(event, &authors));
    facts.retain(|fact| fact.user != event.user);
    Ok(facts)
}

/// The facts that follow from an event of a user who exists, as far as those exist who are credited with them.
///
/// # Errors
/// As the store's.
pub(crate) async fn expected(commands: &CommandTable, event: &LogEvent) -> Result<Vec<DayFact>, Error> {
    let authors = authors(commands, &[event]).await?;
    let before = totals_before(commands, event, &[]).await?;
    let facts = facts_of(event, before, author_of(event, &authors));
    let existing = with_profile(commands, facts.iter().map(|fact| fact.user.clone()).collect()).await?;
    Ok(facts.into_iter().filter(|fact| existing.contains(&fact.user)).collect())
}

/// Those of the facts that follow from the truth as it stands. An event is read once, however many of the facts
/// follow from it.
///
/// # Errors
/// As the store's.
pub(crate) async fn following<'a>(
    commands: &CommandTable,
    facts: &[&'a DayFact],
) -> Result<BTreeSet<&'a DayFact>, Error> {
    let users_of = |fact: &&'a DayFact| iter::once(&fact.user).chain(fact.cause.actor()).cloned().collect::<Vec<_>>();
    let existing = with_profile(commands, facts.iter().flat_map(users_of).collect()).await?;
    let (mut following, mut of_events) = (BTreeSet::new(), BTreeMap::new());
    for fact in facts.iter().filter(|fact| users_of(fact).iter().all(|user| existing.contains(user))) {
        let follows = match &fact.cause {
            Cause::Event(user, version) => {
                let expected = match of_events.entry((user, *version)) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(unknown) => unknown.insert(of_event(commands, user, *version).await?),
                };
                // What an event that makes no sense began is known once it is repaired.
                expected.as_ref().is_none_or(|expected| expected.contains(fact))
            }
            Cause::Like(user, post) => commands.like(user, *post).await?.is_some_and(|like| {
                like.at.is_some_and(|at| **fact == DayFact::like(&like.author, Day::of(at), user, *post))
            }),
            Cause::Anything => true,
        };
        if follows {
            following.insert(*fact);
        }
    }
    Ok(following)
}

/// The facts that follow from an event, of which there are none if there is no such event. None if it makes no sense.
async fn of_event(commands: &CommandTable, user: &UserId, version: Version) -> Result<Option<Vec<DayFact>>, Error> {
    match commands.event(user, version).await {
        Ok(Some(event)) => expected(commands, &event).await.map(Some),
        Ok(None) => Ok(Some(Vec::new())),
        Err(Error::Poison { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Those of the users who have a profile.
async fn with_profile(commands: &CommandTable, users: BTreeSet<UserId>) -> Result<BTreeSet<UserId>, Error> {
    let users: Vec<_> = users.into_iter().collect();
    Ok(commands.with_profile(&users).await?.into_iter().collect())
}

/// The authors of the posts that comments among these events are on. Posts of erased accounts have none.
async fn authors(commands: &CommandTable, events: &[&LogEvent]) -> Result<HashMap<PostId, UserId>, Error> {
    let posts: BTreeSet<_> = events.iter().filter_map(|event| commented(event)).collect();
    let posts: Vec<_> = posts.into_iter().collect();
    Ok(commands.posts(&posts).await?.into_iter().map(|post| (post.post, post.author)).collect())
}

fn commented(event: &LogEvent) -> Option<PostId> {
    match event.event {
        UserEvent::PostCommented { post, .. } => Some(post),
        _ => None,
    }
}

fn author_of<'a>(event: &LogEvent, authors: &'a HashMap<PostId, UserId>) -> Option<&'a UserId> {
    commented(event).and_then(|post| authors.get(&post))
}

/// The totals before an event, if they tell what follows from it. The event before may be among the known ones.
async fn totals_before(
    commands: &CommandTable,
    event: &LogEvent,
    known: &[&LogEvent],
) -> Result<Option<Totals>, Error> {
    if !matches!(event.event, UserEvent::UserBlocked { .. }) {
        return Ok(None);
    }
    let is_before = |other: &&&LogEvent| other.version.next() == event.version;
    if let Some(before) = known.iter().find(is_before) {
        return Ok(Some(before.totals));
    }
    let Some(before) = event.version.before() else { return Ok(None) };
    match commands.head_at(&event.user, before).await {
        Ok(found) => Ok(found.map(|before| before.totals)),
        // What makes no sense tells nothing, now and later.
        Err(Error::Poison { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
