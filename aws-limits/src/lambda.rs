//! Lambda: how many invocations run at once, how fast new environments start, and how many invocations a second there
//! may be. The recursion stop is in `tidings-local` (`lineage.rs`), because it travels in a header.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use crate::{Bucket, Limits, Refusal};

/// What a function has of the account's concurrency for itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Concurrency {
    /// `ReservedConcurrentExecutions`.
    pub reserved: Option<f64>,
    /// `ProvisionedConcurrentExecutions`: environments that are kept ready.
    pub provisioned: f64,
}

impl Concurrency {
    /// The same for a fraction of the load. What is reserved is one invocation at least.
    #[must_use]
    pub fn scaled(self, fraction: f64) -> Self {
        Self {
            reserved: self.reserved.map(|reserved| (reserved * fraction).round().max(1.0)),
            provisioned: self.provisioned * fraction,
        }
    }
}

/// Where an invocation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// In an environment that was there before.
    Ready,
    /// In a new one.
    New,
}

/// All functions of an account.
#[derive(Debug)]
pub struct Lambda {
    limits: Limits,
    /// Concurrency that all functions share beyond what they have for themselves.
    shared: f64,
    running_shared: u32,
    requests_shared: Bucket,
    functions: BTreeMap<String, Function>,
    peak: u32,
}

#[derive(Debug)]
struct Function {
    concurrency: Concurrency,
    running: u32,
    /// Provisioned environments that have not been used.
    unused: f64,
    /// Invocations a second, if the function has reserved concurrency.
    requests: Option<Bucket>,
    starts: Bucket,
    rate: Rate,
}

/// How many invocations a second a function has had. Lambda accommodates only so many more of them within a time, even
/// if the environments that there are could do more ("Lambda scaling behavior"). The model takes it that provisioned
/// environments are ready for ten a second each, and that a rate that was reached stays possible.
#[derive(Debug)]
struct Rate {
    reached: f64,
    /// What the rate may still grow.
    growth: Bucket,
    /// Invocations are counted for so many seconds.
    seconds: f64,
    began: Duration,
    count: f64,
}

impl Rate {
    fn new(limits: &Limits, provisioned: f64) -> Self {
        Self {
            reached: provisioned * limits.requests_per_concurrency,
            growth: Bucket::new(limits.requests_growth, limits.requests_growth_at_once),
            seconds: limits.burst_seconds.max(1.0),
            began: Duration::ZERO,
            count: 0.0,
        }
    }

    fn admits(&mut self, now: Duration) -> bool {
        if now.saturating_sub(self.began).as_secs_f64() >= self.seconds {
            self.reached = self.reached.max(self.count / self.seconds);
            (self.began, self.count) = (now, 0.0);
        }
        let is_usual = self.count < self.reached * self.seconds;
        let admits = is_usual || self.growth.try_take(now, 1.0 / self.seconds);
        self.count += f64::from(u8::from(admits));
        admits
    }
}

impl Lambda {
    /// Functions with their concurrency, which is [scaled](Concurrency::scaled) already if the limits are.
    pub fn new(limits: &Limits, functions: impl IntoIterator<Item = (String, Concurrency)>) -> Self {
        let rate = limits.requests_per_concurrency;
        let function = |(name, concurrency)| (name, Function::new(limits, concurrency));
        let functions: BTreeMap<_, _> = functions.into_iter().map(function).collect();
        let own = |function: &Function| function.concurrency.reserved.unwrap_or(function.concurrency.provisioned);
        let shared = (limits.concurrency - functions.values().map(own).sum::<f64>()).max(1.0);
        let reserved: f64 = functions.values().filter_map(|function| function.concurrency.reserved).sum();
        Self {
            limits: limits.clone(),
            shared,
            running_shared: 0,
            requests_shared: Bucket::of_one_second((limits.concurrency - reserved).max(1.0) * rate),
            functions,
            peak: 0,
        }
    }

