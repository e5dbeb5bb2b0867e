//! The tables at rest: nothing is missing in homes, and counts are exact (INV-2 and INV-3).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    driver::Accepted,
    population::{Population, STAR},
};
use crate::{
    truth::{LIKES_ARE_SPREAD, without_shard},
    world::World,
};

/// So many homes of each kind are read at least, if there are so many, and at most twice as many.
const HOMES_READ: usize = 100;
/// How many posts a page of them has at most.
const PAGE: usize = 50;

/// How many differences there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    /// Rows that homes lack.
    pub missing_rows: u64,
    /// Rows that homes have to have.
    pub expected_rows: u64,
    /// Likes that the lists of those who like posts lack, or have too many.
    pub unlisted_likes: u64,
    /// Cards that show a wrong number of likes, comments or followers.
    pub wrong_counts: u64,
    /// Cards that were compared: those of posts with likes or comments, and of the author who was followed.
    pub counted_cards: u64,
    /// Posts that were deleted and whose card does not say so.
    pub shown_deletions: u64,
    /// Cards that show another version than that of their post: an edit is missing.
    pub old_cards: u64,
    /// Homes that were read: of new followers of the one author, and of followers of the star.
    pub read_homes: u64,
    /// Those of them that did not show what they have to.
    pub wrong_homes: u64,
}

impl Differences {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        let Self { missing_rows, unlisted_likes, wrong_counts, shown_deletions, old_cards, wrong_homes, .. } = *self;
        missing_rows + unlisted_likes + wrong_counts + shown_deletions + old_cards + wrong_homes == 0
    }
}

/// Compares the tables with what was accepted.
pub(super) fn compare(world: &Arc<World>, population: &Population, accepted: &Accepted) -> Differences {
    let mut differences = Differences::default();
    let timelines = world.items("Timelines");
    let is_like = |row: &&Value| text(row, "PK").starts_with("LIKERS#") && text(row, "SK") != LIKES_ARE_SPREAD;
    let listed = timelines.iter().filter(is_like).count();
    let rows: BTreeSet<(String, String)> = timelines
        .iter()
        .filter(|row| accepted.posts.contains_key(text(row, "SK")))
        .map(|row| (text(row, "PK").to_owned(), text(row, "SK").to_owned()))
        .collect();
    for (post, author) in accepted.posts.iter().filter(|(_, author)| *author != STAR) {
        for viewer in population.followers.get(author).into_iter().flatten() {
            let home = format!("HOME#{}", population.viewers[*viewer]);
            differences.expected_rows += 1;
            differences.missing_rows += u64::from(!rows.contains(&(home, post.clone())));
        }
    }
    let first = population.authors.first().map(|author| format!("FOLLOWERS#{author}"));
    let (mut counts, mut followers) = (BTreeMap::<String, [i64; 2]>::new(), 0);
    let mut versions = BTreeMap::new();
    for item in world.items("Commands") {
        let (pk, sk) = (text(&item, "PK"), text(&item, "SK"));
        if let (Some(post), "POST") = (pk.strip_prefix("POST#"), sk) {
            versions.insert(post.to_owned(), number(&item, "version"));
        } else if let Some(post) = sk.strip_prefix("LIKES#")
            && item["liked"]["BOOL"] == true
        {
            counts.entry(post.to_owned()).or_default()[0] += 1;
        } else if let (Some(post), true) = (pk.strip_prefix("POST#"), sk.starts_with("COMMENT#"))
            && item.get("deleted_at").is_none_or(|deleted| deleted["NULL"] == true)
        {
            counts.entry(without_shard(post).to_owned()).or_default()[1] += 1;
        } else if first.as_deref().is_some_and(|first| in_partitions_of(pk, first))
            && sk.starts_with("USER#")
            && item["active"]["BOOL"] == true
        {
            followers += 1;
        }
    }
    let likes: i64 = counts.values().map(|[likes, _]| likes).sum();
    differences.unlisted_likes = likes.abs_diff(i64::try_from(listed).unwrap_or(i64::MAX));
    let (mut cards, mut cards_of_users) = (BTreeMap::new(), BTreeMap::new());
    for card in world.items("Cards") {
        let key = text(&card, "PK").to_owned();
        if let Some(post) = key.strip_prefix("POST#") {
            cards.insert(post.to_owned(), card);
        } else if let Some(user) = key.strip_prefix("USER#") {
            cards_of_users.insert(user.to_owned(), card);
        }
    }
    for (post, expected) in &counts {
        let shown = cards.get(post).map(|card| ["likes", "comments"].map(|name| number(card, name).unwrap_or(0)));
        differences.counted_cards += 1;
        differences.wrong_counts += u64::from(shown != Some(*expected));
    }
    if !accepted.new_followers.is_empty()
        && let Some(author) = population.authors.first()
    {
        let card = cards_of_users.get(author);
        let shown = card.and_then(|card| number(card, "followers"));
        differences.counted_cards += 1;
        differences.wrong_counts += u64::from(shown != Some(followers));
    }
    let is_deleted = |post: &&String| cards.get(*post).is_some_and(|card| card["deleted"]["BOOL"] == true);
    let is_current = |(post, version): &(&String, &Option<i64>)| {
        cards.get(*post).is_some_and(|card| number(card, "version") == **version)
    };
    differences.old_cards = versions.iter().filter(|it| !is_current(it)).count() as u64;
    differences.shown_deletions = accepted.deleted.iter().filter(|post| !is_deleted(post)).count() as u64;
    differences
}

