//! A copy of DynamoDB that is behind: what eventually consistent reads may meet.
//!
//! DynamoDB keeps each partition three times. A write is done once two of the copies have it, and an eventually
//! consistent read may ask the third ([read consistency]). All copies see the writes of a partition in one order, that
//! of the partition's log (section 3 of [the paper]), and nothing is said about the order of two partitions. So each
//! partition here is behind by a time of its own, and no write overtakes another of the same partition key. Indexes
//! are those of the copy.
//!
//! [read consistency]: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.ReadConsistency.html
//! [the paper]: https://www.usenix.org/system/files/atc22-elhemali.pdf

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use dynoxide::Database;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::{connector::Answer, dynamodb};

/// The copy.
pub(crate) struct Replica {
    database: Database,
    state: Mutex<State>,
}

struct State {
    random: StdRng,
    lag_max: Duration,
    /// What is still to come, by table and partition key.
    coming: BTreeMap<(String, String), VecDeque<Change>>,
}

struct Change {
    due: Instant,
    key: Value,
    /// What the item is from then on. None if there is none.
    item: Option<Value>,
}

impl Replica {
    /// Of a database in which nothing is yet. How far partitions are behind is drawn from the seed.
    pub(crate) fn new(seed: u64) -> dynoxide::Result<Self> {
        let (random, lag_max) = (StdRng::seed_from_u64(seed), Duration::ZERO);
        let state = Mutex::new(State { random, lag_max, coming: BTreeMap::new() });
        Ok(Self { database: Database::memory()?, state })
    }

    /// How far behind a partition is at most, for what is written from now on.
    pub(crate) fn set_lag_max(&self, lag_max: Duration) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).lag_max = lag_max;
    }

    /// Takes note of what an operation has written to the database that is not behind.
    pub(crate) fn follow(&self, leader: &Database, operation: &str, body: &[u8]) {
        let Ok(mut body) = serde_json::from_slice::<Value>(body) else { return };
        if operation.ends_with("Table") || operation == "UpdateTimeToLive" {
            body.as_object_mut().map(|body| body.remove("StreamSpecification"));
            self.apply(operation, &body);
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (table, key) in written(operation, &body) {
            let read = json!({"TableName": table, "Key": key, "ConsistentRead": true});
            let read = dynamodb::call(leader, "GetItem", read.to_string().as_bytes());
            let lag_micros = u64::try_from(state.lag_max.as_micros()).unwrap_or(u64::MAX);
            let lag = Duration::from_micros(state.random.random_range(0..=lag_micros));
            let partition = state.coming.entry((table.to_owned(), key["PK"].to_string())).or_default();
            let due = partition.back().map_or_else(Instant::now, |last| last.due).max(Instant::now() + lag);
            partition.push_back(Change { due, key, item: read.json().get("Item").cloned() });
        }
    }

    /// The answer to a read. None if it asks for consistency, and if nothing is still to come, so that all copies have
    /// the same.
    pub(crate) fn read(&self, operation: &str, body: &[u8]) -> Option<Answer> {
        let may_be_old = matches!(operation, "GetItem" | "BatchGetItem" | "Query" | "Scan");
        if !may_be_old || is_consistent(&serde_json::from_slice(body).ok()?) {
            return None;
        }
        self.catch_up();
        let is_behind = !self.state.lock().unwrap_or_else(PoisonError::into_inner).coming.is_empty();
        is_behind.then(|| dynamodb::call(&self.database, operation, body))
    }

    /// Deletes items whose time to live has passed.
    pub(crate) fn expire_items(&self) {
        self.catch_up();
        // As in the database that is not behind.
        self.database.sweep_ttl().ok();
    }

    fn catch_up(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        state.coming.retain(|(table, _), changes| {
            while let Some(change) = changes.pop_front_if(|change| change.due <= now) {
                match change.item {
                    Some(item) => self.apply("PutItem", &json!({"TableName": table, "Item": item})),
                    None => self.apply("DeleteItem", &json!({"TableName": table, "Key": change.key})),
                }
            }
            !changes.is_empty()
        });
    }

    fn apply(&self, operation: &str, body: &Value) {
        dynamodb::call(&self.database, operation, body.to_string().as_bytes());
    }
}

/// Whether a read asks for consistency. A batch that asks for it in one table is not split here.
fn is_consistent(read: &Value) -> bool {
    let of_batch = read["RequestItems"].as_object().into_iter().flat_map(Map::values);
    of_batch.chain([read]).any(|read| read["ConsistentRead"].as_bool().unwrap_or(false))
}

/// The tables and keys that a request writes.
fn written<'a>(operation: &str, body: &'a Value) -> Vec<(&'a str, Value)> {
    let key = |write: &'a Value| -> Option<(&'a str, Value)> {
        let table = write["TableName"].as_str()?;
        Some((table, write.get("Key").cloned().or_else(|| write.get("Item").map(key_of))?))
    };
    match operation {
        "PutItem" | "UpdateItem" | "DeleteItem" => key(body).into_iter().collect(),
        "TransactWriteItems" => {
            let items = body["TransactItems"].as_array().into_iter().flatten();
            items.filter_map(|item| ["Put", "Update", "Delete"].into_iter().find_map(|it| key(item.get(it)?))).collect()
        }
        "BatchWriteItem" => {
            let tables = body["RequestItems"].as_object().into_iter().flatten();
            let keys = |(table, writes): (&'a String, &'a Value)| {
                let writes = writes.as_array().into_iter().flatten();
                writes.filter_map(move |write| {
                    let put = write.get("PutRequest").map(|put| key_of(&put["Item"]));
                    let key = put.or_else(|| write.get("DeleteRequest").map(|delete| delete["Key"].clone()))?;
                    Some((table.as_str(), key))
                })
            };
            tables.flat_map(keys).collect()
        }
        _ => Vec::new(),
    }
}

