//! Bad input: the right status, a stable code, never a 500, and no effect.

use anyhow::Result;
use harness::{
    client::{Answer, User, post_path, user_path},
    deployment::{Deployment, unique_handle},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{home_becomes, refused};

/// Bodies that no command accepts.
const MALFORMED: [&[u8]; 19] = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"[\"abc\"]",
    b"[\"abc\", \"A\", null]",
    b"[{\"text\": \"a\", \"handle\": \"abc\", \"display_name\": \"A\"}]",
    b"{\"text\": [\"a\"], \"handle\": [\"abc\"], \"display_name\": \"A\"}",
    b"{\"text\": {\"text\": \"a\"}, \"handle\": {\"0\": \"abc\"}, \"display_name\": \"A\"}",
    b"{\"text\": \"a\", \"text\": \"b\"}",
    b"{\"handle\": \"abc\", \"handle\": \"abc\", \"display_name\": \"A\"}",
    b"\"text\"",
    b"17",
    b"{}",
    b"{\"text\": \"a\", \"handle\": \"abc\", \"display_name\": \"A\", \"extra\": 1}",
    b"{\"text\": 1, \"handle\": \"abc\", \"display_name\": 1}",
    b"{\"text\": null, \"handle\": null, \"display_name\": \"A\"}",
    b"{\"text\": \"\xff\", \"handle\": \"abc\", \"display_name\": \"\xff\"}",
    b"{\"text\": \"a\"} {\"handle\": \"abc\", \"display_name\": \"A\"}",
];

async fn a_post_still_gets_version(user: &User, version: u64) -> Result<()> {
    let post = user.post("after all that", None).await?;
    assert_eq!(post.version, version, "one of the bad requests had an effect");
    home_becomes(user, &[&post.value.id]).await?;
    Ok(())
}

#[tokio::test]
async fn malformed_bodies_are_refused() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    for (method, path) in [(Method::POST, "/v1/posts"), (Method::PUT, "/v1/me"), (Method::PATCH, "/v1/me")] {
        for body in MALFORMED.into_iter().filter(|body| method != Method::PATCH || *body != b"{}") {
            let request = ada.request(method.clone(), path).header("Content-Type", "application/json").body(body);
            refused(request, 400, "malformed_body").await?;
        }
        refused(ada.request(method, path), 400, "malformed_body").await?;
    }
    let post = ada.post("a post", None).await?.value.id;
    for (method, rest) in [(Method::PATCH, ""), (Method::POST, "/comments")] {
        for body in MALFORMED {
            let request = ada.request(method.clone(), &post_path(&post, rest));
            refused(request.header("Content-Type", "application/json").body(body), 400, "malformed_body").await?;
        }
    }
    ada.delete_post(&post).await?;
    a_post_still_gets_version(&ada, 4).await
}

#[tokio::test]
async fn texts_out_of_bounds_are_refused() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    // 3002 bytes as NFC.
    let too_large = format!("e{}", "\u{301}".repeat(1501));
    for text in ["", " ", "\n\t\u{3000}", "\u{200b}", "a\tb", &"x".repeat(301), &"é".repeat(301), &too_large] {
        let request = ada.request(Method::POST, "/v1/posts").json(&json!({ "text": text }));
        refused(request, 422, "text_invalid").await?;
    }
    let post = ada.post("a post", None).await?.value.id;
    let edit = ada.request(Method::PATCH, &post_path(&post, "")).json(&json!({ "text": "x".repeat(301) }));
    refused(edit, 422, "text_invalid").await?;
    let too_large = format!("e{}", "\u{301}".repeat(5001));
    for text in ["", " ", "\u{3164}", "a\0b", &"x".repeat(1001), &"é".repeat(1001), &too_large] {
        let request = ada.request(Method::POST, &post_path(&post, "/comments")).json(&json!({ "text": text }));
        refused(request, 422, "text_invalid").await?;
    }
    assert_eq!(ada.comment(&post, &"é".repeat(1000), None).await?.version, 3);
    ada.delete_post(&post).await?;
    a_post_still_gets_version(&ada, 5).await
}

