//! Counting statistics again: for the audit, which compares numbers with what they count, and for repairs.
//!
//! Whatever changes facts raises the revisions of the user's numbers and of the sum, in the same transaction. So a
//! number that was counted is written only if nothing has changed since its revision was read. And a number that
//! changes while it is counted is not taken for a wrong one: those of the present day keep changing.

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use futures::future::try_join_all;

use super::{
    consistency::Consistency,
    dynamo::{Item, n, primary_key},
    key::{self, FACT_PARTS, SUM},
    statistics::{FactChange, REVISION, numbers, signed_value},
    timelines::Timelines,
};
use crate::{
    error::Error,
    model::{Day, DayNumbers, FactKind, Timestamp, UserId},
};

/// Facts read at a time.
const PAGE: i32 = 1000;
/// Pages of each part of the facts of one user and day that are read at most: a million facts in all. The parts are
/// read at once. At 30 ms a page, this takes half of the 15 s that a worker has.
const PAGES_MAX: usize = 250;

/// Numbers as they are, and as they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recounted {
    /// The numbers that are shown, if any are.
    pub shown: Option<DayNumbers>,
    /// What was counted.
    pub counted: DayNumbers,
    revision: u64,
}

impl Recounted {
    /// Whether the right numbers are shown.
    pub fn is_right(&self) -> bool {
        self.shown.unwrap_or_default() == self.counted
    }
}

impl Timelines {
    /// The user's numbers of a day, and those of the facts.
    ///
    /// # Errors
    /// [`Error::Conflict`] if they differ because they changed meanwhile; [`Error::Poison`] if there are too many
    /// facts, as there will be later; otherwise as the store's.
    pub async fn recounted_user(&self, user: &UserId, day: Day) -> Result<Recounted, Error> {
        self.recounted_within(user, day, PAGES_MAX).await
    }

    async fn recounted_within(&self, user: &UserId, day: Day, pages_max: usize) -> Result<Recounted, Error> {
        let count = async || {
            let parts = (0..FACT_PARTS).map(|part| self.counted_part(user, day, part, pages_max));
            let mut counted = DayNumbers::default();
            try_join_all(parts).await?.into_iter().for_each(|part| counted += part);
            Ok(counted)
        };
        self.recounted(&key::day_of_user(day, user), &key::user(user), count).await
    }

    async fn counted_part(&self, user: &UserId, day: Day, part: u8, pages_max: usize) -> Result<DayNumbers, Error> {
        let (mut counted, date) = (DayNumbers::default(), format!("{}#", day.date()));
        let mut after = None::<Item>;
        for _ in 0..pages_max {
            let (facts, next) = self.facts_from(user, part, &date, after, PAGE).await?;
            counted += DayNumbers::of(&facts);
            after = next;
            if after.is_none() {
                return Ok(counted);
            }
        }
        Err(Error::poison(format!("the facts of {user} on {}", day.date()), "there are too many"))
    }

    /// The sum of a part of a day, and that of the users' numbers.
    ///
    /// # Errors
    /// [`Error::Conflict`] if they differ because they changed meanwhile; otherwise as the store's.
    pub async fn recounted_sum(&self, day: Day, part: u8) -> Result<Recounted, Error> {
        let partition = key::day(day, part);
        let count = async || {
            let mut counted = DayNumbers::default();
            let take = |item: &Item| {
                counted += numbers(item)?;
                Ok(())
            };
            self.each_of(&partition, key::USER_PREFIX, Consistency::Strong, take).await?;
            Ok(counted)
        };
        self.recounted(&partition, SUM, count).await
    }

    /// Numbers, and what is counted after they were read.
    async fn recounted(
        &self,
        partition: &str,
        sk: &str,
        count: impl AsyncFnOnce() -> Result<DayNumbers, Error>,
    ) -> Result<Recounted, Error> {
        let (shown, revision) = self.numbers_at(partition, sk).await?.unzip();
        let counted = count().await?;
        let found = Recounted { shown, counted, revision: revision.unwrap_or_default() };
        match found.is_right() || self.numbers_at(partition, sk).await?.unzip().1 == revision {
            true => Ok(found),
            false => Err(Error::Conflict),
        }
    }

