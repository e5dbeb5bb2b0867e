//! Eventually consistent reads of DynamoDB: a reader may meet a replica that has not seen the last writes. [AWS] says
//! that such a read might not reflect a recently completed write.
//!
//! Before a write, this keeps what the items were, for up to a drawn time. A read that does not ask for consistency
//! then gets each of them as it was, one time in two. In a page, an item that was deleted does not come back. One that
//! a filter or an index has chosen is either new or absent, because it is not known here whether they would have chosen
//! the old one.
//!
//! [AWS]: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.ReadConsistency.html

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_memory::{Answer, Aws, Request};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

/// What items were before the writes of the last moment.
#[derive(Debug, Default)]
pub(crate) struct Stale(Mutex<HashMap<Place, Image>>);

/// A table, and a key as JSON.
type Place = (String, String);

#[derive(Debug, Clone)]
struct Image {
    /// None if there was no item.
    before: Option<Value>,
    until: Instant,
}

impl Stale {
    /// Keeps for so long what the items are that this request, with this body, writes.
    pub(crate) fn before_write(&self, aws: &Aws, request: &Request, body: &Value, lasts: Duration) {
        let until = Instant::now() + lasts;
        for (table, key) in written(&request.operation, body) {
            let read = json!({"TableName": table, "Key": key, "ConsistentRead": true});
            let before = aws.dynamodb("GetItem", &read).json().get("Item").cloned();
            let mut images = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            images.retain(|_, image| image.until > now);
            images.entry(place(table, &key)).or_insert(Image { before, until });
        }
    }

    /// The answer of a reader who meets old replicas. None if it is the same. `dice` decides what is old.
    pub(crate) fn read(&self, request: &Request, answer: &Answer, dice: u64) -> Option<Answer> {
        if answer.status != 200 || !matches!(request.operation.as_str(), "GetItem" | "BatchGetItem" | "Query" | "Scan")
        {
            return None;
        }
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        let mut told = answer.json();
        let fresh = told.clone();
        let mut coins = (0..64).cycle().map(|bit| dice >> bit & 1 == 1);
        match request.operation.as_str() {
            "GetItem" => self.get(&body, &mut told, &mut coins)?,
            "BatchGetItem" => self.batch_get(&body, &mut told, &mut coins)?,
            _ => self.page(&body, &mut told, &mut coins)?,
        }
        (told != fresh).then(|| Answer::new(200, &told))
    }

    fn get(&self, body: &Value, told: &mut Value, coins: &mut impl Iterator<Item = bool>) -> Option<()> {
        if is_consistent(body) {
            return None;
        }
        let old = self.image(body["TableName"].as_str()?, &body["Key"], coins)?;
        match old {
            Some(item) => told["Item"] = projected(body, &item)?,
            None => drop(told.as_object_mut()?.remove("Item")),
        }
        Some(())
    }

    fn batch_get(&self, body: &Value, told: &mut Value, coins: &mut impl Iterator<Item = bool>) -> Option<()> {
        for (table, asked) in body["RequestItems"].as_object()? {
            // What was not done has no answer.
            if is_consistent(asked) || told["UnprocessedKeys"].get(table).is_some() {
                continue;
            }
            for key in asked["Keys"].as_array()? {
                let Some(old) = self.image(table, key, coins) else { continue };
                let found = told["Responses"][table].as_array_mut()?;
                found.retain(|item| place(table, item) != place(table, key));
                found.extend(old.and_then(|item| projected(asked, &item)));
            }
        }
        Some(())
    }

    fn page(&self, body: &Value, told: &mut Value, coins: &mut impl Iterator<Item = bool>) -> Option<()> {
        if is_consistent(body) {
            return None;
        }
        let table = body["TableName"].as_str()?;
        let is_chosen = body.get("FilterExpression").is_some() || body.get("IndexName").is_some();
        let items = std::mem::take(told.get_mut("Items")?.as_array_mut()?);
        let shown: Vec<Value> = items
            .into_iter()
            .filter_map(|item| match self.image(table, &key_of(&item), coins) {
                Some(None) => None,
                Some(Some(old)) if !is_chosen => Some(projected(body, &old).unwrap_or(item)),
                _ => Some(item),
            })
            .collect();
        told["Count"] = shown.len().into();
        told["Items"] = shown.into();
        Some(())
    }

    /// What the item was, if this reader meets an old replica of it.
    #[expect(clippy::option_option, reason = "no old replica, and an old replica without the item")]
    fn image(&self, table: &str, key: &Value, coins: &mut impl Iterator<Item = bool>) -> Option<Option<Value>> {
        let images = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let image = images.get(&place(table, key))?;
        (image.until > Instant::now() && coins.next()?).then(|| image.before.clone())
    }
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

fn place(table: &str, item_or_key: &Value) -> Place {
    (table.to_owned(), key_of(item_or_key).to_string())
}

/// The key of an item of Tidings' tables.
fn key_of(item: &Value) -> Value {
    let parts = ["PK", "SK"].into_iter().filter_map(|name| Some((name.to_owned(), item.get(name)?.clone())));
    parts.collect::<Map<_, _>>().into()
}

fn is_consistent(read: &Value) -> bool {
    read["ConsistentRead"].as_bool().unwrap_or(false)
}

/// The attributes of an item that a read asks for. None if it asks for parts of attributes.
fn projected(read: &Value, item: &Value) -> Option<Value> {
    let Some(expression) = read["ProjectionExpression"].as_str() else { return Some(item.clone()) };
    if expression.contains(['.', '[']) {
        return None;
    }
    let names = expression.split(',').map(|name| name.trim());
    let names = names.map(|name| read["ExpressionAttributeNames"][name].as_str().unwrap_or(name));
    let attributes = names.filter_map(|name| Some((name.to_owned(), item.get(name)?.clone())));
    Some(attributes.collect::<Map<_, _>>().into())
}

#[cfg(test)]
mod tests {
    use aws_memory::Service;

