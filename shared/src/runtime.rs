//! What every function's `main` shares: logs, configuration from the environment, connections made once, and the parts
//! built on them. [`Runtime::new`] makes the same parts from given configuration, for the simulation and for tests.

use anyhow::Context as _;
use aws_config::{BehaviorVersion, SdkConfig, environment::EnvironmentVariableCredentialsProvider};
use aws_smithy_http_client::{
    Builder as HttpClient,
    tls::{Provider, rustls_provider::CryptoMode},
};
use lambda_runtime::{LambdaEvent, service_fn};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    future::Future,
    num::{NonZeroU64, NonZeroUsize},
    sync::{Arc, OnceLock},
    time::Duration,
};
use tracing_subscriber::EnvFilter;

use crate::{
    audit::{Auditor, sweep::Sweeper},
    celebrities::Celebrities,
    deadline::Deadline,
    metrics,
    model::{
        CelebrityPolicy, Clock, DormancyPolicy, RateLimit, RateLimits, ReadModel, ReservedHandles, StatisticsPolicy,
        Timestamp,
    },
    projection::{CardSets, Crowds, Dependencies, NoticeSets, Projectors, rebuild::Rebuilder, tally::Waiting},
    query::{
        Conversations, Feeds, Notifications, People, StatisticsOfDays,
        cursor::CursorKeys,
        search::{Search, SearchTables},
    },
    read_models::ReadModels,
    retry::{retry_config, timeout_config},
    shared_cache::{Redis, Server, SharedCache},
    store::{
        ActiveTables, Dynamo, Meter, ModelSizes, ModelTables, TablePair,
        cards::Cards,
        command_table::CommandTable,
        search::SearchIndex,
        timelines::Timelines,
        trending::CONTENDERS,
        viewers::{INLINE_MAX, Viewers},
    },
    stream::{
        bus::Bus, failed_batches::FailedBatches, publisher::Publisher, quarantine::Quarantine, work_queue::WorkQueue,
    },
    tickets::TicketOffice,
    trace::{self, TraceId},
    trust,
};

/// Period of some rate limits.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// Period of the other rate limits.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a function is made of: each part is named by an environment variable, which the template sets.
#[derive(Debug, Clone)]
pub struct Runtime {
    config: SdkConfig,
    environment: Arc<BTreeMap<String, String>>,
    dynamo: Dynamo,
    active: ActiveTables,
    shared_cache: Arc<OnceLock<SharedCache>>,
    /// Measures calls of DynamoDB, if what requests cost is to be shown.
    pub meter: Option<Meter>,
    /// The time.
    pub clock: Clock,
}

