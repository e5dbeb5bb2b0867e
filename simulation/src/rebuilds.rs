//! Rebuilds of read models: an operator starts, watches, resumes and cancels them at random; and at rest, a rebuilt
//! model is compared with the one that was kept current, attribute by attribute (INV-8).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use rand::{
    Rng, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use serde_json::{Map, Value, json};

use crate::{
    checks::{Check, Checks},
    statistics::is_zero,
    trace::Detail,
    truth::{Truth, is, is_unlisted, text, without_shard},
    visits::lacking,
    world::{MODELS, World},
};

/// How often an operator tries again what failed: for longer than any outage lasts.
const TRIES_MAX: usize = 1000;
/// How long an operator waits before that.
const TRY_AGAIN: Duration = Duration::from_secs(3);
/// Attributes by which writers notice each other. They count writes, so they differ between tables.
const REVISIONS: [&str; 3] = ["revision", "sets_revision", "tally_revision"];

fn is_under_way(world: &World) -> bool {
    world.read_models().is_some_and(|state| state["rebuild"]["M"].is_object())
}

/// A random request to rebuild something.
fn request(random: &mut StdRng, in_place: bool) -> Value {
    let mut models = ["timelines", "viewers", "cards", "search"];
    models.shuffle(random);
    let models = &models[..random.random_range(0..=models.len())];
    json!({
        "action": "start", "models": models, "in_place": in_place, "segments": random.random_range(1..5),
        "units_per_second": *[20, 200, 100_000].choose(random).unwrap_or(&200),
    })
}

/// An operator rebuilds something while everything goes on, and perhaps cancels it.
pub(crate) async fn operate(world: Arc<World>, seed: u64) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    tokio::time::sleep(Duration::from_millis(random.random_range(0..30_000))).await;
    let in_place = random.random_bool(0.2);
    let request = request(&mut random, in_place);
    insist(&world, &request).await?;
    if random.random_bool(0.2) {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..120_000))).await;
        // Whether the rebuild is past the switch by then is left to chance.
        insist(&world, &json!({"action": "cancel"})).await?;
    }
    Ok(())
}

/// Invokes the function until it has done what is asked for, or has said that there is nothing to do.
async fn insist(world: &World, request: &Value) -> anyhow::Result<()> {
    let mut asked = request.clone();
    for _ in 0..TRIES_MAX {
        let told = world.invoke("Rebuild", &asked).await;
        let told = told.map_or_else(|error| Err(format!("{error:#}")), |answer| Ok(answer.to_string()));
        world.network.trace.note(Detail::Users, format_args!("operator asks {asked}: {told:?}"));
        let Err(error) = told else { return Ok(()) };
        let refused = ["is under way; resume", "no rebuild is under way", "readers use the rebuilt tables already"];
        let is_repeated = asked != *request || error.contains(refused[0]);
        if refused.iter().any(|refusal| error.contains(refusal)) && asked["action"] != "start" {
            return Ok(());
        }
        if is_repeated || is_under_way(world) {
            // The state was written, but the steps may not have been sent.
            asked = json!({"action": "resume"});
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
    anyhow::bail!("the function Rebuild fails again and again: {request}")
}

/// Nothing is left of rebuilds: none is under way, and the tables that are not read are empty.
pub(crate) fn compare(checks: &mut Checks, world: &World) {
    checks.decide(Check::RebuiltAtRest, !is_under_way(world), || {
        format!("a rebuild does not go on: {:?}", world.read_models())
    });
    for model in MODELS {
        let left = world.table(&world.table_of(model, false));
        checks.decide(Check::RebuiltAtRest, left.is_empty(), || {
            format!("{model}: {} items are left in the table that is not read, such as {}", left.len(), left[0])
        });
    }
}

/// The read models at rest, as far as they follow from the truth.
pub(crate) struct Snapshot {
    models: BTreeMap<&'static str, BTreeMap<String, Value>>,
    /// Homes that may lack rows, because nobody has read them for long.
    lacking: BTreeSet<String>,
    celebrities: BTreeSet<String>,
}

impl Snapshot {
    /// What stands in the tables that are read.
    pub(crate) fn take(world: &World) -> Self {
        let truth = Truth::read(&world.table("Commands"));
        let of = |model: &'static str| {
            let mut items = world.table(&world.table_of(model, true));
            join_sets(&mut items);
            let items = items.into_iter();
            let kept = items.filter_map(|item| essence(&truth, model, item));
            (model, kept.map(|item| (format!("{} {}", text(&item, "PK"), text(&item, "SK")), item)).collect())
        };
        let timelines = world.table(&world.table_of("Timelines", true));
        let lacking = lacking(&timelines).map(str::to_owned).collect();
        Self { models: MODELS.map(of).into(), lacking, celebrities: truth.celebrities.clone() }
    }

    /// Decides whether the tables that are read now have the same items with the same attributes.
    pub(crate) fn compare(&self, checks: &mut Checks, world: &World) {
        let rebuilt = Self::take(world);
        // Followers who are counted late may make somebody a celebrity meanwhile, and an operator may demote one.
        let is_celebrity = |author: &str| [self, &rebuilt].iter().any(|snapshot| snapshot.celebrities.contains(author));
        let is_pulled = |item: &Value| {
            let home = text(item, "PK").strip_prefix("HOME#");
            let author = text(item, "author");
            home.is_some_and(|viewer| viewer != author)
                && (is_celebrity(author) || self.lacking.contains(text(item, "PK")))
        };
        for (model, before) in &self.models {
            let [before, after] = [before, &rebuilt.models[model]]
                .map(|items| items.iter().filter(|(_, item)| !is_pulled(item)).collect::<BTreeMap<_, _>>());
            for key in before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))) {
                let (before, mut after) = (before.get(key).copied().cloned(), after.get(key).copied().cloned());
                // A rebuild finds out who blocks a user whose sets were lost.
                if before.as_ref().is_some_and(|item| is_unlisted(&item["blocked_by"])) {
                    after.iter_mut().for_each(|item| item["blocked_by"] = json!({"NULL": true}));
                }
                checks.decide(Check::RebuiltAtRest, before == after, || {
                    format!("{model} {key}: projected is {before:?}, rebuilt is {after:?}")
                });
            }
        }
    }
}

