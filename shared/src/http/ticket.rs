//! Requests at a function URL, whose callers show a ticket. Their events are those of an API, but name no route.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;

use super::Call;
use crate::{
    error::{Error, Rejection},
    model::Timestamp,
    query::cursor::CursorKeys,
    tickets,
};

/// The routes of a function URL.
const ROUTES: [&str; 2] = ["GET /v1/feeds/home", "GET /v1/feeds/trending"];

/// The request of the holder of the ticket in the header `Authorization`, with or without `Bearer ` before it.
///
/// # Errors
/// [`Rejection::InvalidTicket`], or [`Rejection::RouteNotFound`] if function URLs do not serve the request.
pub(super) fn call(mut request: ApiGatewayV2httpRequest, keys: &CursorKeys, now: Timestamp) -> Result<Call, Error> {
    let header =
        request.headers.get("authorization").and_then(|header| header.to_str().ok()).unwrap_or_default().trim();
    let ticket = match header.split_once(' ') {
        Some((scheme, ticket)) if scheme.eq_ignore_ascii_case("bearer") => ticket.trim(),
        _ => header,
    };
    let caller = tickets::holder(ticket, keys, now)?;
    let path = request.raw_path.as_deref().unwrap_or_default();
    let key = format!("{} {path}", request.request_context.http.method);
    let route = ROUTES.into_iter().find(|route| *route == key).ok_or(Rejection::RouteNotFound)?;
    request.route_key = Some(route.to_owned());
    Ok(Call::of(caller, request))
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, atomic::AtomicU64},
        time::Duration,
    };

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        error::{Error, Rejection},
        http::{Callers, Response, answer},
        model::{Clock, Timestamp},
        query::cursor::{CursorKeys, Place, Scope},
        samples::{NOW, user},
        tickets::TicketOffice,
    };

    const OLD: &str = "0123456789abcdef0123456789abcdef";
    const NEW: &str = "fedcba9876543210fedcba9876543210";
    const HOUR: Duration = Duration::from_secs(60 * 60);

    /// An office whose clock shows this moment.
    fn office(secrets: &str, now: Timestamp) -> TicketOffice {
        TicketOffice {
            url: Some("https://abc.lambda-url.us-east-1.on.aws/".to_owned()),
            lifetime: HOUR,
            keys: CursorKeys::parse(secrets).unwrap(),
            clock: Clock::set_by(Arc::new(AtomicU64::new(now.as_ms()))),
        }
    }

    fn ticket_of_ada() -> String {
        office(OLD, NOW).issue(&user("ada")).unwrap().text
    }

    fn request(route: (&str, &str), authorization: Option<&str>, authorizer: Value) -> Value {
        let (method, path) = route;
        json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path,
            "headers": authorization.map_or(json!({}), |text| json!({ "authorization": text })),
            "requestContext": { "http": { "method": method, "path": path }, "authorizer": authorizer },
        })
    }

    /// The status, and the caller and the route or the code of the problem, at the function URL of this office.
    async fn answered(office: &TicketOffice, request: Value) -> (u64, String) {
        let callers = Callers::ApiOrTicket { keys: &office.keys, clock: &office.clock };
        let handler = async |call: Call| Ok(Response::json(200, &format!("{} {}", call.caller, call.route())));
        let answer = answer(None, callers, serde_json::from_value(request).unwrap(), handler).await;
        let answer = serde_json::to_value(answer).unwrap();
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        if answer["statusCode"] == 401 {
            assert_eq!(answer["headers"]["www-authenticate"], "Bearer error=\"invalid_token\"");
        }
        (answer["statusCode"].as_u64().unwrap(), body.as_str().or(body["code"].as_str()).unwrap().to_owned())
    }

    async fn with_ticket(office: &TicketOffice, authorization: &str) -> (u64, String) {
        answered(office, request(("GET", "/v1/feeds/home"), Some(authorization), Value::Null)).await
    }

    fn refusal() -> (u64, String) {
        (401, "invalid_ticket".to_owned())
    }

    #[tokio::test]
    async fn a_ticket_lets_its_holder_read_feeds_and_nothing_else() {
        let (office, ticket) = (office(OLD, NOW), ticket_of_ada());
        for route in ROUTES {
            let (method, path) = route.split_once(' ').unwrap();
            let found = answered(&office, request((method, path), Some(&ticket), Value::Null)).await;
            assert_eq!(found, (200, format!("ada {route}")));
        }
        for other in
            [("POST", "/v1/feeds/home"), ("GET", "/v1/feeds/home/"), ("GET", "/v1/me/likes"), ("GET", ""), ("GET", "/")]
        {
            let found = answered(&office, request(other, Some(&ticket), Value::Null)).await;
            assert_eq!(found, (404, "route_not_found".to_owned()), "{other:?}");
            assert_eq!(answered(&office, request(other, None, Value::Null)).await, refusal(), "{other:?}");
        }
    }

    #[tokio::test]
    async fn a_ticket_is_valid_with_or_without_its_scheme_until_it_expires() {
        let ticket = ticket_of_ada();
        for (after, is_valid) in [(0, true), (3599, true), (3600, false), (90_000, false)] {
            let office = office(OLD, NOW.after(Duration::from_secs(after)));
            for header in [ticket.clone(), format!("Bearer {ticket}"), format!(" bearer  {ticket} ")] {
                let found = with_ticket(&office, &header).await;
                assert_eq!(found.0, if is_valid { 200 } else { 401 }, "{header} after {after} s");
            }
        }
    }

    #[tokio::test]
    async fn nothing_else_that_was_signed_is_a_ticket() {
        let office = office(OLD, NOW);
        let ada = user("ada");
        let scope = Scope { caller: &ada, route: "home", order: "chronological" };
        let place = Place { position: ("ada", u64::MAX), min_version: None, newest: None };
        let cursor = office.keys.seal(scope, place, NOW).unwrap();
        // What it says would make it a ticket, but not what it was signed for.
        let of_walk = office.keys.sign(scope, &json!({ "holder": "ada", "expires_at": u64::MAX })).unwrap();
        let place = json!({ "position": "x", "expires_at": u64::MAX });
        let of_ticket = office.keys.sign("ticket", &place).unwrap();
        let opened = office.keys.open::<String>(scope, &of_ticket, NOW);
        assert!(matches!(opened, Err(Error::Rejected(Rejection::InvalidCursor))), "{opened:?}");
        let other = TicketOffice { keys: CursorKeys::parse(NEW).unwrap(), ..office.clone() };
        let forged = other.issue(&ada).unwrap();
        for text in ["", "Bearer", "Bearer ", "x", &cursor, &of_walk, &forged.text, &ticket_of_ada()[1..]] {
            assert_eq!(with_ticket(&office, text).await, refusal(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_ticket_survives_one_rotation_of_the_key() {
        let ticket = ticket_of_ada();
        assert_eq!(with_ticket(&office(&format!("{NEW},{OLD}"), NOW), &ticket).await.0, 200);
        assert_eq!(with_ticket(&office(NEW, NOW), &ticket).await, refusal());
    }

    #[tokio::test]
    async fn behind_the_api_the_callers_token_counts_and_not_a_ticket() {
        let (office, ticket) = (office(OLD, NOW), ticket_of_ada());
        let authorizer = json!({ "jwt": { "claims": { "sub": "bob" } } });
        let mut of_api = request(("GET", "/v1/me/likes"), Some(&ticket), authorizer);
        of_api["routeKey"] = json!("GET /v1/me/likes");
        assert_eq!(answered(&office, of_api).await, (200, "bob GET /v1/me/likes".to_owned()));
        let no_subject = request(("GET", "/v1/feeds/home"), Some(&ticket), json!({ "jwt": { "claims": {} } }));
        assert_eq!(answered(&office, no_subject).await, (400, "invalid_user_id".to_owned()));
    }

    #[tokio::test]
    async fn a_function_that_takes_no_tickets_refuses_them() {
        let request = request(("GET", "/v1/feeds/home"), Some(&ticket_of_ada()), Value::Null);
        let handler = async |_: Call| Ok(Response::no_content());
        let answer = answer(None, Callers::Api, serde_json::from_value(request).unwrap(), handler).await;
        assert_eq!(serde_json::to_value(answer).unwrap()["statusCode"], 400);
    }

    #[test]
    fn a_ticket_tells_where_and_how_long_it_is_valid() {
        let office = office(OLD, NOW);
        let issued = office.issue(&user("ada")).unwrap();
        assert_eq!(issued.url, "https://abc.lambda-url.us-east-1.on.aws");
        assert_eq!(issued.expires_at, NOW.after(HOUR));
        let none = TicketOffice { url: None, ..office };
        assert!(matches!(none.issue(&user("ada")), Err(Error::Rejected(Rejection::NoFeedUrl))));
    }
}
