//! Enforces the policies of the functions. These servers are in front of the embedded ones, which let every caller do
//! everything. They refuse what a function's policies in the template do not allow, as AWS would. The access key of a
//! request is the name of the function. The servers also remember which permissions each function has used.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{
    Endpoints,
    forward::{REQUEST_BYTES_MAX, Upstream},
};
use crate::{
    aws::{ACCOUNT, REGION},
    http_server::{self, Patience},
    loopback::only_this_machine,
    template::model::{Function, KeySchema, Statement, System},
};

/// The servers in front of the embedded ones. Dropping this value stops them.
#[derive(Debug)]
pub struct Guard {
    /// The URLs of these servers.
    pub endpoints: Endpoints,
    policies: Arc<Policies>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Policies {
    /// The statements of each function.
    statements: HashMap<String, Vec<Statement>>,
    /// The names of the partition keys by table.
    partition_keys: HashMap<String, String>,
    /// The function, the action and the resource of each call that was allowed.
    used: Mutex<BTreeSet<[String; 3]>>,
}

#[derive(Clone)]
struct Before {
    service: &'static str,
    upstream: Upstream,
    policies: Arc<Policies>,
}

/// One permission that a request needs.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    action: String,
    resource: String,
    /// The partition, if the request is about one item or queries one partition.
    partition: Option<String>,
}

impl Guard {
    /// Starts the servers in front of those at `upstream`, whose tables have these keys.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start(
        upstream: &Endpoints,
        system: &System,
        keys: &HashMap<String, KeySchema>,
    ) -> anyhow::Result<Self> {
        let statements = |function: &Function| (function.name.clone(), function.statements.clone());
        let policies = Arc::new(Policies {
            statements: system.functions.iter().map(statements).collect(),
            partition_keys: keys.iter().map(|(table, key)| (table.clone(), key.partition.clone())).collect(),
            used: Mutex::default(),
        });
        let mut tasks = Vec::new();
        let mut before = async |service, url: &str| {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            let own = format!("http://{}", listener.local_addr()?);
            let state = Before { service, upstream: Upstream::new(url), policies: policies.clone() };
            let router = Router::new().fallback(pass).layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX));
            let router = router.layer(middleware::from_fn(only_this_machine)).with_state(state);
            let served = http_server::serve(listener, router, Patience::LOCAL, std::future::pending());
            tasks.push(tokio::spawn(served));
            anyhow::Ok(own)
        };
        let endpoints = Endpoints {
            dynamodb: before("dynamodb", &upstream.dynamodb).await?,
            kinesis: before("kinesis", &upstream.kinesis).await?,
            sqs: before("sqs", &upstream.sqs).await?,
        };
        Ok(Self { endpoints, policies, tasks })
    }

    /// `GET /dev/access`: the permissions that no function has used so far.
    pub fn router(&self) -> Router {
        let policies = self.policies.clone();
        Router::new().route("/dev/access", get(async move || Json(json!({ "unused": policies.unused() }))))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn pass(State(before): State<Before>, headers: HeaderMap, body: Bytes) -> Response {
    let function = access_key(&headers).unwrap_or_default().to_owned();
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default();
    let service = if target.starts_with("DynamoDBStreams_") { "streams" } else { before.service };
    let request = serde_json::from_slice(&body).unwrap_or_default();
    for wish in before.policies.wishes(service, operation, &request) {
        if !before.policies.allow(&function, &wish) {
            let Wish { action, resource, .. } = wish;
            tracing::error!(
                "{function} may not {action} on {resource}: no policy of the function in the template allows it"
            );
            let message = format!("User: {function} is not authorized to perform: {action} on resource: {resource}");
            let error = json!({ "__type": "com.amazon.coral.service#AccessDeniedException", "message": message });
            let kind = [(header::CONTENT_TYPE, "application/x-amz-json-1.0")];
            return (StatusCode::BAD_REQUEST, kind, error.to_string()).into_response();
        }
    }
    before.upstream.forward(headers, body).await
}

/// The access key in the signature (AWS Signature Version 4: `Credential=<access key>/<date>/…`).
pub(super) fn access_key(headers: &HeaderMap) -> Option<&str> {
    let credential = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once("Credential=")?.1;
    credential.split('/').next()
}

fn arn(service: &str, rest: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}")
}

