//! Users, follows and posts, without requests: one user of each kind comes about by requests, and its items are copied
//! for all others with other names. What names cannot tell is set: who is followed, and how many followers there are.

use std::{collections::BTreeMap, fmt, sync::Arc};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use harness::dev_client::VISIT;
use rand::{
    rngs::StdRng,
    seq::{SliceRandom as _, index::sample},
};
use serde_json::{Value, json};
use tidings::{model::UserId, store::trending::CONTENDERS};

use super::scenario::Scenario;
use crate::{
    limits::Used,
    world::{World, name},
};

/// The user of whom authors are copies, and a handle at the same time.
const AUTHOR: &str = "protoauthor";
/// The user of whom viewers and the crowd are copies.
const VIEWER: &str = "protoviewer";
/// The author with many followers.
pub(super) const STAR: &str = "star";
/// Exponent of the distribution of followers (Pareto): the smaller, the heavier the tail.
const FOLLOWERS_EXPONENT: f64 = 1.3;
/// Items that are written at once.
const IMPORTED_AT_ONCE: usize = 5_000;
const TABLES: [&str; 4] = ["Commands", "Timelines", "Viewers", "Cards"];

/// Who is there.
pub(super) struct Population {
    /// Ids of authors.
    pub(super) authors: Vec<String>,
    /// Ids of viewers.
    pub(super) viewers: Vec<String>,
    /// Ids of users who follow nobody.
    pub(super) crowd: Vec<String>,
    /// Posts at the beginning.
    pub(super) posts: Vec<String>,
    /// Who follows each author, as places in `viewers`.
    pub(super) followers: BTreeMap<String, Vec<usize>>,
    /// What was used to make them.
    pub(super) used_before: Used,
}

impl fmt::Display for Population {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let follows: usize = self.followers.values().map(Vec::len).sum();
        let most = self.followers.values().map(Vec::len).max().unwrap_or_default();
        let each = follows / self.followers.len().max(1);
        let (authors, viewers, posts, crowd) =
            (self.authors.len(), self.viewers.len(), self.posts.len(), self.crowd.len());
        write!(
            f,
            "{authors} authors, {viewers} viewers, {posts} posts, {follows} follows (of an author {each}, at most \
             {most}), {crowd} more"
        )
    }
}

/// Items to be written, by table.
struct Import<'a> {
    world: &'a Arc<World>,
    items: BTreeMap<&'static str, Vec<Value>>,
}

impl Import<'_> {
    fn add(&mut self, table: &'static str, item: Value) -> anyhow::Result<()> {
        let items = self.items.entry(table).or_default();
        items.push(item);
        if items.len() >= IMPORTED_AT_ONCE {
            let items = std::mem::take(items);
            self.write(table, items)?;
        }
        Ok(())
    }

    fn write(&self, table: &str, items: Vec<Value>) -> anyhow::Result<()> {
        let imported = self.world.network.aws.import(&name(table), items);
        imported.map_err(|error| anyhow::anyhow!("cannot import items of {table}: {error}"))
    }

    fn finish(mut self) -> anyhow::Result<()> {
        for (table, items) in std::mem::take(&mut self.items) {
            self.write(table, items)?;
        }
        Ok(())
    }
}

