//! AWS's limits in the simulated world: each call of a service, each invocation and each request to the API is held
//! against the model of `aws-limits`, and takes as long as on AWS. [`Watch`] is told what happens, for reports.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_limits::{
    Limits, Refusal,
    dynamodb::{Admitted, DynamoDb, Schema, Usage},
    http_api::HttpApi,
    kinesis::{Stream, Written},
    lambda::{Concurrency, Environment, Lambda},
    numbers,
};
use aws_memory::{Answer, Aws, Refused, Request, Service};
use base64::decoded_len_estimate;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tidings_local::template::model::{EventSource, Function, Index, StreamKind, System, Table};

use crate::determinism::elapsed;

/// What a world with limits is made of.
#[derive(Clone)]
pub(crate) struct Setup {
    /// The limits of the whole load.
    pub(crate) limits: Limits,
    /// Which fraction of the load there is. Everything that limits rates shrinks with it.
    pub(crate) fraction: f64,
    /// Whether transactions hold their items longer than on AWS, by the inverse of `fraction`. So a transaction
    /// conflicts as often as under the whole load.
    pub(crate) stretch_transactions: bool,
    /// Posts in the index of those that trend, if they are others than on AWS.
    pub(crate) contenders: Option<usize>,
    /// Who is told what happens.
    pub(crate) watch: Arc<dyn Watch>,
}

/// Is told what happens.
pub(crate) trait Watch: Send + Sync {
    /// A write of DynamoDB has succeeded.
    fn written(&self, _operation: &str, _request: &Value) {}
    /// Something was too much.
    fn throttled(&self, _what: &str) {}
    /// An invocation has ended after this time. The function has so much memory.
    fn invoked(&self, _function: &str, _took: Duration, _memory_mib: u32) {}
    /// A queue was called.
    fn queue_called(&self) {}
}

/// Tells nobody.
pub(crate) struct Nobody;

impl Watch for Nobody {}

/// The limits, and how much of them is used.
pub(crate) struct AwsLimits {
    /// The limits of the fraction of the load that there is.
    pub(crate) limits: Limits,
    /// Who is told what happens.
    pub(crate) watch: Arc<dyn Watch>,
    /// GB of memory of the processes that are kept ready, of the whole load.
    pub(crate) ready_gb: f64,
    stretch: f64,
    /// How many times as many lanes or pollers the sources of a function have here as belong to the fraction of the
    /// load. There is one at least, so a small fraction has more than it should.
    excess: BTreeMap<String, f64>,
    memory_mib: BTreeMap<String, u32>,
    state: Mutex<State>,
}

struct State {
    dynamodb: DynamoDb,
    bus: Stream,
    lambda: Lambda,
    api: HttpApi,
    random: StdRng,
}

/// How long a call takes before and after its effect, and how long a transaction holds its items.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) before: Duration,
    pub(crate) after: Duration,
    pub(crate) holds: Duration,
    /// How much longer others conflict with it, because there are fewer of them: nobody waits for this.
    pub(crate) stays: Duration,
}

/// What has been used.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    pub(crate) tables: Vec<Usage>,
    pub(crate) bus: Written,
    pub(crate) concurrency: u32,
}