    /// Whether there is a sum of the part of the day that has this user.
    pub async fn has_sum(&self, user: &UserId, day: Day) -> Result<bool, Error> {
        Ok(self.numbers_at(&key::day_of_user(day, user), SUM).await?.is_some())
    }

    /// Sets the user's numbers of a day to those of the facts, and then the sum to that of the users' numbers.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another writer came between; otherwise as the store's.
    pub async fn recount(&self, user: &UserId, day: Day, expires_at: Timestamp) -> Result<(), Error> {
        let (partition, of_user) = (key::day_of_user(day, user), key::user(user));
        let found = self.recounted_user(user, day).await?;
        if !found.is_right() || (found.counted.is_zero() && found.shown.is_some()) {
            let set = self.set_numbers(&partition, &of_user, found, expires_at)?;
            // A sum that somebody else counts at this moment is counted again.
            self.dynamo
                .transact(vec![set, self.add(&partition, SUM, DayNumbers::default(), FactChange::Count(expires_at))?])
                .await?;
        }
        let part = key::parse_day(&partition).map(|(_, part)| part).unwrap_or_default();
        self.recount_sum(day, part, expires_at).await
    }

    /// Sets the sum of a part of a day to that of the users' numbers.
    ///
    /// # Errors
    /// As [`Timelines::recount`].
    pub async fn recount_sum(&self, day: Day, part: u8, expires_at: Timestamp) -> Result<(), Error> {
        let found = self.recounted_sum(day, part).await?;
        if found.is_right() {
            return Ok(());
        }
        self.dynamo.transact(vec![self.set_numbers(&key::day(day, part), SUM, found, expires_at)?]).await
    }

    /// A part of a transaction that sets numbers to what was counted, if they have not changed since.
    fn set_numbers(
        &self,
        partition: &str,
        sk: &str,
        Recounted { shown, counted, revision }: Recounted,
        expires_at: Timestamp,
    ) -> Result<TransactWriteItem, Error> {
        let exists = shown.is_some();
        if counted.is_zero() && exists {
            return self.delete_numbers(partition, sk, revision);
        }
        let mut set = vec!["#expires_at = :expires_at".to_owned(), "#revision = :next".to_owned()];
        let mut update = Update::builder()
            .table_name(self.table.get())
            .set_key(Some(primary_key(partition, sk)))
            .condition_expression(if exists { "#revision = :revision" } else { "attribute_not_exists(PK)" })
            .expression_attribute_names("#expires_at", "expires_at")
            .expression_attribute_names("#revision", REVISION)
            .expression_attribute_values(":expires_at", n(expires_at.as_secs()))
            .expression_attribute_values(":next", n(revision + 1));
        if exists {
            update = update.expression_attribute_values(":revision", n(revision));
        }
        for kind in FactKind::ALL {
            let name = kind.name();
            set.push(format!("#{name} = :{name}"));
            update = update
                .expression_attribute_names(format!("#{name}"), name)
                .expression_attribute_values(format!(":{name}"), signed_value(counted.get(kind)));
        }
        let update = update.update_expression(format!("SET {}", set.join(", "))).build();
        let update = update.map_err(|error| Error::poison("the numbers of a day", error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{samples::user, test_world::World};

    #[tokio::test(start_paused = true)]
    async fn what_is_too_much_to_be_counted_is_poison_which_the_audit_passes_over() {
        let world = World::new();
        let (timelines, day) = (&world.tested.timelines, Day::of(world.other.clock.now()));
        assert!(timelines.recounted_within(&user("ada"), day, 1).await.is_ok());
        let too_many = timelines.recounted_within(&user("ada"), day, 0).await;
        assert!(matches!(too_many, Err(Error::Poison { .. })), "{too_many:?}");
        let each = async |pages| timelines.each_within("DAYS#", "USER#", Consistency::Strong, pages, |_| Ok(())).await;
        assert!(each(1).await.is_ok());
        let too_many = each(0).await;
        assert!(matches!(too_many, Err(Error::Poison { .. })), "{too_many:?}");
    }
}
