//! The checks find violations, and the examples in the document match their schemas.

use reqwest::header::{HeaderName, HeaderValue};

use super::*;

const POST: &str = "0197f0a0-1111-7222-8333-944455556666";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let header =
        |(name, value): &(&str, &str)| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    pairs.iter().map(header).collect()
}

/// As [`judge_whole`], with the header that every answer of ours has.
fn judge(
    method: Method,
    path: &str,
    sent: &str,
    status: u16,
    with: &[(&str, &str)],
    body: &Value,
) -> Result<(), String> {
    judge_whole(method, path, sent, status, &[with, &[("cache-control", "no-store")]].concat(), body)
}

fn judge_whole(
    method: Method,
    path: &str,
    sent: &str,
    status: u16,
    with: &[(&str, &str)],
    body: &Value,
) -> Result<(), String> {
    static CONTRACT: LazyLock<Contract> = LazyLock::new(|| Contract::of_this_checkout().unwrap());
    let mut request = Request::new(method, format!("http://localhost{path}").parse().unwrap());
    *request.body_mut() = Some(sent.to_owned().into());
    let body = if body.is_null() { String::new() } else { body.to_string() };
    CONTRACT.check(&request, StatusCode::from_u16(status).unwrap(), &headers(with), &body)
}

fn post() -> Value {
    json!({
        "id": POST, "author": {"id": "ada", "handle": "ada", "display_name": "Ada", "avatar_url": null},
        "text": "Hello", "tags": [], "entities": [], "ignored_tags": [],
        "created_at": "2026-11-24T09:31:00.000Z", "edited_at": null,
        "version": 1, "likes": 0, "comments": 0, "liked": false,
    })
}

fn problem(status: u16, code: &str) -> Value {
    json!({"type": "about:blank", "title": "Oh", "status": status, "code": code, "detail": "no"})
}

const JSON: (&str, &str) = ("content-type", "application/json");
const PROBLEM: (&str, &str) = ("content-type", "application/problem+json");
const VERSION: (&str, &str) = ("tidings-version", "7");

#[test]
fn an_answer_that_follows_the_contract_passes() {
    let path = format!("/v1/posts/{POST}");
    let location = ("location", path.as_str());
    let created = [JSON, VERSION, location];
    assert_eq!(judge(Method::POST, "/v1/posts", r#"{"text":"Hello"}"#, 201, &created, &post()), Ok(()));
    assert_eq!(judge(Method::GET, &path, "", 200, &[JSON], &post()), Ok(()));
    assert_eq!(judge(Method::GET, &path, "", 404, &[PROBLEM], &problem(404, "post_not_found")), Ok(()));
    assert_eq!(judge(Method::DELETE, &path, "", 204, &[VERSION], &Value::Null), Ok(()));
    assert_eq!(judge(Method::GET, "/v1/nothing", "", 404, &[JSON], &json!({"message": "Not Found"})), Ok(()));
}

#[test]
fn an_answer_that_violates_the_contract_is_reported() {
    let path = format!("/v1/posts/{POST}");
    let told =
        |status, with: &[(&str, &str)], body: &Value| judge(Method::GET, &path, "", status, with, body).unwrap_err();
    let with = |member: &str, value: Value| {
        let mut post = post();
        post[member] = value;
        post
    };
    assert!(told(202, &[JSON], &post()).contains("may not answer 202"));
    let unkept = judge_whole(Method::GET, &path, "", 200, &[JSON], &post());
    assert!(unkept.unwrap_err().contains("cache-control is missing"));
    assert!(told(200, &[JSON], &with("secret", json!(1))).contains("secret"));
    assert!(told(200, &[JSON], &with("text", Value::Null)).contains("/text"));
    assert!(told(200, &[JSON], &with("created_at", json!("today"))).contains("/created_at"));
    assert!(told(200, &[PROBLEM], &post()).contains("no content of type"));
    assert!(told(200, &[JSON, VERSION], &post()).contains("no header tidings-version"));
    assert!(told(404, &[PROBLEM], &problem(404, "user_not_found")).contains("/code"));
    assert!(told(404, &[PROBLEM], &problem(400, "post_not_found")).contains("/status"));
    let deleted = |with: &[(&str, &str)], body: &Value| judge(Method::DELETE, &path, "", 204, with, body).unwrap_err();
    assert!(deleted(&[], &Value::Null).contains("tidings-version is missing"));
    assert!(deleted(&[VERSION], &json!({})).contains("the body should be empty"));
    assert!(deleted(&[("tidings-version", "x")], &Value::Null).contains("header tidings-version"));
    assert!(judge(Method::PUT, "/v1/nothing", "", 200, &[JSON], &json!({})).unwrap_err().contains("no such operation"));
}

#[test]
fn a_request_that_succeeds_must_match_the_contract() {
    let page = json!({"posts": [], "next_cursor": null});
    let trending = |query: &str| judge(Method::GET, &format!("/v1/feeds/trending{query}"), "", 200, &[JSON], &page);
    assert_eq!(trending("?limit=100&explain=true&cursor=7"), Ok(()));
    for query in ["?limit=101", "?limit=x", "?explain=yes"] {
        assert!(trending(query).unwrap_err().contains("succeeded, but its query"), "{query}");
    }
    let location = ("location", "/v1/posts/x");
    for sent in ["", "{}", r#"{"text":""}"#, r#"{"text":"Hello","more":1}"#] {
        let told = judge(Method::POST, "/v1/posts", sent, 201, &[JSON, VERSION, location], &post());
        assert!(told.unwrap_err().contains("the request succeeded, but its body"), "{sent}");
    }
}

#[test]
fn examples_match_their_schemas() {
    let yaml = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi.yaml")).unwrap();
    let document: Value = serde_saphyr::from_str(&yaml).unwrap();
    let mut reader = Reader::new(&document).unwrap();
    let examples = reader.examples().unwrap();
    assert!(examples.len() > 60, "{}", examples.len());
    for (place, schema, example) in examples {
        if let Err(error) = reader.schemas.validate(example, schema) {
            panic!("{place}: {error}");
        }
    }
}
