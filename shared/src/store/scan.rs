//! Scans: all items of a table, page by page, as far as the audit looks at them.

use serde::{Deserialize, Serialize};

use super::{
    cards::Cards,
    command_table::{CommandTable, POST, PROFILE},
    dynamo::{Item, primary_key, s, text, value},
    key::{self, PK, SK},
    timelines::{Row, Timeline, Timelines, row},
    viewers::Viewers,
    visit_item::is_visit,
};
use crate::{
    error::Error,
    model::{
        Comment, Day, DayFact, Edge, EdgeKey, LikeChange, LogEvent, Post, Profile, TallyImage, TallyShard,
        TallySubject, Timestamp, UserEvent, UserId, Version,
    },
};

/// The place of an item in a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanKey {
    pk: String,
    sk: Option<String>,
}

impl ScanKey {
    /// The partition of the item.
    fn partition(&self) -> &str {
        &self.pk
    }
}

/// Some items of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanPage<T> {
    /// What was found.
    pub found: Vec<T>,
    /// The item behind which the next page begins, if there may be one.
    pub next: Option<ScanKey>,
}

/// An item of the command table from which something in the read models follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TruthItem {
    /// A user's profile.
    Profile(Profile),
    /// An edge, present or ended.
    Edge(EdgeKey, Edge),
    /// A post, shown or deleted.
    Post(Post),
    /// A shard of a counter.
    Tally(TallySubject, TallyShard, TallyImage),
    /// A like, present or ended.
    Like(LikeChange),
    /// A comment, shown or deleted.
    Comment(Comment),
    /// An event of a log.
    Event(LogEvent),
    /// The last event of the log of a deleted account, and when it happened.
    Deletion(UserId, Version, Timestamp),
}

/// An item of the table of timelines that follows from something in the command table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimelineItem {
    /// A row, with the key of its timeline.
    Row(String, Row),
    /// A part of the daily statistics.
    Counted(Counted),
}

/// A part of the daily statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// A fact.
    Fact(DayFact),
    /// A user's numbers of a day.
    User(Day, UserId),
    /// The sum of a part of a day.
    Sum(Day, u8),
    /// The tags of a post, or the number of posts with a tag, in a part of a day.
    Tags(Day, u8),
}

impl ScanKey {
    pub(super) fn of(item: &Item) -> Result<Self, Error> {
        Ok(Self { pk: text(item, PK)?.to_owned(), sk: text(item, SK).ok().map(str::to_owned) })
    }

    pub(super) fn item(&self) -> Item {
        match &self.sk {
            Some(sk) => primary_key(&self.pk, sk),
            None => Item::from([(PK.to_owned(), s(&self.pk))]),
        }
    }
}

/// Reads a page. Items of which `read` makes nothing are left out. One that makes no sense is logged and left out, too:
/// it must not end the scan.
pub(super) fn page<T>(
    (items, last): (Vec<Item>, Option<Item>),
    read: impl Fn(Item) -> Result<Option<T>, Error>,
) -> Result<ScanPage<T>, Error> {
    let readable = |item: Item| {
        let key = ScanKey::of(&item).ok();
        read(item).unwrap_or_else(|error| {
            tracing::error!(?key, %error, "an item makes no sense, and is not audited");
            None
        })
    };
    let next = last.as_ref().map(ScanKey::of).transpose()?;
    Ok(ScanPage { found: items.into_iter().filter_map(readable).collect(), next })
}

impl CommandTable {
    /// At most `limit` items behind `after`, of which those are returned from which something follows.
    pub async fn scan(&self, after: Option<&ScanKey>, limit: i32) -> Result<ScanPage<TruthItem>, Error> {
        page(self.dynamo.scan_page(&self.table, after.map(ScanKey::item), limit).await?, truth_item)
    }
}

