//! What must hold at rest: first in the tables, then of what the API shows.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use harness::{
    client::{ApiError, Post, User},
    model::{Judge, Model, Window},
};
use rand::{
    Rng,
    rngs::StdRng,
    seq::{IndexedRandom, IteratorRandom},
};
use serde_json::Value;

use crate::{
    checks::{Check, Checks},
    commands::TAGS,
    deletions, determinism, doubts,
    faults::Fault,
    ledger::Ledger,
    notices::{compare_notices, is_of_notices},
    rebuilds,
    search::compare_index,
    statistics::{self, is_of_statistics},
    truth::{COUNTS, Truth, is, is_null, is_unlisted, number, text},
    visits::{is_visit, lacking},
    world::{MODELS, World},
};

/// Compares the tables with what was accepted and with each other.
pub(crate) fn compare_tables(world: &World, ledger: &mut Ledger, ghosts: &BTreeSet<String>) {
    let commands = world.items("Commands");
    let truth = Truth::read(&commands);
    doubts::adopt(ledger, &truth);
    let Ledger { checks, model, rate_limit, left_out, demotions_unanswered, .. } = ledger;
    if let Some(count) = rate_limit {
        rate_limits(checks, &truth, u64::from(*count));
    }
    let tables = ["Commands"].into_iter().chain(MODELS).map(str::to_owned);
    let tables: Vec<_> = tables.chain(MODELS.map(|model| format!("{model}B"))).collect();
    let items: Vec<_> = tables.iter().flat_map(|table| world.table(table)).collect();
    deletions::nothing_of_the_deleted(checks, &truth, &items);
    deletions::nothing_of_the_erased(checks, &truth, &items);
    commands_are_kept(checks, model, &truth);
    logs_are_whole(checks, &truth, ghosts);
    counts(checks, &truth);
    bus(checks, &truth, &world.bus());
    let is_damaged = world.network.counts().0.contains_key(&Fault::Damage);
    viewers(checks, &truth, &by_key(world.items("Viewers")), is_damaged);
    cards(checks, &truth, &by_key(world.items("Cards")));
    let timelines = world.items("Timelines");
    compare_notices(checks, &truth, &timelines);
    statistics::compare_tables(checks, &truth, &commands, &timelines);
    *left_out = rows(checks, &truth, &timelines, ghosts);
    compare_index(checks, &truth, &world.items("SearchIndex"));
    rebuilds::compare(checks, world);
    let queues = ["Deliveries", "Quarantine", "FailedBatches"];
    let left: Vec<_> =
        queues.iter().map(|queue| (queue, world.messages(queue))).filter(|(_, count)| *count > 0).collect();
    checks.decide(Check::NothingIsLost, left.is_empty(), || format!("messages are left: {left:?}"));
    let demoted = commands.iter().filter(|item| text(item, "PK") == "CELEBRITIES" && !is_null(item, "demoted_at"));
    // An operator who gets no answer has to ask again.
    let unanswered = |item: &Value| demotions_unanswered.iter().any(|user| text(item, "SK") == format!("USER#{user}"));
    let left = demoted.filter(|item| !unanswered(item)).map(|item| format!("a demotion has not ended: {item}"));
    checks.expect_none(Check::NothingIsLost, left);
}

/// After an audit of damaged tables: compares them with what was accepted and with each other.
pub(crate) fn compare_repaired(world: &World, ledger: &mut Ledger, ghosts: &BTreeSet<String>) {
    let before = ledger.checks.violations.len();
    compare_tables(world, ledger, ghosts);
    let repaired = ledger.checks.violations.len() == before;
    ledger.checks.decide(Check::DamageIsRepaired, repaired, || "the audit has left something damaged".to_owned());
}

