//! The floor for the benchmark `cpu`: a home page with blocking sockets, the AWS signature and typed JSON, and nothing
//! else: no TLS, no retries, no timeouts, one call after the other. It reads the same items as GetFeed.

use std::{
    collections::HashMap,
    env,
    error::Error,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::SystemTime,
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Posts of a page.
const PAGE: usize = 20;
/// Likes of the viewer that are read at most.
const LIKES: usize = 100;
/// The item of a home that notes the last visit. It is no post, and newer than all.
const VISIT: &str = "ffffffff-ffff-7fff-bfff-ffffffffffff";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A connection that stays open, with the headers of the last answer.
struct Connection {
    host: String,
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(host: &str) -> Result<Self> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        Ok(Self { host: host.to_owned(), stream: BufReader::new(stream) })
    }

    /// Sends a request. Returns the request id of an invocation, if the answer is one, and the body.
    fn send(&mut self, head: &str, body: &[u8]) -> Result<(String, Vec<u8>)> {
        let mut request = format!("{head}host: {}\r\ncontent-length: {}\r\n\r\n", self.host, body.len()).into_bytes();
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request)?;
        let (mut line, mut length, mut id) = (String::new(), 0, String::new());
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some(("content-length", value)) => length = value.parse()?,
                Some(("lambda-runtime-aws-request-id", value)) => value.clone_into(&mut id),
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((id, body))
    }
}

#[derive(Deserialize)]
struct S {
    #[serde(rename = "S")]
    text: String,
}

#[derive(Deserialize)]
struct N {
    #[serde(rename = "N")]
    number: String,
}

#[derive(Deserialize)]
struct B {
    #[serde(rename = "BOOL")]
    is: bool,
}

#[derive(Deserialize)]
struct L {
    #[serde(rename = "L")]
    items: Vec<S>,
}

#[derive(Deserialize)]
struct M {
    #[serde(rename = "M")]
    members: Profile,
}

#[derive(Deserialize)]
struct Profile {
    handle: S,
    display_name: S,
}

#[derive(Deserialize)]
struct Row {
    #[serde(rename = "SK")]
    post: S,
}

#[derive(Deserialize)]
struct Found<Item> {
    #[serde(rename = "Items")]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Card {
    post: S,
    author: S,
    author_profile: M,
    text: S,
    tags: L,
    version: N,
    likes: Option<N>,
    comments: Option<N>,
}

#[derive(Deserialize)]
struct Like {
    #[serde(rename = "SK")]
    key: S,
    liked: B,
}

#[derive(Deserialize)]
struct Viewer {
    #[serde(rename = "Item")]
    item: HashMap<String, Value>,
}

#[derive(Deserialize)]
struct Batch<Item> {
    #[serde(rename = "Responses")]
    by_table: HashMap<String, Vec<Item>>,
}

#[derive(Serialize)]
struct Author<'a> {
    id: &'a str,
    handle: &'a str,
    display_name: &'a str,
    avatar_url: Option<&'a str>,
}

#[derive(Serialize)]
struct Post<'a> {
    id: &'a str,
    author: Author<'a>,
    text: &'a str,
    tags: Vec<&'a str>,
    likes: u64,
    comments: u64,
    version: u64,
    liked: bool,
}

#[derive(Serialize)]
struct Page<'a> {
    posts: Vec<Post<'a>>,
    next_cursor: Option<&'a str>,
}

struct DynamoDb {
    connection: Connection,
    url: String,
    credentials: aws_smithy_runtime_api::client::identity::Identity,
    region: String,
}

