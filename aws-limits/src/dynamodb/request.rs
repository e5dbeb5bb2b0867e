//! What a request touches: which items of which tables and indexes, to read or to write. It is read from the request's
//! JSON and, for indexes, from the item as it is before the write.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Direction, Schema, partitions::Position};
use crate::numbers;

/// A place that a request reads or writes.
#[derive(Debug, Clone)]
pub(super) struct Touch {
    pub(super) table: String,
    /// The index, if it is one.
    pub(super) index: Option<String>,
    pub(super) direction: Direction,
    /// None if the request is about many partitions: a scan.
    pub(super) at: Option<Position>,
    /// Number of the action of a transaction, or of the entry of a batch.
    pub(super) entry: usize,
    /// Units, if they are known before the answer. DynamoDB reports those of tables.
    pub(super) units: Option<f64>,
    /// The fewest units that it costs.
    pub(super) least: f64,
}

/// A table's item that a request may write, and of which an index may have an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Indexed {
    /// The table.
    pub table: String,
    /// The item's key, as GetItem wants it.
    pub key: Value,
}

/// One write or check of an item.
pub(super) struct Action<'a> {
    pub(super) table: &'a str,
    pub(super) kind: Kind,
    /// The action's document, with `Item` or `Key`.
    pub(super) document: &'a Value,
    pub(super) entry: usize,
    pub(super) is_transaction: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Put,
    Update,
    Delete,
    Check,
}

/// The writes of a request, in their order.
pub(super) fn actions<'a>(operation: &str, request: &'a Value) -> Vec<Action<'a>> {
    let single = |kind| {
        let table = request["TableName"].as_str().unwrap_or_default();
        vec![Action { table, kind, document: request, entry: 0, is_transaction: false }]
    };
    match operation {
        "PutItem" => single(Kind::Put),
        "UpdateItem" => single(Kind::Update),
        "DeleteItem" => single(Kind::Delete),
        "TransactWriteItems" => {
            let entries = request["TransactItems"].as_array().into_iter().flatten().enumerate();
            let action = |(entry, action): (usize, &'a Value)| {
                let (kind, document) = action.as_object()?.iter().next()?;
                let kind = match kind.as_str() {
                    "Put" => Kind::Put,
                    "Update" => Kind::Update,
                    "Delete" => Kind::Delete,
                    _ => Kind::Check,
                };
                Some(Action { table: document["TableName"].as_str()?, kind, document, entry, is_transaction: true })
            };
            entries.filter_map(action).collect()
        }
        "BatchWriteItem" => {
            let tables = request["RequestItems"].as_object().into_iter().flatten();
            let all = tables.flat_map(|(table, entries)| {
                entries.as_array().into_iter().flatten().map(move |entry| (table.as_str(), entry))
            });
            let action = |(entry, (table, action)): (usize, (&'a str, &'a Value))| {
                let (kind, document) = action.as_object()?.iter().next()?;
                let kind = if kind == "PutRequest" { Kind::Put } else { Kind::Delete };
                Some(Action { table, kind, document, entry, is_transaction: false })
            };
            all.enumerate().filter_map(action).collect()
        }
        _ => Vec::new(),
    }
}

impl Action<'_> {
    fn member(&self) -> &Value {
        &self.document[if self.kind == Kind::Put { "Item" } else { "Key" }]
    }

    fn position(&self, schema: &Schema) -> Position {
        position(self.member(), &schema.partition, schema.sort.as_deref())
    }

    /// The item, if it may have an entry of an index.
    pub(super) fn indexed(&self, schema: &Schema) -> Option<Indexed> {
        if schema.indexes.is_empty() || self.kind == Kind::Check {
            return None;
        }
        let mut key = serde_json::Map::new();
        for name in std::iter::once(&schema.partition).chain(&schema.sort) {
            key.insert(name.clone(), self.member()[name].clone());
        }
        Some(Indexed { table: self.table.to_owned(), key: key.into() })
    }

    /// The table's item, and the entries of indexes that are written: an entry whose key changes is deleted and written
    /// again. `before` is the item as it is.
    pub(super) fn touches(&self, schema: &Schema, before: Option<&Value>) -> Vec<Touch> {
        let touch = |index: Option<&String>, at: Position, units: Option<f64>| Touch {
            table: self.table.to_owned(),
            index: index.cloned(),
            direction: Direction::Write,
            at: Some(at),
            entry: self.entry,
            units,
            least: if index.is_none() && self.is_transaction { numbers::TRANSACTION_FACTOR.value } else { 1.0 },
        };
        let mut touches = vec![touch(None, self.position(schema), None)];
        if self.kind == Kind::Check {
            return touches;
        }
        for (name, partition, sort) in &schema.indexes {
            let names = [partition, sort];
            let old = names.map(|name| before.and_then(|item| item.get(name)).cloned());
            let new = match self.kind {
                Kind::Put => names.map(|name| self.document["Item"].get(name).cloned()),
                Kind::Update => {
                    let assigned = assignments(self.document);
                    let mut at = 0;
                    names.map(|name| {
                        at += 1;
                        assigned.get(name.as_str()).cloned().unwrap_or_else(|| old[at - 1].clone())
                    })
                }
                Kind::Delete | Kind::Check => [None, None],
            };
            if old == new {
                continue;
            }
            for [partition_key, sort_key] in [old, new] {
                if let (Some(partition_key), Some(sort_key)) = (partition_key, sort_key) {
                    let at = Position::new(&text(&partition_key), &text(&sort_key));
                    touches.push(touch(Some(name), at, Some(1.0)));
                }
            }
        }
        touches
    }
}

