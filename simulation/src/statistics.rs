//! INV-11: daily statistics at rest are what a count of the whole command table says.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use harness::client::{ApiError, User};
use serde_json::{Value, json};

use crate::{
    checks::{Check, Checks},
    ledger::Ledger,
    truth::{Truth, number, text},
    world::World,
};

const DAY_MS: i64 = 86_400_000;
/// The kinds of facts, as items name their numbers.
const KINDS: [&str; 8] = ["post", "like", "comment", "gained", "lost", "deletion", "joined", "active"];

/// The numbers of each user and day, by kind. A user who was active is counted once a day.
type Numbers = BTreeMap<(i64, String), BTreeMap<&'static str, i64>>;

/// Whether the row belongs to statistics.
pub(crate) fn is_of_statistics(row: &Value) -> bool {
    ["FACTS#", "DAYS#", "DAYTAGS#"].iter().any(|prefix| text(row, "PK").starts_with(prefix))
}

/// Whether the numbers of a row are all zero, which says as much as no row.
pub(crate) fn is_zero(row: &Value) -> bool {
    let (pk, sk) = (text(row, "PK"), text(row, "SK"));
    pk.starts_with("DAYS#") && KINDS.iter().all(|kind| number(row, kind) == 0)
        || pk.starts_with("DAYTAGS#") && sk.starts_with("TAG#") && number(row, "posts") == 0
}

/// Counts everything that the command table holds.
fn expected(truth: &Truth, commands: &[Value]) -> Numbers {
    let mut numbers = Numbers::new();
    let mut active = BTreeSet::<(i64, String)>::new();
    let exists = |user: &str| truth.profiles.contains_key(user);
    let mut add = |day: i64, user: &str, kind: &'static str| {
        if exists(user) {
            *numbers.entry((day, user.to_owned())).or_default().entry(kind).or_default() += 1;
        }
    };
    let mut logs = BTreeMap::<&str, BTreeMap<&str, &Value>>::new();
    for item in commands {
        let (pk, sk) = (text(item, "PK"), text(item, "SK"));
        let Some(user) = pk.strip_prefix("USER#").filter(|user| exists(user)) else { continue };
        if let Some(version) = sk.strip_prefix("EVENT#") {
            logs.entry(user).or_default().insert(version, item);
        }
        if sk.starts_with("LIKES#") && item.get("at").is_some() {
            let (author, day) = (text(item, "author"), number(item, "at") / DAY_MS);
            add(day, author, "like");
            active.insert((day, user.to_owned()));
        }
    }
    for (user, log) in logs {
        let mut following = 0;
        for (version, event) in log {
            let (day, data) = (number(event, "at") / DAY_MS, &event["data"]["M"]);
            let before = std::mem::replace(&mut following, number(&event["totals"]["M"], "following"));
            let kind = text(event, "type");
            match kind {
                "PostCreated" => add(day, user, "post"),
                "PostDeleted" | "CommentDeleted" => add(day, user, "deletion"),
                "PostCommented" => {
                    let author = truth.posts.get(text(data, "post")).map(|post| text(post, "author"));
                    add(day, author.unwrap_or_default(), "comment");
                }
                "UserFollowed" => add(day, text(data, "followee"), "gained"),
                "UserUnfollowed" => add(day, text(data, "followee"), "lost"),
                "UserBlocked" if following < before => add(day, text(data, "blocked"), "lost"),
                "ProfileChanged" if version.parse() == Ok(1) => add(day, user, "joined"),
                _ => {}
            }
            let is_own = !kind.starts_with("UserUnf") && !kind.starts_with("UserS") && !kind.starts_with("UserR");
            if is_own && !["PostTakenDown", "PostRestored"].contains(&kind) {
                active.insert((day, user.to_owned()));
            }
        }
    }
    for (day, user) in active {
        add(day, &user, "active");
    }
    numbers
}

/// How many posts that are not deleted have each tag, by the day of their creation.
fn expected_tags(truth: &Truth) -> BTreeMap<(i64, String), i64> {
    let mut tags = BTreeMap::new();
    for (id, post) in truth.shown_posts() {
        let created = i64::from_str_radix(&id.replace('-', "")[..12], 16).unwrap_or_default();
        for tag in post["tags"]["L"].as_array().into_iter().flatten() {
            *tags.entry((created / DAY_MS, tag["S"].as_str().unwrap_or_default().to_owned())).or_default() += 1;
        }
    }
    tags
}

/// A day as a date, as number of days since 1970.
fn day_of(date: &str) -> i64 {
    let moment = tidings::model::Timestamp::from_rfc3339(&format!("{date}T00:00:00Z"));
    moment.map_or(-1, |moment| i64::try_from(moment.as_ms()).unwrap_or(-1) / DAY_MS)
}