/// The key of an item of Tidings' tables.
fn key_of(item: &Value) -> Value {
    let parts = ["PK", "SK"].into_iter().filter_map(|name| Some((name.to_owned(), item.get(name)?.clone())));
    parts.collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use crate::{Answer, Aws, Request, Service};

    use super::*;

    const TABLE: &str = "things";
    const LAG_MAX: Duration = Duration::from_secs(1);
    /// Reads within the lag of which at least one finds the copy behind, and later one does not.
    const WRITES: usize = 40;

    fn aws() -> Aws {
        let aws = Aws::new().unwrap().with_replica(7).unwrap();
        aws.create_table(TABLE, true);
        aws.set_replica_lag_max(LAG_MAX);
        aws
    }

    fn read(aws: &Aws, operation: &str, body: &Value) -> Option<Value> {
        let body = body.to_string().into();
        let request = Request { service: Service::DynamoDb, operation: operation.to_owned(), body };
        aws.read_replica(&request).as_ref().map(Answer::json)
    }

    fn item(partition: &str, sort: usize, text: &str) -> Value {
        json!({"PK": {"S": partition}, "SK": {"S": format!("{sort:03}")}, "text": {"S": text}})
    }

    fn put(aws: &Aws, item: &Value) {
        assert_eq!(aws.dynamodb("PutItem", &json!({"TableName": TABLE, "Item": item})).status, 200);
    }

    fn partition(name: &str) -> Value {
        json!({
            "TableName": TABLE, "KeyConditionExpression": "PK = :p",
            "ExpressionAttributeValues": {":p": {"S": name}},
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_is_seen_as_it_was_at_one_moment() {
        let aws = aws();
        for sort in 0..WRITES {
            put(&aws, &item("p", sort, "new"));
            tokio::time::sleep(LAG_MAX / 20).await;
        }
        let mut lengths = Vec::new();
        while let Some(page) = read(&aws, "Query", &partition("p")) {
            let seen: Vec<_> = page["Items"].as_array().unwrap().iter().map(|it| it["SK"]["S"].clone()).collect();
            let first: Vec<_> = (0..seen.len()).map(|sort| json!(format!("{sort:03}"))).collect();
            assert_eq!(seen, first, "writes are seen in their order");
            lengths.push(seen.len());
            tokio::time::sleep(LAG_MAX / 50).await;
        }
        assert!(lengths.first() < Some(&WRITES), "the copy was behind");
        assert!(lengths.is_sorted(), "and catches up");
        assert!(lengths.len() <= 51, "within the lag");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_deleted_is_there_a_moment_longer_and_what_changes_is_old() {
        let aws = aws();
        put(&aws, &item("p", 1, "old"));
        put(&aws, &item("p", 2, "old"));
        tokio::time::sleep(LAG_MAX).await;
        put(&aws, &item("p", 1, "new"));
        aws.dynamodb("DeleteItem", &json!({"TableName": TABLE, "Key": {"PK": {"S": "p"}, "SK": {"S": "002"}}}));
        let old = read(&aws, "Query", &partition("p")).unwrap();
        assert_eq!(old["Items"], json!([item("p", 1, "old"), item("p", 2, "old")]));
        let get = json!({"TableName": TABLE, "Key": {"PK": {"S": "p"}, "SK": {"S": "001"}}});
        assert_eq!(read(&aws, "GetItem", &get).unwrap()["Item"]["text"]["S"], "old");
        let mut consistent = get.clone();
        consistent["ConsistentRead"] = true.into();
        assert_eq!(read(&aws, "GetItem", &consistent), None);
        tokio::time::sleep(LAG_MAX).await;
        assert_eq!(read(&aws, "GetItem", &get), None, "all copies have the same");
    }

    #[tokio::test(start_paused = true)]
    async fn partitions_are_behind_by_times_of_their_own() {
        let aws = aws();
        let names: Vec<_> = (0..WRITES).map(|number| format!("p{number}")).collect();
        let writes = names.iter().take(WRITES / 2).map(|name| json!({"PutRequest": {"Item": item(name, 0, "new")}}));
        let batch = json!({"RequestItems": {TABLE: writes.collect::<Vec<_>>()}});
        assert_eq!(aws.dynamodb("BatchWriteItem", &batch).status, 200);
        let puts = names.iter().skip(WRITES / 2).map(|name| item(name, 0, "new"));
        let puts = puts.map(|item| json!({"Put": {"TableName": TABLE, "Item": item}}));
        let transaction = json!({"TransactItems": puts.collect::<Vec<_>>()});
        assert_eq!(aws.dynamodb("TransactWriteItems", &transaction).status, 200);
        tokio::time::sleep(LAG_MAX / 2).await;
        let keys: Vec<_> = names.iter().map(|name| json!({"PK": {"S": name}, "SK": {"S": "000"}})).collect();
        let found = read(&aws, "BatchGetItem", &json!({"RequestItems": {TABLE: {"Keys": keys}}})).unwrap();
        let found = found["Responses"][TABLE].as_array().unwrap().len();
        assert!((WRITES / 4..WRITES).contains(&found), "{found} of {WRITES}");
    }
}
