//! One history: a few users send random commands and queries while things go wrong; then everything comes to rest and
//! is compared; then users walk through feeds while everything goes on; and at rest, once more.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use aws_limits::Limits;
use harness::{
    client::User,
    stack::{RATE_LIMITS, UNLIMITED},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidings::model::{CLOCK_DIFFERENCE_MAX, limits::USER_ID_BYTES_MAX};
use tidings_local::sources::Chaos;
use tokio::task::LocalSet;

use crate::{
    checks::Checks,
    commands::Actor,
    crowds, damage, determinism,
    faults::{Fault, Faults, MAX_RECEIVES},
    ledger::Ledger,
    limits::{self, Nobody},
    moderation, next_release, notices, pulled, queries, rebuilds, rest, search, statistics,
    trace::{Detail, Trace},
    walks,
    world::{Setup, World, aws_in_memory},
};

/// What a history is to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Everything else follows from it.
    pub seed: u64,
    /// Commands of all users together.
    pub commands: usize,
    /// Kinds of faults that do not happen.
    pub without: BTreeSet<Fault>,
    /// Whether AWS's limits are in force, as for a small fraction of the design's load.
    pub aws_limits: bool,
    /// What to print on the way.
    pub detail: Detail,
}

/// What a history came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Hash of all that happened.
    pub hash: u64,
    /// What was checked, and what is wrong.
    pub checks: Checks,
    /// How often each fault happened.
    pub faults: BTreeMap<Fault, u64>,
    /// Calls of AWS services.
    pub calls: u64,
    /// Sums of the functions' metrics, by name. Of a metric that consists of durations, the number of these.
    pub metrics: BTreeMap<String, u64>,
    /// Virtual time that passed.
    pub virtual_ms: u64,
    /// Processor time that it took.
    pub processor_ms: u64,
}

/// After this time at rest, no process shows cards, rows or trending posts from a cache that is older than the rest.
const CACHES_LIVE: Duration = Duration::from_secs(10);
/// With this fraction of AWS's limits, a few users are throttled now and then.
const LIMITS_FRACTION: f64 = 0.01;
/// Users who walk through feeds.
const WALKERS: usize = 3;
/// Share of the histories in which something is rebuilt while users act, and share of those in which it is at rest.
/// A rebuild takes as many calls as everything else.
const REBUILT_MEANWHILE: f64 = 0.1;
const REBUILT_AT_REST: f64 = 0.1;
/// Share of the histories with a shared cache.
const HAS_CACHE: f64 = 0.3;
/// Share of the histories in which homes that nobody reads get no rows, and longest pause of a user there.
const HAS_DORMANT: f64 = 0.3;
const DORMANT_PAUSE_MS_MAX: u64 = 6000;
/// Share of the histories in which most of the first comments stand in other partitions than their posts.
const COMMENTS_ARE_SPREAD: f64 = 0.25;
/// How long users act while something is rebuilt, in milliseconds.
const ACTING_MS: Range<u64> = 20_000..240_000;
/// How often an operator tries to demote somebody.
const DEMOTIONS_TRIED: usize = 12;
/// Longest pause of an operator between two tries.
const DEMOTION_PAUSE_MS_MAX: u64 = 3_000;
/// Share of the commands that come while users walk through feeds.
const WALKING_SHARE: f64 = 0.25;

/// Runs a history. The process has to be new: it can do this once.
///
/// # Errors
/// If the world itself fails, which is no violation but a fault of the simulation or of the system beyond its contract.
pub fn run(options: Options) -> anyhow::Result<Report> {
    determinism::enter(options.seed);
    // A thread of its own has no thread-local state from before.
    let thread = std::thread::Builder::new().stack_size(256 << 20).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let local = LocalSet::new();
        local.block_on(&runtime, async {
            determinism::start_clock();
            history(options).await
        })
    })?;
    thread.join().map_err(|_| anyhow::anyhow!("the history panicked"))?
}

