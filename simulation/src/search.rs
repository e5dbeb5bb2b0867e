//! INV-12: the search index and searches, at rest.

use std::{cell::RefCell, collections::BTreeSet};

use harness::{
    client::{ApiError, User},
    model::{Judge, Search, tags, words},
};
use rand::{
    Rng,
    rngs::StdRng,
    seq::{IndexedRandom, IteratorRandom},
};
use serde_json::Value;

use crate::{
    checks::{Check, Checks},
    ledger::Ledger,
    truth::{Truth, text},
};

/// Searches of one history.
const SEARCHES: usize = 6;
/// Longest beginning of a name that has a list.
const PREFIX_CHARS_MAX: usize = 5;
/// The highest rank by followers.
const RANKS: i64 = 126;

/// Whether the item is one of the search index.
pub(crate) fn is_of_lists(item: &Value) -> bool {
    ["WORD#", "NAME#"].iter().any(|prefix| text(item, "PK").starts_with(prefix))
}

/// A row of the index: the list, without the shard of a word, and the place.
type Row = (String, String);

/// Compares the rows of the index with the command table.
pub(crate) fn compare_index(checks: &mut Checks, truth: &Truth, items: &[Value]) {
    let rows = items.iter().filter(|item| text(item, "SK") != "ENTRY");
    let mut found: Vec<Row> = rows.map(|row| (list(text(row, "PK")), text(row, "SK").to_owned())).collect();
    let mut expected = BTreeSet::<Row>::new();
    for (id, post) in truth.shown_posts() {
        let said = text(post, "text");
        expected.extend(words(said).into_iter().map(|word| (format!("WORD#{word}"), id.clone())));
        let tags = post["tags"]["L"].as_array().into_iter().flatten();
        expected
            .extend(tags.map(|tag| (format!("TAG#{}", encoded(tag["S"].as_str().unwrap_or_default())), id.clone())));
    }
    for (user, profile) in truth.profiles.iter().filter(|(user, _)| !truth.is_erased(user)) {
        let [followers, ..] = truth.count(&format!("USER#{user}"));
        let place = format!("{:03}#{user}", RANKS - rank(followers));
        for name in ["handle", "display_name"].into_iter().flat_map(|name| words(text(profile, name))) {
            let beginnings = (1..=PREFIX_CHARS_MAX.min(name.chars().count()))
                .map(|chars| name.chars().take(chars).collect::<String>());
            expected.extend(beginnings.map(|beginning| (format!("NAME#{beginning}"), place.clone())));
        }
    }
    found.sort_unstable();
    let expected: Vec<_> = expected.into_iter().collect();
    let problem = || {
        let (found, expected): (BTreeSet<_>, BTreeSet<_>) = (found.iter().collect(), expected.iter().collect());
        format!(
            "missing are {:?}, too many are {:?}",
            expected.difference(&found).take(5).collect::<Vec<_>>(),
            found.difference(&expected).take(5).collect::<Vec<_>>()
        )
    };
    checks.decide(Check::SearchAtRest, found == expected, problem);
    let subjects = |of: &[Row]| of.iter().map(|(_, place)| place.clone()).collect::<BTreeSet<_>>().len();
    let entries = items.iter().filter(|item| text(item, "SK") == "ENTRY").count();
    let problem = || format!("{entries} entries for {} posts and users", subjects(&expected));
    checks.decide(Check::SearchAtRest, entries == subjects(&expected), problem);
}

/// The list of a row, without the shard of a word.
fn list(pk: &str) -> String {
    match pk.strip_prefix("WORD#").and_then(|rest| rest.split_once('#')) {
        Some((_, word)) => format!("WORD#{word}"),
        None => pk.to_owned(),
    }
}

