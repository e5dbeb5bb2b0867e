//! Lambda: how many invocations run at once, how fast new environments start, and how many invocations a second there
//! may be. The recursion stop is in `tidings-local` (`lineage.rs`), because it travels in a header.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use crate::{Bucket, Limits, Refusal};

/// All functions of an account.
#[derive(Debug)]
pub struct Lambda {
    /// Concurrency that all functions without reserved concurrency share.
    shared: f64,
    running_shared: u32,
    requests_shared: Bucket,
    environments: f64,
    environments_at_once: f64,
    functions: BTreeMap<String, Function>,
    peak: u32,
}

#[derive(Debug)]
struct Function {
    reserved: Option<f64>,
    running: u32,
    /// Invocations a second, if the function has reserved concurrency.
    requests: Option<Bucket>,
    starts: Bucket,
}

impl Lambda {
    /// Functions with their reserved concurrency, which is scaled already if the limits are.
    pub fn new(limits: &Limits, functions: impl IntoIterator<Item = (String, Option<f64>)>) -> Self {
        let rate = limits.requests_per_concurrency;
        let function = |(name, reserved): (String, Option<f64>)| {
            let function = Function {
                reserved,
                running: 0,
                requests: reserved.map(|reserved| Bucket::of_one_second(reserved * rate)),
                starts: Bucket::new(limits.environments, limits.environments_at_once),
            };
            (name, function)
        };
        let functions: BTreeMap<_, _> = functions.into_iter().map(function).collect();
        let reserved: f64 = functions.values().filter_map(|function| function.reserved).sum();
        let shared = (limits.concurrency - reserved).max(1.0);
        Self {
            shared,
            running_shared: 0,
            requests_shared: Bucket::of_one_second(shared * rate),
            environments: limits.environments,
            environments_at_once: limits.environments_at_once,
            functions,
            peak: 0,
        }
    }

    /// Begins an invocation; `is_cold` if it needs a new environment.
    ///
    /// # Errors
    /// `TooManyRequestsException`, with its reason (Lambda API Reference, "Invoke").
    pub fn begin(&mut self, now: Duration, name: &str, is_cold: bool) -> Result<(), Refusal> {
        let (environments, at_once) = (self.environments, self.environments_at_once);
        let function = self.functions.entry(name.to_owned()).or_insert_with(|| Function {
            reserved: None,
            running: 0,
            requests: None,
            starts: Bucket::new(environments, at_once),
        });
        let reserved = function.reserved;
        let is_full = match reserved {
            Some(reserved) => f64::from(function.running) >= reserved,
            None => f64::from(self.running_shared) >= self.shared,
        };
        let requests = function.requests.as_mut().unwrap_or(&mut self.requests_shared);
        let reason = match reserved {
            Some(_) if is_full => Some("ReservedFunctionConcurrentInvocationLimitExceeded"),
            None if is_full => Some("ConcurrentInvocationLimitExceeded"),
            Some(_) if !requests.try_take(now, 1.0) => Some("ReservedFunctionInvocationRateLimitExceeded"),
            None if !requests.try_take(now, 1.0) => Some("FunctionInvocationRateLimitExceeded"),
            _ if is_cold && !function.starts.try_take(now, 1.0) => Some("ConcurrentInvocationLimitExceeded"),
            _ => None,
        };
        if let Some(reason) = reason {
            let body = json!({"__type": "TooManyRequestsException", "Reason": reason, "message": "Rate Exceeded."});
            return Err(Refusal { status: 429, body, what: format!("{name} invocations, {reason}") });
        }
        function.running += 1;
        if function.reserved.is_none() {
            self.running_shared += 1;
        }
        self.peak = self.peak.max(self.functions.values().map(|function| function.running).sum());
        Ok(())
    }

    /// An invocation has ended.
    pub fn end(&mut self, name: &str) {
        let Some(function) = self.functions.get_mut(name) else { return };
        function.running = function.running.saturating_sub(1);
        if function.reserved.is_none() {
            self.running_shared = self.running_shared.saturating_sub(1);
        }
    }

    /// Most invocations that ran at once.
    pub fn peak(&self) -> u32 {
        self.peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lambda(reserved: Option<f64>) -> Lambda {
        Lambda::new(&Limits::new_account(), [("a".to_owned(), reserved), ("b".to_owned(), None)])
    }

    fn reason(refused: Result<(), Refusal>) -> String {
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
        let mut lambda = Lambda::new(&limits, [("a".to_owned(), None), ("b".to_owned(), None)]);
        let start = |lambda: &mut Lambda, name: &str, seconds| {
            (0..5000).filter(|_| lambda.begin(Duration::from_secs(seconds), name, true).is_ok()).count()
        };
        assert_eq!(start(&mut lambda, "a", 0), 1000);
        assert_eq!(start(&mut lambda, "b", 0), 1000, "each function has its own rate");
        assert_eq!(start(&mut lambda, "a", 1), 100);
        assert_eq!(start(&mut lambda, "a", 60), 1000, "what is not used does not add up");
    }
}