/// Puts sets that stand in items of their own into the items of their viewers. Where they stand depends on their size,
/// and so on whether it is known who blocks the viewer. A viewer whose sets are small again no longer uses the other
/// item.
fn join_sets(items: &mut Vec<Value>) {
    let apart = items.extract_if(.., |item| text(item, "PK").starts_with("SETS#"));
    let apart: BTreeMap<_, _> = apart.map(|item| (text(&item, "PK").replacen("SETS#", "USER#", 1), item)).collect();
    for viewer in items.iter_mut().filter(|item| item.get("sets_revision").is_some()) {
        if let Some(sets) = apart.get(text(viewer, "PK")) {
            for name in ["followed", "muted", "blocked", "blocked_by"] {
                viewer[name] = sets[name].clone();
            }
        }
    }
}

/// What has to be equal of an item. None if readers never show it: rows of deleted posts, and of authors who are no
/// longer followed, or whose posts are pulled, may be there or not. So may notices about deleted posts, and of deleted
/// accounts, and notices that have ended. An inbox says when it grew, which differs; what it lists is compared as
/// readers are shown it (`notifications-at-rest`).
fn essence(truth: &Truth, model: &str, mut item: Value) -> Option<Value> {
    let (pk, sk) = (text(&item, "PK").to_owned(), text(&item, "SK").to_owned());
    let (kind, id) = pk.split_once('#')?;
    let shown = |post: &str| truth.shown_posts().any(|(shown, _)| shown == post);
    let attributes = item.as_object_mut()?;
    for name in REVISIONS {
        attributes.remove(name);
    }
    match (model, kind) {
        // A repair writes zeros, a projection does not.
        ("Timelines", "DAYS" | "DAYTAGS") => {
            let is_zero = is_zero(&item);
            let attributes = item.as_object_mut()?;
            attributes.retain(|_, value| value["N"] != "0");
            (!is_zero).then_some(item)
        }
        ("Timelines", "HOME") => {
            let author = text(&item, "author");
            let belongs = author == id || truth.has("FOLLOWS", id, author);
            (belongs && shown(&sk)).then_some(item)
        }
        ("Timelines", "RUN") => None,
        ("Timelines", "AUTHOR") => shown(&sk).then_some(item),
        ("Timelines", "LIKERS") => (shown(without_shard(id)) && stands(truth, &item)).then_some(item),
        ("Timelines", "NOTICES") => {
            let mut parts = sk.split('#');
            let is_shown = match (parts.next(), parts.next()) {
                (Some("INBOX"), _) => false,
                (Some("follow"), _) => true,
                (_, post) => post.is_some_and(shown),
            };
            (is_shown && stands(truth, &item)).then_some(item)
        }
        ("Cards", "POST") => {
            let (deleted, in_index) = (is(&item, "deleted"), item.get("bucket").is_some());
            let attributes = item.as_object_mut()?;
            if deleted {
                // Nobody is shown who wrote it, so a new profile does not change it.
                for name in ["author_profile", "author_suspended", "author_version"] {
                    attributes.remove(name);
                }
            }
            if !in_index {
                attributes.remove("score");
            }
            without_counter_of_zero(attributes, &["likes", "comments", "heat"]);
            Some(item)
        }
        ("Cards", "USER") => {
            without_counter_of_zero(attributes, &["followers"]);
            Some(item)
        }
        _ => Some(item),
    }
}

/// Whether readers are shown this notice.
fn stands(truth: &Truth, notice: &Value) -> bool {
    is(notice, "active") && !truth.is_erased(text(notice, "actor"))
}

/// Removes a counter that nobody has changed. A repair writes it, a projection does not.
fn without_counter_of_zero(card: &mut Map<String, Value>, counts: &[&str]) {
    let is_zero = |name: &&str| card.get(*name).is_none_or(|count| count["N"] == "0");
    if counts.iter().all(is_zero) && card.get("tally").is_none_or(|tally| tally["M"] == json!({})) {
        counts.iter().chain(&["tally"]).for_each(|name| drop(card.remove(*name)));
    }
}

/// At rest, something is rebuilt, or is lost and restored in place. Gives what was there before.
pub(crate) async fn rebuild_at_rest(world: &World, random: &mut StdRng) -> anyhow::Result<Snapshot> {
    let before = Snapshot::take(world);
    let is_lost = random.random_bool(0.3);
    let request = if is_lost {
        let lost = *MODELS.choose(random).unwrap_or(&"Cards");
        world.empty(&world.table_of(lost, true));
        let mut request = request(random, true);
        request["models"] = json!([lost.to_lowercase().trim_end_matches("index")]);
        request
    } else {
        request(random, false)
    };
    insist(world, &request).await?;
    // As long as the faults last.
    tokio::time::sleep(Duration::from_millis(random.random_range(0..240_000))).await;
    Ok(before)
}
