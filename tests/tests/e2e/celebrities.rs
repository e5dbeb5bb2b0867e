//! Authors whose posts are pulled. Readers must see no difference, not even while an author becomes a celebrity or
//! stops being one. The threshold is low here. A process caches its list of celebrities for a second, so a promotion
//! takes three seconds.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use futures::{TryStreamExt, future::try_join_all, stream::FuturesUnordered};
use harness::{
    client::{Answer, Post, User},
    costs::Cost,
    deployment::{Deployment, unique},
    dev_client::{DevClient, key},
    stack::{Options, Stack},
    wait::{DEADLINE, eventually, persist, within},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{copied, home_becomes, refusal};

/// The number of followers of a celebrity in these tests, which the stack gets as a parameter.
const THRESHOLD: usize = 10;
/// A promotion takes three cache lifetimes, and one more until a writer has read the new list.
const PROMOTION: Duration = Duration::from_secs(5);
/// This long after a post is applied, every page must show it. Processes ask once a second what is new of celebrities,
/// and a busy machine is slow.
const SEEN_AFTER: Duration = Duration::from_secs(6);

async fn own_stack(test: &str) -> Result<Option<(Stack, Deployment)>> {
    if !Deployment::starts_stacks(test) {
        return Ok(None);
    }
    let parameters = [("CelebrityFollowers", "10"), ("CelebrityListSeconds", "1"), ("ShowCosts", "true")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let options = Options { parameters, check_access: true, ..Options::default() };
    let stack = tokio::task::spawn_blocking(|| Stack::start(options)).await??;
    let deployment = Deployment::at(stack.url())?;
    Ok(Some((stack, deployment)))
}

async fn is_celebrity(dev: &DevClient, author: &User) -> Result<bool> {
    let key = key("CELEBRITIES", &format!("USER#{}", author.id));
    let found = dev.dynamodb("GetItem", &json!({ "TableName": "tidings-Commands", "Key": key })).await?;
    Ok(found.get("Item").is_some())
}

/// An accepted post.
struct AcceptedPost {
    id: String,
    version: u64,
    /// When it was known that the author's log is applied up to the post.
    applied_at: Option<Instant>,
}

/// An author's accepted posts, oldest first.
#[derive(Default)]
struct Accepted(Mutex<Vec<AcceptedPost>>);

impl Accepted {
    fn posts(&self) -> MutexGuard<'_, Vec<AcceptedPost>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn post(&self, author: &User, text: &str) -> Result<()> {
        let key = unique();
        let post = persist(DEADLINE, |_| {}, || author.post(text, Some(&key))).await?;
        self.posts().push(AcceptedPost { id: post.value.id, version: post.version, applied_at: None });
        Ok(())
    }

    /// Takes note of which posts are applied by now.
    async fn note_applied(&self, author: &User) -> Result<()> {
        let applied = persist(DEADLINE, |_| {}, || author.home(1, None)).await?.freshness.version;
        let mut posts = self.posts();
        for post in posts.iter_mut().filter(|post| post.version <= applied) {
            post.applied_at.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// The posts that were applied before this moment.
    fn applied_before(&self, moment: Instant) -> Vec<String> {
        let posts = self.posts();
        posts.iter().filter(|post| post.applied_at.is_some_and(|at| at < moment)).map(|post| post.id.clone()).collect()
    }

    /// All posts, newest first.
    fn newest_first(&self) -> Vec<String> {
        self.posts().iter().rev().map(|post| post.id.clone()).collect()
    }

    /// Walks the reader's home repeatedly until `over` is set. No post may appear twice, and none may be missing.
    async fn watch(&self, reader: &User, limit: u32, over: &AtomicBool) -> Result<usize> {
        let mut walks = 0;
        while !over.load(Ordering::Relaxed) {
            let expected = Instant::now().checked_sub(SEEN_AFTER).map(|moment| self.applied_before(moment));
            let shown: Vec<_> = persist(DEADLINE, |_| {}, || reader.walk_home(limit)).await?;
            let ids: Vec<_> = shown.iter().map(|post: &Post| post.id.as_str()).collect();
            ensure!(ids.is_sorted_by(|a, b| a > b), "not in order, or a post appears twice: {ids:?}");
            let missing: Vec<_> = expected.iter().flatten().filter(|id| !ids.contains(&id.as_str())).collect();
            ensure!(missing.is_empty(), "{} misses {missing:?} in walk {walks} by {limit}", reader.id);
            walks += 1;
        }
        Ok(walks)
    }
}

async fn becomes_celebrity(dev: &DevClient, author: &User) -> Result<()> {
    within(DEADLINE, "the author is a celebrity", async || {
        ensure!(is_celebrity(dev, author).await?, "the author is not a celebrity yet");
        anyhow::Ok(())
    })
    .await
}

async fn join(deployment: &Deployment, author: &User) -> Result<User> {
    let follower = deployment.member("follower").await?;
    persist(DEADLINE, |_| {}, || follower.follow(&author.id)).await?;
    Ok(follower)
}

/// Runs `work` while the author posts and some readers walk their homes.
async fn under_load<T>(
    author: &User,
    accepted: &Accepted,
    readers: &[User],
    label: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let over = AtomicBool::new(false);
    let posting = async {
        let mut number = 0;
        while !over.load(Ordering::Relaxed) {
            accepted.post(author, &format!("{label} {number}")).await?;
            accepted.note_applied(author).await?;
            number += 1;
            sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    let watching: FuturesUnordered<_> =
        readers.iter().zip([3, 100, 20, 7]).map(|(reader, limit)| accepted.watch(reader, limit, &over)).collect();
    let watching = async {
        let walks: Vec<_> = watching.try_collect().await?;
        ensure!(walks.iter().all(|walks| *walks > 0), "a reader made no walk: {walks:?}");
        ensure!(!accepted.applied_before(Instant::now()).is_empty(), "no post was missed, because none was expected");
        Ok(())
    };
    let work = async {
        let done = work.await;
        over.store(true, Ordering::Relaxed);
        done
    };
    let (done, (), ()) = tokio::try_join!(work, posting, watching)?;
    Ok(done)
}

async fn all_see(readers: &[User], accepted: &Accepted) -> Result<()> {
    let ids = accepted.newest_first();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    try_join_all(readers.iter().map(|reader| home_becomes(reader, &ids))).await?;
    Ok(())
}

#[tokio::test]
async fn readers_miss_nothing_while_an_author_becomes_a_celebrity_and_stops_being_one() -> Result<()> {
    let test = "readers_miss_nothing_while_an_author_becomes_a_celebrity_and_stops_being_one";
    let Some((_stack, deployment)) = own_stack(test).await? else { return Ok(()) };
    let dev = deployment.dev();
    let author = deployment.member("author").await?;
    let accepted = Accepted::default();
    accepted.post(&author, "before anybody followed").await?;
    let mut followers = try_join_all((0..4).map(|_| join(&deployment, &author))).await?;

    // Promotion: users follow the author, who posts at the same time, while the first followers read.
    let crossing = async {
        let mut joined = Vec::new();
        for _ in 0..2 * THRESHOLD {
            joined.push(join(&deployment, &author).await?);
            sleep(Duration::from_millis(150)).await;
        }
        becomes_celebrity(&dev, &author).await?;
        // Waits until posts are not pushed any more, and until caches from before have expired.
        sleep(SEEN_AFTER).await;
        Ok(joined)
    };
    let joined = under_load(&author, &accepted, &followers.clone(), "up", crossing).await?;
    followers.extend(joined);
    all_see(&followers, &accepted).await?;
    accepted.post(&author, "pulled only").await?;
    let late = join(&deployment, &author).await?;
    followers.push(late.clone());
    all_see(&followers, &accepted).await?;
    dev.idle(DEADLINE).await?;
    let newest = accepted.newest_first().remove(0);
    for follower in &followers {
        ensure!(!copied(&dev, follower).await?.contains(&newest), "{} has a copy", follower.id);
    }
    assert_eq!(copied(&dev, &late).await?, BTreeSet::new(), "a follower of a celebrity gets no copies");
    ensure!(copied(&dev, &author).await?.contains(&newest), "the author's own home has every post");

    // Demotion: possible only after the number of followers has fallen, and only when an administrator asks for it.
    let demote = async || dev.invoke("DemoteAuthor", &json!({ "user": author.id })).await;
    match demote().await {
        Err(refused) => ensure!(refused.to_string().contains("would become a celebrity again"), "{refused}"),
        Ok(begun) => bail!("demoted with too many followers: {begun}"),
    }
    let (gone, left) = followers.split_at(followers.len() + 1 - THRESHOLD);
    try_join_all(gone.iter().map(|follower| follower.unfollow(&author.id))).await?;
    eventually("few followers are left", async || {
        let count = author.user(&author.id).await?.followers;
        ensure!(count < THRESHOLD as u64, "{count}");
        anyhow::Ok(())
    })
    .await?;
    let demotion = async {
        let begun: Value = demote().await?;
        assert_eq!(begun["author"], author.id.as_str());
        within(DEADLINE, "the author is a celebrity no longer", async || {
            ensure!(!is_celebrity(&dev, &author).await?, "the author is still a celebrity");
            anyhow::Ok(())
        })
        .await?;
        sleep(SEEN_AFTER).await;
        Ok(())
    };
    under_load(&author, &accepted, left, "down", demotion).await?;
    all_see(left, &accepted).await?;
    dev.idle(DEADLINE).await?;
    let all: BTreeSet<_> = accepted.newest_first().into_iter().collect();
    for follower in left {
        assert_eq!(copied(&dev, follower).await?, all, "{}", follower.id);
    }
    for follower in gone {
        ensure!(follower.walk_home(100).await?.is_empty(), "{} does not follow any more", follower.id);
    }
    let again = demote().await;
    ensure!(again.is_err_and(|refused| refused.to_string().contains("is not a celebrity")), "demoted twice");
    assert!(dev.put_aside().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn posts_of_a_celebrity_appear_and_disappear_like_all_others() -> Result<()> {
    let Some((_stack, deployment)) = own_stack("posts_of_a_celebrity_appear_and_disappear_like_all_others").await?
    else {
        return Ok(());
    };
    let dev = deployment.dev();
    let (star, other) = (deployment.member("star").await?, deployment.member("other").await?);
    let fans = try_join_all((0..THRESHOLD).map(|_| join(&deployment, &star))).await?;
    let reader = &fans[0];
    reader.follow(&other.id).await?;
    let pushed = star.post("pushed", None).await?.value.id;
    becomes_celebrity(&dev, &star).await?;
    sleep(PROMOTION).await;
    let first = star.post("pulled", None).await?.value.id;
    let between = other.post("between", None).await?.value.id;
    let second = star.post("pulled, too", None).await?.value.id;
    home_becomes(reader, &[&second, &between, &first, &pushed]).await?;
    ensure!(!copied(&dev, reader).await?.contains(&second), "it was pushed");
    for order in ["ranked", "personalized"] {
        let mut ranked: Vec<_> = reader.walk_home_by(order, 1).await?.into_iter().map(|post| post.id).collect();
        ranked.sort_by(|a, b| b.cmp(a));
        assert_eq!(ranked, [&second, &between, &first, &pushed].map(String::as_str), "{order}");
    }

    star.delete_post(&first).await?;
    home_becomes(reader, &[&second, &between, &pushed]).await?;
    let unfollow = reader.unfollow(&star.id).await?.version;
    let ids = |posts: Vec<Post>| -> Vec<String> { posts.into_iter().map(|post| post.id).collect() };
    assert_eq!(ids(reader.at_least(unfollow).walk_home(1).await?), [between.as_str()]);
    let follow = reader.follow(&star.id).await?.version;
    assert_eq!(ids(reader.at_least(follow).walk_home(1).await?), [&second, &between, &pushed].map(String::as_str));
    let mute = reader.mute(&star.id).await?.version;
    assert_eq!(ids(reader.at_least(mute).walk_home(1).await?), [between.as_str()]);
    let unmute = reader.unmute(&star.id).await?.version;
    assert_eq!(ids(reader.at_least(unmute).walk_home(2).await?), [&second, &between, &pushed].map(String::as_str));
    let block = reader.block(&star.id).await?.version;
    assert_eq!(ids(reader.at_least(block).walk_home(1).await?), [between.as_str()]);
    let blocked = (403, "blocked".to_owned());
    assert_eq!(refusal(reader.follow(&star.id).await)?, blocked);
    a_page_with_a_celebritys_posts_costs_one_round_trip_more_at_most(&deployment, &star, &fans[1..]).await
}

/// The bounds for a home page of 20 posts. `fans` follow only the celebrity `star`.
async fn a_page_with_a_celebritys_posts_costs_one_round_trip_more_at_most(
    deployment: &Deployment,
    star: &User,
    fans: &[User],
) -> Result<()> {
    let dev = deployment.dev();
    let others = try_join_all((0..4).map(|_| deployment.member("other"))).await?;
    let reader = &fans[0];
    for other in &others {
        reader.follow(&other.id).await?;
    }
    let text = "a post of a usual length ".repeat(4);
    for _ in 0..8 {
        for author in others.iter().chain([star]) {
            author.post(&text, None).await?;
        }
    }
    dev.settle(DEADLINE).await?;

    let page = async |reader: &User| -> Result<Cost> {
        let answer = Answer::to(reader.request(Method::GET, "/v1/feeds/home")).await?;
        let page: Value = answer.json()?;
        let posts = page["posts"].as_array().context("no posts")?;
        let pulled = posts.iter().filter(|post| post["author"]["id"] == star.id.as_str()).count();
        ensure!((posts.len(), pulled) == (20, 4), "{page}");
        Cost::of(&answer)?.context("no costs")
    };
    let (nothing, all) = (page(reader).await?, page(reader).await?);
    // Each of them may ask which tables are read, and who is a celebrity, which costs half a unit each.
    ensure!(nothing.round_trips <= 3 && nothing.read_units <= 14.0, "nothing cached: {nothing:?}");
    ensure!(all.round_trips <= 2 && all.read_units <= 3.5, "all cached: {all:?}");

    dev.pause_sources(true).await?;
    let version = reader.mute(&fans[1].id).await?.version;
    sleep(PROMOTION).await;
    let overlay = page(&reader.at_least(version)).await?;
    ensure!(overlay.round_trips <= 4, "with an overlay: {overlay:?}");
    dev.pause_sources(false).await
}
