//! The whole system from `template.yaml`, in one process: tables, streams and queues in memory, the functions' own
//! code, the event source mappings of the local stack, and the API.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use aws_config::{stalled_stream_protection::StalledStreamProtectionConfig, timeout::TimeoutConfig};
use aws_limits::sqs::InFlightRules;
use aws_memory::{Aws, QUEUES_URL, queue_url};
use bytes::Bytes;
use harness::client::{Transport, Transported, User};
use serde_json::{Value, json};
use tidings_local::{
    gateway::DirectApi,
    invoke::Invoke as _,
    servers::{provision::provision, transaction_gate::TransactionGate},
    sources::{Chaos, Clients, Pace, Sources},
    template::{self, Addresses, Files, Inputs, Values, model::System},
};
use tokio::sync::Mutex;

use crate::{
    cache::SimulatedCache,
    faults::{Fault, Faults},
    lambda::Lambda,
    limits::{self, AwsLimits},
    network::{Caller, Network},
    trace::{Detail, Trace},
    truth::{number, text},
};

/// How long a mapping waits for an answer: for longer than a long poll takes.
const MAPPING_WAITS_MAX: Duration = Duration::from_secs(25);
const TEMPLATE: &str = include_str!("../../template.yaml");
/// The templates of nested stacks, by their paths in [`TEMPLATE`].
const NESTED: [(&str, &str); 5] = [
    ("stacks/fan-out.yaml", include_str!("../../stacks/fan-out.yaml")),
    ("stacks/feed-url.yaml", include_str!("../../stacks/feed-url.yaml")),
    ("stacks/monitoring.yaml", include_str!("../../stacks/monitoring.yaml")),
    ("stacks/rollback.yaml", include_str!("../../stacks/rollback.yaml")),
    ("stacks/set-b.yaml", include_str!("../../stacks/set-b.yaml")),
];
/// The read models, by the logical ids of their first tables.
pub(crate) const MODELS: [&str; 4] = ["Timelines", "Viewers", "Cards", "SearchIndex"];
/// Where functions put what makes no sense, and SQS what was received too often.
pub(crate) const QUARANTINE: &str = "Quarantine";
/// What names of tables, streams and queues begin with.
const PREFIX: &str = "tidings";
/// How often it is asked whether everything is at rest.
const REST_INTERVAL: Duration = Duration::from_millis(500);
/// Longest that everything may take to come to rest: more than some of the longest delays of a message, and an audit.
const REST_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// The running system.
pub(crate) struct World {
    /// AWS, and the way to it.
    pub(crate) network: Arc<Network>,
    cache: Option<Arc<SimulatedCache>>,
    lambda: Lambda,
    api: DirectApi<Lambda>,
    system: System,
    clients: Clients,
    chaos: Chaos,
    pace: Pace,
    sources: Mutex<Sources>,
    /// Whether an operator moves back what is in the quarantine.
    is_quarantine_watched: bool,
    /// Whether users repeat queries that AWS's limits do not allow.
    are_queries_persistent: AtomicBool,
}

/// What a system is deployed with.
pub(crate) struct Setup<'a> {
    /// Everything random follows from it.
    pub(crate) seed: u64,
    /// Template parameters.
    pub(crate) parameters: &'a [(&'a str, String)],
    /// What event source mappings cause.
    pub(crate) chaos: Chaos,
    /// What takes note of what happens.
    pub(crate) trace: Trace,
    /// AWS's limits, if they are in force.
    pub(crate) limits: Option<limits::Setup>,
    /// Whether there is a shared cache.
    pub(crate) has_cache: bool,
    /// How often a message may be received before it goes to the quarantine. None: as often as the template says, which
    /// no message reaches.
    pub(crate) max_receives: Option<u32>,
    /// Whether an operator moves back what is in the quarantine.
    pub(crate) is_quarantine_watched: bool,
    /// The services.
    pub(crate) aws: Aws,
}

