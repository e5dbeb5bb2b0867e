//! The way from the code under test to AWS in memory. A test can disturb chosen calls: let them fail, lose their
//! answers, or let something happen right before or after them. So races and crashes come at the same place in every
//! run.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_memory::{Answer, Aws, Refused, Request, Server};
use futures::{FutureExt as _, executor::block_on, future::BoxFuture};
use serde_json::{Value, json};
use tokio::task::unconstrained;

/// A network on which chosen calls are disturbed.
pub(crate) struct Network {
    aws: Arc<Aws>,
    disturbances: Mutex<Vec<Disturbance>>,
    calls: Mutex<Vec<Call>>,
    /// Calls whose effect comes late.
    late: Mutex<Vec<Request>>,
}

/// A call of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// Which operation, as `GetItem`.
    pub(crate) operation: String,
    /// The request as JSON.
    pub(crate) body: String,
}

/// Which calls are disturbed: those of this operation whose request contains this text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calls(pub(crate) &'static str, pub(crate) &'static str);

struct Disturbance {
    calls: Calls,
    /// Calls that pass before the first one is disturbed.
    skipped: usize,
    /// Calls that are disturbed from then on.
    times: usize,
    effect: Effect,
}

#[derive(Clone)]
enum Effect {
    /// The call fails, and changes nothing.
    Fail(Failure),
    /// The call takes effect, but its answer is lost.
    LoseAnswer,
    /// The call is answered with a conflict, and takes effect before the next transaction.
    Late,
    /// Something happens before the call.
    Before(Hook),
    /// Something happens after the call, before its answer arrives.
    After(Hook),
    /// The call takes so long.
    Slow(Duration),
}

type Hook = Arc<dyn Fn() + Send + Sync>;

/// How a call fails.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Failure {
    /// The service has an error of its own. The SDK tries again.
    Internal,
    /// The service refuses the request for good.
    Invalid,
    /// The service has too much to do. The SDK tries again.
    Throttled,
    /// A write of one item meets a transaction that writes the item, too.
    Conflict,
    /// A transaction is cancelled, because another one with its counter is under way, or with all of its items if it
    /// has no counter.
    Cancelled,
    /// A transaction is cancelled, because another one with the same items is under way.
    Twin,
}

impl Network {
    /// An undisturbed way to this AWS.
    pub(crate) fn new(aws: Arc<Aws>) -> Arc<Self> {
        Arc::new(Self { aws, disturbances: Mutex::default(), calls: Mutex::default(), late: Mutex::default() })
    }

    /// From now on, all these calls fail.
    pub(crate) fn fail(&self, calls: Calls, failure: Failure) {
        self.disturb(calls, usize::MAX, Effect::Fail(failure));
    }

    /// The next calls of these fail, as many as `times` says.
    pub(crate) fn fail_next(&self, calls: Calls, times: usize, failure: Failure) {
        self.disturb(calls, times, Effect::Fail(failure));
    }

    /// The answers to the next calls of these are lost.
    pub(crate) fn lose_answers(&self, calls: Calls, times: usize) {
        self.disturb(calls, times, Effect::LoseAnswer);
    }

    /// The next of these calls is answered with a conflict, and takes effect right before the next transaction: a retry
    /// of the SDK met the first try, which was still under way.
    pub(crate) fn delay_effect(&self, calls: Calls) {
        self.disturb(calls, 1, Effect::Late);
    }

    /// What [`Network::delay_effect`] delays takes effect now, and not with the next transaction.
    pub(crate) fn apply_late(&self) {
        for late in std::mem::take(&mut *lock(&self.late)) {
            self.aws.apply(&late);
        }
    }

    /// Runs the hook before the next of these calls. Calls that were made at the same time get ahead of the hook.
    pub(crate) fn before(&self, calls: Calls, hook: impl AsyncFn() + Send + Sync + 'static) {
        self.disturb(calls, 1, Effect::Before(blocking(hook)));
    }

    /// Runs the hook before every one of these calls.
    pub(crate) fn before_each(&self, calls: Calls, hook: impl AsyncFn() + Send + Sync + 'static) {
        self.disturb(calls, usize::MAX, Effect::Before(blocking(hook)));
    }

    /// Runs the hook after the next of these calls.
    pub(crate) fn after(&self, calls: Calls, hook: impl AsyncFn() + Send + Sync + 'static) {
        self.disturb(calls, 1, Effect::After(blocking(hook)));
    }

    /// Every one of these calls takes so long.
    pub(crate) fn slow_down(&self, calls: Calls, time: Duration) {
        self.disturb(calls, usize::MAX, Effect::Slow(time));
    }

