//! INV-5 where posts are pulled: the pages of one walk come from processes of which each knows other posts of a
//! celebrity. A cursor has to keep the later page from being served with less than the earlier one knew.
//!
//! A celebrity writes a few posts at once. Until their rows appear, the follower asks for the home now and then, so
//! that several processes have read what was announced, each at another moment. Once there is something new, the
//! follower walks.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context as _;
use harness::client::{ApiError, User};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{checks::Check, commands::Actor, ledger::Ledger, world::World};

/// Scenes of one history at most.
const SCENES_MAX: usize = 2;
/// Posts that the celebrity writes.
const POSTS: usize = 4;
/// Longest that a scene waits until rows appear.
const PATIENCE: Duration = Duration::from_secs(12);
/// How often the author's rows are looked at. It is less than most calls take.
const LOOK_INTERVAL: Duration = Duration::from_millis(4);
/// Longest pause between two requests for the home.
const ASK_PAUSE_MS_MAX: u64 = 400;
/// Requests for the home at most, before the follower walks.
const ASKS_MAX: usize = 8;
/// Walks of one scene.
const WALKS: usize = 3;
/// Pages of one walk.
const PAGES: usize = POSTS + 2;
/// Longest pause between two pages.
const PAGE_PAUSE_MS_MAX: u64 = 100;
/// Rows of the author that are looked at.
const ROWS: usize = 10;

/// The posts that readers could be shown of the author's timeline whenever these changed, the first moment first.
type Snapshots = Vec<(Instant, BTreeSet<String>)>;

/// Scenes with followers of celebrities, one after the other. Nobody else may act meanwhile.
///
/// # Errors
/// If the API answers what it must not.
pub(crate) async fn scenes(
    world: &Arc<World>,
    users: &[User],
    actor: impl Fn(&User, u64) -> Actor,
    ledger: &Rc<RefCell<Ledger>>,
    mut random: StdRng,
) -> anyhow::Result<()> {
    for _ in 0..SCENES_MAX {
        let pairs = pairs(world, users, &ledger.borrow());
        let Some((author, follower)) = pairs.choose(&mut random).copied() else { return Ok(()) };
        let writing = actor(author, random.random());
        let scene = Scene { world: Arc::clone(world), author: author.id.clone(), follower: follower.clone() };
        scene.play(writing, ledger, StdRng::seed_from_u64(random.random())).await?;
    }
    Ok(())
}

/// Celebrities with each of their followers who is sure to see them.
fn pairs<'a>(world: &World, users: &'a [User], ledger: &Ledger) -> Vec<(&'a User, &'a User)> {
    let celebrities = users.iter().filter(|user| world.celebrity(&user.id).is_some_and(|it| !is_leaving(&it)));
    let sees = |follower: &User, author: &User| {
        let Some(member) = ledger.model.members.get(&follower.id) else { return false };
        let both = (follower.id.clone(), author.id.clone());
        let is_decided_about =
            |user: &User| ledger.deletions_begun.contains(&user.id) || ledger.moderated.contains(&user.id);
        !is_decided_about(follower)
            && !is_decided_about(author)
            && member.follows.contains(&author.id)
            && !member.mutes.contains(&author.id)
            && !ledger.blocks_begun.contains(&both)
            && !ledger.ended_by_followee.contains(&both)
            && !ledger.is_uncertain(&follower.id, &author.id)
    };
    celebrities
        .flat_map(|author| users.iter().filter(move |user| sees(user, author)).map(move |user| (author, user)))
        .collect()
}

/// Whether the celebrity is being demoted.
fn is_leaving(celebrity: &Value) -> bool {
    celebrity.get("demoted_at").is_some_and(|at| at.get("N").is_some())
}

struct Scene {
    world: Arc<World>,
    author: String,
    follower: User,
}

