//! The way from functions to AWS: every call of the SDKs passes here, takes time, and may go wrong. A call that is on
//! its way has its effect even if its caller is dead by then, as on a network.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_memory::{Answer, Aws, Refused, Request, Server, Service};
use futures::{FutureExt as _, future::BoxFuture};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::Value;
use tidings::metrics::Recorded;
use tidings_local::{lineage::TraceHeader, servers::transaction_gate::TransactionGate};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    chain::trace_header,
    faults::{Fault, Faults, Outage},
    limits::AwsLimits,
    partial,
    spread::spread,
    trace::{Detail, Trace},
};

/// Longest that a slow call takes: more than all attempts of an SDK together.
const SLOW_MS_MAX: u64 = 9_000;
/// Longest visibility timeout of messages whose receipt expires early.
const EXPIRY_S_MAX: u64 = 2;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A process of a function, by the function's name.
    Function(String),
    /// The event source mappings. Their calls are AWS's own: they take time, and fail only while a service is out.
    Sources,
    /// Whoever deploys or looks after the system. Nothing goes wrong.
    Operator,
}

/// AWS and the way to it.
pub(crate) struct Network {
    /// The services.
    pub(crate) aws: Arc<Aws>,
    /// What happened.
    pub(crate) trace: Arc<Trace>,
    /// What the functions have counted and recorded.
    pub(crate) metrics: Recorded,
    /// AWS's limits, if they are in force.
    pub(crate) limits: Option<Arc<AwsLimits>>,
    gate: TransactionGate,
    state: Mutex<State>,
    sent: Notify,
}

struct State {
    random: StdRng,
    faults: Faults,
    outage: Option<(Outage, Instant)>,
    calls: u64,
    counts: BTreeMap<Fault, u64>,
    /// When a change was last kept from the shared cache, or may have been.
    cache_doubt: Option<Instant>,
}

/// One caller's way to AWS.
pub(crate) struct Link {
    network: Arc<Network>,
    caller: Caller,
    /// When the caller's process has computed what its calls so far needed.
    computed: Mutex<Option<Instant>>,
}

/// What becomes of a call, decided when it begins.
#[derive(Debug, Clone, Copy)]
struct Fate {
    before: Duration,
    after: Duration,
    holds: Duration,
    /// How long a transaction holds its items after its effect.
    stays: Duration,
    /// Whether a read that asks for no consistency meets the copy that may be behind.
    asks_replica: bool,
    fault: Option<Fault>,
    /// A random number for whatever else there is to decide.
    dice: u64,
}

impl Network {
    /// The way to `aws`, with nothing going wrong yet.
    pub(crate) fn new(
        aws: Arc<Aws>,
        gate: TransactionGate,
        trace: Arc<Trace>,
        limits: Option<Arc<AwsLimits>>,
        seed: u64,
    ) -> Arc<Self> {
        let state = State {
            random: StdRng::seed_from_u64(seed),
            faults: Faults::none(),
            outage: None,
            calls: 0,
            counts: BTreeMap::new(),
            cache_doubt: None,
        };
        let (metrics, state, sent) = (Recorded::default(), Mutex::new(state), Notify::new());
        Arc::new(Self { aws, trace, metrics, limits, gate, state, sent })
    }

    /// A caller's way.
    pub(crate) fn link(self: &Arc<Self>, caller: Caller) -> Arc<Link> {
        Arc::new(Link { network: Arc::clone(self), caller, computed: Mutex::new(None) })
    }

    /// From now on, these faults happen.
    pub(crate) fn set_faults(&self, faults: Faults) {
        self.aws.set_replica_lag_max(Duration::from_millis(faults.stale_ms_max));
        let mut state = self.state();
        state.outage = faults.outage.map(|outage| (outage, Instant::now() + outage.after));
        state.faults = faults;
    }

    /// The faults that happen now.
    pub(crate) fn faults(&self) -> Faults {
        self.state().faults.clone()
    }

    /// Takes note of a fault.
    pub(crate) fn count(&self, fault: Fault) {
        let mut state = self.state();
        *state.counts.entry(fault).or_default() += 1;
        // A projection may have ended between a table and the cache, or its write of the table comes last.
        if fault.loses_cache_writes() {
            state.cache_doubt = Some(Instant::now());
        }
    }

    /// A change does not reach the shared cache.
    pub(crate) fn doubt_cache(&self) {
        self.state().cache_doubt = Some(Instant::now());
    }