impl AwsLimits {
    /// The limits for this system, and the system as the fraction of the load meets it: with as many lanes, pollers and
    /// reserved invocations as belong to the fraction.
    pub(crate) fn new(setup: Setup, system: &mut System, seed: u64) -> Arc<Self> {
        let (whole, fraction) = (setup.limits, setup.fraction);
        let most_lanes =
            system.functions.iter().flat_map(|function| &function.sources).filter_map(|source| match source {
                EventSource::Stream(stream) => Some(stream.parallelization_factor),
                EventSource::Queue(_) | EventSource::Schedule(_) => None,
            });
        let limits = Limits {
            enhanced_fan_out: system.has_enhanced_fan_out(),
            ..whole.scaled(fraction, most_lanes.max().unwrap_or(1))
        };
        let mut excess = BTreeMap::new();
        for function in &mut system.functions {
            function.max_concurrency = function.max_concurrency.map(|reserved| scaled(reserved, fraction));
            let contenders = setup.contenders.map(|count| ("TRENDING_CONTENDERS".to_owned(), count.to_string()));
            function.environment.extend(contenders);
            for source in &mut function.sources {
                // What belongs to the fraction, and what there is.
                let (belongs, is) = match source {
                    EventSource::Stream(source) => {
                        let factor = source.parallelization_factor;
                        // The stream of a table has one shard here. On AWS, each partition has one.
                        let (shards, shards_here, per_shard) = match source.stream {
                            StreamKind::Kinesis(_) => {
                                let lanes = limits.lanes(whole.stream_shards, factor, fraction);
                                (f64::from(whole.stream_shards), f64::from(limits.stream_shards), lanes)
                            }
                            StreamKind::DynamoDb(_) => {
                                let partitions = (whole.table_write_units / whole.partition_write_units).ceil();
                                (partitions, 1.0, scaled(factor, partitions * fraction))
                            }
                        };
                        source.parallelization_factor = per_shard;
                        (shards * f64::from(factor) * fraction, shards_here * f64::from(per_shard))
                    }
                    EventSource::Queue(source) => {
                        let whole_pollers = source.provisioned_pollers.or(source.max_concurrency);
                        source.max_concurrency = source.max_concurrency.map(|most| scaled(most, fraction));
                        source.provisioned_pollers = source.provisioned_pollers.map(|all| scaled(all, fraction));
                        let pollers = source.provisioned_pollers.or(source.max_concurrency);
                        let all = |pollers: Option<u32>| pollers.map_or(whole.queue_pollers_max, f64::from);
                        (all(whole_pollers) * fraction, pollers.map_or(limits.queue_pollers_max, f64::from))
                    }
                    EventSource::Schedule(_) => continue,
                };
                let times: &mut f64 = excess.entry(function.name.clone()).or_insert(1.0);
                *times = times.max(is / belongs);
            }
        }
        system.streams.iter_mut().for_each(|stream| stream.shards = limits.stream_shards);
        let schema = |table: &Table| {
            let index = |index: &Index| {
                (index.name.clone(), index.key.partition.clone(), index.key.sort.clone().unwrap_or_default())
            };
            let indexes = table.indexes.iter().map(index).collect();
            let schema = Schema { partition: table.key.partition.clone(), sort: table.key.sort.clone(), indexes };
            (table.name.clone(), schema)
        };
        let own = |function: &Function| {
            let Concurrency { reserved, provisioned } = function.concurrency();
            (function.name.clone(), Concurrency { reserved, provisioned: provisioned * fraction })
        };
        let state = State {
            dynamodb: DynamoDb::new(&limits, system.tables.iter().map(schema).collect()),
            bus: Stream::new(&limits),
            lambda: Lambda::new(&limits, system.functions.iter().map(own)),
            api: HttpApi::new(&limits, system.api.as_ref().and_then(|api| api.throttle)),
            random: StdRng::seed_from_u64(seed),
        };
        let memory_mib = system.functions.iter().map(|function| (function.name.clone(), function.memory_mib)).collect();
        let ready_gb =
            |function: &Function| function.concurrency().provisioned * f64::from(function.memory_mib) / 1024.0;
        let ready_gb = system.functions.iter().map(ready_gb).sum();
        let stretch = if setup.stretch_transactions { 1.0 / fraction } else { 1.0 };
        Arc::new(Self { limits, watch: setup.watch, ready_gb, stretch, excess, memory_mib, state: Mutex::new(state) })
    }

    /// How long a lane or poller of the function rests after an invocation that took so long: it does no more than the
    /// part of one that belongs to the fraction of the load.
    pub(crate) fn rests(&self, function: &str, took: Duration) -> Option<Duration> {
        self.excess.get(function).filter(|excess| **excess > 1.0).map(|excess| took.mul_f64(excess - 1.0))
    }

    /// How long a call takes.
    pub(crate) fn times(&self, request: &Request) -> Times {
        let median = match (request.service, request.operation.as_str()) {
            (Service::DynamoDb, operation) if is_write(operation) => numbers::WRITE_LATENCY,
            (Service::DynamoDb | Service::DynamoDbStreams, _) => numbers::READ_LATENCY,
            (Service::Kinesis, _) => numbers::KINESIS_LATENCY,
            (Service::Sqs, _) => numbers::SQS_LATENCY,
        };
        let mut state = self.state();
        let took = lognormal(&mut state.random, median.duration()) / 2;
        let holds = state.random.random_range(numbers::transaction_time());
        Times { before: took, after: took, holds, stays: holds.mul_f64(self.stretch - 1.0) }
    }

