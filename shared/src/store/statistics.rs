//! Daily statistics in the `timelines` table: facts, the numbers of each user on each day, and their sums.
//!
//! A fact is an item. The transaction that writes it adds it to the numbers of the credited user on its day, and to the
//! sum of all users of the same part of the day. It does so only if the fact is not there yet. So the numbers are
//! always those of the facts, however often a fact is counted. The deletion of a fact works in the same way.
//!
//! Facts of one part of a day share a transaction, so that many of them change its sum once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};

use super::{
    consistency::Consistency,
    dynamo::{Item, failed, n, primary_key, s, text},
    key::{self, DAY_PARTS, FACT_PARTS, PK, SK, SUM},
    timelines::Timelines,
};
use crate::{
    error::Error,
    model::{Day, DayFact, DayNumbers, FactKind, Timestamp, UserId},
    retry::RetryPolicy,
};

/// Items of one transaction at most: facts, the numbers of those who are credited with them, and the sum. DynamoDB
/// takes 100 ("TransactWriteItems").
const ITEMS_PER_TRANSACTION: usize = 100;
/// Waits after a transaction that lost a race. There is one: callers leave to the work queue what many others keep them
/// from.
const CONFLICTS: RetryPolicy =
    RetryPolicy { retries_max: 1, first: Duration::from_millis(20), longest: Duration::from_millis(20) };
/// Transactions that run at once.
const TRANSACTIONS_AT_ONCE: usize = 8;
/// The number of writes of an item with numbers. Whoever recounts it notices other writers by it.
pub(super) const REVISION: &str = "revision";

/// Whether facts come or go.
#[derive(Debug, Clone, Copy)]
pub(super) enum FactChange {
    /// They come. The numbers expire at this moment.
    Count(Timestamp),
    /// They go. If DynamoDB has deleted the numbers already, what is made of them expires at this moment.
    Remove(Timestamp),
}

impl Timelines {
    /// The fact with this key. None if the key is not that of a fact that this release knows.
    pub(crate) fn parse_fact(pk: &str, sk: &str) -> Option<DayFact> {
        key::parse_fact(pk, sk)
    }

    /// The key of a fact.
    pub(crate) fn key_of_fact(fact: &DayFact) -> (String, String) {
        key::fact(fact)
    }

    /// Those of the facts that are counted.
    pub async fn counted(&self, facts: &[DayFact], consistency: Consistency) -> Result<HashSet<DayFact>, Error> {
        let by_key: HashMap<_, _> = facts.iter().map(|fact| (key::fact(fact), fact)).collect();
        let keys = by_key.keys().map(|(pk, sk)| primary_key(pk, sk)).collect::<Vec<_>>();
        if keys.is_empty() {
            return Ok(HashSet::new());
        }
        let found = self.dynamo.batch_get(self.table.get(), keys, consistency).await?;
        let fact = |item: &Item| {
            let key = (text(item, PK)?.to_owned(), text(item, SK)?.to_owned());
            let fact = by_key.get(&key).ok_or_else(|| Error::poison("a fact", "nobody asked for it"))?;
            Ok((*fact).clone())
        };
        found.iter().map(fact).collect()
    }

    /// Counts facts of one day. One that is counted changes nothing.
    ///
    /// # Errors
    /// [`Error::Conflict`] if other writers kept coming between; otherwise as the store's. Some of the facts may be
    /// counted.
    pub async fn count_facts(&self, facts: &[DayFact], expires_at: Timestamp) -> Result<(), Error> {
        self.change_facts(facts, FactChange::Count(expires_at)).await
    }

    /// Removes facts of one day. One that is not there changes nothing. `now` is the present moment.
    ///
    /// # Errors
    /// As [`Timelines::count_facts`].
    pub async fn remove_facts(&self, facts: &[DayFact], now: Timestamp) -> Result<(), Error> {
        self.change_facts(facts, FactChange::Remove(now)).await
    }

    /// Removes the user's numbers of a day if they are all zero. An erasure finds numbers by their facts, so it would
    /// leave these behind.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another writer came between; otherwise as the store's.
    pub async fn remove_zeros(&self, user: &UserId, day: Day) -> Result<(), Error> {
        let (partition, of_user) = (key::day_of_user(day, user), key::user(user));
        match self.numbers_at(&partition, &of_user).await? {
            Some((numbers, revision)) if numbers.is_zero() => {
                self.dynamo.transact(vec![self.delete_numbers(&partition, &of_user, revision)?]).await
            }
            _ => Ok(()),
        }
    }

    async fn change_facts(&self, facts: &[DayFact], change: FactChange) -> Result<(), Error> {
        let transactions = stream::iter(transactions(facts));
        let changes = transactions.map(async |facts| self.change_together(facts, change).await);
        changes.buffer_unordered(TRANSACTIONS_AT_ONCE).try_collect().await
    }