async fn history(options: Options) -> anyhow::Result<Report> {
    let mut random = StdRng::seed_from_u64(options.seed);
    let faults = Faults::draw(&mut random, &options.without);
    let plan = Plan::draw(&mut random);
    let chaos = Chaos { duplicate_records: faults.duplicates, reorder_records: faults.reordering };
    let limits = options.aws_limits.then(|| limits::Setup {
        limits: Limits::new_account(),
        fraction: LIMITS_FRACTION,
        stretch_transactions: false,
        contenders: None,
        watch: Arc::new(Nobody),
    });
    let aws = match faults.stale_ms_max {
        0 => aws_in_memory()?,
        _ => aws_in_memory()?.with_replica(options.seed).map_err(|error| anyhow::anyhow!("no replica: {error}"))?,
    };
    let setup = Setup {
        seed: random.random(),
        parameters: &plan.parameters(),
        chaos,
        trace: Trace::new(options.detail),
        limits,
        has_cache: plan.has_cache,
        max_receives: faults.redrive.then_some(MAX_RECEIVES),
        aws,
    };
    let world = World::start(setup).await?;
    let trace = Arc::clone(&world.network.trace);
    trace.note(Detail::Users, format_args!("{plan:?} {faults:?}"));
    let ledger = Rc::new(RefCell::new(Ledger::default()));
    ledger.borrow_mut().rate_limit = plan.rate_limit;
    ledger.borrow_mut().may_delete_account = plan.accounts_are_deleted;
    let names = Rc::new(plan.names());
    let users: Vec<_> = names.iter().map(|name| world.user(name)).collect();
    let mut actors: Vec<_> = users
        .iter()
        .map(|user| {
            Actor::new(user.clone(), Rc::clone(&names), Rc::clone(&ledger), Arc::clone(&trace), random.random())
        })
        .collect();

    let history = async {
        world.set_faults(faults.clone());
        for actor in &mut actors {
            actor.join().await?;
        }
        // Only who has a profile has followers.
        let ghosts = crowds::haunt(&world, &names[0], plan.ghosts);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "small"
        )]
        let walking = (options.commands as f64 * WALKING_SHARE) as usize;
        for user in users.iter().take(plan.second_devices) {
            let seed = random.random();
            let second = Actor::new(user.clone(), Rc::clone(&names), Rc::clone(&ledger), Arc::clone(&trace), seed);
            actors.push(Actor { is_second: true, ..second });
        }
        let acting = act(actors, options.commands - walking, &world, &mut random, &plan);
        let mut actors = acting.await?;
        world.settle().await?;
        if plan.has_celebrities() {
            // By then, every process knows who is a celebrity.
            tokio::time::sleep(plan.celebrities_known_within()).await;
            world.set_faults(Faults { outage: None, ..faults.clone() });
            let actor = |user: &User, seed| {
                Actor::new(user.clone(), Rc::clone(&names), Rc::clone(&ledger), Arc::clone(&trace), seed)
            };
            let seed = StdRng::seed_from_u64(random.random());
            pulled::scenes(&world, &users, actor, &ledger, seed).await?;
            world.settle().await?;
        }
        rest::compare_tables(&world, &mut ledger.borrow_mut(), &ghosts);
        settled(&mut ledger.borrow_mut());
        if random.random_bool(COMMENTS_ARE_SPREAD) {
            crowds::spread_comments(&world)?;
        }
        if faults.replay {
            world.replay().await?;
        }
        world.forget_old_values(CACHES_LIVE).await;
        world.set_faults(Faults { outage: None, ..faults.clone() });
        let seed = StdRng::seed_from_u64(random.random());
        let mut newer = faults.next_release.then(|| next_release::deploy(&world, Rc::clone(&names), seed));
        let mut walkers = Vec::new();
        for _ in 0..WALKERS {
            let Some(user) = users.choose(&mut random).cloned() else { break };
            let seed = StdRng::seed_from_u64(random.random());
            walkers.push(tokio::task::spawn_local(walks::walk(user, Rc::clone(&ledger), seed)));
        }
        actors = act(actors, walking, &world, &mut random, &plan).await?;
        for walker in walkers {
            walker.await.context("a walker")??;
        }
        drop(actors);
        if let Some(newer) = &mut newer {
            newer.deployed().await?;
        }
        world.settle().await?;
        if faults.damages > 0 {
            damage::damage(&world, faults.damages, &mut random);
            // What a finding hides is found in the next sweep: nothing else is said of a user whose log is not applied.
            for _ in 0..2 {
                world.request_sweep();
                world.settle().await?;
            }
            rest::compare_repaired(&world, &mut ledger.borrow_mut(), &ghosts);
        }
        rest::compare_tables(&world, &mut ledger.borrow_mut(), &ghosts);
        if let Some(newer) = newer {
            newer.check(&world, &mut ledger.borrow_mut());
        }

        if random.random_bool(REBUILT_AT_REST) {
            let unread = notices::unread(&users, &ledger).await?;
            world.set_faults(Faults { outage: None, ..faults.clone() });
            let before = rebuilds::rebuild_at_rest(&world, &mut random).await?;
            world.settle().await?;
            before.compare(&mut ledger.borrow_mut().checks, &world);
            rest::compare_tables(&world, &mut ledger.borrow_mut(), &ghosts);
            tokio::time::sleep(Duration::from_secs(2 * u64::from(plan.celebrity_list_seconds))).await;
            notices::compare_unread(&unread, &users, &ledger).await?;
        }
        world.forget_old_values(CACHES_LIVE).await;
        world.make_queries_persistent();
        rest::compare_api(&users, &ledger, &mut random, !ghosts.is_empty()).await?;
        notices::compare_notifications(&world, &users, &ledger, &mut random).await?;
        statistics::compare_shown(&world, &users, &ledger).await?;
        search::compare_searches(&users, &ledger, &mut random, ghosts.is_empty()).await?;
        anyhow::Ok(())
    };
    let ended = history.await;
    let mut checks = std::mem::take(&mut ledger.borrow_mut().checks);
    if let Err(error) = ended {
        checks.violations.push(format!("the history broke off: {error:#}"));
    }
    for violation in &checks.violations {
        trace.note(Detail::Users, format_args!("VIOLATION {violation}"));
    }
    let (faults, calls) = world.network.counts();
    Ok(Report {
        seed: options.seed,
        hash: trace.hash(),
        checks,
        faults,
        calls,
        metrics: world.network.metrics.all(),
        virtual_ms: u64::try_from(determinism::elapsed().as_millis()).unwrap_or(u64::MAX),
        processor_ms: determinism::processor_ms(),
    })
}

