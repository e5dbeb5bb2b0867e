//! Invocations within Lambda's limits: as many at once and a second as a new account may have. New processes are not
//! counted, because the pool starts fewer than Lambda allows.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use aws_limits::{
    Limits,
    http_api::{HttpApi, Throttle},
    lambda::Lambda,
};
use bytes::Bytes;

use crate::{
    invoke::{Invoke, InvokeError},
    lineage::TraceHeader,
    metrics::Metrics,
    template::model::Function,
};

/// Passes invocations on that are not too many.
#[derive(Clone)]
pub struct Limited<I> {
    invoker: I,
    account: Option<Arc<Account>>,
}

struct Account {
    began: Instant,
    lambda: Mutex<Lambda>,
}

/// The rate of an HTTP API's requests. Clones share it.
#[derive(Clone)]
pub struct RequestRate(Arc<(Instant, Mutex<HttpApi>)>);

impl<I> Limited<I> {
    /// Within these limits, or without any.
    pub fn new(invoker: I, functions: &[Function], limits: Option<&Limits>) -> Self {
        let account = limits.map(|limits| {
            let own = |function: &Function| (function.name.clone(), function.concurrency().scaled(limits.fraction));
            let lambda = Mutex::new(Lambda::new(limits, functions.iter().map(own)));
            Arc::new(Account { began: Instant::now(), lambda })
        });
        Self { invoker, account }
    }

    /// Counts an invocation until the returned value is dropped.
    fn begin(&self, function: &str) -> Result<Option<Running>, InvokeError>
    where
        I: Invoke,
    {
        let Some(account) = &self.account else { return Ok(None) };
        account.lambda().begin(account.began.elapsed(), function, false).map_err(|refusal| {
            tracing::warn!(what = refusal.what, "throttled");
            if let Some(metrics) = self.invoker.metrics() {
                metrics.of_function(function, "Throttles", "Count", 1.0);
            }
            InvokeError::Throttled
        })?;
        Ok(Some(Running { account: Arc::clone(account), function: function.to_owned() }))
    }
}

impl Account {
    fn lambda(&self) -> MutexGuard<'_, Lambda> {
        self.lambda.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An invocation that runs.
struct Running {
    account: Arc<Account>,
    function: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.account.lambda().end(&self.function);
    }
}

impl<I: Invoke> Invoke for Limited<I> {
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        let _running = self.begin(function)?;
        self.invoker.invoke(function, payload).await
    }

    async fn invoke_in_chain(&self, function: &str, payload: Bytes, trace: &TraceHeader) -> Result<Bytes, InvokeError> {
        let _running = self.begin(function)?;
        self.invoker.invoke_in_chain(function, payload, trace).await
    }

    fn metrics(&self) -> Option<&Metrics> {
        self.invoker.metrics()
    }
}

impl RequestRate {
    /// Of a new account, and of an API with this throttling of each route.
    pub fn new(limits: &Limits, throttle: Option<Throttle>) -> Self {
        Self(Arc::new((Instant::now(), Mutex::new(HttpApi::new(limits, throttle)))))
    }

    /// Whether one more request is served, of the route with this key.
    pub(crate) fn admits(&self, route: Option<&str>) -> bool {
        let (began, api) = &*self.0;
        api.lock().unwrap_or_else(PoisonError::into_inner).admit(began.elapsed(), route).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    /// Runs every invocation for a second.
    #[derive(Clone)]
    struct Slow;

    impl Invoke for Slow {
        async fn invoke(&self, _function: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
            sleep(Duration::from_secs(1)).await;
            Ok(payload)
        }
    }

    fn function(name: &str, reserved: Option<u32>, provisioned: u32) -> Function {
        Function { max_concurrency: reserved, provisioned, ..Function::named(name) }
    }

    /// How many of a hundred invocations that begin together are not throttled.
    async fn served(limited: &Limited<Slow>, name: &str) -> usize {
        let calls = (0..100).map(|_| limited.invoke(name, Bytes::new()));
        let answers = futures::future::join_all(calls).await;
        assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(InvokeError::Throttled))));
        answers.iter().filter(|answer| answer.is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_fraction_of_the_limits_leaves_functions_a_fraction_of_their_concurrency() {
        let functions = [function("kept", Some(500), 0), function("ready", None, 300), function("plain", None, 0)];
        let whole = Limits::new_account();
        // A new account has 1000: 200 are left, of which a process here begins a hundred.
        let limited = Limited::new(Slow, &functions, Some(&whole));
        for name in ["kept", "ready", "plain"] {
            assert_eq!(served(&limited, name).await, 100, "{name}");
        }
        let limited = Limited::new(Slow, &functions, Some(&whole.scaled(0.05, 1)));
        let of_each =
            [served(&limited, "kept").await, served(&limited, "ready").await, served(&limited, "plain").await];
        // 25 of 50 are reserved, 15 provisioned, and 10 left for all others.
        assert_eq!(of_each, [25, 25, 10]);
        assert_eq!(served(&Limited::new(Slow, &functions, None), "plain").await, 100, "there are no limits");
    }
}