    /// How long a process of the function computes for each of its calls.
    pub(crate) fn processor_time(&self, function: &str) -> Duration {
        numbers::CALL_PROCESSOR.duration().mul_f64(numbers::MEMORY_OF_ONE_CPU.value / self.memory(function))
    }

    /// How long a new process takes before its first invocation.
    pub(crate) fn start_time(&self) -> Duration {
        lognormal(&mut self.state().random, numbers::COLD_START.duration())
    }

    /// Decides about a call of a service, has it done by `apply`, and charges it. An entry of a batch that is too much
    /// is left undone.
    pub(crate) async fn call<F: Future<Output = Result<Answer, Refused>>>(
        &self,
        aws: &Aws,
        request: &Request,
        apply: impl FnOnce(Request) -> F,
    ) -> Result<Answer, Refused> {
        match (request.service, request.operation.as_str()) {
            (Service::DynamoDb, _) => self.dynamodb(aws, request, apply).await,
            (Service::Kinesis, "PutRecords") => self.put_records(request, apply).await,
            (Service::Kinesis, "GetRecords") => self.get_records(request, apply).await,
            (Service::Kinesis, "GetShardIterator") => {
                let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                let answer = apply(request.clone()).await?;
                let iterator = answer.json()["ShardIterator"].as_str().unwrap_or_default().to_owned();
                self.state().bus.iterator(&iterator, asked["ShardId"].as_str().unwrap_or_default());
                Ok(answer)
            }
            (Service::Sqs, _) => {
                self.watch.queue_called();
                apply(request.clone()).await
            }
            _ => apply(request.clone()).await,
        }
    }

    async fn dynamodb<F: Future<Output = Result<Answer, Refused>>>(
        &self,
        aws: &Aws,
        request: &Request,
        apply: impl FnOnce(Request) -> F,
    ) -> Result<Answer, Refused> {
        let operation = request.operation.as_str();
        let mut document: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let indexed = self.state().dynamodb.indexed(operation, &document);
        let before: Vec<Option<Value>> = indexed
            .into_iter()
            .map(|indexed| {
                let indexed = indexed?;
                let get = json!({"TableName": indexed.table, "Key": indexed.key});
                aws.dynamodb("GetItem", &get).json().get_mut("Item").map(Value::take)
            })
            .collect();
        let decided = self.state().dynamodb.admit(elapsed(), operation, &mut document, &before);
        let admitted = match decided {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(self.refuse(&refusal)),
        };
        admitted.throttled.iter().for_each(|what| self.watch.throttled(what));
        document["ReturnConsumedCapacity"] = "INDEXES".into();
        let answer = apply(Request { body: document.to_string().into(), ..request.clone() }).await?;
        self.state().dynamodb.charge(elapsed(), &admitted, consumed(&answer).as_ref());
        if answer.status == 200 && is_write(operation) {
            self.watch.written(operation, &document);
        }
        Ok(merge(&admitted, answer))
    }

    async fn put_records<F: Future<Output = Result<Answer, Refused>>>(
        &self,
        request: &Request,
        apply: impl FnOnce(Request) -> F,
    ) -> Result<Answer, Refused> {
        let mut document: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let record = |record: &Value| {
            let bytes = decoded_len_estimate(record["Data"].as_str().unwrap_or_default().len());
            (record["PartitionKey"].as_str().unwrap_or_default().to_owned(), bytes)
        };
        let records: Vec<_> = document["Records"].as_array().into_iter().flatten().map(record).collect();
        let put = self.state().bus.put(elapsed(), &records);
        if put.refused() == 0 {
            return apply(request.clone()).await;
        }
        (0..put.refused()).for_each(|_| self.watch.throttled("bus records, shard"));
        let mut answer = Answer::new(200, &json!({"Records": [], "FailedRecordCount": 0}));
        if put.take_out(&mut document) {
            answer = apply(Request { body: document.to_string().into(), ..request.clone() }).await?;
        }
        if answer.status != 200 {
            return Ok(answer);
        }
        let mut merged = answer.json();
        put.merge(&mut merged);
        Ok(Answer::new(200, &merged))
    }