fn commands_are_kept(checks: &mut Checks, model: &Model, truth: &Truth) {
    for (id, member) in &model.members {
        let mut expect = |what: &str, expected: String, found: String| {
            let problem = || format!("{what} of {id}: accepted {expected}, in the table {found}");
            checks.decide(Check::CommandsAreKept, expected == found, problem);
        };
        let own = |(_, post): &(&String, &Value)| text(post, "author") == id;
        let said = |(id, post): (&String, &Value)| {
            let down = !is_null(post, "taken_down_at");
            (id.clone(), text(post, "text").to_owned(), number(post, "version"), down)
        };
        let found: Vec<_> = truth.shown_posts().filter(own).map(said).collect();
        let expected: Vec<_> = member
            .posts
            .iter()
            .map(|(id, said)| (id.clone(), said.text.clone(), said.version, said.taken_down))
            .collect();
        expect("posts", format!("{expected:?}"), format!("{found:?}"));
        for (kind, expected) in [("FOLLOWS", &member.follows), ("MUTES", &member.mutes), ("BLOCKS", &member.blocks)] {
            let found: BTreeSet<_> = truth.of(kind, id).into_iter().filter(|to| !truth.is_erased(to)).collect();
            expect(kind, format!("{expected:?}"), format!("{found:?}"));
        }
        let is_shown = |post: &String| truth.shown_posts().any(|(shown, _)| shown == post);
        let likes: Vec<_> =
            truth.likes.iter().filter(|(user, post)| user == id && is_shown(post)).map(|(_, post)| post).collect();
        let expected: Vec<_> = member.likes.keys().filter(|post| is_shown(post)).collect();
        expect("likes", format!("{expected:?}"), format!("{likes:?}"));
        let found: Vec<_> = truth
            .comments
            .iter()
            .filter(|(_, (_, author, _))| author == id)
            .map(|(comment, (post, _, said))| (comment, post, said))
            .collect();
        let on_shown = member.comments.iter().filter(|(_, remark)| is_shown(&remark.post));
        let expected: Vec<_> = on_shown.map(|(comment, remark)| (comment, &remark.post, &remark.text)).collect();
        expect("comments", format!("{expected:?}"), format!("{found:?}"));
        let suspended = truth.profiles.get(id).is_some_and(|profile| is(profile, "suspended"));
        expect("suspension", member.suspended.to_string(), suspended.to_string());
        expect("profile", format!("{:?}", member.profile), format!("{:?}", truth.profile(id)));
    }
    for (handle, user) in &truth.handles {
        let has = truth.profiles.get(user).is_some_and(|profile| text(profile, "handle") == handle);
        checks.decide(Check::HandlesAreUnique, has, || format!("{handle} is claimed for {user}, who has another"));
    }
    for (user, profile) in &truth.profiles {
        let owner = truth.handles.get(text(profile, "handle"));
        checks.decide(Check::HandlesAreUnique, owner == Some(user), || format!("the handle of {user} is {owner:?}'s"));
    }
}

fn logs_are_whole(checks: &mut Checks, truth: &Truth, ghosts: &BTreeSet<String>) {
    for (user, versions) in &truth.logs {
        let is_end = truth.is_erased(user) && versions.len() == 1;
        let whole = is_end || versions.iter().copied().eq(1..=versions.len() as u64);
        checks.decide(Check::LogsAreWhole, whole, || format!("the log of {user} has {versions:?}"));
    }
    let near: BTreeSet<_> = truth.edges.get("FOLLOWS").cloned().unwrap_or_default();
    let far: BTreeSet<_> = truth.followers.iter().filter(|(from, _)| !ghosts.contains(from)).cloned().collect();
    let near: BTreeSet<_> = near.into_iter().filter(|(from, _)| !ghosts.contains(from)).collect();
    checks.decide(Check::LogsAreWhole, near == far, || format!("follows {near:?}, followers {far:?}"));
    for (from, to) in truth.edges.get("BLOCKS").into_iter().flatten() {
        let ended = !truth.has("FOLLOWS", from, to) && !truth.has("FOLLOWS", to, from);
        checks.decide(Check::BlocksEndFollows, ended, || format!("{from} blocks {to}, and one follows the other"));
    }
}

/// INV-3, in the command table.
fn counts(checks: &mut Checks, truth: &Truth) {
    for (id, _) in truth.shown_posts() {
        let likes = truth.likes.iter().filter(|(_, post)| post == id).count();
        let comments = truth.comments.values().filter(|(post, _, _)| post == id).count();
        let [_, counted_likes, counted_comments, _] = truth.count(&format!("POST#{id}"));
        let same = i64::try_from(likes) == Ok(counted_likes) && i64::try_from(comments) == Ok(counted_comments);
        checks.decide(Check::CountsAtRest, same, || {
            format!(
                "{id} has {likes} likes and {comments} comments, counted are {counted_likes} and {counted_comments}"
            )
        });
    }
    heats(checks, truth);
    for user in truth.profiles.keys() {
        let followers = truth.followers.iter().filter(|(_, to)| to == user).count();
        let [counted, ..] = truth.count(&format!("USER#{user}"));
        checks.decide(Check::CountsAtRest, i64::try_from(followers) == Ok(counted), || {
            format!("{user} has {followers} followers, counted are {counted}")
        });
    }
}