    /// Begins an invocation; `is_cold` if none of the environments that were used before is free. Says whether it
    /// begins in a new one.
    ///
    /// # Errors
    /// `TooManyRequestsException`, with its reason (Lambda API Reference, "Invoke").
    pub fn begin(&mut self, now: Duration, name: &str, is_cold: bool) -> Result<Environment, Refusal> {
        let limits = &self.limits;
        let unknown = || Function::new(limits, Concurrency::default());
        let function = self.functions.entry(name.to_owned()).or_insert_with(unknown);
        let reserved = function.concurrency.reserved;
        let is_shared = function.is_shared();
        let is_full = match reserved {
            Some(reserved) => f64::from(function.running) >= reserved,
            None => is_shared && f64::from(self.running_shared) >= self.shared,
        };
        let is_new = is_cold && function.unused < 1.0;
        let requests = function.requests.as_mut().unwrap_or(&mut self.requests_shared);
        let reason = match reserved {
            Some(_) if is_full => Some("ReservedFunctionConcurrentInvocationLimitExceeded"),
            None if is_full => Some("ConcurrentInvocationLimitExceeded"),
            Some(_) if !requests.try_take(now, 1.0) => Some("ReservedFunctionInvocationRateLimitExceeded"),
            None if !requests.try_take(now, 1.0) || !function.rate.admits(now) => {
                Some("FunctionInvocationRateLimitExceeded")
            }
            _ if is_new && !function.starts.try_take(now, 1.0) => Some("ConcurrentInvocationLimitExceeded"),
            _ => None,
        };
        if let Some(reason) = reason {
            let body = json!({"__type": "TooManyRequestsException", "Reason": reason, "message": "Rate Exceeded."});
            return Err(Refusal { status: 429, body, what: format!("{name} invocations, {reason}") });
        }
        if is_cold && !is_new {
            function.unused -= 1.0;
        }
        function.running += 1;
        if is_shared {
            self.running_shared += 1;
        }
        self.peak = self.peak.max(self.functions.values().map(|function| function.running).sum());
        Ok(if is_new { Environment::New } else { Environment::Ready })
    }

    /// An invocation has ended.
    pub fn end(&mut self, name: &str) {
        let Some(function) = self.functions.get_mut(name) else { return };
        function.running = function.running.saturating_sub(1);
        if function.is_shared() {
            self.running_shared = self.running_shared.saturating_sub(1);
        }
    }

    /// Most invocations that ran at once.
    pub fn peak(&self) -> u32 {
        self.peak
    }
}

impl Function {
    fn new(limits: &Limits, concurrency: Concurrency) -> Self {
        let of_reserved = |reserved: f64| Bucket::of_one_second(reserved * limits.requests_per_concurrency);
        Self {
            concurrency,
            running: 0,
            unused: concurrency.provisioned,
            requests: concurrency.reserved.map(of_reserved),
            starts: Bucket::new(limits.environments, limits.environments_at_once),
            rate: Rate::new(limits, concurrency.provisioned),
        }
    }

