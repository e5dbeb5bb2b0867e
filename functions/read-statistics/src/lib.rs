//! Serves daily statistics: `GET /v1/me/stats` for an author, and those of the whole deployment for its operator, who
//! invokes the function. No request through the gateway can look like the operator's: the gateway makes the event.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidings::{
    error::Error,
    http::{self, AuthorDaysView, Call, Callers, Response, SiteDaysView},
    model::DayRange,
    query::StatisticsOfDays,
    store::Meter,
};

/// The operator's request: `{"site": {"from": "2026-11-01", "to": "2026-11-30", "tags": 10}}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteRequest {
    /// The first day. A week ends with `to` otherwise.
    #[serde(default)]
    pub from: Option<String>,
    /// The last day. Today otherwise.
    #[serde(default)]
    pub to: Option<String>,
    /// How many tags of each day are shown.
    #[serde(default)]
    pub tags: usize,
}

/// Answers a request of the gateway, or one of the operator.
///
/// # Errors
/// If the event is neither; for the operator, as [`site`]. Every error of a request through the gateway becomes a
/// response.
pub async fn handle(statistics: &StatisticsOfDays, meter: Option<&Meter>, mut event: Value) -> Result<Value, Error> {
    if let Some(request) = event.get_mut("site").map(Value::take) {
        return json(&site(statistics, parse(request)?).await?);
    }
    let request: ApiGatewayV2httpRequest = parse(event)?;
    json(&http::answer(meter, Callers::Api, request, async |call| own(statistics, &call).await).await)
}

/// The caller's own days.
async fn own(statistics: &StatisticsOfDays, call: &Call) -> Result<Response, Error> {
    let range = call.days(statistics.policy, statistics.clock.now())?;
    let days = statistics.read_models.reading(async || statistics.of_user(&call.caller, range).await).await?;
    Ok(Response::json(200, &AuthorDaysView::new(&days)))
}

/// The days of the whole deployment.
///
/// # Errors
/// If the days are none, or are not kept; otherwise as the store's. The operator reads the error.
pub async fn site(statistics: &StatisticsOfDays, request: SiteRequest) -> Result<SiteDaysView, Error> {
    let SiteRequest { from, to, tags } = request;
    let range = DayRange::parse(from.as_deref(), to.as_deref(), statistics.policy, statistics.clock.now());
    let range = range.map_err(tidings::error::Rejection::from)?;
    let days = statistics.read_models.reading(async || statistics.of_site(range, tags).await).await?;
    Ok(SiteDaysView::new(days))
}

fn parse<T: for<'a> Deserialize<'a>>(event: Value) -> Result<T, Error> {
    serde_json::from_value(event).map_err(|error| Error::poison("the event of an invocation", error))
}

fn json(answer: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(answer).map_err(|error| Error::poison("an answer", error))
}