/// Nobody has done more of a kind than the limit allows at once and has allowed again since.
fn rate_limits(checks: &mut Checks, truth: &Truth, count: u64) {
    const HOUR_MS: u64 = 3_600_000;
    const KINDS: [(&[&str], u64); 5] = [
        (&["PostCreated", "PostEdited"], HOUR_MS),
        (&["PostCommented"], HOUR_MS),
        (&["UserFollowed"], 24 * HOUR_MS),
        (&["ProfileChanged"], 24 * HOUR_MS),
        (&["UserBlocked", "UserMuted"], HOUR_MS),
    ];
    let elapsed_ms = u64::try_from(determinism::elapsed().as_millis()).unwrap_or(u64::MAX);
    for user in truth.logs.keys() {
        for (types, period_ms) in KINDS {
            let of = |kind: &&str| truth.events.get(&(user.clone(), (*kind).to_owned())).copied().unwrap_or_default();
            let done: u64 = types.iter().map(of).sum();
            // Clocks of processes differ a little.
            let allowed = count + elapsed_ms * count / period_ms + 1;
            checks.decide(Check::RateLimitsHold, done <= allowed, || {
                format!("{user} has {done} of {types:?}, and {allowed} are allowed")
            });
        }
    }
}

/// One user counts at most once for a post as somebody who likes it, and once as somebody who comments on it. Authors
/// do not count on their own posts.
fn heats(checks: &mut Checks, truth: &Truth) {
    /// Heat of a comment at the moment of its post's creation, and as late as comments count more.
    const COMMENT_HEATS: std::ops::RangeInclusive<i64> = 3000..=48_000;
    const LIKE_HEATS: std::ops::RangeInclusive<i64> = 1000..=16_000;
    let mut comments = BTreeMap::<(&str, &str), i64>::new();
    for (post, author, _) in truth.comments.values() {
        *comments.entry((author, post)).or_default() += 1;
    }
    for (id, post) in truth.shown_posts() {
        let author = text(post, "author");
        let mut expected = 0;
        for ((user, _), heat) in truth.like_heats.iter().filter(|((_, post), _)| post == id) {
            let right = if user == author { *heat == 0 } else { LIKE_HEATS.contains(heat) };
            checks.decide(Check::CountsAtRest, right, || format!("the like of {id} by {user} has heat {heat}"));
            expected += heat;
        }
        for ((user, _), (counted, heat)) in truth.commenters.iter().filter(|((_, post), _)| post == id) {
            let written = comments.remove(&(user.as_str(), id.as_str())).unwrap_or_default();
            let right = if written > 0 { COMMENT_HEATS.contains(heat) } else { *heat == 0 };
            checks.decide(Check::CountsAtRest, *counted == written && right && user != author, || {
                format!("{user} has {written} comments on {id} of {author}, counted are {counted} with heat {heat}")
            });
            expected += heat;
        }
        let uncounted = comments.keys().find(|(user, post)| post == id && *user != author);
        checks.decide(Check::CountsAtRest, uncounted.is_none(), || format!("comments are not counted: {uncounted:?}"));
        let [.., heat] = truth.count(&format!("POST#{id}"));
        checks.decide(Check::CountsAtRest, heat == expected, || {
            format!("{id} has heat {heat}, its likes and comments have {expected}")
        });
    }
}