    async fn get_records<F: Future<Output = Result<Answer, Refused>>>(
        &self,
        request: &Request,
        apply: impl FnOnce(Request) -> F,
    ) -> Result<Answer, Refused> {
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let iterator = asked["ShardIterator"].as_str().unwrap_or_default();
        let decided = self.state().bus.read(elapsed(), iterator);
        if let Err(refusal) = decided {
            return Ok(self.refuse(&refusal));
        }
        let answer = apply(request.clone()).await?;
        if answer.status == 200 {
            let page = answer.json();
            let records = page["Records"].as_array().map(Vec::as_slice).unwrap_or_default();
            let data = |record: &Value| decoded_len_estimate(record["Data"].as_str().unwrap_or_default().len());
            let bytes = records.iter().map(data).sum();
            let next = page["NextShardIterator"].as_str();
            self.state().bus.has_read(elapsed(), iterator, next, records.len(), bytes);
        }
        Ok(answer)
    }

    /// Begins an invocation. Says whether it begins in a new environment.
    ///
    /// # Errors
    /// If there are too many.
    pub(crate) fn begin(&self, function: &str, is_cold: bool) -> Result<Environment, Refusal> {
        let begun = self.state().lambda.begin(elapsed(), function, is_cold);
        begun.inspect_err(|refusal| self.watch.throttled(&refusal.what))
    }

    /// An invocation has ended after this time.
    pub(crate) fn end(&self, function: &str, took: Duration) {
        self.state().lambda.end(function);
        self.watch.invoked(function, took, self.memory_mib.get(function).copied().unwrap_or_default());
    }

    /// Decides about a request to the API, of the route with this key.
    ///
    /// # Errors
    /// If there are too many.
    pub(crate) fn admit_request(&self, route: Option<&str>) -> Result<(), Refusal> {
        let admitted = self.state().api.admit(elapsed(), route);
        admitted.inspect_err(|refusal| self.watch.throttled(&refusal.what))
    }

    /// What has been used so far.
    pub(crate) fn used(&self) -> Used {
        let state = self.state();
        Used { tables: state.dynamodb.usage(), bus: state.bus.written(), concurrency: state.lambda.peak() }
    }

    fn refuse(&self, refusal: &Refusal) -> Answer {
        self.watch.throttled(&refusal.what);
        Answer::new(refusal.status, &refusal.body)
    }

    fn memory(&self, function: &str) -> f64 {
        f64::from(self.memory_mib.get(function).copied().unwrap_or(128).max(1))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_write(operation: &str) -> bool {
    matches!(operation, "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems")
}

fn scaled(count: u32, fraction: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
    let scaled = (f64::from(count) * fraction).round().max(1.0) as u32;
    scaled
}

/// A time around this median.
fn lognormal(random: &mut StdRng, median: Duration) -> Duration {
    // Box and Muller (1958).
    let (a, b): (f64, f64) = (random.random_range(f64::MIN_POSITIVE..1.0), random.random());
    let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
    median.mul_f64((numbers::LATENCY_SPREAD.value * normal).exp())
}

/// The member `ConsumedCapacity` of an answer. A quotation mark within a text is escaped, so the name is found only
/// where it is a name.
fn consumed(answer: &Answer) -> Option<Value> {
    if answer.status != 200 {
        return None;
    }
    const NAME: &str = "\"ConsumedCapacity\":";
    let body = std::str::from_utf8(&answer.body).ok()?;
    let found = body.rfind(NAME)? + NAME.len();
    serde_json::Deserializer::from_str(&body[found..]).into_iter::<Value>().next()?.ok()
}

/// The answer with what was left of a batch.
fn merge(admitted: &Admitted, answer: Answer) -> Answer {
    if !admitted.is_partial() || answer.status != 200 {
        return answer;
    }
    let mut document = answer.json();
    admitted.merge(&mut document);
    Answer::new(200, &document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_their_median_and_a_p99_of_3_2_times_it() {
        let mut random = StdRng::seed_from_u64(1);
        let mut times: Vec<_> = (0..20_000).map(|_| lognormal(&mut random, Duration::from_millis(100))).collect();
        times.sort();
        let at = |share: usize| times[times.len() * share / 100].as_millis();
        assert!(at(50).abs_diff(100) < 3, "{}", at(50));
        assert!(at(99).abs_diff(320) < 20, "{}", at(99));
    }

    #[test]
    fn consumed_units_are_found_beside_texts_that_look_like_them() {
        let text = "\"ConsumedCapacity\": 1";
        let answer = Answer::new(200, &json!({"ConsumedCapacity": {"CapacityUnits": 2.5}, "Item": {"t": {"S": text}}}));
        assert_eq!(consumed(&answer), Some(json!({"CapacityUnits": 2.5})));
        assert_eq!(consumed(&Answer::error(400, "X", "no")), None);
    }
}