    /// Changes facts of one part of a day, as many as one transaction takes.
    async fn change_together(&self, mut open: Vec<DayFact>, change: FactChange) -> Result<(), Error> {
        let mut retries = CONFLICTS.start();
        while !open.is_empty() {
            match self.dynamo.transact(self.together(&open, change)?).await {
                Ok(()) => return Ok(()),
                // Either some are done already, or another writer changes the same numbers at this moment.
                Err(Error::Conflict) => {}
                Err(error) => return Err(error),
            }
            let counted = self.counted(&open, Consistency::Strong).await?;
            open.retain(|fact| counted.contains(fact) == matches!(change, FactChange::Remove(_)));
            if !open.is_empty() && !retries.wait().await {
                return Err(Error::Conflict);
            }
        }
        Ok(())
    }

    /// The transaction that changes these facts of one part of a day.
    fn together(&self, facts: &[DayFact], change: FactChange) -> Result<Vec<TransactWriteItem>, Error> {
        let sign = match change {
            FactChange::Count(_) => 1,
            FactChange::Remove(_) => -1,
        };
        let mut writes = facts.iter().map(|fact| self.fact_write(fact, change)).collect::<Result<Vec<_>, Error>>()?;
        let (mut partition, mut of_users) = (None, BTreeMap::<&UserId, DayNumbers>::new());
        for fact in facts {
            partition = Some(key::day_of_user(fact.day, &fact.user));
            of_users.entry(&fact.user).or_default().add(fact.kind, sign);
        }
        let Some(partition) = partition else { return Ok(writes) };
        let mut sum = DayNumbers::default();
        for (user, more) in of_users {
            writes.push(self.add(&partition, &key::user(user), more, change)?);
            sum += more;
        }
        writes.push(self.add(&partition, SUM, sum, change)?);
        Ok(writes)
    }

    fn fact_write(&self, fact: &DayFact, change: FactChange) -> Result<TransactWriteItem, Error> {
        match change {
            FactChange::Remove(_) => self.delete_existing(fact),
            FactChange::Count(expires_at) => {
                let (pk, sk) = key::fact(fact);
                let put = Put::builder()
                    .table_name(self.table.get())
                    .item(PK, s(pk))
                    .item(SK, s(sk))
                    .item("expires_at", n(expires_at.as_secs()))
                    .condition_expression("attribute_not_exists(PK)");
                let put = put.build().map_err(|error| Error::poison("a fact", error))?;
                Ok(TransactWriteItem::builder().put(put).build())
            }
        }
    }