/// INV-1.
fn bus(checks: &mut Checks, truth: &Truth, records: &[Value]) {
    let hints: BTreeSet<_> = records
        .iter()
        .filter_map(|event| Some((event["data"]["user"].as_str()?, event["data"]["version"].as_u64()?)))
        .collect();
    for (user, versions) in &truth.logs {
        let missing: Vec<_> = versions.iter().filter(|version| !hints.contains(&(user.as_str(), **version))).collect();
        checks.decide(Check::EventsReachTheBus, missing.is_empty(), || {
            format!("events {missing:?} of {user} are missing")
        });
    }
    let mut newest = BTreeMap::<(String, u64), u64>::new();
    for data in records.iter().filter_map(|event| event["data"]["tallies"].as_array()).flatten() {
        let (kind, id) = data["subject"].as_object().and_then(|subject| subject.iter().next()).unzip();
        let subject = format!(
            "{}#{}",
            kind.map(|kind| kind.to_uppercase()).unwrap_or_default(),
            id.and_then(Value::as_str).unwrap_or_default()
        );
        let version = newest.entry((subject, data["shard"].as_u64().unwrap_or_default())).or_default();
        *version = (*version).max(data["version"].as_u64().unwrap_or_default());
    }
    for (subject, shards) in &truth.tallies {
        for (shard, tally) in shards {
            // What was put into the table before the history began has been in no stream.
            let found = newest.get(&(subject.clone(), *shard)).copied().unwrap_or_default();
            checks.decide(Check::EventsReachTheBus, found == tally.version, || {
                format!("shard {shard} of {subject} has version {}, on the bus is {found}", tally.version)
            });
        }
    }
}

/// Where sets are lost, nobody knows who blocks the user before the next rebuild. Readers then ask the truth.
fn viewers(checks: &mut Checks, truth: &Truth, items: &BTreeMap<String, Value>, is_damaged: bool) {
    for (user, versions) in truth.logs.iter().filter(|(user, _)| !truth.is_erased(user)) {
        let Some(item) = items.get(&format!("USER#{user}")) else {
            checks.decide(Check::ReadModelsAtRest, false, || format!("{user} has no viewer item"));
            continue;
        };
        let sets = if item.get("sets_revision").is_some() {
            items.get(&format!("SETS#{user}")).unwrap_or(&Value::Null)
        } else {
            item
        };
        let (applied, head) = (number(item, "applied"), versions.len());
        checks.decide(Check::ReadModelsAtRest, i64::try_from(head) == Ok(applied), || {
            format!("{user}: applied {applied} of {head}")
        });
        let walks = &item["unfinished"]["M"];
        let backfills = walks["backfills"]["M"].as_object().is_none_or(serde_json::Map::is_empty);
        checks.decide(Check::ReadModelsAtRest, backfills && walks["profile"].is_null(), || {
            format!("{user}: walks are unfinished: {walks}")
        });
        let lists = [
            ("followed", truth.of("FOLLOWS", user)),
            ("muted", truth.of("MUTES", user)),
            ("blocked", truth.of("BLOCKS", user)),
            ("blocked_by", truth.from("BLOCKS", user)),
        ];
        for (name, people) in lists {
            if is_damaged && is_unlisted(&sets[name]) {
                continue;
            }
            let hash = |id: &String| {
                let id: tidings::model::UserId = id.parse().ok()?;
                Some(id.hash().to_string())
            };
            let expected: BTreeSet<_> = people.iter().filter_map(hash).collect();
            let bytes = BASE64.decode(sets[name]["B"].as_str().unwrap_or_default()).unwrap_or_default();
            let found: BTreeSet<_> = bytes.chunks(8).map(hex::encode).collect();
            checks.decide(Check::ReadModelsAtRest, expected == found, || {
                format!("{user}: {name} is {found:?}, should be {expected:?} ({people:?})")
            });
        }
    }
}

