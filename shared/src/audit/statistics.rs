//! Looks at daily statistics: whether what happened is counted, and whether numbers are those of what is counted.

use std::collections::BTreeSet;

use super::{
    check::{Auditor, GRACE},
    findings::{Finding, Kind},
};
use crate::{
    error::Error,
    model::{Day, DayFact, LikeChange, LogEvent, Post, UserId},
    projection::statistics::{expected, following},
    store::{Consistency, Recounted, scan::Counted, timelines::Timelines},
    stream::work_queue::{Recount, Task},
};

impl Auditor {
    fn keeps(&self, day: Day) -> bool {
        self.statistics.keeps(day, self.clock.now())
    }

    /// What is wrong with what is counted of an event.
    pub(super) async fn event(&self, event: &LogEvent) -> Result<Vec<Finding>, Error> {
        let is_new = self.clock.now().since(event.at) < GRACE;
        if is_new || !self.keeps(Day::of(event.at)) {
            return Ok(Vec::new());
        }
        let facts = expected(&self.commands, event).await?;
        let counted = self.timelines.counted(&facts, Consistency::Eventual).await?;
        if counted.len() == facts.len()
            || self.viewers.get(&event.user, Consistency::Eventual).await?.viewer.applied < event.version
        {
            // All is well, or the log is behind, which is a finding of its own.
            return Ok(Vec::new());
        }
        let recount = Recount::Event { user: event.user.clone(), version: event.version };
        Ok(vec![Finding::new(Kind::WrongStatistics, Task::Recount(recount))])
    }

    /// Whether the first like of a user and a post is not counted.
    pub(super) async fn first_like(&self, like: &LikeChange) -> Result<Vec<Finding>, Error> {
        let is_new = like.at.is_none_or(|at| self.clock.now().since(at) < GRACE);
        let Some(day) = like.at.map(Day::of).filter(|day| !is_new && self.keeps(*day)) else { return Ok(Vec::new()) };
        let mut facts = vec![DayFact::active(&like.user, day)];
        if self.commands.profile(&like.author).await?.is_some() {
            facts.push(DayFact::like(&like.author, day, &like.user, like.post));
        }
        let counted = self.timelines.counted(&facts, Consistency::Eventual).await?;
        let settle = || Task::SettleLikes { post: like.post, users: vec![like.user.clone()] };
        let is_counted = counted.len() == facts.len();
        Ok(if is_counted { Vec::new() } else { vec![Finding::new(Kind::WrongStatistics, settle())] })
    }

    /// A fact that does not follow from the truth. Facts of a deleted account go with it.
    async fn stray_fact(&self, fact: &DayFact) -> Result<Vec<Finding>, Error> {
        if let Some(actor) = fact.cause.actor()
            && self.is_being_erased(actor).await?
        {
            return Ok(Vec::new());
        }
        let (facts, key) = Timelines::key_of_fact(fact);
        let stray = Finding::new(Kind::WrongStatistics, Task::Recount(Recount::Fact { facts, fact: key }));
        self.unless_deleted(&fact.user, vec![stray]).await
    }

    /// Whether the tags of a post are not counted as they stand.
    pub(super) async fn miscounts_tags(&self, post: &Post) -> Result<bool, Error> {
        if !self.keeps(Day::of(post.post.created_at())) {
            return Ok(false);
        }
        let expected: BTreeSet<_> = post.tags.iter().filter(|_| !post.is_deleted()).cloned().collect();
        Ok(self.timelines.tags_counted(post.post).await? != expected)
    }

    /// What is wrong with some items of the statistics. Parts that several of them belong to are looked at once.
    pub(super) async fn counted_items<'items>(&self, items: &'items [Counted]) -> Result<Vec<Finding>, Error> {
        let wrong = |recount| Finding::new(Kind::WrongStatistics, Task::Recount(recount));
        let (mut findings, mut users) = (Vec::new(), BTreeSet::<(Day, &UserId)>::new());
        let (mut sums, mut tags, mut with_sum) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let fact = |item: &'items Counted| match item {
            Counted::Fact(fact) if self.keeps(fact.day) => Some(fact),
            _ => None,
        };
        let facts: Vec<_> = items.iter().filter_map(fact).collect();
        let following = following(&self.commands, &facts).await?;
        for item in items {
            match item {
                Counted::Fact(fact) if self.keeps(fact.day) => {
                    if !following.contains(fact) {
                        findings.extend(self.stray_fact(fact).await?);
                    }
                    users.insert((fact.day, &fact.user));
                }
                Counted::User(day, user) if self.keeps(*day) => {
                    if let Some(found) = unless_changing(self.timelines.recounted_user(user, *day).await)? {
                        let is_stray = found.counted.is_zero() && self.commands.profile(user).await?.is_none();
                        if is_stray || !found.is_right() {
                            findings.push(wrong(Recount::User { user: user.clone(), day: *day }));
                        }
                    }
                    with_sum.insert((*day, user));
                }
                Counted::Sum(day, part) if self.keeps(*day) => drop(sums.insert((*day, *part))),
                Counted::Tags(day, part) if self.keeps(*day) => drop(tags.insert((*day, *part))),
                // These expire.
                Counted::Fact(_) | Counted::User(..) | Counted::Sum(..) | Counted::Tags(..) => {}
            }
        }
        // A fact without its user's numbers, or numbers without their sum, are not met by those who look at these.
        for (day, user) in users {
            if self.timelines.days_of(user, [day]).await?.is_empty() {
                findings.push(wrong(Recount::User { user: user.clone(), day }));
            }
        }
        for (day, user) in with_sum {
            if !self.timelines.has_sum(user, day).await? {
                findings.push(wrong(Recount::User { user: user.clone(), day }));
            }
        }
        for (day, part) in sums {
            let found = unless_changing(self.timelines.recounted_sum(day, part).await)?;
            if found.is_some_and(|found| !found.is_right()) {
                findings.push(wrong(Recount::Sum { day, part }));
            }
        }
        for (day, part) in tags {
            if !self.timelines.tags_add_up(day, part).await? {
                findings.push(wrong(Recount::Tags { day, part }));
            }
        }
        Ok(findings)
    }
}

/// What was counted, unless it changed meanwhile. Then nothing is known of it until the next round.
fn unless_changing(counted: Result<Recounted, Error>) -> Result<Option<Recounted>, Error> {
    match counted {
        Err(Error::Conflict) => Ok(None),
        counted => counted.map(Some),
    }
}
