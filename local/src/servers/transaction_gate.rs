//! Decides which writes conflict with the transactions that are in progress, as DynamoDB does on AWS. This module knows
//! requests and error documents, not HTTP, so that an in-memory DynamoDB can use it as well as a server.
//!
//! The rules are those of the Amazon DynamoDB Developer Guide, "Transaction conflict handling". DynamoDB cancels a
//! transaction with the reason `TransactionConflict` if another transaction is using one of its items, even if one of
//! them only checks a condition. A single write to such an item fails with `TransactionConflictException`.
//!
//! BatchWriteItem always passes. On AWS, the items that conflict would come back as unprocessed items.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use crate::template::model::KeySchema;

const TRANSACTION: &str = "TransactWriteItems";
const REASON: &str = "Transaction is ongoing for the item";

/// Knows the items of all transactions in progress. A clone shares this knowledge.
#[derive(Debug, Clone)]
pub struct TransactionGate {
    keys: Arc<HashMap<String, KeySchema>>,
    items: Items,
}

/// The items of all transactions in progress, each as the text that [`TransactionGate::item`] makes of it.
#[derive(Debug, Clone, Default)]
struct Items(Arc<Mutex<HashSet<String>>>);

/// The items that one request holds. Dropping this value releases the items.
#[derive(Debug)]
#[must_use = "dropping this value ends the transaction"]
pub struct HeldItems {
    all: Items,
    held: Vec<String>,
}

/// DynamoDB's answer to a request that conflicts with a transaction in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The HTTP status.
    pub status: u16,
    /// The error document. Its `__type` is the name of the error, with DynamoDB's namespace.
    pub body: Value,
}

impl TransactionGate {
    /// A gate before the tables with these keys. Requests for other tables always pass.
    pub fn new(keys: HashMap<String, KeySchema>) -> Self {
        Self { keys: Arc::new(keys), items: Items::default() }
    }

    /// Whether [`TransactionGate::begin`] has anything to decide about this operation. If not, a server need not parse
    /// the request.
    pub fn concerns(operation: &str) -> bool {
        matches!(operation, TRANSACTION | "PutItem" | "UpdateItem" | "DeleteItem")
    }

    /// Lets a request pass, or answers it with the conflict. `operation` is the name of DynamoDB's operation, such as
    /// `PutItem`.
    ///
    /// A transaction holds its items until the returned value is dropped. Every other request holds none.
    ///
    /// # Errors
    /// If a transaction in progress holds an item that the request writes or, within a transaction, checks.
    pub fn begin(&self, operation: &str, request: &Value) -> Result<HeldItems, Conflict> {
        match operation {
            TRANSACTION => self.begin_transaction(request),
            "PutItem" => self.begin_write(request, "Item"),
            "UpdateItem" | "DeleteItem" => self.begin_write(request, "Key"),
            _ => Ok(self.held(Vec::new())),
        }
    }

    fn begin_transaction(&self, request: &Value) -> Result<HeldItems, Conflict> {
        let actions = request["TransactItems"].as_array().into_iter().flatten();
        let item = |action: &Value| {
            let (kind, action) = action.as_object()?.iter().next()?;
            self.item(action, if kind == "Put" { "Item" } else { "Key" })
        };
        // One entry for each action, in the order of the request: the reasons of a cancellation have the same order.
        let items: Vec<_> = actions.map(item).collect();
        let mut in_progress = self.items.lock();
        let conflicts: Vec<_> =
            items.iter().map(|item| item.as_ref().is_some_and(|item| in_progress.contains(item))).collect();
        if conflicts.contains(&true) {
            return Err(cancelled(&conflicts));
        }
        let items: Vec<_> = items.into_iter().flatten().collect();
        in_progress.extend(items.iter().cloned());
        Ok(self.held(items))
    }

    fn begin_write(&self, request: &Value, key_in: &str) -> Result<HeldItems, Conflict> {
        let item = self.item(request, key_in);
        if item.is_some_and(|item| self.items.lock().contains(&item)) {
            return Err(conflict("TransactionConflictException", json!({"message": REASON})));
        }
        Ok(self.held(Vec::new()))
    }

    fn held(&self, held: Vec<String>) -> HeldItems {
        HeldItems { all: self.items.clone(), held }
    }

    /// A text that identifies the item an action is about. The action's member `key_in` contains the item's key.
    fn item(&self, action: &Value, key_in: &str) -> Option<String> {
        let table = action["TableName"].as_str()?;
        let KeySchema { partition, sort } = self.keys.get(table)?;
        let attribute = |name: &String| action[key_in][name].to_string();
        Some(format!("{table} {} {}", attribute(partition), sort.as_ref().map(attribute).unwrap_or_default()))
    }
}