fn cards(checks: &mut Checks, truth: &Truth, items: &BTreeMap<String, Value>) {
    for (id, post) in &truth.posts {
        let item = items.get(&format!("POST#{id}")).cloned().unwrap_or_default();
        let deleted = truth.shown_posts().all(|(shown, _)| shown != id);
        // A deleted post is shown to nobody, and so is its author.
        let author = truth.profiles.get(text(post, "author")).filter(|_| !deleted);
        let author = author.map(|profile| text(profile, "handle")).unwrap_or_default();
        let expected = (deleted, text(post, "text"), number(post, "version"), author);
        let shown = item["author_profile"]["M"]["handle"]["S"].as_str().filter(|_| !deleted).unwrap_or_default();
        let found = (is(&item, "deleted"), text(&item, "text"), number(&item, "version"), shown);
        let of_author = truth.profiles.get(text(post, "author")).is_some_and(|profile| is(profile, "suspended"));
        let withdrawn = (!is_null(post, "taken_down_at"), of_author);
        let same = deleted || withdrawn == (is(&item, "taken_down"), is(&item, "author_suspended"));
        checks.decide(Check::ReadModelsAtRest, same, || format!("the card of {id} is not {withdrawn:?}: {item}"));
        checks.decide(Check::ReadModelsAtRest, expected == found, || {
            format!("the card of {id} is {found:?}, should be {expected:?}")
        });
        if !deleted {
            let counted = truth.count(&format!("POST#{id}"));
            let shown = COUNTS.map(|name| number(&item, name));
            let same = counted[1..] == shown[1..];
            checks.decide(Check::CountsAtRest, same, || {
                format!("the card of {id} shows {shown:?}, counted is {counted:?}")
            });
        }
        let in_index = item.get("bucket").is_some();
        let hot = !deleted && withdrawn == (false, false) && truth.count(&format!("POST#{id}"))[3] >= 1000;
        checks.decide(Check::ReadModelsAtRest, in_index == hot, || {
            format!("{id} is {}in the index of what trends", if in_index { "" } else { "not " })
        });
    }
    for (user, profile) in &truth.profiles {
        let item = items.get(&format!("USER#{user}")).cloned().unwrap_or_default();
        let following = i64::try_from(truth.of("FOLLOWS", user).len()).unwrap_or(i64::MAX);
        let expected = (text(profile, "handle"), following, truth.count(&format!("USER#{user}"))[0]);
        let shown = item["profile"]["M"]["handle"]["S"].as_str().unwrap_or_default();
        let found = (shown, number(&item, "following"), number(&item, "followers"));
        checks.decide(Check::ReadModelsAtRest, expected == found, || {
            format!("the card of {user} is {found:?}, should be {expected:?}")
        });
    }
}

/// Compares the rows of timelines. Returns whose homes lack rows, because nobody has read them for long.
fn rows(checks: &mut Checks, truth: &Truth, items: &[Value], ghosts: &BTreeSet<String>) -> BTreeSet<String> {
    let lacking: BTreeSet<_> = lacking(items).collect();
    let of_timelines = |item: &&Value| !is_of_notices(item) && !is_of_statistics(item) && !is_visit(item);
    let items = items.iter().filter(of_timelines);
    let rows: BTreeSet<_> = items.map(|item| (text(item, "PK"), text(item, "SK"))).collect();
    let is_row = |timeline: &str| timeline != "ANNOUNCED" && !timeline.starts_with("RUN#");
    for (timeline, post) in rows.iter().filter(|(timeline, _)| is_row(timeline)) {
        let is_real = truth.posts.contains_key(*post);
        checks.decide(Check::ReadModelsAtRest, is_real, || format!("{timeline} has {post}, which there is not"));
    }
    let mut left_out = BTreeSet::new();
    for (from, to) in truth.edges.get("FOLLOWS").into_iter().flatten() {
        // A celebrity's posts are pulled, and a demotion fills homes again.
        if truth.celebrities.contains(to) || ghosts.contains(from) {
            continue;
        }
        let posts = truth.shown_posts().filter(|(_, post)| text(post, "author") == to);
        let missing: Vec<_> = posts.filter(|(id, _)| !rows.contains(&(&format!("HOME#{from}"), id.as_str()))).collect();
        if lacking.contains(format!("HOME#{from}").as_str()) {
            left_out.extend((!missing.is_empty()).then(|| from.clone()));
            continue;
        }
        checks.decide(Check::ReadModelsAtRest, missing.is_empty(), || format!("HOME#{from} lacks {missing:?}"));
    }
    for (id, post) in &truth.posts {
        let author = text(post, "author");
        let deleted = truth.shown_posts().all(|(shown, _)| shown != id);
        let has = |pk: String| rows.contains(&(pk.as_str(), id.as_str()));
        // A slow worker may put the row of a deleted post back. Readers see in the card that the post is deleted.
        let listed = has(format!("AUTHOR#{author}"));
        let problem = || format!("{id} is not in the list of its author {author}");
        checks.decide(Check::ReadModelsAtRest, listed || deleted, problem);
        let pushed = has(format!("HOME#{author}"));
        checks.decide(Check::ReadModelsAtRest, pushed || deleted, || format!("{id} is not in the home of {author}"));
        if !ghosts.is_empty()
            && !deleted
            && truth.followers.iter().any(|(from, to)| to == author && ghosts.contains(from))
        {
            let missing: Vec<_> = ghosts.iter().filter(|ghost| !has(format!("HOME#{ghost}"))).collect();
            checks.decide(Check::LargeAudience, missing.is_empty(), || {
                format!("{id} of {author} is missing in {} homes of {}", missing.len(), ghosts.len())
            });
        }
    }
    left_out
}

