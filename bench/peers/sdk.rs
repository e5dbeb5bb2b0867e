//! A peer of GetFeed for the benchmark `cpu`: a home page with the AWS SDK, and without our logic. It reads the same
//! items in the same two round trips, and looks neither at whom the viewer follows nor at what is cached.

use std::collections::HashMap;

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, KeysAndAttributes},
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

/// Posts of a page.
const PAGE: usize = 20;
/// Likes of the viewer that are read at most.
const LIKES: i32 = 100;
/// The item of a home that notes the last visit. It is no post, and newer than all.
const VISIT: &str = "ffffffff-ffff-7fff-bfff-ffffffffffff";

type Item = HashMap<String, AttributeValue>;

struct Tables {
    viewers: String,
    timelines: String,
    cards: String,
    commands: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http).load().await;
    let client = &Client::new(&config);
    let name = |name: &str| std::env::var(name);
    let tables = &Tables {
        viewers: name("VIEWERS_TABLE")?,
        timelines: name("TIMELINES_TABLE")?,
        cards: name("CARDS_TABLE")?,
        commands: name("COMMANDS_TABLE")?,
    };
    let handler = async |event: LambdaEvent<Value>| Box::pin(home(client, tables, &event.payload)).await;
    lambda_runtime::run(service_fn(handler)).await
}

async fn home(client: &Client, tables: &Tables, event: &Value) -> Result<Value, Error> {
    let user = event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"].as_str().unwrap_or_default();
    let viewer = client.get_item().table_name(&tables.viewers).key("PK", s(format!("USER#{user}"))).send();
    let rows = client
        .query()
        .table_name(&tables.timelines)
        .key_condition_expression("PK = :timeline AND SK >= :first")
        .expression_attribute_values(":timeline", s(format!("HOME#{user}")))
        .expression_attribute_values(":first", s("0"))
        .scan_index_forward(false)
        .limit(i32::try_from(PAGE + 2)?)
        .send();
    let (viewer, rows) = tokio::try_join!(async { Ok::<_, Error>(viewer.await?) }, async { Ok(rows.await?) })?;
    if viewer.item().is_none() {
        return Ok(json!({ "statusCode": 404 }));
    }
    let posts = rows.items().iter().map(|row| text(row, "SK")).filter(|post| *post != VISIT);
    let posts: Vec<_> = posts.take(PAGE + 1).collect();
    let cards = posts.iter().map(|post| Item::from([("PK".to_owned(), s(format!("POST#{post}")))])).collect();
    let bound = |post: Option<&&str>| s(format!("LIKES#{}", post.unwrap_or(&"")));
    let likes = client
        .query()
        .table_name(&tables.commands)
        .key_condition_expression("PK = :user AND SK BETWEEN :oldest AND :newest")
        .expression_attribute_values(":user", s(format!("USER#{user}")))
        .expression_attribute_values(":oldest", bound(posts.last()))
        .expression_attribute_values(":newest", bound(posts.first()))
        .limit(LIKES)
        .send();
    let (cards, likes) = tokio::try_join!(batch(client, &tables.cards, cards), async { Ok(likes.await?) })?;
    let cards: HashMap<_, _> = cards.iter().map(|card| (text(card, "post"), card)).collect();
    let likes: HashMap<_, _> = likes.items().iter().map(|like| (text(like, "SK"), like)).collect();
    let shown = posts.iter().take(PAGE).filter_map(|post| {
        let card = cards.get(post)?;
        let author = card.get("author_profile")?.as_m().ok()?;
        let like = likes.get(format!("LIKES#{post}").as_str());
        Some(json!({
            "id": post,
            "author": {
                "id": text(card, "author"),
                "handle": text(author, "handle"),
                "display_name": text(author, "display_name"),
                "avatar_url": null,
            },
            "text": text(card, "text"),
            "tags": card.get("tags")?.as_l().ok()?.iter().filter_map(|tag| tag.as_s().ok()).collect::<Vec<_>>(),
            "likes": number(card, "likes"),
            "comments": number(card, "comments"),
            "version": number(card, "version"),
            "liked": like.and_then(|like| like.get("liked")).is_some_and(|is| is.as_bool() == Ok(&true)),
        }))
    });
    let body = json!({ "posts": shown.collect::<Vec<_>>(), "next_cursor": posts.get(PAGE) });
    let headers = json!({ "content-type": "application/json" });
    Ok(json!({ "statusCode": 200, "headers": headers, "body": body.to_string(), "isBase64Encoded": false }))
}

async fn batch(client: &Client, table: &str, keys: Vec<Item>) -> Result<Vec<Item>, Error> {
    let keys = KeysAndAttributes::builder().set_keys(Some(keys)).build()?;
    let answer = client.batch_get_item().request_items(table, keys).send().await?;
    Ok(answer.responses.and_then(|mut tables| tables.remove(table)).unwrap_or_default())
}

fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

fn number(item: &Item, name: &str) -> u64 {
    item.get(name).and_then(|value| value.as_n().ok()).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