impl HeldItems {
    /// Whether the request holds no item: the request is not a transaction.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

impl Drop for HeldItems {
    fn drop(&mut self) {
        let mut in_progress = self.all.lock();
        for item in &self.held {
            in_progress.remove(item);
        }
    }
}

impl Items {
    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cancelled(conflicts: &[bool]) -> Conflict {
    let codes: Vec<_> =
        conflicts.iter().map(|conflict| if *conflict { "TransactionConflict" } else { "None" }).collect();
    let reason = |code: &&str| match *code {
        "None" => json!({"Code": "None"}),
        code => json!({"Code": code, "Message": REASON}),
    };
    let message =
        format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{}]", codes.join(", "));
    let reasons: Vec<_> = codes.iter().map(reason).collect();
    conflict("TransactionCanceledException", json!({"Message": message, "CancellationReasons": reasons}))
}

fn conflict(code: &str, mut body: Value) -> Conflict {
    body["__type"] = format!("com.amazonaws.dynamodb.v20120810#{code}").into();
    Conflict { status: 400, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> TransactionGate {
        let keys = KeySchema { partition: "PK".to_owned(), sort: Some("SK".to_owned()) };
        TransactionGate::new(HashMap::from([("T".to_owned(), keys)]))
    }

    fn key(item: &str) -> Value {
        json!({"PK": {"S": item}, "SK": {"S": "-"}})
    }

    /// A transaction that puts the first item and checks a condition of each other one.
    fn transaction(items: &[&str]) -> Value {
        let action = |(at, item): (usize, &&str)| match at {
            0 => json!({"Put": {"TableName": "T", "Item": key(item)}}),
            _ => json!({"ConditionCheck": {"TableName": "T", "Key": key(item)}}),
        };
        json!({"TransactItems": items.iter().enumerate().map(action).collect::<Vec<_>>()})
    }

    fn put(item: &str) -> Value {
        let mut item = key(item);
        item["text"] = json!({"S": "not part of the key"});
        json!({"TableName": "T", "Item": item})
    }

    #[test]
    fn a_transaction_is_cancelled_while_another_one_holds_one_of_its_items() {
        let gate = gate();
        let _held = gate.begin(TRANSACTION, &transaction(&["a", "b"])).unwrap();
        let conflict = gate.begin(TRANSACTION, &transaction(&["c", "b"])).unwrap_err();
        assert_eq!(conflict.status, 400);
        assert_eq!(
            conflict.body,
            json!({
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons \
                            [None, TransactionConflict]",
                "CancellationReasons": [
                    {"Code": "None"},
                    {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"},
                ],
            })
        );
    }

    #[test]
    fn a_cancelled_transaction_holds_none_of_its_items() {
        let gate = gate();
        let _held = gate.begin(TRANSACTION, &transaction(&["a"])).unwrap();
        gate.begin(TRANSACTION, &transaction(&["b", "a"])).unwrap_err();
        assert!(gate.begin(TRANSACTION, &transaction(&["b"])).is_ok());
    }

    #[test]
    fn a_single_write_conflicts_with_a_transaction_and_never_with_another_write() {
        let gate = gate();
        let held = gate.begin(TRANSACTION, &transaction(&["a"])).unwrap();
        let conflict = gate.begin("PutItem", &put("a")).unwrap_err();
        assert_eq!(conflict.body["__type"], "com.amazonaws.dynamodb.v20120810#TransactionConflictException");
        for operation in ["UpdateItem", "DeleteItem"] {
            gate.begin(operation, &json!({"TableName": "T", "Key": key("a")})).unwrap_err();
        }
        let write = gate.begin("PutItem", &put("b")).unwrap();
        assert!(write.is_empty() && !held.is_empty());
        assert!(gate.begin(TRANSACTION, &transaction(&["b"])).is_ok(), "a single write holds nothing");
    }

    #[test]
    fn the_items_are_free_again_after_the_transaction() {
        let gate = gate();
        let held = gate.begin(TRANSACTION, &transaction(&["a", "b"])).unwrap();
        drop(held);
        assert!(gate.begin(TRANSACTION, &transaction(&["b", "a"])).is_ok());
    }

    #[test]
    fn clones_share_the_transactions_in_progress() {
        let gate = gate();
        let _held = gate.clone().begin(TRANSACTION, &transaction(&["a"])).unwrap();
        assert!(gate.begin("PutItem", &put("a")).is_err());
    }

    #[test]
    fn reads_batches_and_unknown_tables_pass() {
        let gate = gate();
        let _held = gate.begin(TRANSACTION, &transaction(&["a"])).unwrap();
        let requests = [
            ("GetItem", json!({"TableName": "T", "Key": key("a")})),
            ("BatchWriteItem", json!({"RequestItems": {"T": [{"PutRequest": {"Item": key("a")}}]}})),
        ];
        for (operation, request) in requests {
            assert!(!TransactionGate::concerns(operation));
            assert!(gate.begin(operation, &request).is_ok());
        }
        assert!(gate.begin("PutItem", &json!({"TableName": "U", "Item": key("a")})).is_ok());
    }
}
