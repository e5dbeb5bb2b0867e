//! Announcements: the new posts of all celebrities in the order in which projections reached them, in one partition of
//! the `timelines` table. One small read tells a process everything that it lacks of the rows that it keeps.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};

use super::{
    consistency::Consistency,
    dynamo::{Item, failed, n, s, text, user},
    key::{self, PK, SK},
    timelines::{Row, Timeline, Timelines, past_transactions},
};
use crate::{
    error::Error,
    model::{Clock, Timestamp, limits::ANNOUNCEMENT_KEPT},
};

/// A post that was announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// When the projection announced it, by the clock of the projection.
    pub at: Timestamp,
    /// The post.
    pub row: Row,
}

/// Announcements, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Announcements {
    /// The announcements.
    pub newest: Vec<Announcement>,
    /// Whether there may be older ones that were asked for.
    pub more: bool,
}

impl Timelines {
    /// Writes the row of a celebrity's post to the author's timeline, and announces it as of the moment of the write.
    /// Both are one transaction: whoever has seen the row can rely on the announcement. Repeating this announces the
    /// post again, which changes nothing for readers.
    ///
    /// # Errors
    /// [`Error::Conflict`] if other workers kept writing the same row; otherwise as DynamoDB's.
    pub async fn put_announced(&self, row: &Row, clock: &Clock) -> Result<(), Error> {
        // Each try has a moment of its own, because readers rely on how long a try takes at most.
        past_transactions(async || self.dynamo.transact(self.announcement_of(row, clock.now())?).await).await
    }

    /// The writes of the row and of its announcement.
    fn announcement_of(&self, row: &Row, at: Timestamp) -> Result<Vec<TransactWriteItem>, Error> {
        let announcement = Put::builder()
            .table_name(self.table.get())
            .item(PK, s(key::ANNOUNCED))
            .item(SK, s(key::announcement(at, row.post)))
            .item("author", s(row.author.as_str()))
            .item("expires_at", n(at.after(ANNOUNCEMENT_KEPT).as_secs()));
        let key = Timeline::Author(row.author.clone()).key();
        let stands = Put::builder()
            .table_name(self.table.get())
            .item(PK, s(key))
            .item(SK, s(row.post))
            .item("author", s(row.author.as_str()));
        let part = |put: aws_sdk_dynamodb::types::builders::PutBuilder| {
            let put = put.build().map_err(|error| Error::poison("an announcement", error))?;
            Ok(TransactWriteItem::builder().put(put).build())
        };
        [part(stands), part(announcement)].into_iter().collect()
    }

    /// At most `limit` of the posts that were announced at this moment or later, newest first.
    pub async fn announced(&self, since: Timestamp, limit: i32) -> Result<Announcements, Error> {
        let answer = self
            .dynamo
            .0
            .query()
            .table_name(self.table.get())
            .key_condition_expression("PK = :announced AND SK >= :first")
            .expression_attribute_values(":announced", s(key::ANNOUNCED))
            .expression_attribute_values(":first", s(key::moment(since)))
            .scan_index_forward(false)
            .limit(limit)
            .consistent_read(Consistency::Eventual.is_strong())
            .send()
            .await
            .map_err(failed("reading announcements"))?;
        let newest = answer.items().iter().map(announcement).collect::<Result<_, _>>()?;
        Ok(Announcements { newest, more: answer.last_evaluated_key().is_some() })
    }
}

fn announcement(item: &Item) -> Result<Announcement, Error> {
    let key = text(item, SK)?;
    let (at, post) = key::parse_announcement(key).ok_or_else(|| Error::poison("the key of an announcement", key))?;
    Ok(Announcement { at, row: Row { post, author: user(item, "author")? } })
}