/// AWS's services in memory.
///
/// # Errors
/// If they cannot be made.
pub(crate) fn aws_in_memory() -> anyhow::Result<Aws> {
    Aws::new().map_err(|error| anyhow::anyhow!("no AWS in memory: {error}"))
}

impl World {
    /// Deploys the system. Must be called within a `LocalSet`.
    ///
    /// # Errors
    /// If the template cannot be deployed.
    pub(crate) async fn start(setup: Setup<'_>) -> anyhow::Result<Arc<Self>> {
        let Setup { seed, parameters, chaos, trace, limits, has_cache, max_receives, is_quarantine_watched, aws } =
            setup;
        let mut system = system(parameters)?;
        if let Some(most) = max_receives {
            let policies = system.queues.iter_mut().filter_map(|queue| queue.redrive.as_mut());
            policies.for_each(|policy| policy.max_receive_count = most);
        }
        let limits = limits.map(|limits| AwsLimits::new(limits, &mut system, seed));
        let rules = limits.as_ref().map(|limits| InFlightRules::new(&limits.limits)).unwrap_or_default();
        let aws = aws.with_in_flight_rules(rules);
        let keys = system.tables.iter().map(|table| (table.name.clone(), table.key.clone())).collect();
        let gate = TransactionGate::new(keys);
        let network = Network::new(Arc::new(aws), gate, Arc::new(trace), limits, seed);
        let cache = has_cache.then(|| SimulatedCache::new(Arc::clone(&network)));
        provision(&system, &clients(&network, Caller::Operator)).await?;
        let lambda = Lambda::start(&system.functions, Arc::clone(&network), cache.clone());
        let api = DirectApi::new(&system.functions, lambda.clone())?;
        let clients = clients(&network, Caller::Sources);
        for (happens, fault) in
            [(chaos.duplicate_records, Fault::Duplicates), (chaos.reorder_records, Fault::Reordering)]
        {
            if happens {
                network.count(fault);
            }
        }
        let pace = network.limits.as_ref().map_or(Pace::AWS, |limits| Pace::limited(&limits.limits));
        let sources = Mutex::new(sources(&system, &clients, chaos, pace, &lambda).await?);
        let are_queries_persistent = AtomicBool::new(false);
        let world = Arc::new(Self {
            network,
            cache,
            lambda,
            api,
            system,
            clients,
            chaos,
            pace,
            sources,
            is_quarantine_watched,
            are_queries_persistent,
        });
        Ok(world)
    }

    /// The user of this id, whose requests go to the API.
    pub(crate) fn user(self: &Arc<Self>, id: &str) -> User {
        User::through(Arc::new(Link(Arc::clone(self))), id)
    }

    /// From now on, users repeat queries that AWS's limits do not allow. Even at rest, an audit may use up what a small
    /// fraction of them leaves.
    pub(crate) fn make_queries_persistent(&self) {
        self.are_queries_persistent.store(self.network.limits.is_some(), Ordering::Relaxed);
    }

    /// A request of a user to the API.
    pub(crate) async fn request(&self, user: &str, request: http::Request<Bytes>) -> http::Response<Bytes> {
        let admitted =
            self.network.limits.as_ref().map_or(Ok(()), |limits| limits.admit_request(self.api.route_key(&request)));
        if let Err(refusal) = admitted {
            let mut answer = http::Response::new(Bytes::from(refusal.body.to_string()));
            *answer.status_mut() = http::StatusCode::from_u16(refusal.status).unwrap_or_default();
            return answer;
        }
        self.api.answer(user, "simulated", request).await
    }

    /// From now on, these faults happen.
    pub(crate) fn set_faults(&self, faults: Faults) {
        self.network.set_faults(faults);
    }

    /// Starts the event source mappings again, without their checkpoints: everything is delivered once more.
    ///
    /// # Errors
    /// If they cannot be started.
    pub(crate) async fn replay(&self) -> anyhow::Result<()> {
        let mut running = self.sources.lock().await;
        running.shutdown().await;
        *running = sources(&self.system, &self.clients, self.chaos, self.pace, &self.lambda).await?;
        self.network.count(Fault::Replay);
        Ok(())
    }