    /// When a change was last kept from the shared cache, or may have been.
    pub(crate) fn cache_doubt(&self) -> Option<Instant> {
        self.state().cache_doubt
    }

    /// How often each fault happened, and how many calls there were.
    pub(crate) fn counts(&self) -> (BTreeMap<Fault, u64>, u64) {
        let state = self.state();
        (state.counts.clone(), state.calls)
    }

    /// A random number for those who have no generator of their own.
    pub(crate) fn random<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.state().random)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fate(&self, caller: &Caller, request: &Request) -> Fate {
        let mut state = self.state();
        state.calls += 1;
        let State { random, faults, outage, .. } = &mut *state;
        let latency = faults.latency_ms_max * 1000;
        let mut micros = || Duration::from_micros(random.random_range(200..=latency.max(200)));
        let (mut before, after) = (micros(), micros());
        let holds = Duration::from_millis(random.random_range(0..=faults.transaction_ms_max));
        let stays = Duration::ZERO;
        let asks_replica = faults.stale_ms_max > 0 && random.random();
        let (dice, chance): (u64, f64) = (random.random(), random.random());
        let same = |outage: &Outage| {
            let of = |service| if service == Service::DynamoDbStreams { Service::DynamoDb } else { service };
            [Some(outage.service), outage.other].into_iter().flatten().any(|service| of(service) == of(request.service))
        };
        let out = outage.is_some_and(|(outage, begins)| {
            same(&outage) && Instant::now() >= begins && Instant::now() < begins + outage.lasts
        });
        let fault = match caller {
            Caller::Operator => {
                let now = Duration::ZERO;
                return Fate { before: now, after: now, holds, stays, asks_replica: false, fault: None, dice };
            }
            _ if out => Some(Fault::Outage),
            Caller::Sources if request.operation == "ReceiveMessage" && chance < faults.expiry => Some(Fault::Expiry),
            // Mappings send nothing but reports of batches that they gave up.
            Caller::Sources if request.operation == "SendMessage" => Some(Fault::GivenUp),
            Caller::Sources => None,
            Caller::Function(_) => {
                let reads_again = request.operation == "GetShardIterator";
                let shares = [
                    (Fault::Trimmed, if reads_again { faults.trimmed } else { 0.0 }),
                    (Fault::Throttled, faults.throttled),
                    (Fault::ServerError, faults.server_error),
                    (Fault::Refused, faults.refused),
                    (Fault::LostAnswer, faults.lost_answer),
                    (Fault::Slow, faults.slow),
                    (
                        Fault::PartialBatch,
                        if partial::concerns(&request.operation) { faults.partial_batch } else { 0.0 },
                    ),
                ];
                let mut upper = 0.0;
                shares
                    .into_iter()
                    .find(|(_, share)| {
                        upper += share;
                        chance < upper
                    })
                    .map(|(fault, _)| fault)
            }
        };
        if fault == Some(Fault::Slow) {
            before += Duration::from_millis(dice % SLOW_MS_MAX);
        }
        // An expiry happens only if there are messages, which is not known yet.
        if let Some(fault) = fault.filter(|fault| *fault != Fault::Expiry) {
            *state.counts.entry(fault).or_default() += 1;
        }
        Fate { before, after, holds, stays, asks_replica, fault, dice }
    }

    async fn answer(&self, caller: &Caller, mut request: Request) -> Result<Answer, Refused> {
        if request.operation == "TransactWriteItems" && self.state().faults.is_spread {
            spread(&mut request);
        }
        let mut fate = self.fate(caller, &request);
        if let Some(limits) = self.limits.as_ref().filter(|_| *caller != Caller::Operator) {
            let times = limits.times(&request);
            (fate.before, fate.after) = (times.before, times.after);
            (fate.holds, fate.stays) = (times.holds, times.stays);
        }
        sleep(fate.before).await;
        let answer = match &self.limits {
            Some(limits) if *caller != Caller::Operator => self.limited_effect(limits, &request, fate).await,
            _ => self.effect(&request, fate).await,
        };
        if !self.trace.is_on() {
            return self.arrive(answer, fate).await;
        }
        let told = match &answer {
            Ok(answer) => format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)),
            Err(Refused) => "refused".to_owned(),
        };
        let (operation, fault) = (&request.operation, fate.fault);
        let body = String::from_utf8_lossy(&request.body);
        self.trace.note(Detail::Calls, format_args!("  {caller:?} {operation} {body} {fault:?} -> {told}"));
        self.arrive(answer, fate).await
    }

    /// The same within AWS's limits.
    async fn limited_effect(&self, limits: &Arc<AwsLimits>, request: &Request, fate: Fate) -> Result<Answer, Refused> {
        limits.call(&self.aws, request, |request| async move { self.effect(&request, fate).await }).await
    }

    /// Brings an answer back, unless it is lost.
    async fn arrive(&self, answer: Result<Answer, Refused>, fate: Fate) -> Result<Answer, Refused> {
        let hangs = match fate.fault {
            Some(Fault::LostAnswer) => true,
            Some(Fault::Outage) => fate.dice.is_multiple_of(4),
            _ => false,
        };
        if hangs {
            // The caller waits until it gives up; half of the lost ones notice that the connection broke.
            if fate.dice.is_multiple_of(2) {
                std::future::pending::<()>().await;
            }
            return Err(Refused);
        }
        sleep(fate.after).await;
        answer
    }

    /// What the services do, and what they say of it.
    async fn effect(&self, request: &Request, fate: Fate) -> Result<Answer, Refused> {
        match fate.fault {
            Some(Fault::Refused) => return Err(Refused),
            Some(Fault::Outage) if fate.dice % 4 == 1 => return Err(Refused),
            Some(Fault::Outage) => return Ok(server_error(request)),
            Some(Fault::Throttled) => return Ok(throttled(request, fate.dice)),
            Some(Fault::Trimmed) => return Ok(trimmed(request)),
            Some(Fault::PartialBatch) => {
                if let Some(answer) = partial::apply(&self.aws, request, fate.dice) {
                    self.wake_receivers(request);
                    return Ok(answer);
                }
            }
            // Half of them have had their effect.
            Some(Fault::ServerError) if fate.dice.is_multiple_of(2) => return Ok(server_error(request)),
            _ => {}
        }
        let answer = match request.service {
            Service::DynamoDb if TransactionGate::concerns(&request.operation) => self.write(request, fate).await,
            Service::Sqs if request.operation == "ReceiveMessage" => self.receive(request, fate).await,
            Service::DynamoDb if fate.asks_replica => self.read_replica(request),
            _ => self.aws.apply(request),
        };
        self.wake_receivers(request);
        Ok(if fate.fault == Some(Fault::ServerError) { server_error(request) } else { answer })
    }

    /// Whoever waits for a message looks again if this call may have made one visible. What becomes visible because
    /// time passes is seen without it.
    fn wake_receivers(&self, request: &Request) {
        let makes_visible = ["SendMessage", "ChangeMessageVisibility", "StartMessageMoveTask"];
        if request.service == Service::Sqs && makes_visible.iter().any(|it| request.operation.starts_with(it)) {
            self.messages_were_sent();
        }
    }

    /// Whoever waits for a message looks again.
    pub(crate) fn messages_were_sent(&self) {
        self.sent.notify_waiters();
    }

    /// The answer of a copy of DynamoDB that may be behind.
    fn read_replica(&self, request: &Request) -> Answer {
        let latest = self.aws.apply(request);
        let old = self.aws.read_replica(request).filter(|old| *old != latest);
        if old.is_some() {
            self.count(Fault::StaleRead);
        }
        old.unwrap_or(latest)
    }

    /// A write of DynamoDB, which may meet a transaction that is under way.
    async fn write(&self, request: &Request, fate: Fate) -> Answer {
        let document: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match self.gate.begin(&request.operation, &document) {
            Ok(held) => {
                if !held.is_empty() {
                    sleep(fate.holds).await;
                }
                let answer = self.aws.apply(request);
                if !fate.stays.is_zero() {
                    tokio::spawn(async move {
                        sleep(fate.stays).await;
                        drop(held);
                    });
                }
                answer
            }
            Err(conflict) => {
                self.count(Fault::Conflict);
                Answer::new(conflict.status, &conflict.body)
            }
        }
    }

    /// A long poll of SQS.
    async fn receive(&self, request: &Request, fate: Fate) -> Answer {
        let mut request = request.clone();
        let mut document: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let expires = fate.fault == Some(Fault::Expiry);
        if expires {
            document["VisibilityTimeout"] = (fate.dice % (EXPIRY_S_MAX + 1)).into();
            request.body = document.to_string().into();
        }
        let deadline = Instant::now() + Duration::from_secs(document["WaitTimeSeconds"].as_u64().unwrap_or_default());
        loop {
            let answer = self.aws.apply(&request);
            let found = answer.json()["Messages"].as_array().is_some_and(|found| !found.is_empty());
            if found && expires {
                self.count(Fault::Expiry);
            }
            if found || Instant::now() >= deadline {
                return answer;
            }
            let url = document["QueueUrl"].as_str().unwrap_or_default();
            let now_ms = i64::try_from(time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
            let visible = self.aws.next_visible_ms(url).map(|then_ms| (then_ms - now_ms).unsigned_abs().max(1));
            let visible =
                visible.map_or(deadline, |wait_ms| deadline.min(Instant::now() + Duration::from_millis(wait_ms)));
            tokio::select! {
                biased;
                () = self.sent.notified() => {}
                () = sleep_until(visible) => {}
            }
        }
    }
}