    fn delete_existing(&self, fact: &DayFact) -> Result<TransactWriteItem, Error> {
        let delete = Delete::builder()
            .table_name(self.table.get())
            .set_key(Some({
                let (pk, sk) = key::fact(fact);
                primary_key(pk, sk)
            }))
            .condition_expression("attribute_exists(PK)");
        let delete = delete.build().map_err(|error| Error::poison("a fact", error))?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    /// A part of a transaction that adds to numbers, or subtracts from them. It makes them if there are none.
    pub(super) fn add(
        &self,
        partition: &str,
        sk: &str,
        more: DayNumbers,
        change: FactChange,
    ) -> Result<TransactWriteItem, Error> {
        let mut added = vec!["#revision :one".to_owned()];
        let mut update = Update::builder()
            .table_name(self.table.get())
            .set_key(Some(primary_key(partition, sk)))
            .expression_attribute_names("#revision", REVISION)
            .expression_attribute_values(":one", n(1));
        for kind in FactKind::ALL.into_iter().filter(|kind| more.get(*kind) != 0) {
            let name = kind.name();
            added.push(format!("#{name} :{name}"));
            update = update
                .expression_attribute_names(format!("#{name}"), name)
                .expression_attribute_values(format!(":{name}"), n(more.get(kind)));
        }
        let (set, expires_at) = match change {
            FactChange::Count(expires_at) => ("#expires_at = :expires_at", expires_at),
            FactChange::Remove(now) => ("#expires_at = if_not_exists(#expires_at, :expires_at)", now),
        };
        let update = update
            .expression_attribute_names("#expires_at", "expires_at")
            .expression_attribute_values(":expires_at", n(expires_at.as_secs()))
            .update_expression(format!("ADD {} SET {set}", added.join(", ")))
            .build();
        let update = update.map_err(|error| Error::poison("the numbers of a day", error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// The user's numbers of these days. A day without any is left out.
    pub async fn days_of(
        &self,
        user: &UserId,
        days: impl IntoIterator<Item = Day>,
    ) -> Result<BTreeMap<Day, DayNumbers>, Error> {
        let keys = days.into_iter().map(|day| primary_key(key::day_of_user(day, user), key::user(user)));
        self.sums(keys.collect()).await
    }

    /// The numbers of all users on these days. A day without any is left out.
    pub async fn days(&self, days: impl IntoIterator<Item = Day>) -> Result<BTreeMap<Day, DayNumbers>, Error> {
        let parts = days.into_iter().flat_map(|day| (0..DAY_PARTS).map(move |part| (day, part)));
        self.sums(parts.map(|(day, part)| primary_key(key::day(day, part), SUM)).collect()).await
    }

    async fn sums(&self, keys: Vec<Item>) -> Result<BTreeMap<Day, DayNumbers>, Error> {
        let mut sums = BTreeMap::<Day, DayNumbers>::new();
        for item in self.dynamo.batch_get(self.table.get(), keys, Consistency::Eventual).await? {
            let pk = text(&item, PK)?;
            let (day, _) = key::parse_day(pk).ok_or_else(|| Error::poison("the key of a day", pk))?;
            *sums.entry(day).or_default() += numbers(&item)?;
        }
        Ok(sums)
    }

    /// Whether there are facts that are credited to the user.
    pub async fn has_facts(&self, user: &UserId) -> Result<bool, Error> {
        let parts = (0..FACT_PARTS).map(|part| self.facts_page(user, part, 1));
        Ok(try_join_all(parts).await?.iter().any(|(facts, _)| !facts.is_empty()))
    }

    /// Removes facts that are credited to the user, those of the oldest day first, at most so many and a few more. With
    /// the last fact of a day, the user's numbers of the day go, too. Returns whether there may be more.
    ///
    /// # Errors
    /// [`Error::Conflict`] if other writers kept coming between; otherwise as the store's.
    pub async fn erase_facts(&self, user: &UserId, limit: usize, now: Timestamp) -> Result<bool, Error> {
        // With the user's numbers and the sum.
        let limit = limit.clamp(1, (ITEMS_PER_TRANSACTION - 2) / usize::from(FACT_PARTS));
        let pages = try_join_all((0..FACT_PARTS).map(|part| self.facts_page(user, part, limit))).await?;
        let Some(day) = pages.iter().flat_map(|(facts, _)| facts).map(|fact| fact.day).min() else { return Ok(false) };
        let is_whole = pages.iter().all(|(_, behind)| behind.as_ref().is_none_or(|fact| fact.day > day));
        let facts: Vec<_> = pages.into_iter().flat_map(|(facts, _)| facts).filter(|fact| fact.day == day).collect();
        if !is_whole {
            // Some are left of the day, so the numbers go in a later step.
            self.remove_facts(&facts, now).await?;
            return Ok(true);
        }
        let partition = key::day_of_user(day, user);
        let numbers = self.numbers_at(&partition, &key::user(user)).await?;
        let mut writes = facts.iter().map(|fact| self.delete_existing(fact)).collect::<Result<Vec<_>, Error>>()?;
        if let Some((numbers, revision)) = numbers {
            writes.push(self.delete_numbers(&partition, &key::user(user), revision)?);
            writes.push(self.add(&partition, SUM, -numbers, FactChange::Remove(now))?);
        }
        self.dynamo.transact(writes).await?;
        Ok(true)
    }

    pub(super) fn delete_numbers(&self, partition: &str, sk: &str, revision: u64) -> Result<TransactWriteItem, Error> {
        let delete = Delete::builder()
            .table_name(self.table.get())
            .set_key(Some(primary_key(partition, sk)))
            .condition_expression("#revision = :revision")
            .expression_attribute_names("#revision", REVISION)
            .expression_attribute_values(":revision", n(revision));
        let delete = delete.build().map_err(|error| Error::poison("the numbers of a day", error))?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    /// Numbers with their revision, if there are any. The read is strongly consistent.
    pub(super) async fn numbers_at(&self, partition: &str, sk: &str) -> Result<Option<(DayNumbers, u64)>, Error> {
        let answer = self
            .dynamo
            .0
            .get_item()
            .table_name(self.table.get())
            .set_key(Some(primary_key(partition, sk)))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed("reading the numbers of a day"))?;
        answer.item.map(|item| Ok((numbers(&item)?, super::dynamo::number(&item, REVISION)?))).transpose()
    }

    /// At most `limit` facts of this part that are credited to the user, oldest day first, and the one behind them.
    async fn facts_page(
        &self,
        user: &UserId,
        part: u8,
        limit: usize,
    ) -> Result<(Vec<DayFact>, Option<DayFact>), Error> {
        let one_more = i32::try_from(limit + 1).unwrap_or(i32::MAX);
        let (mut facts, _) = self.facts_from(user, part, "", None, one_more).await?;
        let behind = (facts.len() > limit).then(|| facts.pop()).flatten();
        Ok((facts, behind))
    }

    /// At most `limit` facts of this part that are credited to the user, of days whose dates begin with this text, from
    /// the one behind `after`. Returns the place to go on behind, if there may be more.
    pub(super) async fn facts_from(
        &self,
        user: &UserId,
        part: u8,
        date: &str,
        after: Option<Item>,
        limit: i32,
    ) -> Result<(Vec<DayFact>, Option<Item>), Error> {
        let mut query = self
            .dynamo
            .0
            .query()
            .table_name(self.table.get())
            .key_condition_expression(if date.is_empty() {
                "PK = :facts"
            } else {
                "PK = :facts AND begins_with(SK, :day)"
            })
            .expression_attribute_values(":facts", s(key::facts(user, part)));
        if !date.is_empty() {
            query = query.expression_attribute_values(":day", s(date));
        }
        let answer = query.set_exclusive_start_key(after).limit(limit).consistent_read(true).send().await;
        let answer = answer.map_err(failed("reading facts"))?;
        let fact = |item: &Item| {
            let (pk, sk) = (text(item, PK)?, text(item, SK)?);
            key::parse_fact(pk, sk).ok_or_else(|| Error::poison("the key of a fact", sk))
        };
        let facts = answer.items().iter().map(fact).collect::<Result<_, Error>>()?;
        Ok((facts, answer.last_evaluated_key))
    }
}

/// The facts of each transaction: of one part of a day, each once, and not too many.
fn transactions(facts: &[DayFact]) -> Vec<Vec<DayFact>> {
    let mut parts = BTreeMap::<String, BTreeSet<&DayFact>>::new();
    for fact in facts {
        parts.entry(key::day_of_user(fact.day, &fact.user)).or_default().insert(fact);
    }
    let mut transactions = Vec::new();
    for facts in parts.into_values() {
        // In the order of users, so that each user's numbers are in few transactions.
        let (mut together, mut users) = (Vec::<DayFact>::new(), 0);
        for fact in facts {
            let mut is_new = together.last().is_none_or(|last| last.user != fact.user);
            let items = together.len() + users + 1;
            if items + 1 + usize::from(is_new) > ITEMS_PER_TRANSACTION {
                transactions.push(std::mem::take(&mut together));
                (users, is_new) = (0, true);
            }
            users += usize::from(is_new);
            together.push(fact.clone());
        }
        transactions.push(together);
    }
    transactions
}

/// The numbers of an item. A missing one is 0.
pub(super) fn numbers(item: &Item) -> Result<DayNumbers, Error> {
    let mut numbers = DayNumbers::default();
    for kind in FactKind::ALL {
        numbers.add(kind, signed(item, kind.name())?);
    }
    Ok(numbers)
}

/// Reads a number attribute that may be negative. A missing attribute is 0.
pub(super) fn signed(item: &Item, name: &str) -> Result<i64, Error> {
    let Some(value) = item.get(name) else { return Ok(0) };
    let digits = value.as_n().map(String::as_str).unwrap_or_default();
    digits.parse().map_err(|_| Error::poison("an item", format!("its attribute {name} is no whole number")))
}

/// A number attribute that may be negative.
pub(super) fn signed_value(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::PostId,
        samples::{NOW, user},
    };

    proptest! {
        #[test]
        fn transactions_have_each_fact_once_and_no_more_items_than_dynamodb_takes(
            likes in proptest::collection::vec((0u16..300, 0u16..40, 0u8..2), 0..600),
        ) {
            let day = |yesterday: u8| Day::of(NOW.before(Duration::from_secs(86_400 * u64::from(yesterday))));
            let post = PostId::new(NOW);
            let fact = |(liker, author, yesterday): (u16, u16, u8)| {
                let (liker, author) = (user(&format!("u{liker}")), user(&format!("u{author}")));
                [DayFact::like(&author, day(yesterday), &liker, post), DayFact::active(&liker, day(yesterday))]
            };
            let facts: Vec<_> = likes.into_iter().flat_map(fact).collect();
            let transactions = transactions(&facts);
            for together in &transactions {
                let users: HashSet<_> = together.iter().map(|fact| &fact.user).collect();
                prop_assert!(together.len() + users.len() < ITEMS_PER_TRANSACTION);
                let partitions: HashSet<_> =
                    together.iter().map(|fact| key::day_of_user(fact.day, &fact.user)).collect();
                prop_assert_eq!(partitions.len(), 1);
            }
            let mut all: Vec<_> = transactions.into_iter().flatten().collect();
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            let expected: BTreeSet<_> = facts.into_iter().collect();
            prop_assert_eq!(count, expected.len());
            prop_assert_eq!(all, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