    /// Ends all faults, and waits until nothing is on its way any more.
    ///
    /// # Errors
    /// If that takes too long.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        self.network.set_faults(Faults::none());
        let deadline = tokio::time::Instant::now() + REST_MAX;
        let mut quiet = 0;
        while quiet < 2 {
            anyhow::ensure!(tokio::time::Instant::now() < deadline, "the system does not come to rest");
            tokio::time::sleep(REST_INTERVAL).await;
            let sources = self.sources.lock().await;
            let rests = sources.status().await.iter().all(|source| source.idle)
                && ["Deliveries", "FailedBatches"].iter().all(|queue| self.messages(queue) == 0)
                && !(self.is_quarantine_watched && self.messages(QUARANTINE) > 0)
                && !self.awaits_sweep();
            quiet = if rests { quiet + 1 } else { 0 };
        }
        Ok(())
    }

    /// Waits for this time, and until no process and no shared cache has anything that is older than the rest.
    pub(crate) async fn forget_old_values(&self, processes_forget: Duration) {
        if let Some(cache) = &self.cache {
            cache.settle().await;
        }
        tokio::time::sleep(processes_forget).await;
    }

    /// Has everything audited that was written up to now.
    pub(crate) fn request_sweep(&self) {
        let now_ms = time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        let request = json!({
            "TableName": name("Commands"), "Key": {"PK": {"S": "AUDIT"}, "SK": {"S": "STATE"}},
            "UpdateExpression": "SET sweep_requested_at = :now",
            "ExpressionAttributeValues": {":now": {"N": now_ms.to_string()}},
        });
        self.network.aws.dynamodb("UpdateItem", &request);
    }

    /// Whether a sweep was requested that has not ended.
    fn awaits_sweep(&self) -> bool {
        let key = json!({"PK": {"S": "AUDIT"}, "SK": {"S": "STATE"}});
        let request = json!({"TableName": name("Commands"), "Key": key});
        let state = self.network.aws.dynamodb("GetItem", &request).json();
        state["Item"].get("sweep_requested_at").is_some()
    }

    /// A call of DynamoDB of which the system knows nothing. Of a read model, it goes to the table that is read.
    pub(crate) fn meddle(&self, operation: &str, mut request: Value) {
        let table = request["TableName"].as_str().unwrap_or_default();
        let table = if MODELS.contains(&table) { self.table_of(table, true) } else { table.to_owned() };
        request["TableName"] = name(&table).into();
        let answer = self.network.aws.dynamodb(operation, &request);
        self.network
            .trace
            .note(Detail::Users, format_args!("from outside: {operation} {request} -> {}", answer.status));
    }

    /// Invokes a function that has no route.
    ///
    /// # Errors
    /// The function's error.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> anyhow::Result<Value> {
        let answer = self.lambda.invoke(function, event.to_string().into()).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// The user's entry in the list of celebrities.
    pub(crate) fn celebrity(&self, user: &str) -> Option<Value> {
        let key = json!({"PK": {"S": "CELEBRITIES"}, "SK": {"S": format!("USER#{user}")}});
        let request = json!({"TableName": name("Commands"), "Key": key});
        self.network.aws.dynamodb("GetItem", &request).json().get("Item").cloned()
    }

    /// The newest posts of an author's timeline that readers can be shown: they skip a row whose card is still to come.
    pub(crate) fn newest_posts_of(&self, author: &str, count: usize) -> BTreeSet<String> {
        let request = json!({
            "TableName": name("Timelines"), "Limit": count, "ScanIndexForward": false,
            "KeyConditionExpression": "PK = :author",
            "ExpressionAttributeValues": {":author": {"S": format!("AUTHOR#{author}")}},
        });
        let answer = self.network.aws.dynamodb("Query", &request).json();
        let rows = answer["Items"].as_array().into_iter().flatten();
        let posts = rows.filter_map(|row| row["SK"]["S"].as_str().map(str::to_owned));
        posts.filter(|post| self.has_card(post)).collect()
    }

    fn has_card(&self, post: &str) -> bool {
        let request = json!({"TableName": name("Cards"), "Key": {"PK": {"S": format!("POST#{post}")}}});
        self.network.aws.dynamodb("GetItem", &request).json()["Item"].get("post").is_some()
    }

    /// Messages in a queue, whether visible or not.
    pub(crate) fn messages(&self, queue: &str) -> u64 {
        let counts = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ];
        let request = json!({"QueueUrl": queue_url(&name(queue)), "AttributeNames": counts});
        let answer = self.network.aws.sqs("GetQueueAttributes", &request);
        let count = |name: &&str| answer["Attributes"][*name].as_str().and_then(|count| count.parse::<u64>().ok());
        counts.iter().filter_map(count).sum()
    }

    /// Every item of the command table, or of the table of a read model that is read.
    pub(crate) fn items(&self, table: &str) -> Vec<Value> {
        match MODELS.contains(&table) {
            true => self.table(&self.table_of(table, true)),
            false => self.table(table),
        }
    }

    /// The item that says which tables are read, and how far a rebuild is. There is none before the first rebuild.
    pub(crate) fn read_models(&self) -> Option<Value> {
        let key = json!({"PK": {"S": "READMODELS"}, "SK": {"S": "STATE"}});
        let mut answer =
            self.network.aws.dynamodb("GetItem", &json!({"TableName": name("Commands"), "Key": key})).json();
        Some(answer["Item"].take()).filter(Value::is_object)
    }

    /// The logical id of the table of a model that is read, or of the one that is not.
    pub(crate) fn table_of(&self, model: &str, is_active: bool) -> String {
        let state = self.read_models().unwrap_or_default();
        let at = MODELS.iter().position(|known| *known == model);
        let is_b = at.is_some_and(|at| text(&state, "active").as_bytes().get(at) == Some(&b'b'));
        if is_b == is_active { format!("{model}B") } else { model.to_owned() }
    }

    /// Up to which version a user's log is applied. `user` is the key of the user's items.
    pub(crate) fn applied(&self, user: &str) -> i64 {
        let request = json!({"TableName": name(&self.table_of("Viewers", true)), "Key": {"PK": {"S": user}}});
        number(&self.network.aws.dynamodb("GetItem", &request).json()["Item"], "applied")
    }

    /// The events of a user's log after this version.
    pub(crate) fn events_after(&self, user: &str, version: i64) -> Vec<Value> {
        let request = json!({
            "TableName": name("Commands"), "KeyConditionExpression": "PK = :pk AND SK BETWEEN :first AND :last",
            "ExpressionAttributeValues": {
                ":pk": {"S": user}, ":first": {"S": format!("EVENT#{:012}", version + 1)}, ":last": {"S": "EVENT#~"},
            },
        });
        let mut answer = self.network.aws.dynamodb("Query", &request).json();
        serde_json::from_value(answer["Items"].take()).unwrap_or_default()
    }

    /// Every item of a table, by the table's logical id.
    pub(crate) fn table(&self, table: &str) -> Vec<Value> {
        self.network.aws.items(&name(table))
    }

    /// Deletes every item of a table, by the table's logical id, as if it had been deleted and made again.
    pub(crate) fn empty(&self, table: &str) {
        for item in self.table(table) {
            let mut key = json!({"PK": item["PK"]});
            if !item["SK"].is_null() {
                key["SK"] = item["SK"].clone();
            }
            self.network.aws.dynamodb("DeleteItem", &json!({"TableName": name(table), "Key": key}));
        }
    }

    /// Every record of the bus.
    pub(crate) fn bus(&self) -> Vec<Value> {
        let records = self.network.aws.records(&name("Events"));
        records.iter().map(|record| serde_json::from_slice(&record.data).unwrap_or_default()).collect()
    }
}