impl Scene {
    async fn play(&self, mut writing: Actor, ledger: &Rc<RefCell<Ledger>>, mut random: StdRng) -> anyhow::Result<()> {
        let celebrity = self.world.celebrity(&self.author);
        let before = self.world.newest_posts_of(&self.author, ROWS);
        let snapshots = Rc::new(RefCell::new(vec![(Instant::now(), before.clone())]));
        let looking = tokio::task::spawn_local(look(Arc::clone(&self.world), self.author.clone(), snapshots.clone()));
        let posting = tokio::task::spawn_local(async move {
            for _ in 0..POSTS {
                writing.post().await?;
            }
            Ok::<_, ApiError>(())
        });
        self.ask_until_new(&before, &snapshots, &mut random).await;
        let mut walked = Vec::new();
        for _ in 0..WALKS {
            walked.push((Instant::now(), self.walk(&mut random).await?));
        }
        posting.await.context("a celebrity who writes")??;
        looking.abort();
        if self.world.celebrity(&self.author) == celebrity {
            let ledger = &mut *ledger.borrow_mut();
            walked.iter().for_each(|(begun, shown)| self.judge(*begun, shown, &snapshots.borrow(), ledger));
        }
        Ok(())
    }

    /// Asks for the home now and then until at least two new posts are in the author's timeline.
    async fn ask_until_new(&self, before: &BTreeSet<String>, snapshots: &RefCell<Snapshots>, random: &mut StdRng) {
        let deadline = Instant::now() + PATIENCE;
        let mut asked = 0;
        let is_new = || snapshots.borrow().last().is_some_and(|(_, rows)| rows.difference(before).count() > 1);
        while !is_new() && Instant::now() < deadline {
            if asked < ASKS_MAX {
                asked += 1;
                let user = self.follower.clone();
                // Whoever asks meanwhile meets another process.
                tokio::task::spawn_local(async move { user.home(1, None).await.map(drop) });
            }
            let pause = Instant::now() + Duration::from_millis(random.random_range(0..ASK_PAUSE_MS_MAX));
            while !is_new() && Instant::now() < pause {
                sleep(LOOK_INTERVAL).await;
            }
        }
    }

    /// The ids of the posts that a walk shows, page by page; a page that fails ends it.
    async fn walk(&self, random: &mut StdRng) -> Result<Vec<String>, ApiError> {
        let (mut shown, mut cursor) = (Vec::new(), None);
        for _ in 0..PAGES {
            let page = match self.follower.home(1, cursor.as_deref()).await {
                Err(error) if error.is_transient() => break,
                page => page?,
            };
            shown.extend(page.posts.into_iter().filter(|post| post.source.is_none()).map(|post| post.id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
            sleep(Duration::from_millis(random.random_range(0..PAGE_PAUSE_MS_MAX))).await;
        }
        Ok(shown)
    }

    /// Whatever was in the author's timeline before a post was, the walk that shows the post shows, too, as far as it
    /// went. An eventually consistent read may have missed what was new when the walk began.
    fn judge(&self, begun: Instant, shown: &[String], snapshots: &Snapshots, ledger: &mut Ledger) {
        let Some(last) = shown.last() else { return };
        let stale = Duration::from_millis(self.world.network.faults().stale_ms_max);
        for post in shown {
            let Some(since) = snapshots.iter().position(|(_, rows)| rows.contains(post)) else { continue };
            let mut before = snapshots[..since].iter().rev();
            let Some((_, known)) = before.find(|(at, _)| stale.is_zero() || *at + stale <= begun) else { continue };
            let there = known.iter().filter(|row| last < *row && *row < post);
            let is_there = |row: &String| !ledger.deleted.contains(row) && !ledger.may_be_withdrawn(row);
            let skipped: Vec<_> = there.filter(|row| !shown.contains(row) && is_there(row)).collect();
            let problem = || format!("{}: home {shown:?} skips {skipped:?} of {}", self.follower.id, self.author);
            ledger.checks.decide(Check::PulledWithoutGap, skipped.is_empty(), problem);
        }
    }
}

/// Takes note of the author's rows whenever they change.
async fn look(world: Arc<World>, author: String, snapshots: Rc<RefCell<Snapshots>>) {
    let (deadline, writes) = (Instant::now() + 2 * PATIENCE, world.network.aws.writes());
    let mut looked_after = None;
    while Instant::now() < deadline {
        // Where nothing was written, there is nothing to look at.
        let written = Some(writes.dynamodb.load(Ordering::SeqCst));
        if looked_after != written {
            looked_after = written;
            let rows = world.newest_posts_of(&author, ROWS);
            let changed = snapshots.borrow().last().is_none_or(|(_, last)| *last != rows);
            if changed {
                snapshots.borrow_mut().push((Instant::now(), rows));
            }
        }
        sleep(LOOK_INTERVAL).await;
    }
}
