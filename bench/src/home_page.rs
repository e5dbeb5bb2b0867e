//! The invocation that [`crate::handler`] sends: the first page of a home feed.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// The event by which API Gateway asks for the first page of a user's home (payload format 2.0).
pub fn event(user: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "GET /v1/feeds/home",
        "rawPath": "/v1/feeds/home",
        "rawQueryString": "",
        "headers": {
            "accept": "application/json",
            "authorization": format!("Bearer {}", "x".repeat(600)),
            "content-length": "0",
            "host": "abcdefghij.execute-api.us-east-1.amazonaws.com",
            "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
            "x-amzn-trace-id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
            "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "abcdefghij",
            "authorizer": {
                "jwt": { "claims": { "sub": user, "iss": "https://issuer.example", "aud": "tidings" }, "scopes": null },
            },
            "domainName": "abcdefghij.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "abcdefghij",
            "http": {
                "method": "GET",
                "path": "/v1/feeds/home",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "GET /v1/feeds/home",
            "stage": "$default",
            "time": "27/Nov/2026:12:00:00 +0000",
            "timeEpoch": 1_795_780_800_000_u64,
        },
        "isBase64Encoded": false,
    })
}

/// Fails unless the answer is a page of so many posts, each with its text.
///
/// # Errors
/// If it is something else. The message has the answer.
pub fn check(answer: &Value, posts: usize) -> Result<()> {
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap_or_default()).unwrap_or_default();
    let found = body["posts"].as_array().map_or(&[][..], Vec::as_slice);
    let has_texts = found.iter().all(|post| post["text"].as_str().is_some_and(|text| !text.is_empty()));
    ensure!(answer["statusCode"] == 200 && found.len() == posts && has_texts, "no page of {posts} posts: {answer}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_page_passes() {
        let answer = |status: u16, body: Value| json!({ "statusCode": status, "body": body.to_string() });
        let page = json!({ "posts": [{ "text": "one" }, { "text": "two" }] });
        assert!(check(&answer(200, page.clone()), 2).is_ok());
        assert!(check(&answer(500, page.clone()), 2).is_err());
        assert!(check(&answer(200, page), 3).is_err());
        assert!(check(&answer(200, json!({ "posts": [{ "text": null }] })), 1).is_err());
    }
}