impl Runtime {
    /// Starts logging and configures the AWS SDKs from the environment.
    ///
    /// # Errors
    /// If the file of certificates that the environment names is wrong.
    pub async fn start() -> anyhow::Result<Self> {
        tracing_subscriber::fmt()
            .json()
            .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")))
            .with_writer(std::io::stderr)
            .with_target(false)
            .with_current_span(false)
            // CloudWatch adds the time.
            .without_time()
            .init();
        let http_client = HttpClient::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http_client.tls_context(trust::from_environment()?).build_https())
            .retry_config(retry_config())
            .timeout_config(timeout_config());
        // Lambda sets it. The default chain would take the same credentials, and make a client of STS that nobody uses.
        if std::env::var_os("AWS_ACCESS_KEY_ID").is_some() {
            loader = loader.credentials_provider(EnvironmentVariableCredentialsProvider::new());
        }
        let config = loader.load().await;
        let environment = std::env::vars_os();
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let runtime = Self::new(config, environment.filter_map(text).collect(), Clock::system());
        let names = [runtime.variable("STACK_NAME"), runtime.variable("AWS_LAMBDA_FUNCTION_NAME")];
        let [stack, function] = names.map(|name| name.unwrap_or("unknown"));
        if let Err(error) = metrics::start(stack, function) {
            tracing::error!(%error, "this process writes no metrics");
        }
        // A wrong URL keeps a function that uses the cache from starting.
        if let Ok(cache) = runtime.shared_cache() {
            cache.connect().await;
        }
        Ok(runtime)
    }

    /// The same without logs, from this configuration of the SDKs and this environment.
    pub fn new(config: SdkConfig, environment: BTreeMap<String, String>, clock: Clock) -> Self {
        let shows_costs = environment.get("SHOW_COSTS").is_some_and(|value| value == "true");
        let meter = shows_costs.then(Meter::default);
        let dynamo = match &meter {
            Some(meter) => Dynamo::metered(&config, meter.clone()),
            None => Dynamo::new(&config),
        };
        let (environment, active, shared_cache) = (Arc::new(environment), ActiveTables::default(), Arc::default());
        Self { config, environment, dynamo, active, shared_cache, meter, clock }
    }

    /// The same with a shared cache on this server, whatever the environment says.
    #[must_use]
    pub fn with_shared_cache(self, server: Arc<dyn Server>) -> Self {
        let cache = SharedCache::new(server, self.clock.clone());
        Self { shared_cache: Arc::new(OnceLock::from(cache)), ..self }
    }

    /// The shared cache, or none if there is no URL of one.
    fn shared_cache(&self) -> anyhow::Result<SharedCache> {
        if let Some(cache) = self.shared_cache.get() {
            return Ok(cache.clone());
        }
        let cache = match self.environment.get("CACHE_URL").filter(|url| !url.is_empty()) {
            None => SharedCache::none(),
            Some(url) => {
                let address = url.parse().context("the environment variable CACHE_URL is wrong")?;
                let server = Redis::new(address, self.config.clone(), self.clock.clone());
                SharedCache::new(Arc::new(server), self.clock.clone())
            }
        };
        Ok(self.shared_cache.get_or_init(|| cache).clone())
    }

    /// The truth.
    pub fn commands(&self) -> anyhow::Result<CommandTable> {
        let table = self.variable("COMMANDS_TABLE")?.to_owned();
        Ok(CommandTable::new(self.dynamo.clone(), table, self.rate_limits()?))
    }

    /// The table with rows of homes and other timelines.
    pub fn timelines(&self) -> anyhow::Result<Timelines> {
        let tables = self.tables_named("TIMELINES_TABLE")?;
        Ok(Timelines::new(self.dynamo.clone(), tables.active(ReadModel::Timelines, &self.active)))
    }

    /// The table of viewer items.
    pub fn viewers(&self) -> anyhow::Result<Viewers> {
        let tables = self.tables_named("VIEWERS_TABLE")?;
        let table = tables.active(ReadModel::Viewers, &self.active);
        Ok(Viewers::new(self.dynamo.clone(), table, self.inline_max()?))
    }

    /// The table of cards.
    pub fn cards(&self) -> anyhow::Result<Cards> {
        let tables = self.tables_named("CARDS_TABLE")?;
        Ok(Cards::new(self.dynamo.clone(), tables.active(ReadModel::Cards, &self.active)))
    }

    /// The search index.
    pub fn search_index(&self) -> anyhow::Result<SearchIndex> {
        let tables = self.tables_named("SEARCH_TABLE")?;
        Ok(SearchIndex::new(self.dynamo.clone(), tables.active(ReadModel::Search, &self.active)))
    }

    /// Which tables the read models are in.
    pub fn read_models(&self) -> anyhow::Result<ReadModels> {
        Ok(ReadModels::new(self.commands()?, self.clock.clone(), self.list_lifetime()?, self.active.clone()))
    }

    /// The cards that counters are shown on.
    pub fn card_sets(&self) -> anyhow::Result<CardSets> {
        Ok(CardSets {
            tables: self.model_tables()?,
            read_models: self.read_models()?,
            commands: self.commands()?,
            work_queue: self.work_queue()?,
            search_kept: self.search_kept()?,
            waiting: Waiting::new(),
            clock: self.clock.clone(),
        })
    }

    /// Both tables of each read model.
    fn model_tables(&self) -> anyhow::Result<ModelTables> {
        let [timelines, viewers, cards, search] =
            ["TIMELINES_TABLE", "VIEWERS_TABLE", "CARDS_TABLE", "SEARCH_TABLE"].map(|name| self.tables_named(name));
        let (names, cache) = ([timelines?, viewers?, cards?, search?], self.shared_cache()?);
        let contenders = self.size("TRENDING_CONTENDERS", CONTENDERS)?;
        let sizes = ModelSizes { inline_max: self.inline_max()?, contenders };
        Ok(ModelTables::new(self.dynamo.clone(), names, sizes, &cache))
    }

    /// The two tables of a read model. The variable of the second one has the suffix `_B`.
    fn tables_named(&self, name: &str) -> anyhow::Result<TablePair> {
        Ok(TablePair { a: self.variable(name)?.into(), b: self.variable(&format!("{name}_B"))?.into() })
    }

    /// The bus.
    pub fn bus(&self) -> anyhow::Result<Bus> {
        Ok(Bus::new(&self.config, self.variable("EVENTS_STREAM")?.to_owned()))
    }

    /// The work queue.
    pub fn work_queue(&self) -> anyhow::Result<WorkQueue> {
        Ok(WorkQueue::new(&self.config, self.variable("DELIVERIES_QUEUE")?.to_owned()))
    }

    /// The queue of what was put aside.
    pub fn quarantine(&self) -> anyhow::Result<Quarantine> {
        Ok(Quarantine::new(&self.config, self.variable("QUARANTINE_QUEUE")?.to_owned()))
    }

    /// The queue of batches that event source mappings gave up.
    pub fn failed_batches(&self) -> anyhow::Result<FailedBatches> {
        Ok(FailedBatches::new(&self.config, self.variable("FAILED_BATCHES_QUEUE")?.to_owned()))
    }

    /// The configuration of AWS clients that only one function needs.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Publishes items that could not be published.
    pub fn publisher(&self) -> anyhow::Result<Publisher> {
        Ok(Publisher { commands: self.commands()?, bus: self.bus()? })
    }

    /// Whose posts are pulled.
    pub fn celebrities(&self) -> anyhow::Result<Celebrities> {
        let policy = CelebrityPolicy {
            followers_min: self.number("CELEBRITY_FOLLOWERS")?,
            list_lifetime: self.list_lifetime()?,
        };
        Ok(Celebrities::new(self.commands()?, self.clock.clone(), policy))
    }

    /// Everything that projections work with.
    pub fn projectors(&self) -> anyhow::Result<Projectors> {
        Ok(Projectors::new(Dependencies {
            commands: self.commands()?,
            tables: self.model_tables()?,
            read_models: self.read_models()?,
            celebrities: self.celebrities()?,
            work_queue: self.work_queue()?,
            erasure_delay: self.erasure_delay()?,
            step_rows: self.walk_step_rows()?,
            dormancy: self.dormancy()?,
            statistics: self.statistics_policy()?,
            search_kept: self.search_kept()?,
            crowds: Crowds::default(),
            clock: self.clock.clone(),
        }))
    }

    /// What tells users of what others did that concerns them.
    pub fn notice_sets(&self) -> anyhow::Result<NoticeSets> {
        Ok(NoticeSets {
            commands: self.commands()?,
            tables: self.model_tables()?,
            read_models: self.read_models()?,
            work_queue: self.work_queue()?,
            erasure_delay: self.erasure_delay()?,
            statistics: self.statistics_policy()?,
            crowds: Crowds::default(),
            clock: self.clock.clone(),
        })
    }

    /// What daily statistics are answered from.
    pub fn statistics(&self) -> anyhow::Result<StatisticsOfDays> {
        Ok(StatisticsOfDays {
            read_models: self.read_models()?,
            timelines: self.timelines()?,
            policy: self.statistics_policy()?,
            clock: self.clock.clone(),
        })
    }

    /// What queries about notifications are answered from.
    pub fn notifications(&self) -> anyhow::Result<Notifications> {
        Ok(Notifications {
            commands: self.commands()?,
            timelines: self.timelines()?,
            viewers: self.viewers()?,
            cards: self.cards()?,
            clock: self.clock.clone(),
        })
    }

    /// Takes steps of rebuilds, whose calls are measured.
    pub fn rebuilder(&self) -> anyhow::Result<Rebuilder> {
        let measured = Self { dynamo: Dynamo::metered(&self.config, Meter::default()), ..self.clone() };
        Ok(Rebuilder { projectors: measured.projectors()?, quarantine: self.quarantine()? })
    }

    /// The audit, whose reads are measured.
    pub fn sweeper(&self) -> anyhow::Result<Sweeper> {
        let meter = Meter::default();
        let measured = Self { dynamo: Dynamo::metered(&self.config, meter.clone()), ..self.clone() };
        let auditor = Auditor {
            read_models: measured.read_models()?,
            commands: measured.commands()?,
            timelines: measured.timelines()?,
            viewers: measured.viewers()?,
            cards: measured.cards()?,
            search: measured.search_index()?,
            search_kept: self.search_kept()?,
            celebrities: measured.celebrities()?,
            statistics: self.statistics_policy()?,
            erasure_delay: self.erasure_delay()?,
            clock: self.clock.clone(),
        };
        let units_per_hour = self.number("AUDIT_UNITS_PER_HOUR")?;
        Ok(Sweeper { auditor, work_queue: self.work_queue()?, meter, units_per_hour })
    }

    /// Everything that feeds are read from.
    pub fn feeds(&self) -> anyhow::Result<Feeds> {
        let cache = self.shared_cache()?;
        let (timelines, viewers) =
            (self.timelines()?.with_cache(cache.clone()), self.viewers()?.with_cache(cache.clone()));
        let (commands, cards) = (self.commands()?, self.cards()?.with_cache(cache));
        let (read_models, celebrities) = (self.read_models()?, self.celebrities()?);
        let feeds = Feeds::new(read_models, commands, timelines, viewers, cards, celebrities, self.clock.clone());
        Ok(feeds.with_dormancy(self.dormancy()?))
    }

    /// Everything that single posts and their comments are read from.
    pub fn conversations(&self) -> anyhow::Result<Conversations> {
        let (commands, viewers, cards) = (self.commands()?, self.viewers()?, self.cards()?);
        Ok(Conversations { read_models: self.read_models()?, commands, viewers, cards })
    }

    /// Everything that profiles and lists of people are read from.
    pub fn people(&self) -> anyhow::Result<People> {
        let (commands, viewers, cards) = (self.commands()?, self.viewers()?, self.cards()?);
        Ok(People { read_models: self.read_models()?, commands, viewers, cards })
    }

    /// Everything that searches are answered from.
    pub fn search(&self) -> anyhow::Result<Search> {
        let tables = SearchTables {
            commands: self.commands()?,
            timelines: self.timelines()?,
            viewers: self.viewers()?,
            cards: self.cards()?,
            index: self.search_index()?,
        };
        Ok(Search::new(tables, self.read_models()?, self.search_kept()?, self.clock.clone()))
    }

    /// The handles that nobody can claim.
    pub fn reserved_handles(&self) -> anyhow::Result<ReservedHandles> {
        self.variable("RESERVED_HANDLES")?.parse().context("the environment variable RESERVED_HANDLES is wrong")
    }

    /// The keys that sign cursors and tickets.
    pub fn cursor_keys(&self) -> anyhow::Result<CursorKeys> {
        CursorKeys::parse(self.variable("CURSOR_KEY")?)
    }

    /// Issues tickets for the function URL, if the deployment has one.
    pub fn ticket_office(&self) -> anyhow::Result<TicketOffice> {
        let url = Some(self.variable("FEED_URL")?).filter(|url| !url.is_empty()).map(str::to_owned);
        let lifetime = Duration::from_secs(60 * self.number("FEED_TICKET_MINUTES")?);
        Ok(TicketOffice { url, lifetime, keys: self.cursor_keys()?, clock: self.clock.clone() })
    }

    /// How much each user may do.
    fn rate_limits(&self) -> anyhow::Result<RateLimits> {
        let limit = |name: &str, period: Duration| {
            let count = NonZeroU64::new(self.number(name)?);
            let count = count.with_context(|| format!("the environment variable {name} is 0"))?;
            anyhow::Ok(RateLimit::new(count, period))
        };
        Ok(RateLimits {
            posts: limit("POSTS_PER_HOUR", HOUR)?,
            comments: limit("COMMENTS_PER_HOUR", HOUR)?,
            follows: limit("FOLLOWS_PER_DAY", DAY)?,
            profile_changes: limit("PROFILE_CHANGES_PER_DAY", DAY)?,
            blocks: limit("BLOCKS_PER_HOUR", HOUR)?,
            likes: limit("LIKES_PER_HOUR", HOUR)?,
        })
    }

    /// How long a process uses its copies of the list of celebrities, and of the state of the read models.
    fn list_lifetime(&self) -> anyhow::Result<Duration> {
        Ok(Duration::from_secs(self.number("CELEBRITY_LIST_SECONDS")?))
    }

    /// After what time without a visit a home gets no rows.
    fn dormancy(&self) -> anyhow::Result<DormancyPolicy> {
        self.variable("DORMANT_DAYS")?.parse().context("the environment variable DORMANT_DAYS is wrong")
    }

    /// How long statistics are kept.
    fn statistics_policy(&self) -> anyhow::Result<StatisticsPolicy> {
        let days = u32::try_from(self.number("STATISTICS_DAYS")?);
        Ok(StatisticsPolicy { days: days.context("the environment variable STATISTICS_DAYS is too large")? })
    }

    /// How long an erasure waits before it removes items.
    fn erasure_delay(&self) -> anyhow::Result<Duration> {
        Ok(Duration::from_secs(self.number("ERASURE_DELAY_SECONDS")?))
    }

    /// How far back searches go. None if searches are off.
    pub fn search_kept(&self) -> anyhow::Result<Option<Duration>> {
        let days =
            u32::try_from(self.number("SEARCH_DAYS")?).context("the environment variable SEARCH_DAYS is wrong")?;
        Ok((days > 0).then_some(days * DAY))
    }

    /// Bytes of sets that stay in a viewer item.
    fn inline_max(&self) -> anyhow::Result<usize> {
        self.size("VIEWER_SETS_INLINE_BYTES", INLINE_MAX)
    }

    /// A size. Only tests and scenarios set the variable, so that little is much.
    fn size(&self, name: &str, usual: usize) -> anyhow::Result<usize> {
        match self.environment.contains_key(name) {
            true => Ok(usize::try_from(self.number(name)?)?),
            false => Ok(usual),
        }
    }

    /// Rows that one step of a walk reads or writes at most.
    fn walk_step_rows(&self) -> anyhow::Result<NonZeroUsize> {
        let rows = NonZeroUsize::new(usize::try_from(self.number("WALK_STEP_ROWS")?)?);
        rows.context("the environment variable WALK_STEP_ROWS is 0")
    }

    /// Answers invocations with `handler` until Lambda ends the process. Each invocation has until its deadline, ends
    /// with a line of metrics, and runs within the trace of its event source, if that has one.
    ///
    /// # Errors
    /// If the Runtime API cannot be reached.
    pub async fn run<Event, Answer, H, F>(&self, handler: H) -> Result<(), lambda_runtime::Error>
    where
        Event: DeserializeOwned,
        Answer: Serialize,
        H: Fn(Event, Deadline) -> F,
        F: Future<Output = Result<Answer, lambda_runtime::Error>>,
    {
        let handler = &handler;
        lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| async {
            let LambdaEvent { payload, context, .. } = event;
            let trace = context.xray_trace_id.as_deref().and_then(TraceId::from_aws_header);
            let deadline = Deadline::after(Timestamp::from_ms(context.deadline).since(self.clock.now()));
            metrics::begin_invocation();
            // Boxed, because the nested type of the futures is too deep for the compiler.
            let answer = Box::pin(trace::within(trace, handler(payload, deadline))).await;
            metrics::end_invocation(&context.request_id, trace);
            answer
        }))
        .await
    }

    fn number(&self, name: &str) -> anyhow::Result<u64> {
        let number = self.variable(name)?.parse();
        number.with_context(|| format!("the environment variable {name} is not a whole number"))
    }

    fn variable(&self, name: &str) -> anyhow::Result<&str> {
        let value = self.environment.get(name).map(String::as_str);
        value.with_context(|| format!("the environment variable {name} is not set"))
    }
}

/// The error of a function that an administrator invokes, with its causes in one line.
pub fn one_line(error: anyhow::Error) -> lambda_runtime::Error {
    format!("{error:#}").into()
}
