//! A world for unit tests: AWS in memory, and two processes that work with it through the real SDKs. Tests read as
//! given, when, then:
//!
//! - Given: commands of the process [`World::other`], or items that are put into tables.
//! - When: one call of the process [`World::tested`]. The [`Network`] of this process can be disturbed.
//! - Then: what tables and queues hold, or what a query answers.
//!
//! Tests pause tokio's time, so waits between retries cost nothing. The clock of both processes stands still except
//! where a test moves it, and messages in queues wait by it. Every given command moves it by a millisecond, so that ids
//! are in the order of their making.

mod network;
mod process;

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_memory::{Aws, Server, queue_url};
pub(crate) use network::{Call, Calls, Failure, Network};
pub(crate) use process::Process;
use serde_json::{Value, json};

use crate::{
    model::{Clock, CommandId, RunStep, UserId, Version},
    retry::{retry_config, timeout_config},
    runtime::Runtime,
    samples::NOW,
    shared_cache,
    store::BATCH_WRITE_MAX,
    stream::work_queue::{Message, RUN, Task},
};

/// How long the processes use a list of celebrities.
pub(crate) const LIST_LIFETIME: Duration = Duration::from_secs(5);
/// So many followers that no test has a celebrity unless it asks for one.
const FOLLOWERS_MIN: u64 = 1_000_000;
/// The variables of rate limits.
const RATE_LIMITS: [&str; 6] = [
    "POSTS_PER_HOUR",
    "COMMENTS_PER_HOUR",
    "FOLLOWS_PER_DAY",
    "PROFILE_CHANGES_PER_DAY",
    "BLOCKS_PER_HOUR",
    "LIKES_PER_HOUR",
];
/// So high a rate limit that no test reaches it unless it asks for a lower one.
const UNLIMITED: u64 = 1_000_000_000;

/// AWS in memory with two processes.
pub(crate) struct World {
    aws: Arc<Aws>,
    now_ms: Arc<AtomicU64>,
    numbers: Vec<(&'static str, u64)>,
    /// The shared cache of both processes, if they have one.
    cache: Option<Arc<dyn shared_cache::Server>>,
    /// The way from the process under test to AWS.
    pub(crate) network: Arc<Network>,
    /// The process that runs the code under test.
    pub(crate) tested: Process,
    /// A process that nothing disturbs. It makes what is given, and competes with the process under test.
    pub(crate) other: Process,
}

impl World {
    /// An empty world.
    pub(crate) fn new() -> Self {
        Self::with_celebrities_from(FOLLOWERS_MIN)
    }

    /// An empty world in which users may do as much of a kind as this variable of the environment says.
    pub(crate) fn with_rate_limit(variable: &'static str, count: u64) -> Self {
        Self::with(&[(variable, count)])
    }

    /// An empty world in which authors with this many followers become celebrities.
    pub(crate) fn with_celebrities_from(followers_min: u64) -> Self {
        Self::with(&[("CELEBRITY_FOLLOWERS", followers_min)])
    }

    /// An empty world in which a step of a walk reads or writes so many rows at most.
    pub(crate) fn with_steps_of(rows: u64) -> Self {
        Self::with(&[("WALK_STEP_ROWS", rows)])
    }

    /// An empty world with this shared cache. Authors with two followers become celebrities.
    pub(crate) fn with_shared_cache(cache: Arc<dyn shared_cache::Server>) -> Self {
        Self::with_all(&[("CELEBRITY_FOLLOWERS", 2)], Some(cache))
    }