/// Reads homes to which nothing is pushed. Returns how many, and how many of them are wrong.
pub(super) async fn read_homes(world: &Arc<World>, population: &Population, accepted: &Accepted) -> [u64; 2] {
    let [new, of_star] = [
        homes_of_new_followers(world, population, accepted).await,
        homes_of_star_followers(world, population, accepted).await,
    ];
    [new[0] + of_star[0], new[1] + of_star[1]]
}

/// Reads the homes of followers of the star. They show each post of the star that stands, unless a page of newer ones
/// is before it, and none that is deleted.
async fn homes_of_star_followers(world: &Arc<World>, population: &Population, accepted: &Accepted) -> [u64; 2] {
    let posts: Vec<_> = accepted.posts.iter().filter(|(_, author)| *author == STAR).map(|(post, _)| post).collect();
    let followers = population.followers.get(STAR).map(Vec::as_slice).unwrap_or_default();
    let (mut read, mut wrong) = (0, 0);
    if posts.is_empty() {
        return [0; 2];
    }
    for follower in followers.iter().step_by((followers.len() / HOMES_READ).max(1)) {
        let Some(shown) = home(world, &population.viewers[*follower]).await else { continue };
        let last = shown.last().filter(|_| shown.len() == PAGE);
        let lacks = |post: &&String| !shown.contains(*post) && last.is_none_or(|last| last < *post);
        read += 1;
        wrong += u64::from(posts.iter().any(lacks) || shown.iter().any(|post| accepted.deleted.contains(post)));
    }
    [read, wrong]
}

/// Reads the homes of new followers of the one author. They follow nobody else and have not read before, so their homes
/// have no rows: the first page comes from the author's own posts.
async fn homes_of_new_followers(world: &Arc<World>, population: &Population, accepted: &Accepted) -> [u64; 2] {
    let Some(author) = population.authors.first() else { return [0; 2] };
    let posts = world.items("Commands").into_iter().filter(|item| {
        let is_live = item.get("deleted_at").is_none_or(|deleted| deleted["NULL"] == true);
        text(item, "SK") == "POST" && text(item, "author") == author && is_live
    });
    let posts: BTreeSet<_> =
        posts.filter_map(|item| Some(text(&item, "PK").strip_prefix("POST#")?.to_owned())).collect();
    let newest: Vec<&str> = posts.iter().rev().map(String::as_str).take(PAGE).collect();
    if newest.is_empty() {
        return [0; 2];
    }
    let (mut read, mut wrong) = (0, 0);
    for user in accepted.new_followers.iter().step_by((accepted.new_followers.len() / HOMES_READ).max(1)) {
        let Some(shown) = home(world, user).await else { continue };
        read += 1;
        wrong += u64::from(shown != newest);
    }
    [read, wrong]
}

/// The ids of the posts on the first page of a home.
async fn home(world: &Arc<World>, user: &str) -> Option<Vec<String>> {
    let request = http::Request::get(format!("/v1/feeds/home?limit={PAGE}")).body(Bytes::new()).ok()?;
    let answer = world.request(user, request).await;
    let page: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let posts = page["posts"].as_array().into_iter().flatten();
    Some(posts.filter_map(|post| post["id"].as_str()).map(str::to_owned).collect())
}

fn number(item: &Value, attribute: &str) -> Option<i64> {
    item[attribute]["N"].as_str()?.parse().ok()
}

fn text<'a>(item: &'a Value, attribute: &str) -> &'a str {
    item[attribute]["S"].as_str().unwrap_or_default()
}

/// Whether this is one of the partitions of a user's followers, of which `first` is the first one.
fn in_partitions_of(pk: &str, first: &str) -> bool {
    pk.strip_prefix(first).is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
}