impl Link {
    /// Until when the process computes for one more call. A process has one processor, or a part of one.
    fn computes(&self) -> Option<Instant> {
        let limits = self.network.limits.as_ref()?;
        let Caller::Function(name) = &self.caller else { return None };
        let mut computed = self.computed.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = computed.map_or_else(Instant::now, |computed| computed.max(Instant::now()));
        *computed = Some(begins + limits.processor_time(name));
        *computed
    }
}

impl Server for Link {
    fn call(self: Arc<Self>, mut request: Request) -> BoxFuture<'static, Result<Answer, Refused>> {
        if let Some(trace) = trace_header() {
            add_trace(&mut request, &trace);
        }
        let computes_until = self.computes();
        let underway = tokio::spawn(async move {
            if let Some(computed) = computes_until {
                sleep_until(computed).await;
            }
            self.network.answer(&self.caller, request).await
        });
        async move { underway.await.unwrap_or(Err(Refused)) }.boxed()
    }
}

/// Gives the messages that are sent the trace header of the request, as SQS does.
fn add_trace(request: &mut Request, trace: &TraceHeader) {
    if request.service != Service::Sqs || !request.operation.starts_with("SendMessage") {
        return;
    }
    let mut document: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let header = serde_json::json!({"AWSTraceHeader": {"DataType": "String", "StringValue": trace.to_string()}});
    match document["Entries"].as_array_mut() {
        Some(entries) => entries.iter_mut().for_each(|entry| entry["MessageSystemAttributes"] = header.clone()),
        None => document["MessageSystemAttributes"] = header,
    }
    request.body = document.to_string().into();
}