    use super::*;

    const TABLE: &str = "things";
    const LASTS: Duration = Duration::from_secs(1);
    /// Every item is old.
    const OLD: u64 = u64::MAX;

    fn call(aws: &Aws, stale: &Stale, operation: &str, body: &Value) -> Value {
        let body_text = body.to_string().into();
        let request = Request { service: Service::DynamoDb, operation: operation.to_owned(), body: body_text };
        stale.before_write(aws, &request, body, LASTS);
        let answer = aws.apply(&request);
        stale.read(&request, &answer, OLD).unwrap_or(answer).json()
    }

    fn put(aws: &Aws, stale: &Stale, sort: &str, text: &str) {
        let item = json!({"PK": {"S": "a"}, "SK": {"S": sort}, "text": {"S": text}, "shade": {"S": "x"}});
        call(aws, stale, "PutItem", &json!({"TableName": TABLE, "Item": item}));
    }

    fn get(aws: &Aws, stale: &Stale, sort: &str, consistent: bool) -> Value {
        let key = json!({"SK": {"S": sort}, "PK": {"S": "a"}});
        let projection = ("#t", json!({"#t": "text"}));
        let body = json!({
            "TableName": TABLE, "Key": key, "ConsistentRead": consistent,
            "ProjectionExpression": projection.0, "ExpressionAttributeNames": projection.1,
        });
        call(aws, stale, "GetItem", &body)["Item"]["text"]["S"].clone()
    }

    #[tokio::test(start_paused = true)]
    async fn for_a_moment_an_eventually_consistent_read_shows_what_was_before_a_write() {
        let (aws, stale) = (Aws::new().unwrap(), Stale::default());
        aws.create_table(TABLE, true);
        put(&aws, &stale, "1", "first");
        assert_eq!(get(&aws, &stale, "1", false), Value::Null, "not yet");
        assert_eq!(get(&aws, &stale, "1", true), "first");
        tokio::time::advance(2 * LASTS).await;
        assert_eq!(get(&aws, &stale, "1", false), "first");
        put(&aws, &stale, "1", "second");
        assert_eq!(get(&aws, &stale, "1", false), "first");
        assert_eq!(get(&aws, &stale, "1", true), "second");
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_lacks_new_items_and_has_old_ones() {
        let (aws, stale) = (Aws::new().unwrap(), Stale::default());
        aws.create_table(TABLE, true);
        put(&aws, &stale, "1", "first");
        tokio::time::advance(2 * LASTS).await;
        put(&aws, &stale, "1", "second");
        put(&aws, &stale, "2", "new");
        let query = |filter: Option<&str>, is_consistent: bool| {
            let mut body = json!({
                "TableName": TABLE, "KeyConditionExpression": "PK = :a", "ConsistentRead": is_consistent,
                "ExpressionAttributeValues": {":a": {"S": "a"}},
            });
            if let Some(filter) = filter {
                body["FilterExpression"] = filter.into();
            }
            let found = call(&aws, &stale, "Query", &body);
            let texts = found["Items"].as_array().unwrap().iter().map(|item| item["text"]["S"].clone());
            (found["Count"].clone(), texts.collect::<Vec<_>>())
        };
        assert_eq!(query(None, false), (json!(1), vec![json!("first")]));
        assert_eq!(query(Some("attribute_exists(shade)"), false), (json!(1), vec![json!("second")]));
        assert_eq!(query(None, true), (json!(2), vec![json!("second"), json!("new")]));
    }

    #[tokio::test(start_paused = true)]
    async fn batches_and_transactions_are_writes_too() {
        let (aws, stale) = (Aws::new().unwrap(), Stale::default());
        aws.create_table(TABLE, true);
        let item = |sort: &str| json!({"PK": {"S": "a"}, "SK": {"S": sort}, "text": {"S": "new"}});
        let batch = json!({"RequestItems": {TABLE: [{"PutRequest": {"Item": item("1")}}]}});
        call(&aws, &stale, "BatchWriteItem", &batch);
        let transaction = json!({"TransactItems": [{"Put": {"TableName": TABLE, "Item": item("2")}}]});
        call(&aws, &stale, "TransactWriteItems", &transaction);
        let keys: Vec<_> = ["1", "2"].map(|sort| json!({"PK": {"S": "a"}, "SK": {"S": sort}})).into();
        let read = |is_consistent: bool| {
            let body = json!({"RequestItems": {TABLE: {"Keys": keys, "ConsistentRead": is_consistent}}});
            call(&aws, &stale, "BatchGetItem", &body)["Responses"][TABLE].as_array().unwrap().len()
        };
        assert_eq!((read(false), read(true)), (0, 2));
    }
}
