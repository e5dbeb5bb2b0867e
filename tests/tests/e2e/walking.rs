//! INV-5, by random walks through every feed. During a walk, posts are created and deleted, and authors are followed,
//! muted and blocked. No walk may show a post twice, skip a post that was there all the time, or show a post that was
//! gone before the walk began.
//!
//! The reference model says what was there: a copy of it is kept after each command. Between two commands, both states
//! and everything between them are right. The logs of users are applied independently, so a reader's new follow may
//! show a post whose deletion is not projected yet.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use harness::{
    client::{ApiError, Post, Profile, ProfileInput, User},
    deployment::{Deployment, unique},
    model::{Feed, Judge, Member, Model, Said},
    wait::eventually,
};
use rand::{
    Rng, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, IteratorRandom},
};
use tokio::sync::Mutex;

/// The number of authors.
const AUTHORS: usize = 6;
/// The number of posts of each author before the walks.
const POSTS: usize = 7;
const ROUNDS: usize = 3;
/// The most pages of a walk. There are fewer posts than that.
const PAGES_MAX: usize = 500;

/// All users, and the model of the accepted commands.
struct World {
    reader: User,
    authors: Vec<User>,
    tag: String,
    model: Model,
    /// The reader's newest version.
    version: u64,
    /// The model before and after each command of this round.
    states: Vec<Model>,
    random: StdRng,
}

#[derive(Debug, Clone)]
struct Walk {
    feed: Feed,
    /// The order of a home.
    order: &'static str,
    limit: u32,
    /// Whether the walk asks for the effect of the reader's own commands.
    exact: bool,
}

#[tokio::test]
async fn no_walk_repeats_or_skips_a_post_while_everything_changes() -> Result<()> {
    let seed = rand::random();
    eprintln!("random walks from seed {seed}");
    let world = world(&Deployment::shared()?, seed).await?;
    let reader = world.reader.clone();
    let world = Arc::new(Mutex::new(world));
    for _ in 0..ROUNDS {
        at_rest(&mut *world.lock().await).await?;
        let walks = world.lock().await.walks()?;
        try_join_all(walks.into_iter().map(|walk| go(&reader, walk, &world))).await?;
    }
    Ok(())
}

async fn world(deployment: &Deployment, seed: u64) -> Result<World> {
    let reader = deployment.member("reader").await?;
    let authors = try_join_all((0..AUTHORS).map(|_| deployment.member("author"))).await?;
    let mut model = Model::default();
    for user in authors.iter().chain([&reader]) {
        let Profile { handle, display_name, avatar_url, .. } = user.profile().await?;
        let profile = Some(ProfileInput { handle, display_name, avatar_url });
        model.members.insert(user.id.clone(), Member { profile, ..Member::default() });
    }
    let random = StdRng::seed_from_u64(seed);
    let mut world = World { reader, authors, tag: unique(), model, version: 0, states: Vec::new(), random };
    for number in 0..AUTHORS * POSTS {
        world.post(number % AUTHORS).await?;
    }
    for author in world.authors.clone().iter().skip(1) {
        world.version = world.reader.follow(&author.id).await?.version;
        world.own().follows.insert(author.id.clone());
    }
    Ok(world)
}

/// Begins a round: waits until every feed is as the model says.
async fn at_rest(world: &mut World) -> Result<()> {
    let judge = Judge::new(&world.model);
    let reader = &world.reader;
    eventually("every feed is as the model says", async || {
        let ids = |posts: Vec<Post>| posts.into_iter().map(|post| post.id).collect::<BTreeSet<_>>();
        let mut home = reader.walk_home(100).await?;
        home.retain(|post| post.source.is_none());
        ensure!(ids(home) == judge.ids(&reader.id, &Feed::Home), "the home");
        let tagged = ids(reader.walk_posts_with(&world.tag, 100).await?);
        ensure!(tagged == judge.ids(&reader.id, &Feed::Tag(world.tag.clone())), "the tag");
        for author in &world.authors {
            let posts = ids(reader.walk_posts_of(&author.id, 100).await?);
            ensure!(posts == judge.ids(&reader.id, &Feed::Author(author.id.clone())), "the posts of {}", author.id);
        }
        Ok(())
    })
    .await?;
    world.states = vec![world.model.clone()];
    Ok(())
}

/// Walks a feed to its end, with a command after every other page. Then checks what was shown.
async fn go(reader: &User, walk: Walk, world: &Mutex<World>) -> Result<()> {
    let reader = if walk.exact { reader.at_least(world.lock().await.version) } else { reader.clone() };
    let mut shown = Vec::new();
    let mut cursor = None;
    for page in 0.. {
        ensure!(page < PAGES_MAX, "{walk:?} does not end");
        let (posts, next) = walk.page(&reader, cursor.as_deref()).await?;
        shown.extend(posts.into_iter().filter(|post| post.source.is_none()));
        cursor = next;
        if cursor.is_none() {
            break;
        }
        if page % 2 == 0 {
            world.lock().await.act().await?;
        }
    }
    let world = world.lock().await;
    walk.judge(&world.states, &reader.id, &shown)
        .with_context(|| format!("{walk:?} after {} commands", world.states.len()))
}