fn server_error(request: &Request) -> Answer {
    let code = match request.service {
        Service::DynamoDb | Service::DynamoDbStreams => "com.amazonaws.dynamodb.v20120810#InternalServerError",
        Service::Kinesis | Service::Sqs => "InternalFailure",
    };
    Answer::error(500, code, "an error of the simulated world")
}

/// A shard whose records have all expired is gone. As long as the shard is there, DynamoDB refuses an iterator at a
/// record that is not.
fn trimmed(request: &Request) -> Answer {
    let code = match request.service {
        Service::DynamoDb | Service::DynamoDbStreams => "com.amazonaws.dynamodb.v20120810#TrimmedDataAccessException",
        Service::Kinesis | Service::Sqs => "ResourceNotFoundException",
    };
    Answer::error(400, code, "the records have expired")
}

/// DynamoDB names the items of a transaction that were throttled; single requests are refused as a whole.
fn throttled(request: &Request, dice: u64) -> Answer {
    const MESSAGE: &str = "The level of configured provisioned throughput was exceeded";
    if request.operation == "TransactWriteItems" {
        let document: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let items = document["TransactItems"].as_array().map_or(1, Vec::len).max(1);
        let hit = usize::try_from(dice).unwrap_or_default() % items;
        let code = |item: usize| if item == hit { "ThrottlingError" } else { "None" };
        let reasons: Vec<_> = (0..items).map(|item| serde_json::json!({"Code": code(item)})).collect();
        return Answer::new(
            400,
            &serde_json::json!({
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "Message": "Transaction cancelled", "CancellationReasons": reasons,
            }),
        );
    }
    let code = match request.service {
        Service::DynamoDb => "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        Service::DynamoDbStreams => "com.amazonaws.dynamodb.v20120810#LimitExceededException",
        Service::Kinesis => "ProvisionedThroughputExceededException",
        Service::Sqs => "RequestThrottled",
    };
    Answer::error(400, code, MESSAGE)
}
