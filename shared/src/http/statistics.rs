//! Daily statistics as JSON.

use serde::Serialize;

use crate::{
    model::{Day, DayNumbers, FactKind, Tag},
    query::SiteDay,
};

/// An author's statistics, day by day.
#[derive(Debug, Serialize)]
pub struct AuthorDaysView {
    days: Vec<AuthorDayView>,
}

#[derive(Debug, Serialize)]
struct AuthorDayView {
    day: String,
    posts: i64,
    likes_received: i64,
    comments_received: i64,
    followers_gained: i64,
    followers_lost: i64,
}

/// The statistics of the whole deployment, day by day.
#[derive(Debug, Serialize)]
pub struct SiteDaysView {
    days: Vec<SiteDayView>,
}

#[derive(Debug, Serialize)]
struct SiteDayView {
    day: String,
    posts: i64,
    comments: i64,
    likes: i64,
    follows: i64,
    unfollows: i64,
    deletions: i64,
    new_users: i64,
    active_users: i64,
    top_tags: Vec<TagView>,
}

#[derive(Debug, Serialize)]
struct TagView {
    tag: Tag,
    posts: i64,
}

impl AuthorDaysView {
    /// The document of these days.
    pub fn new(days: &[(Day, DayNumbers)]) -> Self {
        let view = |(day, numbers): &(Day, DayNumbers)| AuthorDayView {
            day: day.date(),
            posts: numbers.get(FactKind::Post),
            likes_received: numbers.get(FactKind::Like),
            comments_received: numbers.get(FactKind::Comment),
            followers_gained: numbers.get(FactKind::FollowerGained),
            followers_lost: numbers.get(FactKind::FollowerLost),
        };
        Self { days: days.iter().map(view).collect() }
    }
}

impl SiteDaysView {
    /// The document of these days.
    pub fn new(days: Vec<SiteDay>) -> Self {
        let view = |SiteDay { day, numbers, top_tags }: SiteDay| SiteDayView {
            day: day.date(),
            posts: numbers.get(FactKind::Post),
            comments: numbers.get(FactKind::Comment),
            likes: numbers.get(FactKind::Like),
            follows: numbers.get(FactKind::FollowerGained),
            unfollows: numbers.get(FactKind::FollowerLost),
            deletions: numbers.get(FactKind::Deletion),
            new_users: numbers.get(FactKind::Joined),
            active_users: numbers.get(FactKind::Active),
            top_tags: top_tags.into_iter().map(|(tag, posts)| TagView { tag, posts }).collect(),
        };
        Self { days: days.into_iter().map(view).collect() }
    }
}