impl Policies {
    /// The permissions that a request needs. An unknown request needs a permission that nobody has. An empty resource
    /// is any for which the function has the permission.
    fn wishes(&self, service: &str, operation: &str, request: &Value) -> Vec<Wish> {
        let wish = |resource: String| Wish { action: format!("{service}:{operation}"), resource, partition: None };
        match (service, operation) {
            ("dynamodb", "TransactWriteItems") => {
                let parts = request["TransactItems"].as_array().into_iter().flatten();
                let part = |part: &Value| {
                    let (kind, part) = part.as_object().and_then(|part| part.iter().next())?;
                    let name =
                        if kind == "ConditionCheck" { "ConditionCheckItem".into() } else { format!("{kind}Item") };
                    Some(self.on_item(&name, part))
                };
                parts.filter_map(part).collect()
            }
            ("dynamodb", "BatchGetItem" | "BatchWriteItem") => {
                let tables = request["RequestItems"].as_object().into_iter().flatten();
                tables.map(|(table, _)| wish(arn(service, &format!("table/{table}")))).collect()
            }
            ("dynamodb", _) => vec![self.on_item(operation, request)],
            // An iterator contains the stream, in a form that only the service can read.
            ("streams", operation) => {
                let stream = text(request, "StreamArn");
                let label = stream.rsplit_once("/stream/").map(|(table, _)| format!("{table}/stream/local"));
                vec![Wish { action: format!("dynamodb:{operation}"), ..wish(label.unwrap_or_default()) }]
            }
            ("kinesis", _) => {
                let name = text(request, "StreamARN").rsplit_once('/').map_or("", |(_, name)| name);
                let name = if name.is_empty() { text(request, "StreamName") } else { name };
                vec![wish(arn(service, &format!("stream/{name}")))]
            }
            _ => {
                let queue = text(request, "QueueUrl").rsplit('/').next().unwrap_or_default();
                // In IAM, a batch needs the permission for the single operation.
                let action = format!("{service}:{}", operation.trim_end_matches("Batch"));
                vec![Wish { action, ..wish(arn(service, queue)) }]
            }
        }
    }

    fn on_item(&self, operation: &str, request: &Value) -> Wish {
        let table = text(request, "TableName");
        let index = request["IndexName"].as_str().map(|index| format!("/index/{index}")).unwrap_or_default();
        let attribute = |name: &String| {
            let of_item = ["Key", "Item"].iter().find_map(|attributes| request[attributes].get(name));
            let key = of_item.or_else(|| queried(request, name))?;
            key["S"].as_str().map(str::to_owned)
        };
        Wish {
            action: format!("dynamodb:{operation}"),
            resource: arn("dynamodb", &format!("table/{table}{index}")),
            partition: self.partition_keys.get(table).and_then(attribute),
        }
    }

    /// Whether a statement allows it. If so, remembers that the permission was used.
    fn allow(&self, function: &str, wish: &Wish) -> bool {
        let Wish { action, resource, partition } = wish;
        let allows = |statement: &Statement| {
            statement.actions.contains(action)
                && (resource.is_empty() || statement.resources.contains(resource))
                && statement
                    .leading_keys
                    .as_ref()
                    .is_none_or(|keys| partition.as_ref().is_some_and(|key| keys.iter().any(|known| names(known, key))))
        };
        let statement = self.statements.get(function).and_then(|statements| statements.iter().find(|one| allows(one)));
        if let Some(statement) = statement {
            let resource = if resource.is_empty() { statement.resources.first() } else { Some(resource) };
            let resource = resource.cloned().unwrap_or_default();
            self.used().insert([function.to_owned(), action.clone(), resource]);
        }
        statement.is_some()
    }

    fn used(&self) -> std::sync::MutexGuard<'_, BTreeSet<[String; 3]>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unused(&self) -> Vec<[String; 3]> {
        let used = self.used();
        let mut unused = BTreeSet::new();
        for (function, statements) in &self.statements {
            for statement in statements {
                for action in &statement.actions {
                    let grants = statement.resources.iter().map(|on| [function.clone(), action.clone(), on.clone()]);
                    unused.extend(grants.filter(|grant| !used.contains(grant)));
                }
            }
        }
        unused.into_iter().collect()
    }
}

fn text<'a>(request: &'a Value, name: &str) -> &'a str {
    request[name].as_str().unwrap_or_default()
}