#[tokio::test]
async fn profiles_out_of_bounds_are_refused() -> Result<()> {
    let ada = Deployment::shared()?.newcomer("ada").await?;
    let good = json!({ "handle": unique_handle(), "display_name": "Ada", "avatar_url": "https://example.org/a.png" });
    let with = |member: &str, value: &str| {
        let mut profile = good.clone();
        profile[member] = Value::from(value);
        ada.request(Method::PUT, "/v1/me").json(&profile)
    };
    for handle in ["", "ab", "Ada", "a-b", "a b", "@ada", "adä", "a/b", &"a".repeat(31)] {
        refused(with("handle", handle), 422, "handle_invalid").await?;
    }
    for name in
        ["", "  ", "\u{200b}", "a\nb", "a\u{7}b", "a\u{202e}b", &"x".repeat(51), &format!("e{}", "\u{301}".repeat(250))]
    {
        refused(with("display_name", name), 422, "display_name_invalid").await?;
    }
    let too_long = format!("https://example.org/{}", "x".repeat(2048));
    let not_plain =
        ["https://x\"onerror=alert(1)//", "https://u@example.org", "https://example.org:444", "https://[::1]/"];
    let not_web = ["", "x", "http://example.org", "https://", "javascript:alert(1)", "https://a b", &too_long];
    for url in not_plain.into_iter().chain(not_web) {
        refused(with("avatar_url", url), 422, "avatar_url_invalid").await?;
    }
    refused(ada.request(Method::GET, "/v1/me"), 404, "profile_not_found").await
}

#[tokio::test]
async fn profiles_just_within_bounds_are_accepted() -> Result<()> {
    let ada = Deployment::shared()?.newcomer("ada").await?;
    let longest_url = format!("https://example.org/{}", "x".repeat(2028));
    let shortest = unique_handle().split_off(9);
    let longest = format!("{:_<30}", unique_handle());
    assert_eq!((longest_url.len(), shortest.len(), longest.len()), (2048, 5, 30));
    for (handle, name, url) in [(shortest, "x", "https://e"), (longest, &"é".repeat(50), longest_url.as_str())] {
        let profile = json!({ "handle": handle, "display_name": name, "avatar_url": url });
        let status = crate::status(ada.request(Method::PUT, "/v1/me").json(&profile)).await?;
        assert_eq!(status, 200, "{profile}");
    }
    Ok(())
}

#[tokio::test]
async fn idempotency_keys_out_of_bounds_are_refused() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    for key in ["", "a b", "a\tb", "é", &"k".repeat(129)] {
        let request = ada.request(Method::POST, "/v1/posts").header("Idempotency-Key", key.as_bytes());
        refused(request.json(&json!({ "text": "x" })), 400, "invalid_idempotency_key").await?;
    }
    a_post_still_gets_version(&ada, 2).await
}

