//! Daily statistics: an author's own, and those of the whole deployment for its operator.

use crate::{
    error::{Error, Rejection},
    model::{Clock, Day, DayNumbers, DayRange, StatisticsPolicy, Tag, UserId, limits::TOP_TAGS_MAX},
    read_models::ReadModels,
    store::timelines::Timelines,
};

/// Reads daily statistics.
#[derive(Debug, Clone)]
pub struct StatisticsOfDays {
    /// Which tables are read.
    pub read_models: ReadModels,
    /// Where the numbers stand.
    pub timelines: Timelines,
    /// How long they are kept.
    pub policy: StatisticsPolicy,
    /// The clock.
    pub clock: Clock,
}

/// The whole deployment on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteDay {
    /// The day.
    pub day: Day,
    /// The numbers of all users.
    pub numbers: DayNumbers,
    /// The tags that most of the day's posts have, with the numbers of these posts.
    pub top_tags: Vec<(Tag, i64)>,
}

impl StatisticsOfDays {
    /// The user's numbers of each of the days, in order. One call reads a hundred days.
    ///
    /// # Errors
    /// [`Rejection::StatisticsOff`] if nothing is counted; [`Rejection::StatisticsNotKept`] if the numbers of the first
    /// day are kept no longer; otherwise as the store's.
    pub async fn of_user(&self, user: &UserId, range: DayRange) -> Result<Vec<(Day, DayNumbers)>, Error> {
        self.require_kept(range)?;
        let found = self.timelines.days_of(user, range.days()).await?;
        Ok(range.days().map(|day| (day, found.get(&day).copied().unwrap_or_default())).collect())
    }

    /// The numbers of all users on each of the days, in order, with so many tags of each day.
    ///
    /// # Errors
    /// As [`StatisticsOfDays::of_user`].
    pub async fn of_site(&self, range: DayRange, tags: usize) -> Result<Vec<SiteDay>, Error> {
        self.require_kept(range)?;
        let found = self.timelines.days(range.days()).await?;
        let mut days = Vec::new();
        for day in range.days() {
            let numbers = found.get(&day).copied().unwrap_or_default();
            let top_tags = match tags.min(TOP_TAGS_MAX) {
                0 => Vec::new(),
                tags => self.timelines.top_tags(day, tags).await?,
            };
            days.push(SiteDay { day, numbers, top_tags });
        }
        Ok(days)
    }

    fn require_kept(&self, range: DayRange) -> Result<(), Rejection> {
        match self.policy.days {
            0 => Err(Rejection::StatisticsOff),
            _ if range.from >= self.policy.oldest(self.clock.now()) => Ok(()),
            days => Err(Rejection::StatisticsNotKept { days }),
        }
    }
}