    /// Lets this many calls pass before the disturbance that was added last begins.
    pub(crate) fn skip(&self, calls: usize) {
        if let Some(last) = lock(&self.disturbances).last_mut() {
            last.skipped = calls;
        }
    }

    /// Ends all disturbances.
    pub(crate) fn calm(&self) {
        lock(&self.disturbances).clear();
    }

    /// The calls of this kind so far.
    pub(crate) fn count(&self, calls: Calls) -> usize {
        lock(&self.calls).iter().filter(|call| calls.contain(&call.operation, &call.body)).count()
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }

    /// All calls so far that can change something.
    pub(crate) fn writes(&self) -> Vec<Call> {
        let reads = ["GetItem", "BatchGetItem", "Query"];
        lock(&self.calls).iter().filter(|call| !reads.contains(&call.operation.as_str())).cloned().collect()
    }

    fn disturb(&self, calls: Calls, times: usize, effect: Effect) {
        lock(&self.disturbances).push(Disturbance { calls, skipped: 0, times, effect });
    }

    /// What happens to this call.
    fn effect(&self, call: &Call) -> Option<Effect> {
        let mut disturbances = lock(&self.disturbances);
        let meant = |it: &&mut Disturbance| it.times > 0 && it.calls.contain(&call.operation, &call.body);
        let disturbance = disturbances.iter_mut().find(meant)?;
        if disturbance.skipped > 0 {
            disturbance.skipped -= 1;
            return None;
        }
        disturbance.times -= 1;
        Some(disturbance.effect.clone())
    }
}

impl Calls {
    fn contain(self, operation: &str, body: &str) -> bool {
        let Self(meant, text) = self;
        meant == operation && body.contains(text)
    }
}

impl Server for Network {
    fn call(self: Arc<Self>, request: Request) -> BoxFuture<'static, Result<Answer, Refused>> {
        async move {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            let call = Call { operation: request.operation.clone(), body };
            let effect = self.effect(&call);
            if call.operation == "TransactWriteItems" {
                self.apply_late();
            }
            lock(&self.calls).push(call);
            match effect {
                Some(Effect::Late) => {
                    let answer = Failure::Cancelled.answer(&request);
                    lock(&self.late).push(request);
                    Ok(answer)
                }
                None => Ok(self.aws.apply(&request)),
                Some(Effect::Fail(failure)) => Ok(failure.answer(&request)),
                Some(Effect::LoseAnswer) => {
                    self.aws.apply(&request);
                    Ok(Failure::Internal.answer(&request))
                }
                Some(Effect::Before(hook)) => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    hook();
                    Ok(self.aws.apply(&request))
                }
                Some(Effect::Slow(time)) => {
                    tokio::time::sleep(time).await;
                    Ok(self.aws.apply(&request))
                }
                Some(Effect::After(hook)) => {
                    let answer = self.aws.apply(&request);
                    hook();
                    Ok(answer)
                }
            }
        }
        .boxed()
    }
}

impl Failure {
    fn answer(self, request: &Request) -> Answer {
        match self {
            Self::Internal => Answer::error(500, "InternalServerError", "made by a test"),
            Self::Invalid => Answer::error(400, "ValidationException", "made by a test"),
            Self::Throttled => {
                Answer::error(400, "com.amazonaws.dynamodb.v20120810#ThrottlingException", "made by a test")
            }
            Self::Conflict => {
                Answer::error(400, "com.amazonaws.dynamodb.v20120810#TransactionConflictException", "made by a test")
            }
            Self::Cancelled | Self::Twin => {
                let body: Value = serde_json::from_slice(&request.body).unwrap();
                let items: Vec<_> = body["TransactItems"].as_array().unwrap().iter().map(Value::to_string).collect();
                let is_counter = |item: &String| item.contains("\"TALLY#");
                let only_counters = matches!(self, Self::Cancelled) && items.iter().any(is_counter);
                let reason = |item: &String| match only_counters && !is_counter(item) {
                    true => json!({"Code": "None"}),
                    false => json!({"Code": "TransactionConflict", "Message": "made by a test"}),
                };
                let reasons: Vec<_> = items.iter().map(reason).collect();
                let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
                Answer::new(400, &json!({"__type": kind, "Message": "cancelled", "CancellationReasons": reasons}))
            }
        }
    }
}

/// The hook as a function that returns when all of the hook has run. Nothing in memory has to be waited for.
fn blocking(hook: impl AsyncFn() + Send + Sync + 'static) -> Hook {
    // tokio makes a task that does much wait for its next turn, which does not come within `block_on`.
    Arc::new(move || block_on(unconstrained(hook())))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
