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
use harness::client::User;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidings_local::sources::Chaos;
use tokio::task::LocalSet;

use crate::{
    checks::Checks,
    commands::Actor,
    crowds, damage, determinism,
    faults::{Fault, Faults, MAX_RECEIVES},
    ledger::Ledger,
    limits::{self, Nobody},
    moderation, newer, next_release, notices,
    operator::{Redrive, watch_quarantine},
    plan::Plan,
    poison, pulled, queries, rebuilds, rest, search, statistics,
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
            let mut history = History::start(&options).await?;
            let ended = history.run(options.commands).await;
            Ok(history.report(options.seed, ended))
        })
    })?;
    thread.join().map_err(|_| anyhow::anyhow!("the history panicked"))?
}

/// A history while it runs.
struct History {
    plan: Plan,
    faults: Faults,
    world: Arc<World>,
    trace: Arc<Trace>,
    ledger: Rc<RefCell<Ledger>>,
    /// The users' ids.
    names: Rc<Vec<String>>,
    users: Vec<User>,
    /// Followers of the first user who never do anything.
    ghosts: BTreeSet<String>,
    /// What users have seen of their homes when everything was at rest for the first time.
    marks: newer::Marks,
    /// What users have seen of their homes meanwhile.
    glances: Vec<newer::Glance>,
    random: StdRng,
}

impl History {
    async fn start(options: &Options) -> anyhow::Result<Self> {
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
        let redrive = match (faults.redrive, faults.poison) {
            (true, _) => Some(Redrive::Back),
            (_, true) => Some(Redrive::ToDeliveries),
            _ => None,
        };
        let setup = Setup {
            seed: random.random(),
            parameters: &plan.parameters(),
            chaos,
            trace: Trace::new(options.detail),
            limits,
            has_cache: plan.has_cache,
            max_receives: faults.redrive.then_some(MAX_RECEIVES),
            is_quarantine_watched: redrive.is_some(),
            aws,
        };
        let world = World::start(setup).await?;
        if let Some(redrive) = redrive {
            watch_quarantine(&world, redrive);
        }
        let trace = Arc::clone(&world.network.trace);
        trace.note(Detail::Users, format_args!("{plan:?} {faults:?}"));
        let mut ledger = Ledger::default();
        (ledger.rate_limit, ledger.may_delete_account) = (plan.rate_limit, plan.accounts_are_deleted);
        let names = plan.names();
        let users = names.iter().map(|name| world.user(name)).collect();
        Ok(Self {
            plan,
            faults,
            world,
            trace,
            ledger: Rc::new(RefCell::new(ledger)),
            names: Rc::new(names),
            users,
            ghosts: BTreeSet::new(),
            marks: newer::Marks::new(),
            glances: Vec::new(),
            random,
        })
    }