impl Walk {
    async fn page(&self, reader: &User, cursor: Option<&str>) -> Result<(Vec<Post>, Option<String>), ApiError> {
        let page = match &self.feed {
            Feed::Home if self.order == "chronological" => {
                let page = reader.home(self.limit, cursor).await?;
                return Ok((page.posts, page.next_cursor));
            }
            Feed::Home => {
                let page = reader.home_by(self.order, self.limit, cursor).await?;
                return Ok((page.posts, page.next_cursor));
            }
            Feed::Author(author) => reader.posts_of(author, self.limit, cursor).await?,
            Feed::Tag(tag) => reader.posts_with(tag, self.limit, cursor).await?,
            Feed::All => reader.trending(self.limit, cursor).await?,
        };
        Ok((page.posts, page.next_cursor))
    }

    /// `states` are the states of the model during the walk.
    fn judge(&self, states: &[Model], viewer: &str, shown: &[Post]) -> Result<()> {
        let ids = |model: &Model| Judge::new(model).ids(viewer, &self.feed);
        let in_states: Vec<_> = states.iter().map(ids).collect();
        let (first, later) = in_states.split_first().context("no state")?;
        let ever: BTreeSet<_> = states.iter().flat_map(|model| ids(&with_all_posts(model, states))).collect();
        let known = |post: &&Post| states.iter().any(|model| model.members.contains_key(&post.author.id));
        let mut seen = BTreeSet::new();
        // Posts of other tests trend, too.
        for post in shown.iter().filter(known) {
            ensure!(seen.insert(&post.id), "{} appears twice", post.id);
            ensure!(ever.contains(&post.id), "{} of {} was gone before", post.id, post.author.id);
        }
        if self.feed == Feed::All {
            // Only the best 200 posts of all tests trend.
            return Ok(());
        }
        for id in first.iter().filter(|id| later.iter().all(|state| state.contains(*id))) {
            ensure!(seen.contains(id), "{id} was there all the time and is skipped");
        }
        let sorted = shown.windows(2).all(|pair| pair[0].id > pair[1].id);
        ensure!(sorted || self.order != "chronological", "not newest first");
        Ok(())
    }
}

/// The model with every post that was there in any of the states.
fn with_all_posts(model: &Model, states: &[Model]) -> Model {
    let mut all = model.clone();
    for (user, member) in states.iter().flat_map(|state| &state.members) {
        let posts = member.posts.iter().map(|(post, said)| (post.clone(), said.clone()));
        all.members.entry(user.clone()).or_default().posts.extend(posts);
    }
    all
}

impl World {
    fn own(&mut self) -> &mut Member {
        self.model.members.entry(self.reader.id.clone()).or_default()
    }

    /// One walk of every kind, all at the same time.
    fn walks(&mut self) -> Result<Vec<Walk>> {
        let author = self.authors.choose(&mut self.random).context("no authors")?.id.clone();
        let feeds = [
            (Feed::Home, "chronological"),
            (Feed::Home, "chronological"),
            (Feed::Home, "ranked"),
            (Feed::Home, "personalized"),
            (Feed::Author(author), "chronological"),
            (Feed::Tag(self.tag.clone()), "chronological"),
            (Feed::All, "by heat"),
        ];
        let walk = |(feed, order)| {
            let limit = [1, 2, 3, 5, 7, 20].choose(&mut self.random).copied().unwrap_or(1);
            Walk { feed, order, limit, exact: self.random.random() }
        };
        Ok(feeds.map(walk).into())
    }

    async fn post(&mut self, author: usize) -> Result<()> {
        let tag = if self.random.random() { format!(" #{}", self.tag) } else { String::new() };
        let text = format!("post {}{tag}", self.random.random::<u32>());
        let post = self.authors[author].post(&text, None).await?.value.id;
        // Some posts trend.
        if self.random.random() {
            self.authors[(author + 1) % AUTHORS].like(&post).await?;
        }
        let member = self.model.members.entry(self.authors[author].id.clone()).or_default();
        member.posts.insert(post, Said::new(&text));
        Ok(())
    }

    /// One random command by a random user.
    async fn act(&mut self) -> Result<()> {
        let author = self.random.random_range(0..AUTHORS);
        let (reader, id) = (self.reader.clone(), self.authors[author].id.clone());
        let on: bool = self.random.random();
        match self.random.random_range(0..10) {
            0..3 => self.post(author).await?,
            3..6 => {
                let member = self.model.members.entry(id).or_default();
                let Some(post) = member.posts.keys().choose(&mut self.random).cloned() else { return Ok(()) };
                self.authors[author].delete_post(&post).await?;
                member.posts.remove(&post);
            }
            6..8 => {
                let blocked = self.own().blocks.contains(&id);
                self.version = match on && !blocked {
                    true => reader.follow(&id).await?.version,
                    false => reader.unfollow(&id).await?.version,
                };
                change(&mut self.own().follows, &id, on && !blocked);
            }
            8 => {
                self.version = if on { reader.mute(&id).await? } else { reader.unmute(&id).await? }.version;
                change(&mut self.own().mutes, &id, on);
            }
            _ => {
                self.version = if on { reader.block(&id).await? } else { reader.unblock(&id).await? }.version;
                change(&mut self.own().blocks, &id, on);
                if on {
                    self.own().follows.remove(&id);
                }
            }
        }
        self.states.push(self.model.clone());
        Ok(())
    }
}

fn change(set: &mut BTreeSet<String>, id: &str, on: bool) {
    if on {
        set.insert(id.to_owned())
    } else {
        set.remove(id)
    };
}