    /// An empty world with these numbers in the environment.
    pub(crate) fn with(numbers: &[(&'static str, u64)]) -> Self {
        Self::with_all(numbers, None)
    }

    fn with_all(numbers: &[(&'static str, u64)], cache: Option<Arc<dyn shared_cache::Server>>) -> Self {
        let now_ms = Arc::new(AtomicU64::new(NOW.as_ms()));
        let queue_time = Arc::clone(&now_ms);
        let queue_time = move || i64::try_from(queue_time.load(Ordering::SeqCst)).unwrap();
        let aws = Arc::new(Aws::new().unwrap().with_queue_time(queue_time));
        create_tables(&aws);
        aws.create_queue("deliveries");
        aws.create_queue("quarantine");
        let network = Network::new(Arc::clone(&aws));
        let process = |server: Arc<dyn Server>| {
            let clock = Clock::set_by(Arc::clone(&now_ms));
            Process::new(&runtime(server, clock, numbers, cache.clone()), Arc::clone(&now_ms))
        };
        let (tested, other) = (process(network.clone()), process(aws.clone()));
        Self { aws, now_ms, numbers: numbers.to_vec(), cache, network, tested, other }
    }

    /// Another process that nothing disturbs, whose clock is ahead of the others by so much.
    pub(crate) fn process_ahead_by(&self, difference: Duration) -> Process {
        let clock = Clock::set_by(Arc::clone(&self.now_ms)).ahead_by(difference);
        let runtime = runtime(self.aws.clone(), clock, &self.numbers, self.cache.clone());
        Process::new(&runtime, Arc::clone(&self.now_ms))
    }

    /// Another process whose calls are counted with those of the tested one, with empty caches of its own.
    pub(crate) fn cold(&self) -> Process {
        let clock = Clock::set_by(Arc::clone(&self.now_ms));
        let runtime = runtime(self.network.clone(), clock, &self.numbers, self.cache.clone());
        Process::new(&runtime, Arc::clone(&self.now_ms))
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        self.now_ms.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Lets time pass until the next task that waits can be taken. False if none waits.
    pub(crate) fn pass_until_next_task(&self) -> bool {
        let Some(visible_ms) = self.aws.next_visible_ms(&queue_url("deliveries")) else { return false };
        self.now_ms.fetch_max(u64::try_from(visible_ms).unwrap(), Ordering::SeqCst);
        true
    }

    /// All items of a table, in a fixed order.
    pub(crate) fn items(&self, table: &str) -> Vec<Value> {
        let mut items = self.aws.items(table);
        items.sort_by_cached_key(Value::to_string);
        items
    }

    /// All items of all tables.
    pub(crate) fn tables(&self) -> Vec<Vec<Value>> {
        ["commands", "timelines", "viewers", "cards"].map(|table| self.items(table)).into()
    }

    /// The keys of a table's items that begin with this text, in order.
    pub(crate) fn keys(&self, table: &str, prefix: &str) -> Vec<String> {
        let key = |item: &Value| item["PK"]["S"].as_str().unwrap().to_owned();
        let mut keys: Vec<_> = self.items(table).iter().map(key).filter(|key| key.starts_with(prefix)).collect();
        keys.sort_unstable();
        keys
    }

    /// Puts items into a table.
    pub(crate) fn put(&self, table: &str, items: &[Value]) {
        for batch in items.chunks(BATCH_WRITE_MAX) {
            let writes: Vec<_> = batch.iter().map(|item| json!({"PutRequest": {"Item": item}})).collect();
            let answer = self.aws.dynamodb("BatchWriteItem", &json!({"RequestItems": {table: writes}}));
            assert_eq!(answer.status, 200, "{}", answer.json());
        }
    }

    /// Deletes all items of a table without a sort key.
    pub(crate) fn empty(&self, table: &str) {
        for item in self.items(table) {
            let request = json!({"TableName": table, "Key": {"PK": item["PK"]}});
            assert_eq!(self.aws.dynamodb("DeleteItem", &request).status, 200);
        }
    }

    /// Gives the followee this many followers, without their logs. Returns their ids, in the order of their keys.
    pub(crate) fn put_followers(&self, followee: &str, number: usize) -> Vec<UserId> {
        let names: Vec<_> = (0..number).map(|n| format!("f{n:05}")).collect();
        let edge = |name: &String| {
            json!({
                "PK": {"S": format!("FOLLOWERS#{followee}")}, "SK": {"S": format!("USER#{name}")},
                "active": {"BOOL": true}, "version": {"N": "1"},
            })
        };
        self.put("commands", &names.iter().map(edge).collect::<Vec<_>>());
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    /// Puts events into a log that mute a user each, without the edges.
    pub(crate) fn put_mutes(&self, id: &str, versions: RangeInclusive<u64>) {
        let at = self.other.clock.now();
        let event = |version: u64| {
            json!({
                "PK": {"S": format!("USER#{id}")}, "SK": {"S": format!("EVENT#{version:012}")},
                "user": {"S": id}, "version": {"N": version.to_string()}, "command": {"S": CommandId::new(at)},
                "at": {"N": at.as_ms().to_string()}, "totals": {"M": {"following": {"N": "0"}}},
                "type": {"S": "UserMuted"}, "data": {"M": {"muted": {"S": format!("muted-{version}")}}},
            })
        };
        self.put("commands", &versions.map(event).collect::<Vec<_>>());
    }

    /// Gives an event in the log this type. Nobody understands an event with an unknown type.
    pub(crate) fn set_event_type(&self, user: &str, version: Version, kind: &str) {
        let request = json!({
            "TableName": "commands", "Key": event_key(user, version), "UpdateExpression": "SET #type = :type",
            "ExpressionAttributeNames": {"#type": "type"}, "ExpressionAttributeValues": {":type": {"S": kind}},
        });
        assert_eq!(self.aws.dynamodb("UpdateItem", &request).status, 200);
    }

    /// Deletes an event from a log.
    pub(crate) fn delete_event(&self, user: &str, version: Version) {
        let request = json!({"TableName": "commands", "Key": event_key(user, version)});
        assert_eq!(self.aws.dynamodb("DeleteItem", &request).status, 200);
    }

    /// An operation of DynamoDB of which no process knows.
    pub(crate) fn meddle(&self, operation: &str, request: &Value) {
        let answer = self.aws.dynamodb(operation, request);
        assert_eq!(answer.status, 200, "{}", answer.json());
    }

    /// Sets an attribute of an item of a table without sort keys.
    pub(crate) fn set(&self, table: &str, pk: &str, attribute: &str, value: &Value) {
        let request = json!({
            "TableName": table, "Key": {"PK": {"S": pk}}, "UpdateExpression": "SET #attribute = :value",
            "ExpressionAttributeNames": {"#attribute": attribute}, "ExpressionAttributeValues": {":value": value},
        });
        self.meddle("UpdateItem", &request);
    }

    /// Takes all tasks from the work queue.
    pub(crate) fn take_tasks(&self) -> Vec<Task> {
        self.take_steps().into_iter().map(|(task, _)| task).collect()
    }

    /// The same, each with the step of a run that it is, if it is one.
    pub(crate) fn take_steps(&self) -> Vec<(Task, Option<RunStep>)> {
        let step = |message: Value| {
            let task = match Message::parse(message["Body"].as_str().unwrap()).unwrap() {
                Message::On { task, .. } | Message::OnAll(task) => task,
            };
            (task, message["MessageAttributes"][RUN]["StringValue"].as_str().map(|run| run.parse().unwrap()))
        };
        self.take("deliveries").into_iter().map(step).collect()
    }

    /// Takes all messages from the quarantine, as JSON.
    pub(crate) fn take_quarantined(&self) -> Vec<Value> {
        let body = |message: Value| serde_json::from_str(message["Body"].as_str().unwrap()).unwrap();
        self.take("quarantine").into_iter().map(body).collect()
    }

    fn take(&self, queue: &str) -> Vec<Value> {
        let url = queue_url(queue);
        let mut taken = Vec::new();
        loop {
            let request = json!({"QueueUrl": url, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]});
            let received = self.aws.sqs("ReceiveMessage", &request);
            let Some(messages) = received["Messages"].as_array().filter(|messages| !messages.is_empty()) else {
                return taken;
            };
            for message in messages {
                let request = json!({"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]});
                self.aws.sqs("DeleteMessage", &request);
                taken.push(message.clone());
            }
        }
    }
}

fn event_key(user: &str, version: Version) -> Value {
    json!({"PK": {"S": format!("USER#{user}")}, "SK": {"S": format!("EVENT#{:012}", version.get())}})
}

fn create_tables(aws: &Aws) {
    let attribute = |name, kind| json!({"AttributeName": name, "AttributeType": kind});
    let cards = |name: &str| {
        json!({
            "TableName": name, "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [attribute("PK", "S"), attribute("bucket", "S"), attribute("score", "N")],
            "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}],
            "GlobalSecondaryIndexes": [{
                "IndexName": "hottest", "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["author"]},
                "KeySchema": [
                    {"AttributeName": "bucket", "KeyType": "HASH"}, {"AttributeName": "score", "KeyType": "RANGE"},
                ],
            }],
        })
    };
    let answers = [
        aws.create_table("commands", true),
        aws.create_table("timelines", true),
        aws.create_table("viewers", false),
        aws.dynamodb("CreateTable", &cards("cards")),
        aws.create_table("timelines-b", true),
        aws.create_table("viewers-b", false),
        aws.dynamodb("CreateTable", &cards("cards-b")),
        aws.create_table("search", true),
        aws.create_table("search-b", true),
    ];
    assert_eq!(answers.map(|answer| answer.status), [200; 9]);
}

fn runtime(
    server: Arc<dyn Server>,
    clock: Clock,
    numbers: &[(&str, u64)],
    cache: Option<Arc<dyn shared_cache::Server>>,
) -> Runtime {
    static REGIONS: AtomicU64 = AtomicU64::new(0);
    // The SDKs share a budget of retries in each region. With a region of its own, no process can use up another's.
    let region = format!("memory-{}", REGIONS.fetch_add(1, Ordering::Relaxed));
    let config = aws_memory::config(server, &region).into_builder();
    let config = config.retry_config(retry_config()).timeout_config(timeout_config()).build();
    let environment = [
        ("COMMANDS_TABLE", "commands".to_owned()),
        ("TIMELINES_TABLE", "timelines".to_owned()),
        ("VIEWERS_TABLE", "viewers".to_owned()),
        ("CARDS_TABLE", "cards".to_owned()),
        ("TIMELINES_TABLE_B", "timelines-b".to_owned()),
        ("VIEWERS_TABLE_B", "viewers-b".to_owned()),
        ("CARDS_TABLE_B", "cards-b".to_owned()),
        ("SEARCH_TABLE", "search".to_owned()),
        ("SEARCH_TABLE_B", "search-b".to_owned()),
        ("SEARCH_DAYS", "0".to_owned()),
        ("DELIVERIES_QUEUE", queue_url("deliveries")),
        ("QUARANTINE_QUEUE", queue_url("quarantine")),
        ("AUDIT_UNITS_PER_HOUR", UNLIMITED.to_string()),
        ("CELEBRITY_FOLLOWERS", FOLLOWERS_MIN.to_string()),
        ("CELEBRITY_LIST_SECONDS", LIST_LIFETIME.as_secs().to_string()),
        ("ERASURE_DELAY_SECONDS", "60".to_owned()),
        ("STATISTICS_DAYS", "400".to_owned()),
        ("DORMANT_DAYS", "0".to_owned()),
        ("WALK_STEP_ROWS", "500".to_owned()),
    ];
    let unlimited = RATE_LIMITS.map(|name| (name, UNLIMITED.to_string()));
    let given = numbers.iter().map(|(name, number)| (*name, number.to_string()));
    let environment = environment.into_iter().chain(unlimited).chain(given);
    let environment: BTreeMap<_, _> = environment.map(|(name, value)| (name.to_owned(), value)).collect();
    let runtime = Runtime::new(config, environment, clock);
    match cache {
        Some(cache) => runtime.with_shared_cache(cache),
        None => runtime,
    }
}