/// Items that are copied: each with its table, as text.
struct Prototype(Vec<(&'static str, String)>);

impl Prototype {
    /// All items in which one of `parts` stands, and none of `without`.
    fn find(items: &BTreeMap<&'static str, Vec<String>>, parts: &[&str], without: &[&str]) -> Self {
        let fits = |item: &&String| {
            parts.iter().any(|part| item.contains(part)) && !without.iter().any(|part| item.contains(part))
        };
        let of_table = |(table, items): (&&'static str, &Vec<String>)| {
            let table = *table;
            items.iter().filter(fits).map(move |item| (table, item.clone())).collect::<Vec<_>>()
        };
        Self(items.iter().flat_map(of_table).collect())
    }

    /// The items with other names.
    fn copy(&self, names: &[(&str, &str)]) -> anyhow::Result<Vec<(&'static str, Value)>> {
        let copy = |(table, item): &(&'static str, String)| {
            let item = names.iter().fold(item.clone(), |item, (from, to)| item.replace(from, to));
            Ok((*table, serde_json::from_str(&item)?))
        };
        self.0.iter().map(copy).collect()
    }
}

impl Population {
    /// Makes everybody.
    ///
    /// # Errors
    /// If the requests of the first users fail, or their items are not as expected.
    pub(super) async fn make(world: &Arc<World>, scenario: &Scenario, random: &mut StdRng) -> anyhow::Result<Self> {
        for user in [AUTHOR, VIEWER] {
            let profile = json!({"handle": user, "display_name": user});
            send(world, user, "PUT", "/v1/me", &profile).await?;
        }
        let text = "A post of usual length, about nothing in particular, so that cards are as large as they are.";
        let post = send(world, AUTHOR, "POST", "/v1/posts", &json!({ "text": text })).await?;
        let post = post["id"].as_str().context("a post has no id")?.to_owned();
        world.settle().await?;
        let items: BTreeMap<&'static str, Vec<String>> =
            TABLES.iter().map(|table| (*table, world.items(table).iter().map(ToString::to_string).collect())).collect();

        let people = &scenario.population;
        let ids = |kind: &str, count: usize| -> Vec<String> {
            (0..count).map(|number| format!("{kind}{number:07}")).collect()
        };
        let mut authors = ids("author", scenario.part(people.authors).max(1));
        authors.extend(people.star_followers.map(|_| STAR.to_owned()));
        let viewers = ids("viewer", scenario.part(people.viewers).max(1));
        let crowd = ids("crowd", scenario.part(people.crowd));
        let mut import = Import { world, items: BTreeMap::new() };

        let of_viewer = Prototype::find(&items, &[VIEWER], &[AUTHOR]);
        let of_post = Prototype::find(&items, &[&post], &[]);
        let of_author = Prototype::find(&items, &[AUTHOR], &[&post]);
        let (mut posts, mut followers) = (Vec::new(), BTreeMap::new());
        let mut followed: Vec<Vec<String>> = vec![Vec::new(); viewers.len()];
        #[expect(clippy::cast_precision_loss, reason = "at most millions")]
        let least = least_followers(people.followers_mean, viewers.len() as f64);
        let counts = follower_counts(authors.len(), least, viewers.len(), random);
        for (author, count) in authors.iter().zip(counts) {
            let mut who = sample(random, viewers.len(), count).into_vec();
            who.sort_unstable();
            for (table, item) in of_author.copy(&[(AUTHOR, author)])? {
                import.add(table, item)?;
            }
            let said = match author.as_str() {
                STAR => people.star_followers.unwrap_or_default(),
                _ => who.len() as u64,
            };
            import.add("Commands", tally(author, said))?;
            for viewer in &who {
                followed[*viewer].push(author.clone());
                let viewer = &viewers[*viewer];
                import.add("Commands", edge(&format!("USER#{viewer}"), &format!("FOLLOWS#{author}")))?;
                import.add("Commands", edge(&format!("FOLLOWERS#{author}"), &format!("USER#{viewer}")))?;
            }
            for _ in 0..people.posts_each {
                let id = other_post(&post, posts.len());
                for (table, item) in of_post.copy(&[(AUTHOR, author), (&post, &id)])? {
                    // The event of the post stands in the log once: the author's log has one post.
                    import.add(table, item)?;
                }
                for viewer in &who {
                    import.add("Timelines", home_row(&viewers[*viewer], &id, author))?;
                }
                posts.push(id);
            }
            followers.insert(author.clone(), who);
        }
        for (viewer, followed) in viewers.iter().zip(&followed) {
            for (table, mut item) in of_viewer.copy(&[(VIEWER, viewer)])? {
                if table == "Viewers" {
                    item["followed"] = json!({"B": BASE64.encode(hashes(followed)?)});
                }
                import.add(table, item)?;
            }
        }
        for user in viewers.iter().chain(&crowd) {
            import.add("Timelines", visit(user))?;
        }
        for user in &crowd {
            for (table, item) in of_viewer.copy(&[(VIEWER, user)])? {
                import.add(table, item)?;
            }
        }
        if people.star_followers.is_some() {
            // Promoted so long ago that every process knows.
            let item = json!({
                "PK": {"S": "CELEBRITIES"}, "SK": {"S": format!("USER#{STAR}")}, "author": {"S": STAR},
                "promoted_at": {"N": "1700000000000"},
            });
            import.add("Commands", item)?;
        }
        import.finish()?;
        // Caches of processes may know that there are no celebrities.
        tokio::time::sleep(std::time::Duration::from_secs(if people.star_followers.is_some() { 61 } else { 3 })).await;
        if people.trending_likes > 0 {
            // A few more than are indexed.
            for post in posts.iter().rev().take(scenario.part(CONTENDERS as f64).max(1) * 3 / 2) {
                for viewer in viewers.iter().take(people.trending_likes) {
                    send(world, viewer, "PUT", &format!("/v1/posts/{post}/like"), &Value::Null).await?;
                }
            }
            world.settle().await?;
        }
        let limits = world.network.limits.as_ref().context("the world has no limits")?;
        Ok(Self { authors, viewers, crowd, posts, followers, used_before: limits.used() })
    }
}

/// The least number of followers with which numbers that are cut at `most` have this mean.
fn least_followers(mean: f64, most: f64) -> f64 {
    // The mean of what is cut grows with the least number.
    let mean_of = |least: f64| {
        let tail = least - least.powf(FOLLOWERS_EXPONENT) * most.powf(1.0 - FOLLOWERS_EXPONENT);
        least + tail / (FOLLOWERS_EXPONENT - 1.0)
    };
    let (mut low, mut high) = (0.0, most);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if mean_of(middle) < mean { low = middle } else { high = middle }
    }
    high
}

/// Numbers of followers of so many authors, with a heavy tail from `least` up to `most`. They are spread evenly over
/// the distribution and shuffled: of a few hundred that are drawn, the few largest would decide the mean.
fn follower_counts(authors: usize, least: f64, most: usize, random: &mut StdRng) -> Vec<usize> {
    #[expect(clippy::cast_precision_loss, reason = "at most millions")]
    let share = |author: usize| (author as f64 + 0.5) / authors as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut at a small number")]
    let count = |share: f64| (least / share.powf(1.0 / FOLLOWERS_EXPONENT)).min(1e9).round() as usize;
    let mut counts: Vec<_> = (0..authors).map(|author| count(share(author)).min(most)).collect();
    counts.shuffle(random);
    counts
}

/// The id of another post of the same moment.
fn other_post(post: &str, number: usize) -> String {
    format!("{}{number:012x}", &post[..post.len().saturating_sub(12)])
}

fn edge(partition: &str, sort: &str) -> Value {
    json!({"PK": {"S": partition}, "SK": {"S": sort}, "active": {"BOOL": true}, "version": {"N": "1"}})
}

fn tally(author: &str, followers: u64) -> Value {
    json!({
        "PK": {"S": format!("TALLY#USER#{author}#0")}, "SK": {"S": "TALLY"}, "version": {"N": followers.to_string()},
        "followers": {"N": followers.to_string()},
    })
}

fn home_row(viewer: &str, post: &str, author: &str) -> Value {
    // Rows expire 30 days after 2027-01-15, which is when virtual time begins.
    json!({
        "PK": {"S": format!("HOME#{viewer}")}, "SK": {"S": post}, "author": {"S": author},
        "expires_at": {"N": "1802592000"},
    })
}

/// What a home says that was read at the beginning: rows are pushed for 30 days.
fn visit(viewer: &str) -> Value {
    json!({
        "PK": {"S": format!("HOME#{viewer}")}, "SK": {"S": VISIT}, "pushed_until": {"N": "1802592000000"},
    })
}

/// The users as a viewer item has them: hashes of 8 bytes in order.
fn hashes(users: &[String]) -> anyhow::Result<Vec<u8>> {
    let hash = |user: &String| {
        let id: UserId = user.parse().map_err(|error| anyhow::anyhow!("{user} is no user: {error}"))?;
        // A hash shows as its digits.
        anyhow::Ok(u64::from_str_radix(&id.hash().to_string(), 16)?)
    };
    let hashes = users.iter().map(hash).collect::<anyhow::Result<std::collections::BTreeSet<_>>>()?;
    Ok(hashes.iter().flat_map(|hash| hash.to_be_bytes()).collect())
}

/// A request that has to succeed. Limits refuse some of the first ones while functions start.
async fn send(world: &Arc<World>, user: &str, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
    let request =
        || http::Request::builder().method(method).uri(path).body(Bytes::from(body.to_string())).context("a request");
    for _ in 0..10 {
        let answer = world.request(user, request()?).await;
        if answer.status().is_success() {
            return Ok(serde_json::from_slice(answer.body()).unwrap_or_default());
        }
        eprintln!("{method} {path}: {} {}", answer.status(), String::from_utf8_lossy(answer.body()));
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    anyhow::bail!("{method} {path} of {user} does not succeed")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn authors_have_as_many_followers_on_average_however_few_viewers_there_are() {
        let mut random = StdRng::seed_from_u64(1);
        for (mean, viewers) in [(200.0, 1000), (200.0, 2400), (200.0, 9600), (20.0, 1000), (200.0, 100)] {
            let least = least_followers(mean, f64::from(viewers));
            let most = usize::try_from(viewers).unwrap();
            let drawn = follower_counts(200, least, most, &mut random).into_iter().sum::<usize>();
            #[expect(clippy::cast_precision_loss, reason = "far below 2⁵³")]
            let found = drawn as f64 / 200.0;
            let expected = f64::min(mean, f64::from(viewers));
            assert!((found / expected - 1.0).abs() < 0.03, "{found} instead of {expected}, of {viewers}");
        }
    }
}