/// A tag as it stands in a key.
fn encoded(tag: &str) -> String {
    tag.bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

/// Two for each doubling of the followers.
fn rank(followers: i64) -> i64 {
    (0..RANKS).take_while(|rank| i128::from(followers + 1).pow(2) >= 1 << rank).last().unwrap_or_default()
}

/// Compares random searches with a look at every text and every name. `counts`: whether the model knows all followers.
///
/// # Errors
/// If the API answers with an error.
pub(crate) async fn compare_searches(
    users: &[User],
    ledger: &RefCell<Ledger>,
    random: &mut StdRng,
    counts: bool,
) -> Result<(), ApiError> {
    let model = ledger.borrow().model.clone();
    let judge = Judge::new(&model);
    let decide = |problems: Vec<harness::model::Difference>| {
        ledger.borrow_mut().checks.expect_none(Check::SearchAtRest, problems);
    };
    let texts: Vec<_> = model
        .members
        .values()
        .flat_map(|member| member.posts.values().map(move |said| (said.text.clone(), member.profile.clone())))
        .collect();
    let viewers: Vec<_> = users.iter().filter(|user| model.members.contains_key(&user.id)).collect();
    let (Some((_, _)), false) = (texts.first(), viewers.is_empty()) else { return Ok(()) };
    for _ in 0..SEARCHES {
        let Some(viewer) = viewers.choose(random) else { break };
        let search = any_search(&texts, random);
        let limit = *[1, 2, 7, 100].choose(random).unwrap_or(&7);
        let found = viewer.walk_search(&search.spelling(), "newest", limit).await?;
        decide(judge.compare_search(&viewer.id, &search, &found));
        // The window of the best has room for all posts of a small history.
        let best = viewer.walk_search(&search.spelling(), "top", limit).await?;
        let ids = |posts: &[harness::client::Post]| posts.iter().map(|post| post.id.clone()).collect::<BTreeSet<_>>();
        let scores: Vec<_> = best.iter().map(|post| post.explain.as_ref().map_or(0.0, |it| it.score)).collect();
        let is_right = found.len() > 60 || ids(&best) == ids(&found) && best.len() == found.len();
        // Each page has scores of its own moment, and authors of posts that were shown count for those behind them.
        let is_sorted = (limit as usize) < best.len() || scores.is_sorted_by(|a, b| a >= b);
        let problem = || format!("{}: the best of {} are {best:?}", viewer.id, search.spelling());
        ledger.borrow_mut().checks.decide(Check::SearchAtRest, is_right && is_sorted, problem);
        let names = model.members.values().filter_map(|member| member.profile.as_ref());
        let names = names.flat_map(|profile| [words(&profile.handle), words(&profile.display_name)].concat());
        if let Some(name) = names.choose(random) {
            let chars = random.random_range(1..=name.chars().count().max(1));
            let beginning: String = name.chars().take(chars).collect();
            let people = viewer.walk_search_users(&beginning, limit).await?;
            decide(judge.compare_people(&viewer.id, &beginning, &people, counts));
        }
    }
    Ok(())
}

/// A search for something of a random text.
fn any_search(texts: &[(String, Option<harness::client::ProfileInput>)], random: &mut StdRng) -> Search {
    let mut search = Search::default();
    let Some((said, author)) = texts.choose(random) else { return search };
    let parts: Vec<_> = said.split(' ').filter(|part| !words(part).is_empty()).collect();
    for _ in 0..random.random_range(1..=3) {
        let from = random.random_range(0..parts.len().max(1));
        let count = *[1, 1, 1, 2, 3].choose(random).unwrap_or(&1);
        search.phrases.push(parts.iter().skip(from).take(count).copied().collect::<Vec<_>>().join(" "));
    }
    if random.random_bool(0.3) {
        search.tag = tags(said).into_iter().choose(random);
    }
    if random.random_bool(0.3) {
        search.from = author.as_ref().map(|profile| profile.handle.clone());
    }
    if random.random_bool(0.3)
        && let Some((other, _)) = texts.choose(random)
    {
        search.without = words(other).into_iter().choose(random);
    }
    search
}
