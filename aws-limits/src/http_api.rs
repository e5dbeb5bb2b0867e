//! API Gateway: the rate of requests of an account's HTTP APIs, and that of each route of an API.

use std::{collections::HashMap, time::Duration};

use serde_json::json;

use crate::{Bucket, Limits, Refusal};

/// The throttling that a template sets for each route of its API (`DefaultRouteSettings`). It holds beside the limits
/// of the account ([HTTP API throttling]).
///
/// [HTTP API throttling]: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Throttle {
    /// Requests a second.
    pub requests: f64,
    /// Requests at once beyond the rate.
    pub burst: f64,
}

/// The HTTP APIs of an account, of which one is called.
#[derive(Debug)]
pub struct HttpApi {
    requests: Bucket,
    throttle: Option<Throttle>,
    routes: HashMap<String, Bucket>,
}

impl HttpApi {
    /// With these limits, and the throttling of each route that the template gives the whole load.
    pub fn new(limits: &Limits, throttle: Option<Throttle>) -> Self {
        let requests = Bucket::new(limits.api_requests, limits.api_burst);
        let throttle = throttle.map(|Throttle { requests, burst }| Throttle {
            requests: requests * limits.fraction,
            burst: (burst * limits.fraction).max(1.0),
        });
        Self { requests, throttle, routes: HashMap::new() }
    }

    /// Decides about a request. `route` is the key of its route, if it has one.
    ///
    /// # Errors
    /// 429 with API Gateway's document.
    pub fn admit(&mut self, now: Duration, route: Option<&str>) -> Result<(), Refusal> {
        let refused = if !self.is_within_throttle(now, route) {
            "API requests of a route, rate"
        } else if !self.requests.try_take(now, 1.0) {
            "API requests, rate"
        } else {
            return Ok(());
        };
        let body = json!({"message": "Too Many Requests"});
        Err(Refusal { status: 429, body, what: refused.to_owned() })
    }

    fn is_within_throttle(&mut self, now: Duration, route: Option<&str>) -> bool {
        let (Some(throttle), Some(route)) = (self.throttle, route) else { return true };
        let full = || Bucket::new(throttle.requests, throttle.burst);
        self.routes.entry(route.to_owned()).or_insert_with(full).try_take(now, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: Option<&str> = Some("GET /v1/feeds/home");

    #[test]
    fn an_account_serves_10000_requests_a_second_and_5000_at_once() {
        let mut api = HttpApi::new(&Limits::new_account(), None);
        let burst = (0..20_000).filter(|_| api.admit(Duration::ZERO, ROUTE).is_ok()).count();
        assert_eq!(burst, 5000);
        let served =
            (0..40_000).filter(|request| api.admit(Duration::from_micros(request * 50), ROUTE).is_ok()).count();
        assert!(served.abs_diff(20_000) <= 2, "{served} in two seconds");
        let refusal = api.admit(Duration::ZERO, ROUTE).unwrap_err();
        assert_eq!((refusal.status, refusal.body), (429, json!({"message": "Too Many Requests"})));
    }

    #[test]
    fn a_route_is_throttled_as_the_template_says_whatever_the_account_may_do() {
        let limits = Limits { api_requests: 100_000.0, api_burst: 50_000.0, ..Limits::new_account() };
        let throttle = Throttle { requests: 10_000.0, burst: 5_000.0 };
        let mut api = HttpApi::new(&limits, Some(throttle));
        let served = |api: &mut HttpApi, route| {
            let a_second = (0..100_000).map(|request| Duration::from_micros(request * 10));
            a_second.filter(|now| api.admit(*now, route).is_ok()).count()
        };
        let of_one = served(&mut api, ROUTE);
        assert!(of_one.abs_diff(15_000) <= 2, "{of_one} in the first second");
        assert_eq!(api.admit(Duration::from_secs(1), ROUTE).map_err(|refusal| refusal.what), Ok(()));
        let mut api = HttpApi::new(&limits, Some(Throttle { requests: 100_000.0, burst: 50_000.0 }));
        assert_eq!(served(&mut api, ROUTE), 100_000);
        let of_a_tenth = served(&mut HttpApi::new(&limits.scaled(0.1, 1), Some(throttle)), ROUTE);
        assert!(of_a_tenth.abs_diff(1500) <= 2, "{of_a_tenth} of a tenth");
        let mut api = HttpApi::new(&limits, Some(throttle));
        served(&mut api, Some("GET /v1/feeds/trending"));
        assert!(api.admit(Duration::from_secs(1), ROUTE).is_ok(), "each route has its own");
    }
}