    async fn run(&mut self, commands: usize) -> anyhow::Result<()> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "small"
        )]
        let walking = (commands as f64 * WALKING_SHARE) as usize;
        let actors = self.join().await?;
        let poison = self.faults.poison.then(|| {
            let seed = StdRng::seed_from_u64(self.random.random());
            poison::spoil(&self.world, Rc::clone(&self.names), seed)
        });
        let actors = self.act(actors, commands - walking).await?;
        if let Some(poison) = poison {
            poison.await?;
        }
        self.world.settle().await?;
        if self.plan.has_celebrities() {
            self.read_celebrities().await?;
        }
        self.compare_tables();
        self.note_settled();
        if self.random.random_bool(COMMENTS_ARE_SPREAD) {
            crowds::spread_comments(&self.world)?;
        }
        if self.faults.replay {
            self.world.replay().await?;
        }
        self.world.forget_old_values(CACHES_LIVE).await;
        self.marks = newer::marks(&self.users, &self.ledger).await?;
        self.act_and_walk(actors, walking).await?;
        if self.random.random_bool(REBUILT_AT_REST) {
            self.rebuild().await?;
        }
        self.world.forget_old_values(CACHES_LIVE).await;
        self.world.make_queries_persistent();
        self.compare_answers().await
    }

    /// Everybody makes a profile. Some have a second device.
    async fn join(&mut self) -> anyhow::Result<Vec<Actor>> {
        let mut actors = Vec::new();
        for user in &self.users {
            let seed = self.random.random();
            actors.push(self.actor(user, seed));
        }
        self.world.set_faults(self.faults.clone());
        for actor in &mut actors {
            actor.join().await?;
        }
        // Only who has a profile has followers.
        self.ghosts = crowds::haunt(&self.world, &self.names[0], self.plan.ghosts);
        for user in self.users.iter().take(self.plan.second_devices) {
            let seed = self.random.random();
            actors.push(Actor { is_second: true, ..self.actor(user, seed) });
        }
        Ok(actors)
    }

    fn actor(&self, user: &User, seed: u64) -> Actor {
        let (names, ledger) = (Rc::clone(&self.names), Rc::clone(&self.ledger));
        Actor::new(user.clone(), names, ledger, Arc::clone(&self.trace), seed)
    }

    /// From now on, there are faults, but no outage.
    fn end_outage(&self) {
        self.world.set_faults(Faults { outage: None, ..self.faults.clone() });
    }

    /// Reads the posts of celebrities when every process knows who is one.
    async fn read_celebrities(&mut self) -> anyhow::Result<()> {
        tokio::time::sleep(self.plan.celebrities_known_within()).await;
        self.end_outage();
        let seed = StdRng::seed_from_u64(self.random.random());
        let actor = |user: &User, seed| self.actor(user, seed);
        pulled::scenes(&self.world, &self.users, actor, &self.ledger, seed).await?;
        self.world.settle().await
    }

    /// Takes note of what everybody has seen by now: posts, and blocks.
    fn note_settled(&self) {
        let mut ledger = self.ledger.borrow_mut();
        let posts = ledger.model.members.values().flat_map(|member| member.posts.keys());
        let posts = posts.cloned().collect();
        let members = ledger.model.members.iter();
        let blocks = members.flat_map(|(id, member)| member.blocks.iter().map(|it| (id.clone(), it.clone()))).collect();
        (ledger.settled, ledger.settled_blocks) = (posts, blocks);
    }

    fn compare_tables(&self) {
        rest::compare_tables(&self.world, &mut self.ledger.borrow_mut(), &self.ghosts);
    }

    /// Everybody acts while some users walk through feeds. A newer release may be deployed meanwhile, and items may be
    /// damaged afterwards.
    async fn act_and_walk(&mut self, actors: Vec<Actor>, commands: usize) -> anyhow::Result<()> {
        self.end_outage();
        let seed = StdRng::seed_from_u64(self.random.random());
        let is_deployed = self.faults.next_release;
        let mut newer = is_deployed.then(|| next_release::deploy(&self.world, Rc::clone(&self.names), seed));
        let mut walkers = Vec::new();
        for _ in 0..WALKERS {
            let Some(user) = self.users.choose(&mut self.random).cloned() else { break };
            let seed = StdRng::seed_from_u64(self.random.random());
            walkers.push(tokio::task::spawn_local(walks::walk(user, Rc::clone(&self.ledger), seed)));
        }
        self.act(actors, commands).await?;
        for walker in walkers {
            walker.await.context("a walker")??;
        }
        if let Some(newer) = &mut newer {
            newer.deployed().await?;
        }
        self.world.settle().await?;
        if self.faults.damages > 0 {
            damage::damage(&self.world, self.faults.damages, &mut self.random);
            // What a finding hides is found in the next sweep: nothing else is said of a user whose log is not applied.
            for _ in 0..2 {
                self.world.request_sweep();
                self.world.settle().await?;
            }
            rest::compare_repaired(&self.world, &mut self.ledger.borrow_mut(), &self.ghosts);
        }
        self.compare_tables();
        if let Some(newer) = newer {
            newer.check(&self.world, &mut self.ledger.borrow_mut());
        }
        Ok(())
    }

    /// Rebuilds read models while nobody acts. What they say stays the same.
    async fn rebuild(&mut self) -> anyhow::Result<()> {
        let unread = notices::unread(&self.users, &self.ledger).await?;
        self.end_outage();
        let before = rebuilds::rebuild_at_rest(&self.world, &mut self.random).await?;
        self.world.settle().await?;
        before.compare(&mut self.ledger.borrow_mut().checks, &self.world);
        self.compare_tables();
        tokio::time::sleep(Duration::from_secs(2 * u64::from(self.plan.celebrity_list_seconds))).await;
        Ok(notices::compare_unread(&unread, &self.users, &self.ledger).await?)
    }

    /// Compares what users are shown.
    async fn compare_answers(&mut self) -> anyhow::Result<()> {
        let Self { users, ledger, random, world, ghosts, marks, glances, .. } = self;
        newer::compare(marks, users, ledger, random).await?;
        for glance in glances.drain(..) {
            newer::compare_glance(glance, ledger, random).await?;
        }
        rest::compare_api(users, ledger, random, !ghosts.is_empty()).await?;
        notices::compare_notifications(world, users, ledger, random).await?;
        statistics::compare_shown(world, users, ledger).await?;
        search::compare_searches(users, ledger, random, ghosts.is_empty()).await?;
        Ok(())
    }

    fn report(self, seed: u64, ended: anyhow::Result<()>) -> Report {
        let mut checks = std::mem::take(&mut self.ledger.borrow_mut().checks);
        if let Err(error) = ended {
            checks.violations.push(format!("the history broke off: {error:#}"));
        }
        for violation in &checks.violations {
            self.trace.note(Detail::Users, format_args!("VIOLATION {violation}"));
        }
        let (faults, calls) = self.world.network.counts();
        Report {
            seed,
            hash: self.trace.hash(),
            checks,
            faults,
            calls,
            metrics: self.world.network.metrics.all(),
            virtual_ms: u64::try_from(determinism::elapsed().as_millis()).unwrap_or(u64::MAX),
            processor_ms: determinism::processor_ms(),
        }
    }

    /// Everybody acts at the same time, each one command after the other, with queries in between.
    async fn act(&mut self, actors: Vec<Actor>, commands: usize) -> anyhow::Result<Vec<Actor>> {
        let (random, count) = (&mut self.random, actors.len());
        let rebuilding = random.random_bool(REBUILT_MEANWHILE).then(|| random.random());
        // A rebuild takes minutes, and the users act as long.
        let pause_ms_max = match rebuilding {
            Some(_) => {
                let acting_ms = 2 * random.random_range(ACTING_MS) * count as u64;
                self.plan.pause_ms_max().max(acting_ms / commands.max(1) as u64)
            }
            None => self.plan.pause_ms_max(),
        };
        let mut acting = Vec::new();
        for (at, actor) in actors.into_iter().enumerate() {
            let share = commands / count + usize::from(at < commands % count);
            acting.push(tokio::task::spawn_local(act_alone(actor, share, pause_ms_max)));
        }
        let (world, ledger) = (Arc::clone(&self.world), Rc::clone(&self.ledger));
        let decisions = self.plan.decisions;
        let moderating = (decisions > 0).then(|| {
            let moderating = moderation::moderate(Arc::clone(&world), ledger, random.random(), decisions);
            tokio::task::spawn_local(moderating)
        });
        if random.random_bool(0.5) {
            let seed = StdRng::seed_from_u64(random.random());
            let (names, ledger) = (Rc::clone(&self.names), Rc::clone(&self.ledger));
            tokio::task::spawn_local(demote(Arc::clone(&world), names, ledger, seed));
        }
        let seed = StdRng::seed_from_u64(random.random());
        let glancing = tokio::task::spawn_local(newer::glances(self.users.clone(), seed));
        let operator = rebuilding.map(|seed| tokio::task::spawn_local(rebuilds::operate(world, seed)));
        let mut actors = Vec::new();
        for actor in acting {
            actors.push(actor.await.context("an actor")??);
        }
        self.glances.extend(glancing.await.context("somebody who looks at a home")??);
        if let Some(operator) = operator {
            operator.await.context("the operator")??;
        }
        if let Some(moderating) = moderating {
            moderating.await.context("the operator")??;
        }
        Ok(actors)
    }
}