impl DynamoDb {
    fn call<Answer: DeserializeOwned>(&mut self, operation: &str, request: &Value) -> Result<Answer> {
        let body = serde_json::to_vec(request)?;
        let target = format!("DynamoDB_20120810.{operation}");
        let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", &target)];
        let parameters = v4::SigningParams::builder()
            .identity(&self.credentials)
            .region(&self.region)
            .name("dynamodb")
            .time(now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let signable = SignableRequest::new("POST", &self.url, headers.into_iter(), SignableBody::Bytes(&body))?;
        let (signature, _) = sign(signable, &parameters)?.into_parts();
        let mut head = "POST / HTTP/1.1\r\n".to_owned();
        for (name, value) in headers.into_iter().chain(signature.headers()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        Ok(serde_json::from_slice(&self.connection.send(&head, &body)?.1)?)
    }
}

#[expect(clippy::disallowed_methods, reason = "a signature is of now, and there is no logic here to test")]
fn now() -> SystemTime {
    SystemTime::now()
}

fn main() -> Result<()> {
    let api = env::var("AWS_LAMBDA_RUNTIME_API")?;
    let mut api = Connection::open(api.trim_start_matches("http://"))?;
    let url = env::var("AWS_ENDPOINT_URL_DYNAMODB")?;
    let (key, secret) = (env::var("AWS_ACCESS_KEY_ID")?, env::var("AWS_SECRET_ACCESS_KEY")?);
    let mut dynamodb = DynamoDb {
        connection: Connection::open(url.trim_start_matches("http://").trim_end_matches('/'))?,
        credentials: Credentials::new(key, secret, None, None, "environment").into(),
        region: env::var("AWS_REGION")?,
        url,
    };
    loop {
        let (id, event) = api.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n", b"")?;
        let answer = home(&mut dynamodb, &serde_json::from_slice(&event)?)?;
        let head = format!("POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\n");
        api.send(&head, &serde_json::to_vec(&answer)?)?;
    }
}

fn home(dynamodb: &mut DynamoDb, event: &Value) -> Result<Value> {
    let user = event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"].as_str().unwrap_or_default();
    let key = json!({ "PK": { "S": format!("USER#{user}") } });
    let viewer: Viewer = dynamodb.call("GetItem", &json!({ "TableName": env::var("VIEWERS_TABLE")?, "Key": key }))?;
    let query = json!({
        "TableName": env::var("TIMELINES_TABLE")?,
        "KeyConditionExpression": "PK = :timeline AND SK >= :first",
        "ExpressionAttributeValues": { ":timeline": { "S": format!("HOME#{user}") }, ":first": { "S": "0" } },
        "ScanIndexForward": false,
        "Limit": PAGE + 2,
    });
    let mut rows: Found<Row> = dynamodb.call("Query", &query)?;
    rows.items.retain(|row| row.post.text != VISIT);
    rows.items.truncate(PAGE + 1);
    let cards = rows.items.iter().map(|row| json!({ "PK": { "S": format!("POST#{}", row.post.text) } }));
    let cards: Vec<Card> = batch(dynamodb, &env::var("CARDS_TABLE")?, cards.collect())?;
    let bound = |row: Option<&Row>| json!({ "S": format!("LIKES#{}", row.map_or("", |row| &row.post.text)) });
    let query = json!({
        "TableName": env::var("COMMANDS_TABLE")?,
        "KeyConditionExpression": "PK = :user AND SK BETWEEN :oldest AND :newest",
        "ExpressionAttributeValues": {
            ":user": { "S": format!("USER#{user}") },
            ":oldest": bound(rows.items.last()),
            ":newest": bound(rows.items.first()),
        },
        "Limit": LIKES,
    });
    let likes: Found<Like> = dynamodb.call("Query", &query)?;
    let cards: HashMap<_, _> = cards.iter().map(|card| (card.post.text.as_str(), card)).collect();
    let likes: HashMap<_, _> =
        likes.items.iter().map(|like| (like.key.text.trim_start_matches("LIKES#"), like.liked.is)).collect();
    let number = |number: &Option<N>| number.as_ref().and_then(|it| it.number.parse().ok()).unwrap_or(0);
    let shown = rows.items.iter().take(PAGE).filter_map(|row| {
        let card = cards.get(row.post.text.as_str())?;
        let Profile { handle, display_name } = &card.author_profile.members;
        let (handle, display_name) = (handle.text.as_str(), display_name.text.as_str());
        Some(Post {
            id: &card.post.text,
            author: Author { id: &card.author.text, handle, display_name, avatar_url: None },
            text: &card.text.text,
            tags: card.tags.items.iter().map(|tag| tag.text.as_str()).collect(),
            likes: number(&card.likes),
            comments: number(&card.comments),
            version: card.version.number.parse().ok()?,
            liked: likes.get(row.post.text.as_str()).copied().unwrap_or(false),
        })
    });
    let page = Page { posts: shown.collect(), next_cursor: rows.items.get(PAGE).map(|row| row.post.text.as_str()) };
    let status = if viewer.item.is_empty() { 404 } else { 200 };
    let headers = json!({ "content-type": "application/json" });
    let body = serde_json::to_string(&page)?;
    Ok(json!({ "statusCode": status, "headers": headers, "body": body, "isBase64Encoded": false }))
}

fn batch<Item: DeserializeOwned>(dynamodb: &mut DynamoDb, table: &str, keys: Vec<Value>) -> Result<Vec<Item>> {
    let request = json!({ "RequestItems": { table: { "Keys": keys } } });
    let mut answer: Batch<Item> = dynamodb.call("BatchGetItem", &request)?;
    Ok(answer.by_table.remove(table).unwrap_or_default())
}