/// The attributes that an update sets to a value of the request, or removes.
fn assignments(document: &Value) -> BTreeMap<String, Option<Value>> {
    let expression = document["UpdateExpression"].as_str().unwrap_or_default();
    let name = |name: &str| match name.strip_prefix('#') {
        Some(_) => document["ExpressionAttributeNames"][name].as_str().unwrap_or_default().to_owned(),
        None => name.to_owned(),
    };
    let (mut assigned, mut clause) = (BTreeMap::new(), "");
    for part in expression.split(',') {
        let mut words: Vec<&str> = part.split_whitespace().collect();
        while let Some(at) = words.iter().position(|word| matches!(*word, "SET" | "REMOVE" | "ADD" | "DELETE")) {
            assign(&words[..at], clause, document, &name, &mut assigned);
            clause = words[at];
            words.drain(..=at);
        }
        assign(&words, clause, document, &name, &mut assigned);
    }
    assigned
}

fn assign(
    words: &[&str],
    clause: &str,
    document: &Value,
    name: &impl Fn(&str) -> String,
    assigned: &mut BTreeMap<String, Option<Value>>,
) {
    match (clause, words) {
        ("SET", [attribute, "=", value]) => {
            if let Some(value) = document["ExpressionAttributeValues"].get(*value) {
                assigned.insert(name(attribute), Some(value.clone()));
            }
        }
        ("REMOVE", [attribute]) => {
            assigned.insert(name(attribute), None);
        }
        _ => {}
    }
}

/// What a read touches.
pub(super) fn reads(operation: &str, request: &Value, schemas: &BTreeMap<String, Schema>) -> Vec<Touch> {
    let touch = |table: &str, index: Option<&str>, at: Option<Position>, entry: usize| Touch {
        table: table.to_owned(),
        index: index.map(str::to_owned),
        direction: Direction::Read,
        at,
        entry,
        units: None,
        least: numbers::EVENTUAL_READ_UNITS.value,
    };
    let table = request["TableName"].as_str().unwrap_or_default();
    let index = request["IndexName"].as_str();
    match operation {
        "GetItem" => {
            let Some(schema) = schemas.get(table) else { return Vec::new() };
            vec![touch(table, None, Some(position(&request["Key"], &schema.partition, schema.sort.as_deref())), 0)]
        }
        "Query" => {
            let Some(schema) = schemas.get(table) else { return Vec::new() };
            let partition = match index {
                Some(index) => {
                    schema.indexes.iter().find(|(name, ..)| name == index).map(|(_, partition, _)| partition)
                }
                None => Some(&schema.partition),
            };
            let key = partition.and_then(|name| queried(request, name)).unwrap_or_default();
            vec![touch(table, index, Some(Position::new(&key, "")), 0)]
        }
        "Scan" => vec![touch(table, index, None, 0)],
        "BatchGetItem" | "TransactGetItems" => {
            let mut touches = Vec::new();
            for (table, of_table) in request["RequestItems"].as_object().into_iter().flatten() {
                let Some(schema) = schemas.get(table) else { continue };
                for key in of_table["Keys"].as_array().into_iter().flatten() {
                    let at = position(key, &schema.partition, schema.sort.as_deref());
                    touches.push(touch(table, None, Some(at), touches.len()));
                }
            }
            for (entry, action) in request["TransactItems"].as_array().into_iter().flatten().enumerate() {
                let table = action["Get"]["TableName"].as_str().unwrap_or_default();
                let Some(schema) = schemas.get(table) else { continue };
                let at = position(&action["Get"]["Key"], &schema.partition, schema.sort.as_deref());
                touches.push(touch(table, None, Some(at), entry));
            }
            touches
        }
        _ => Vec::new(),
    }
}

/// The value with which a query compares the partition key: `PK = :pk`.
fn queried(request: &Value, partition: &str) -> Option<String> {
    let mut words = request["KeyConditionExpression"].as_str()?.split_whitespace();
    while let Some(word) = words.next() {
        let name = match word.starts_with('#') {
            true => request["ExpressionAttributeNames"][word].as_str().unwrap_or_default(),
            false => word,
        };
        if name == partition && words.next() == Some("=") {
            return Some(text(&request["ExpressionAttributeValues"][words.next()?]));
        }
    }
    None
}

fn position(key: &Value, partition: &str, sort: Option<&str>) -> Position {
    Position::new(&text(&key[partition]), &sort.map(|name| text(&key[name])).unwrap_or_default())
}

/// The value of an attribute as text, in the order of the values: numbers are padded.
fn text(attribute: &Value) -> String {
    let number = attribute["N"].as_str().map(|number| format!("{number:0>40}"));
    number.or_else(|| Some(attribute["S"].as_str().or_else(|| attribute["B"].as_str())?.to_owned())).unwrap_or_default()
}