/// A user acts, and looks at something now and then.
async fn act_alone(mut actor: Actor, commands: usize, pause_ms_max: u64) -> anyhow::Result<Actor> {
    for _ in 0..commands {
        let pause = Duration::from_millis(actor.random.random_range(0..pause_ms_max));
        tokio::time::sleep(pause).await;
        actor.act().await?;
        let is_gone = actor.ledger.borrow().accounts_deleted.contains(&actor.user.id);
        if !actor.is_second && !is_gone && actor.random.random_bool(0.3) {
            queries::ask(&actor.user, &actor.ledger, &mut actor.random).await?;
        }
    }
    Ok(actor)
}

/// An operator demotes authors. Whether a user is a celebrity, and has few enough followers by then, is left to
/// chance, so the operator tries several times.
async fn demote(world: Arc<World>, names: Rc<Vec<String>>, ledger: Rc<RefCell<Ledger>>, mut random: StdRng) {
    for _ in 0..DEMOTIONS_TRIED {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..DEMOTION_PAUSE_MS_MAX))).await;
        let Some(name) = names.choose(&mut random) else { return };
        ledger.borrow_mut().demotions_unanswered.insert(name.clone());
        let begun = world.invoke("DemoteAuthor", &json!({ "user": name })).await;
        let told = begun.as_ref().map_or_else(|error| format!("{error:#}"), ToString::to_string);
        world.network.trace.note(Detail::Users, format_args!("operator demotes {name}: {told}"));
        if begun.is_ok() || told.contains("is not a celebrity") {
            ledger.borrow_mut().demotions_unanswered.remove(name);
        }
        // A demotion that is asked for again begins anew.
        if begun.is_ok() && random.random_bool(0.7) {
            return;
        }
    }
}