/// The value that a query demands of this attribute, as in `PK = :user AND …`.
fn queried<'a>(request: &'a Value, attribute: &str) -> Option<&'a Value> {
    let mut parts = request["KeyConditionExpression"].as_str()?.split(" AND ");
    let value = |part: &'a str| part.trim().strip_prefix(attribute)?.trim_start().strip_prefix('=').map(str::trim);
    let value = parts.find_map(value)?;
    request["ExpressionAttributeValues"].get(value)
}

/// Whether this key of a condition names this partition.
fn names(key: &str, partition: &str) -> bool {
    key.strip_suffix('*').map_or(key == partition, |prefix| partition.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policies() -> Policies {
        let statement = |action: &str, table: &str, leading_keys: Option<&str>| Statement {
            actions: vec![format!("dynamodb:{action}")],
            resources: vec![arn("dynamodb", &format!("table/{table}"))],
            leading_keys: leading_keys.map(|key| vec![key.to_owned()]),
        };
        let statements = vec![
            statement("GetItem", "T", None),
            statement("PutItem", "T", None),
            statement("UpdateItem", "T", Some("A")),
            statement("Query", "T/index/i", None),
            statement("Query", "V", Some("A")),
            statement("UpdateItem", "V", Some("H#*")),
        ];
        Policies {
            statements: HashMap::from([("F".to_owned(), statements)]),
            partition_keys: HashMap::from(["T", "V"].map(|table| (table.to_owned(), "PK".to_owned()))),
            used: Mutex::default(),
        }
    }

    fn may(operation: &str, request: Value) -> bool {
        let policies = policies();
        policies.wishes("dynamodb", operation, &request).iter().all(|wish| policies.allow("F", wish))
    }

    #[test]
    fn only_what_a_statement_allows_is_done() {
        assert!(may("GetItem", json!({"TableName": "T"})));
        assert!(!may("GetItem", json!({"TableName": "U"})));
        assert!(!may("DeleteItem", json!({"TableName": "T"})));
        assert!(!may("Query", json!({"TableName": "T"})));
        assert!(may("Query", json!({"TableName": "T", "IndexName": "i"})));
        assert!(!may("BatchGetItem", json!({"RequestItems": {"T": {}}})));
        let update = |key: &str| may("UpdateItem", json!({"TableName": "T", "Key": {"PK": {"S": key}}}));
        assert!(update("A") && !update("B"));
        let update = |key: &str| may("UpdateItem", json!({"TableName": "V", "Key": {"PK": {"S": key}}}));
        assert!(update("H#a") && update("H#") && !update("H") && !update("AH#"));
        let query = |condition: &str, key: &str| {
            let values = json!({":pk": {"S": key}, ":sk": {"S": "A"}});
            may(
                "Query",
                json!({
                    "TableName": "V", "KeyConditionExpression": condition, "ExpressionAttributeValues": values,
                }),
            )
        };
        assert!(query("PK = :pk", "A") && query("PK = :pk AND begins_with(SK, :sk)", "A"));
        assert!(!query("PK = :pk", "B") && !query("SK = :sk", "A") && !query("PKX = :sk AND PK = :pk", "B"));
        assert!(!policies().allow("G", &policies().wishes("dynamodb", "GetItem", &json!({"TableName": "T"}))[0]));
    }

    #[test]
    fn each_part_of_a_transaction_needs_its_own_allowance() {
        let transaction = |kinds: &[&str]| {
            let part = |kind: &&str| json!({*kind: {"TableName": "T", "Key": {"PK": {"S": "A"}}}});
            json!({"TransactItems": kinds.iter().map(part).collect::<Vec<_>>()})
        };
        assert!(may("TransactWriteItems", transaction(&["Put", "Update"])));
        assert!(!may("TransactWriteItems", transaction(&["Put", "ConditionCheck"])));
    }

    #[test]
    fn a_batch_of_messages_is_known_by_its_parts() {
        let wishes =
            policies().wishes("sqs", "SendMessageBatch", &json!({"QueueUrl": "http://127.0.0.1:1/000000000000/q"}));
        assert_eq!(wishes, [Wish { action: "sqs:SendMessage".into(), resource: arn("sqs", "q"), partition: None }]);
    }

    #[test]
    fn unused_permissions_are_listed() {
        let policies = policies();
        assert_eq!(policies.unused().len(), 6);
        policies.allow("F", &policies.wishes("dynamodb", "GetItem", &json!({"TableName": "T"}))[0]);
        assert!(policies.unused().iter().all(|[_, action, _]| action != "dynamodb:GetItem"));
    }
}