/// Compares the numbers of all users, their sums and the numbers of tags with the command table.
pub(crate) fn compare_tables(checks: &mut Checks, truth: &Truth, commands: &[Value], timelines: &[Value]) {
    let expected = expected(truth, commands);
    let (mut found, mut sums) = (Numbers::new(), BTreeMap::<i64, BTreeMap<&str, i64>>::new());
    let mut tags = BTreeMap::<(i64, String), i64>::new();
    let mut facts = Numbers::new();
    for row in timelines.iter().filter(|row| is_of_statistics(row) && !is_zero(row)) {
        let (mut pk, sk) = (text(row, "PK").split('#'), text(row, "SK"));
        let (kind, date) = (pk.next().unwrap_or_default(), pk.next().unwrap_or_default());
        let numbers = || KINDS.map(|kind| (kind, number(row, kind))).into_iter().filter(|(_, number)| *number != 0);
        match (kind, sk.split_once('#')) {
            ("FACTS", Some((day, of))) => {
                let named = KINDS.into_iter().find(|kind| of.split('#').next() == Some(kind)).unwrap_or_default();
                *facts.entry((day_of(day), date.to_owned())).or_default().entry(named).or_default() += 1;
            }
            ("DAYS", Some((_, user))) => drop(found.insert((day_of(date), user.to_owned()), numbers().collect())),
            ("DAYS", None) => {
                let sum = sums.entry(day_of(date)).or_default();
                numbers().for_each(|(kind, number)| *sum.entry(kind).or_default() += number);
            }
            ("DAYTAGS", Some(("TAG", tag))) => {
                let tag = percent_encoding::percent_decode_str(tag).decode_utf8_lossy().into_owned();
                *tags.entry((day_of(date), tag)).or_default() += number(row, "posts");
            }
            _ => {}
        }
    }
    let mut decide = |what: &str, same: bool, expected: &dyn std::fmt::Debug, found: &dyn std::fmt::Debug| {
        checks.decide(Check::StatisticsAtRest, same, || format!("{what}: counted {expected:?}, shown {found:?}"));
    };
    decide("facts", facts == expected, &expected, &facts);
    decide("numbers of users", found == expected, &expected, &found);
    let mut total = BTreeMap::<i64, BTreeMap<&str, i64>>::new();
    for ((day, _), numbers) in &expected {
        let sum = total.entry(*day).or_default();
        numbers.iter().for_each(|(kind, number)| *sum.entry(kind).or_default() += number);
    }
    decide("sums of days", sums == total, &total, &sums);
    let expected = expected_tags(truth);
    decide("tags", tags == expected, &expected, &tags);
}

/// Compares what authors and the operator are shown with the command table.
///
/// # Errors
/// If the API answers with an error.
pub(crate) async fn compare_shown(world: &World, users: &[User], ledger: &RefCell<Ledger>) -> anyhow::Result<()> {
    let commands = world.items("Commands");
    let truth = Truth::read(&commands);
    let expected = expected(&truth, &commands);
    let tags = expected_tags(&truth);
    let members: BTreeSet<_> = ledger.borrow().model.members.keys().cloned().collect();
    let mut yesterday = None;
    for user in users.iter().filter(|user| members.contains(&user.id)) {
        let days = days(user).await?;
        for shown in &days {
            let none = BTreeMap::new();
            let of = expected.get(&(day_of(&shown.day), user.id.clone())).unwrap_or(&none);
            let right = ["post", "like", "comment", "gained", "lost"].map(|kind| of.get(kind).copied().unwrap_or(0));
            let said = [
                shown.posts,
                shown.likes_received,
                shown.comments_received,
                shown.followers_gained,
                shown.followers_lost,
            ];
            let problem = || format!("{} is shown {said:?} on {}, counted are {right:?}", user.id, shown.day);
            ledger.borrow_mut().checks.decide(Check::StatisticsAtRest, right == said, problem);
        }
        ledger.borrow_mut().checks.decide(Check::StatisticsAtRest, days.len() == 7, || format!("{days:?}"));
        yesterday = days.get(5).map(|day| day.day.clone());
    }
    // Each day takes many reads.
    let request = json!({"site": {"from": yesterday, "tags": 100}});
    let Ok(answer) = world.invoke("ReadStatistics", &request).await else { return Ok(()) };
    for shown in answer["days"].as_array().into_iter().flatten() {
        let day = day_of(shown["day"].as_str().unwrap_or_default());
        let sum = |kind: &str| -> i64 {
            let of_day = expected.iter().filter(|((of, _), _)| *of == day);
            of_day.map(|(_, numbers)| numbers.get(kind).copied().unwrap_or(0)).sum()
        };
        let names = ["posts", "likes", "comments", "follows", "unfollows", "deletions", "new_users", "active_users"];
        for (name, kind) in names.into_iter().zip(KINDS) {
            let right = sum(kind);
            let problem = || format!("{name} of {} are {}, counted are {right}", shown["day"], shown[name]);
            ledger.borrow_mut().checks.decide(Check::StatisticsAtRest, shown[name] == right, problem);
        }
        let listed = shown["top_tags"].as_array().into_iter().flatten();
        let listed: BTreeMap<_, _> = listed.map(|it| (it["tag"].as_str(), it["posts"].as_i64())).collect();
        let right: BTreeMap<_, _> = tags
            .iter()
            .filter(|((of, _), _)| *of == day)
            .map(|((_, tag), posts)| (Some(tag.as_str()), Some(*posts)))
            .collect();
        let problem = || format!("tags of {} are {listed:?}, counted are {right:?}", shown["day"]);
        ledger.borrow_mut().checks.decide(Check::StatisticsAtRest, listed == right, problem);
    }
    Ok(())
}

/// The last week of a user.
async fn days(user: &User) -> Result<Vec<harness::client::AuthorDay>, ApiError> {
    Ok(user.stats(None, None).await?.days)
}