impl Timelines {
    /// At most `limit` items behind `after`. A partition of tags is among them where it begins, because it is looked at
    /// as a whole.
    pub async fn scan(&self, after: Option<&ScanKey>, limit: i32) -> Result<ScanPage<TimelineItem>, Error> {
        let begun = after.map(|after| after.partition());
        // Announcements, visits and marks of walks follow from no item that is looked at.
        let read = |item: Item| match text(&item, PK)? {
            _ if is_visit(&item) => Ok(None),
            timeline if Timeline::parse(timeline).is_some() => {
                Ok(Some(TimelineItem::Row(timeline.to_owned(), row(&item)?)))
            }
            pk => {
                let counted = counted(pk, text(&item, SK)?);
                let goes_on = matches!(counted, Some(Counted::Tags(..))) && begun == Some(pk);
                Ok(counted.filter(|_| !goes_on).map(TimelineItem::Counted))
            }
        };
        page(self.dynamo.scan_page(self.table.get(), after.map(ScanKey::item), limit).await?, read)
    }
}

impl Viewers {
    /// The users of at most `limit` items behind `after`. One with an item of sets is among them twice.
    pub async fn scan(&self, after: Option<&ScanKey>, limit: i32) -> Result<ScanPage<UserId>, Error> {
        let read = |item: Item| {
            let pk = text(&item, PK)?;
            Ok([key::USER_PREFIX, key::SETS_PREFIX].into_iter().find_map(|prefix| key::parse_user(pk, prefix)))
        };
        page(self.dynamo.scan_page(self.table.get(), after.map(ScanKey::item), limit).await?, read)
    }
}

impl Cards {
    /// What at most `limit` cards behind `after` are about.
    pub async fn scan(&self, after: Option<&ScanKey>, limit: i32) -> Result<ScanPage<TallySubject>, Error> {
        let read = |item: Item| {
            let pk = text(&item, PK)?;
            let user = || key::parse_user(pk, key::USER_PREFIX).map(TallySubject::User);
            Ok(key::parse_post(pk).map(TallySubject::Post).or_else(user))
        };
        page(self.dynamo.scan_page(self.table.get(), after.map(ScanKey::item), limit).await?, read)
    }
}

fn counted(pk: &str, sk: &str) -> Option<Counted> {
    if let Some((day, part)) = key::parse_day(pk) {
        let of_user = key::parse_user(sk, key::USER_PREFIX).map(|user| Counted::User(day, user));
        return of_user.or_else(|| (sk == key::SUM).then_some(Counted::Sum(day, part)));
    }
    let tags = key::parse_day_tags(pk).map(|(day, part)| Counted::Tags(day, part));
    tags.or_else(|| key::parse_fact(pk, sk).map(Counted::Fact))
}

fn truth_item(item: Item) -> Result<Option<TruthItem>, Error> {
    let (pk, sk) = (text(&item, PK)?.to_owned(), text(&item, SK)?.to_owned());
    if sk == PROFILE && pk.starts_with(key::USER_PREFIX) {
        return value("a profile", item).map(TruthItem::Profile).map(Some);
    }
    if sk == POST && key::parse_post(&pk).is_some() {
        return value("a post", item).map(TruthItem::Post).map(Some);
    }
    if let Some(edge) = key::parse_edge(&pk, &sk) {
        return value("an edge", item).map(|found| Some(TruthItem::Edge(edge, found)));
    }
    if key::parse_event_key(&pk, &sk).is_some() {
        // Events of types that only a newer release knows are left to it.
        if !text(&item, "type").is_ok_and(UserEvent::is_known_type) {
            return Ok(None);
        }
        let event: LogEvent = value("an event", item)?;
        return Ok(Some(match event.event {
            UserEvent::AccountDeleted => TruthItem::Deletion(event.user, event.version, event.at),
            _ => TruthItem::Event(event),
        }));
    }
    if let Some((subject, shard)) = key::parse_tally_key(&pk, &sk) {
        return value("a shard of a counter", item).map(|image| Some(TruthItem::Tally(subject, shard, image)));
    }
    if let Some((user, post)) = key::parse_like_key(&pk, &sk) {
        return value("a like", item).map(|like| Some(TruthItem::Like(LikeChange::of(user, post, like))));
    }
    if key::is_comment(&pk, &sk) {
        return value("a comment", item).map(TruthItem::Comment).map(Some);
    }
    Ok(None)
}