    /// Whether the next invocation, beyond those that run, takes of what all functions share.
    fn is_shared(&self) -> bool {
        self.concurrency.reserved.is_none() && f64::from(self.running) >= self.concurrency.provisioned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(limits: &Limits, a: Concurrency) -> Lambda {
        Lambda::new(limits, [("a".to_owned(), a), ("b".to_owned(), Concurrency::default())])
    }

    fn lambda(reserved: Option<f64>) -> Lambda {
        with(&Limits::new_account(), Concurrency { reserved, ..Concurrency::default() })
    }

    fn reason(refused: Result<Environment, Refusal>) -> String {
        let refusal = refused.unwrap_err();
        assert_eq!((refusal.status, &refusal.body["__type"]), (429, &json!("TooManyRequestsException")));
        refusal.body["Reason"].as_str().unwrap().to_owned()
    }

    #[test]
    fn an_account_runs_1000_invocations_at_once() {
        let mut lambda = lambda(None);
        for _ in 0..1000 {
            lambda.begin(Duration::ZERO, "a", false).unwrap();
        }
        assert_eq!(reason(lambda.begin(Duration::ZERO, "b", false)), "ConcurrentInvocationLimitExceeded");
        lambda.end("a");
        lambda.begin(Duration::ZERO, "b", false).unwrap();
        assert_eq!(lambda.peak(), 1000);
    }

    #[test]
    fn reserved_concurrency_is_a_limit_and_is_kept_free() {
        let mut lambda = lambda(Some(100.0));
        for _ in 0..900 {
            lambda.begin(Duration::ZERO, "b", false).unwrap();
        }
        assert_eq!(reason(lambda.begin(Duration::ZERO, "b", false)), "ConcurrentInvocationLimitExceeded");
        for _ in 0..100 {
            lambda.begin(Duration::ZERO, "a", false).unwrap();
        }
        assert_eq!(
            reason(lambda.begin(Duration::ZERO, "a", false)),
            "ReservedFunctionConcurrentInvocationLimitExceeded"
        );
    }

    #[test]
    fn there_are_ten_invocations_a_second_for_each_concurrent_one() {
        let mut lambda = lambda(None);
        for _ in 0..10_000 {
            lambda.begin(Duration::ZERO, "a", false).unwrap();
            lambda.end("a");
        }
        assert_eq!(reason(lambda.begin(Duration::ZERO, "a", false)), "FunctionInvocationRateLimitExceeded");
        lambda.begin(Duration::from_millis(1), "a", false).unwrap();
    }

    #[test]
    fn a_function_gets_1000_new_environments_in_ten_seconds() {
        let limits = Limits { concurrency: 100_000.0, ..Limits::new_account() };
        let mut lambda = with(&limits, Concurrency::default());
        let start = |lambda: &mut Lambda, name: &str, seconds| {
            (0..5000).filter(|_| lambda.begin(Duration::from_secs(seconds), name, true).is_ok()).count()
        };
        assert_eq!(start(&mut lambda, "a", 0), 1000);
        assert_eq!(start(&mut lambda, "b", 0), 1000, "each function has its own rate");
        assert_eq!(start(&mut lambda, "a", 1), 100);
        assert_eq!(start(&mut lambda, "a", 60), 1000, "what is not used does not add up");
    }

    #[test]
    fn the_invocations_of_a_function_grow_by_10000_a_second_in_ten_seconds() {
        let limits = Limits { concurrency: 100_000.0, ..Limits::new_account() };
        // So many of 50 000 short invocations succeed in each of the first seconds.
        let served = |provisioned: f64| {
            let mut lambda = with(&limits, Concurrency { provisioned, ..Concurrency::default() });
            [0, 1, 2, 10].map(|second| {
                let begun = (0..50_000).filter(|request| {
                    let now = Duration::from_secs(second) + Duration::from_micros(request * 20);
                    let begun = lambda.begin(now, "a", false).is_ok();
                    lambda.end("a");
                    begun
                });
                begun.count()
            })
        };
        let near = |found: [usize; 4], expected: [usize; 4]| {
            for (found, expected) in found.into_iter().zip(expected) {
                assert!(found.abs_diff(expected) <= 300, "{found} of {expected}");
            }
        };
        near(served(0.0), [11_000, 12_000, 13_000, 21_000]);
        near(served(1000.0), [21_000, 22_000, 23_000, 31_000]);
        assert_eq!(served(5000.0), [50_000; 4]);
    }

    #[test]
    fn provisioned_environments_are_ready_and_are_kept_free() {
        let limits = Limits { concurrency: 2000.0, ..Limits::new_account() };
        let mut lambda = with(&limits, Concurrency { provisioned: 500.0, ..Concurrency::default() });
        let begun: Vec<_> = (0..5000).map_while(|_| lambda.begin(Duration::ZERO, "a", true).ok()).collect();
        let ready = begun.iter().filter(|environment| **environment == Environment::Ready).count();
        assert_eq!((ready, begun.len()), (500, 1500), "1000 new ones beside those that were ready");
        assert_eq!((0..5000).filter(|_| lambda.begin(Duration::ZERO, "b", true).is_ok()).count(), 500);
        for _ in 0..1500 {
            lambda.end("a");
        }
        let most = (0..5000).filter(|_| lambda.begin(Duration::ZERO, "b", false).is_ok()).count();
        assert_eq!(most, 1000, "all but what is kept for the other function");
    }
}
