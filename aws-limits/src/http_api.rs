//! API Gateway: the rate of requests of an account's HTTP APIs.

use std::time::Duration;

use serde_json::json;

use crate::{Bucket, Limits, Refusal};

/// The HTTP APIs of an account.
#[derive(Debug)]
pub struct HttpApi {
    requests: Bucket,
}

impl HttpApi {
    /// With these limits.
    pub fn new(limits: &Limits) -> Self {
        Self { requests: Bucket::new(limits.api_requests, limits.api_burst) }
    }

    /// Decides about a request.
    ///
    /// # Errors
    /// 429 with API Gateway's document.
    pub fn admit(&mut self, now: Duration) -> Result<(), Refusal> {
        if self.requests.try_take(now, 1.0) {
            return Ok(());
        }
        let body = json!({"message": "Too Many Requests"});
        Err(Refusal { status: 429, body, what: "API requests, rate".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_serves_10000_requests_a_second_and_5000_at_once() {
        let mut api = HttpApi::new(&Limits::new_account());
        let burst = (0..20_000).filter(|_| api.admit(Duration::ZERO).is_ok()).count();
        assert_eq!(burst, 5000);
        let served = (0..40_000).filter(|request| api.admit(Duration::from_micros(request * 50)).is_ok()).count();
        assert!(served.abs_diff(20_000) <= 2, "{served} in two seconds");
        let refusal = api.admit(Duration::ZERO).unwrap_err();
        assert_eq!((refusal.status, refusal.body), (429, json!({"message": "Too Many Requests"})));
    }
}