/// How often a query is repeated that AWS's limits do not allow, and after which time.
const PERSISTENT_TRIES_MAX: u32 = 20;
const PERSISTENT_INTERVAL: Duration = Duration::from_secs(1);

/// A user's requests to the API.
struct Link(Arc<World>);

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link")
    }
}

impl Transport for Link {
    fn send<'a>(
        &'a self,
        user: &'a str,
        request: reqwest::Request,
    ) -> Pin<Box<dyn Future<Output = Transported> + Send + 'a>> {
        Box::pin(async move {
            let mut target = request.url().path().to_owned();
            if let Some(query) = request.url().query() {
                target = format!("{target}?{query}");
            }
            let mut sent = http::Request::builder().method(request.method()).uri(target);
            for (header, value) in request.headers() {
                sent = sent.header(header, value);
            }
            let body = request.body().and_then(|body| body.as_bytes()).map(Bytes::copy_from_slice).unwrap_or_default();
            let sent = sent.body(body).map_err(|error| error.to_string())?;
            let is_persistent =
                sent.method() == http::Method::GET && self.0.are_queries_persistent.load(Ordering::Relaxed);
            let mut tries_left = if is_persistent { PERSISTENT_TRIES_MAX } else { 0 };
            let answer = loop {
                let answer = self.0.request(user, sent.clone()).await;
                if tries_left == 0 || answer.status() != http::StatusCode::SERVICE_UNAVAILABLE {
                    break answer;
                }
                tries_left -= 1;
                tokio::time::sleep(PERSISTENT_INTERVAL).await;
            };
            let (parts, body) = answer.into_parts();
            Ok((parts.status, parts.headers, String::from_utf8_lossy(&body).into_owned()))
        })
    }
}