fn by_key(items: Vec<Value>) -> BTreeMap<String, Value> {
    items.into_iter().map(|item| (text(&item, "PK").to_owned(), item)).collect()
}

/// Compares what the API shows with the reference model.
///
/// # Errors
/// If the API answers with an error.
pub(crate) async fn compare_api(
    users: &[User],
    ledger: &std::cell::RefCell<Ledger>,
    random: &mut StdRng,
    has_ghosts: bool,
) -> Result<(), ApiError> {
    let model = ledger.borrow().model.clone();
    let judge = Judge::new(&model);
    let decide = |check, problems: Vec<harness::model::Difference>| {
        ledger.borrow_mut().checks.expect_none(check, problems);
    };
    let users: Vec<_> = users.iter().filter(|user| model.members.contains_key(&user.id)).collect();
    for viewer in &users {
        let limit = *[1, 2, 7, 20, 100].choose(random).unwrap_or(&20);
        let id = &viewer.id;
        let of_home = if ledger.borrow().left_out.contains(id) { Check::LeftOutHomes } else { Check::HomeAtRest };
        decide(of_home, judge.compare_home(id, &viewer.walk_home(limit.max(5)).await?));
        if random.random_bool(0.5) {
            let order = *["ranked", "personalized"].choose(random).unwrap_or(&"ranked");
            let home = viewer.walk_home_by(order, limit.max(5)).await?;
            decide(of_home, judge.compare_ranked_home(id, order, &home));
        }
        if let Some(subject) = users.choose(random).map(|user| user.id.clone())
            && !has_ghosts
            && (subject == *id || !model.members.get(&subject).is_some_and(|member| member.suspended))
        {
            decide(Check::FeedsAtRest, judge.compare_user(viewer, &subject, limit).await?);
        }
        let own = model.members.get(id).into_iter().flat_map(|member| member.posts.keys());
        if let Some(post) = own.cloned().collect::<Vec<_>>().choose(random) {
            let comments = viewer.walk_comments(post, "oldest", limit).await?;
            decide(Check::FeedsAtRest, judge.compare_comments(id, post, &comments));
            if let Some(listed) = comments.choose(random) {
                let found = viewer.get_comment(post, &listed.id).await?;
                let problem = || format!("{id}: the list of comments has {listed:?}, by its id {found:?} is found");
                ledger.borrow_mut().checks.decide(Check::FeedsAtRest, found == *listed, problem);
            }
            let all = viewer.walk_all_comments(post, limit).await?;
            decide(Check::FeedsAtRest, judge.compare_all_comments(id, post, &all));
        }
        let all = model.members.values().flat_map(|member| member.posts.keys());
        if let Some(post) = all.choose(random) {
            let comments = match viewer.walk_comments(post, "oldest", limit).await {
                Ok(comments) => Some(comments),
                Err(ApiError::Status { code: Some(code), .. }) if code == "post_not_found" => None,
                Err(error) => return Err(error),
            };
            let problem = || format!("{id}: {post} is {}shown", if comments.is_some() { "" } else { "not " });
            let may_read = judge.can_read(id, post);
            ledger.borrow_mut().checks.decide(Check::HiddenAuthors, may_read == comments.is_some(), problem);
            if let Some(comments) = &comments {
                decide(Check::FeedsAtRest, judge.compare_comments(id, post, comments));
            }
        }
        let counted = viewer.profile().await?;
        let (posts, follows) = model.members.get(id).map_or((0, 0), |own| (own.posts.len(), own.follows.len()));
        let same = u64::try_from(posts) == Ok(counted.posts) && u64::try_from(follows) == Ok(counted.following);
        let problem = || format!("{id} has {posts} posts and {follows} follows, counted are {counted:?}");
        ledger.borrow_mut().checks.decide(Check::CountsAtRest, same, problem);
    }
    if let Some(viewer) = users.choose(random) {
        for tag in TAGS {
            decide(Check::FeedsAtRest, judge.compare_tag(&viewer.id, tag, &viewer.walk_posts_with(tag, 7).await?));
        }
        let asked = Window::open();
        let trending: Vec<Post> = viewer.walk_trending(100).await?;
        decide(Check::TrendingAtRest, judge.compare_trending(&viewer.id, &trending, asked.closed()));
    }
    Ok(())
}