#[tokio::test]
async fn limits_out_of_range_are_refused() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let list = |list: &str| user_path(&ada.id, list);
    let post = ada.post("a post #limits", None).await?.value.id;
    crate::applied(&ada, 2).await?;
    let feeds = ["/v1/feeds/home", "/v1/feeds/home?order=ranked", "/v1/feeds/trending", "/v1/tags/limits/posts"];
    let lists = [list("/posts"), list("/followers"), list("/following"), post_path(&post, "/comments")];
    for path in feeds.map(str::to_owned).into_iter().chain(lists) {
        for limit in ["0", "101", "-1", "", "x", "1.5", "1e1", " 1", "99999999999999999999"] {
            let request = ada.request(Method::GET, &path).query(&[("limit", limit)]);
            refused(request, 400, "invalid_limit").await?;
        }
        for twice in [["0", "2"], ["2", "0"], ["2", "2"]] {
            let request = ada.request(Method::GET, &path).query(&twice.map(|limit| ("limit", limit)));
            refused(request, 400, "invalid_limit").await?;
        }
        for limit in ["1,2", "1,", "+1", "007"] {
            let request = ada.request(Method::GET, &path).query(&[("limit", limit)]);
            refused(request, 400, "invalid_limit").await?;
        }
        let request = ada.request(Method::GET, &path).query(&[("cursor", "x"), ("cursor", "y")]);
        refused(request, 400, "invalid_cursor").await?;
        for limit in ["1", "100"] {
            let request = ada.request(Method::GET, &path).query(&[("limit", limit)]);
            assert_eq!(crate::status(request).await?, 200, "{path} {limit}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn versions_that_no_command_made_are_refused() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let post = ada.post("a post #versions", None).await?.value.id;
    let lists = ["", "/posts", "/followers"].map(|list| user_path(&ada.id, list));
    let posts = [post_path(&post, ""), post_path(&post, "/comments")];
    let feeds = ["/v1/feeds/home", "/v1/feeds/home?order=ranked", "/v1/feeds/trending", "/v1/tags/versions/posts"];
    for path in feeds.map(str::to_owned).iter().chain(&lists).chain(&posts) {
        let request = |version: &str| ada.request(Method::GET, path).header("Tidings-Min-Version", version);
        refused(request("3"), 400, "version_unknown").await?;
        refused(request("999999999999"), 400, "version_unknown").await?;
        for malformed in ["", "x", "-1", "1.5", "1000000000000", "99999999999999999999"] {
            refused(request(malformed), 400, "invalid_version").await?;
        }
        assert_eq!(crate::status(request("2")).await?, 200, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn unknown_orders_are_refused() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let comments = post_path(&ada.post("a post", None).await?.value.id, "/comments");
    for order in ["", "best", "Chronological", "chronological ", "best,chronological", "chronological,chronological"] {
        for path in ["/v1/feeds/home", &comments] {
            let request = ada.request(Method::GET, path).query(&[("order", order)]);
            refused(request, 400, "unknown_order").await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn paths_that_name_no_possible_user_are_refused() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    for user in ["a\nb", "a\u{0}b", "a\u{7f}b", "a\u{fffe}", "\u{ffff}", &"x".repeat(256), &"é".repeat(128)] {
        for list in ["", "/posts", "/followers", "/following"] {
            refused(ada.request(Method::GET, &user_path(user, list)), 400, "invalid_user_id").await?;
        }
        for method in [Method::PUT, Method::DELETE] {
            refused(ada.request(method, &user_path(user, "/follow")), 400, "invalid_user_id").await?;
        }
    }
    a_post_still_gets_version(&ada, 2).await
}

#[tokio::test]
async fn a_token_whose_subject_is_no_user_id_is_refused() -> Result<()> {
    let deployment = Deployment::shared()?;
    let ada = deployment.member("ada").await?;
    let profile = json!({ "handle": unique_handle(), "display_name": "Ada" });
    for sub in ["@ada", "a\nb", "a\u{ffff}", &"x".repeat(256)] {
        let nobody = deployment.user(sub).await?;
        for request in [
            nobody.request(Method::PUT, "/v1/me").json(&profile),
            nobody.request(Method::GET, "/v1/me"),
            nobody.request(Method::POST, "/v1/posts").json(&json!({ "text": "x" })),
            nobody.request(Method::DELETE, "/v1/posts/0197f0a0-1111-7222-8333-944455556666"),
            nobody.request(Method::PUT, &user_path(&ada.id, "/follow")),
            nobody.request(Method::DELETE, &user_path(&ada.id, "/follow")),
            nobody.request(Method::GET, "/v1/feeds/home"),
            nobody.request(Method::GET, &user_path(&ada.id, "")),
            nobody.request(Method::GET, &user_path(&ada.id, "/posts")),
            nobody.request(Method::GET, &user_path(&ada.id, "/followers")),
            nobody.request(Method::GET, &user_path(&ada.id, "/following")),
        ] {
            refused(request, 400, "invalid_user_id").await?;
        }
    }
    // The longest possible id is an id like any other.
    let longest = deployment.user(&format!("{:é<133}", harness::deployment::unique())).await?;
    assert_eq!(longest.id.len(), 254);
    longest.request(Method::PUT, "/v1/me").json(&profile).send().await?.error_for_status()?;
    assert_eq!(longest.profile().await?.id, longest.id);
    Ok(())
}

#[tokio::test]
async fn bodies_above_16_kib_are_refused() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    for (method, path) in [(Method::POST, "/v1/posts"), (Method::PUT, "/v1/me"), (Method::PATCH, "/v1/me")] {
        let body = format!("{{\"text\": \"{}\"}}", "x".repeat(16 * 1024));
        let request = ada.request(method, path).header("Content-Type", "application/json").body(body);
        refused(request, 413, "body_too_large").await?;
    }
    a_post_still_gets_version(&ada, 2).await
}

/// The messages speak of members of the body, and not of types of the program.
#[tokio::test]
async fn the_detail_of_a_malformed_body_says_what_to_send() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    for (body, detail) in [
        ("", "the body is empty; send a JSON object with `text`"),
        ("x", "the body is not valid JSON (line 1, column 1); send one JSON object with `text`"),
        ("[\"x\"]", "the body must be a JSON object with `text`"),
        ("{\"text\": 1}", "`text` must be a string"),
        ("{}", "`text` is missing; send it as a string"),
        ("{\"text\": \"x\", \"tags\": []}", "`tags` is not known here; send `text` only"),
    ] {
        let request = ada.request(Method::POST, "/v1/posts").header("Content-Type", "application/json").body(body);
        let answer: Value = Answer::to(request).await?.json()?;
        assert_eq!((&answer["status"], &answer["detail"]), (&json!(400), &json!(detail)), "{body}");
    }
    Ok(())
}

/// Whoever could delete something can send the deletion again. For others, and for what never was, there is nothing.
#[tokio::test]
async fn deletions_of_what_does_not_exist_have_the_same_status_everywhere() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let never = "0197f0a0-1111-7222-8333-944455556666";
    let post = ada.post("a post", None).await?.value.id;
    let comment = ada.comment(&post, "a comment", None).await?.value.id;
    bob.like(&post).await?;
    for (path, code) in [
        (post_path(never, ""), "post_not_found"),
        (post_path(never, "/like"), "post_not_found"),
        (post_path(&post, &format!("/comments/{never}")), "comment_not_found"),
        (user_path(never, "/follow"), "user_not_found"),
        (user_path(never, "/mute"), "user_not_found"),
        (user_path(never, "/block"), "user_not_found"),
    ] {
        refused(ada.request(Method::DELETE, &path), 404, code).await?;
    }
    let (of_comment, of_post) = (post_path(&post, &format!("/comments/{comment}")), post_path(&post, ""));
    refused(bob.request(Method::DELETE, &of_comment), 403, "not_author").await?;
    refused(bob.request(Method::DELETE, &of_post), 403, "not_author").await?;
    for path in [&of_comment, &of_post] {
        for _ in 0..2 {
            assert_eq!(crate::status(ada.request(Method::DELETE, path)).await?, 204, "{path}");
        }
    }
    refused(bob.request(Method::DELETE, &of_comment), 404, "post_not_found").await?;
    refused(bob.request(Method::DELETE, &of_post), 404, "post_not_found").await?;
    for path in [post_path(&post, "/like"), user_path(&ada.id, "/follow")] {
        for _ in 0..2 {
            assert_eq!(crate::status(bob.request(Method::DELETE, &path)).await?, 204, "{path}");
        }
    }
    Ok(())
}