fn system(parameters: &[(&str, String)]) -> anyhow::Result<System> {
    let owned = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
    let supplied = [
        ("JwtIssuer", "http://issuer.simulation".to_owned()),
        ("CursorKey", "k".repeat(32)),
        ("LogLevel", "info".to_owned()),
        // So much that an audit is limited by time alone.
        ("AuditUnitsPerHour", "1000000000".to_owned()),
    ];
    let values = Values {
        given: parameters.iter().map(owned).collect(),
        supplied: supplied.iter().map(owned).collect::<BTreeMap<_, _>>(),
    };
    let addresses = Addresses {
        sqs: QUEUES_URL.to_owned(),
        api: "http://api.simulation".to_owned(),
        function_url: "http://feeds.simulation".to_owned(),
    };
    let files = Files::Texts(NESTED.map(|(path, text)| (path.to_owned(), text.to_owned())).into());
    template::parse("template.yaml", TEMPLATE, &Inputs { values, addresses, files })
        .context("the template cannot be read")
}

fn clients(network: &Arc<Network>, caller: Caller) -> Clients {
    // The SDK would hold a long poll to be a stalled stream.
    let config = aws_memory::config(network.link(caller), "mappings")
        .into_builder()
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(MAPPING_WAITS_MAX).build())
        .build();
    Clients {
        dynamodb: aws_sdk_dynamodb::Client::new(&config),
        streams: aws_sdk_dynamodbstreams::Client::new(&config),
        kinesis: aws_sdk_kinesis::Client::new(&config),
        sqs: aws_sdk_sqs::Client::new(&config),
        writes: Some(network.aws.writes()),
    }
}

async fn sources(
    system: &System,
    clients: &Clients,
    chaos: Chaos,
    pace: Pace,
    lambda: &Lambda,
) -> anyhow::Result<Sources> {
    Sources::start(&system.functions, clients, None, chaos, pace, lambda.clone()).await
}

/// Physical name of a resource.
pub(crate) fn name(logical: &str) -> String {
    format!("{PREFIX}-{logical}")
}