/// So many followers that nobody becomes a celebrity.
const NOBODY: u32 = 10_000;

/// What differs between histories beside faults.
#[derive(Debug)]
struct Plan {
    users: usize,
    /// Whether the last user's id is as long as an id may be.
    has_long_id: bool,
    celebrity_followers: u32,
    celebrity_list_seconds: u32,
    /// Users who also post and comment with a second device.
    second_devices: usize,
    /// Longest pause of a user between two commands.
    pause_ms_max: u64,
    /// Followers of the first user who never do anything: enough of them make a large audience.
    ghosts: usize,
    /// Rows that one step of a walk reads or writes at most. With few of them, walks take many steps.
    walk_step_rows: u32,
    /// Decisions of an operator about posts and users, while users act.
    decisions: usize,
    /// Whether users may delete their accounts.
    accounts_are_deleted: bool,
    /// How much each user may do of each kind in an hour or a day, if that is little.
    rate_limit: Option<u32>,
    /// Whether there is a shared cache.
    has_cache: bool,
    /// After how many seconds without a visit a home gets no rows, if it ever does not.
    dormant_seconds: Option<u32>,
}

impl Plan {
    fn draw(random: &mut StdRng) -> Self {
        let ghosts = if random.random_bool(0.1) { random.random_range(101..700) } else { 0 };
        Self {
            users: random.random_range(3..8),
            has_long_id: random.random_bool(0.2),
            celebrity_followers: if ghosts > 0 { NOBODY } else { *[2, 3, NOBODY].choose(random).unwrap_or(&NOBODY) },
            celebrity_list_seconds: *[1, 5, 20].choose(random).unwrap_or(&5),
            second_devices: random.random_range(0..3),
            pause_ms_max: *[20, 100, 500].choose(random).unwrap_or(&100),
            ghosts,
            walk_step_rows: if ghosts > 0 {
                *[50, 150, 500].choose(random).unwrap_or(&500)
            } else {
                *[1, 2, 3, 10, 500].choose(random).unwrap_or(&500)
            },
            decisions: if random.random_bool(0.4) { random.random_range(1..20) } else { 0 },
            // Ghosts have no logs, which could hold the end of a follow.
            accounts_are_deleted: ghosts == 0 && random.random_bool(0.4),
            rate_limit: random.random_bool(0.1).then(|| random.random_range(1..8)),
            has_cache: random.random_bool(HAS_CACHE),
            dormant_seconds: random.random_bool(HAS_DORMANT).then(|| random.random_range(22..60)),
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = (0..self.users).map(|number| format!("user{number}")).collect();
        if let Some(last) = names.last_mut().filter(|_| self.has_long_id) {
            *last = format!("{last:x<USER_ID_BYTES_MAX$}");
        }
        names
    }

    fn has_celebrities(&self) -> bool {
        self.celebrity_followers < NOBODY
    }

    /// Three lifetimes of the list of celebrities, and what clocks may differ.
    fn celebrities_known_within(&self) -> Duration {
        Duration::from_secs(u64::from(3 * self.celebrity_list_seconds)) + CLOCK_DIFFERENCE_MAX
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let count = self.rate_limit.map_or_else(|| UNLIMITED.to_owned(), |count| count.to_string());
        let rate_limits = RATE_LIMITS.map(|name| (name, count.clone()));
        let mut parameters = vec![
            ("CelebrityFollowers", self.celebrity_followers.to_string()),
            ("CelebrityListSeconds", self.celebrity_list_seconds.to_string()),
            ("WalkStepRows", self.walk_step_rows.to_string()),
            // Longer than any function runs.
            ("ErasureDelaySeconds", "120".to_owned()),
            ("SearchDays", "30".to_owned()),
            ("StatisticsDays", "400".to_owned()),
            ("DormantDays", self.dormant_seconds.map_or(0.0, |seconds| f64::from(seconds) / 86_400.0).to_string()),
        ];
        parameters.extend(rate_limits);
        parameters
    }
}

/// Everybody acts at the same time, each one command after the other, with queries in between.
async fn act(
    actors: Vec<Actor>,
    commands: usize,
    world: &Arc<World>,
    random: &mut StdRng,
    plan: &Plan,
) -> anyhow::Result<Vec<Actor>> {
    let Plan { pause_ms_max, decisions, .. } = *plan;
    let ledger = actors.first().map(|actor| Rc::clone(&actor.ledger)).unwrap_or_default();
    let pause_ms_max = if plan.dormant_seconds.is_some() { DORMANT_PAUSE_MS_MAX } else { pause_ms_max };
    let count = actors.len();
    let names = actors.first().map(|actor| Rc::clone(&actor.everybody)).unwrap_or_default();
    let rebuilding = random.random_bool(REBUILT_MEANWHILE).then(|| random.random());
    // A rebuild takes minutes, and the users act as long.
    let pause_ms_max = match rebuilding {
        Some(_) => pause_ms_max.max(2 * random.random_range(ACTING_MS) * count as u64 / commands.max(1) as u64),
        None => pause_ms_max,
    };
    let mut acting = Vec::new();
    for (at, mut actor) in actors.into_iter().enumerate() {
        let share = commands / count + usize::from(at < commands % count);
        acting.push(tokio::task::spawn_local(async move {
            for _ in 0..share {
                let pause = Duration::from_millis(actor.random.random_range(0..pause_ms_max));
                tokio::time::sleep(pause).await;
                actor.act().await?;
                let is_gone = actor.ledger.borrow().accounts_deleted.contains(&actor.user.id);
                if !actor.is_second && !is_gone && actor.random.random_bool(0.3) {
                    queries::ask(&actor.user, &actor.ledger, &mut actor.random).await?;
                }
            }
            anyhow::Ok(actor)
        }));
    }
    let moderating = (decisions > 0).then(|| {
        let moderating = moderation::moderate(Arc::clone(world), ledger, random.random(), decisions);
        tokio::task::spawn_local(moderating)
    });
    if random.random_bool(0.5) {
        tokio::task::spawn_local(demote(Arc::clone(world), names, StdRng::seed_from_u64(random.random())));
    }
    let operator = rebuilding.map(|seed| tokio::task::spawn_local(rebuilds::operate(Arc::clone(world), seed)));
    let mut actors = Vec::new();
    for actor in acting {
        actors.push(actor.await.context("an actor")??);
    }
    if let Some(operator) = operator {
        operator.await.context("the operator")??;
    }
    if let Some(moderating) = moderating {
        moderating.await.context("the operator")??;
    }
    Ok(actors)
}

/// An operator demotes authors. Whether a user is a celebrity, and has few enough followers by then, is left to
/// chance, so the operator tries several times.
async fn demote(world: Arc<World>, names: Rc<Vec<String>>, mut random: StdRng) {
    for _ in 0..DEMOTIONS_TRIED {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..DEMOTION_PAUSE_MS_MAX))).await;
        let Some(name) = names.choose(&mut random) else { return };
        let begun = world.invoke("DemoteAuthor", &json!({ "user": name })).await;
        let told = begun.as_ref().map_or_else(|error| format!("{error:#}"), ToString::to_string);
        world.network.trace.note(Detail::Users, format_args!("operator demotes {name}: {told}"));
        // A demotion that is asked for again begins anew.
        if begun.is_ok() && random.random_bool(0.7) {
            return;
        }
    }
}

/// What everybody has seen by now: posts, and blocks.
fn settled(ledger: &mut Ledger) {
    let posts = ledger.model.members.values().flat_map(|member| member.posts.keys());
    ledger.settled = posts.cloned().collect();
    let blocks =
        ledger.model.members.iter().flat_map(|(id, member)| member.blocks.iter().map(|it| (id.clone(), it.clone())));
    ledger.settled_blocks = blocks.collect();
}
