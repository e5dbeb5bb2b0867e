//! DynamoDB's on-demand tables. Each request is admitted or refused before it has an effect, and charged with the units
//! that its answer reports.
//!
//! - [`partitions`]: 1000 write units and 3000 read units a second for each partition, and so for each item.
//! - [`throughput`]: what a whole table or index takes.
//! - [`request`]: which places a request touches, those of indexes included: an index that takes no more refuses writes
//!   of its table (Developer Guide, "Understanding GSI write throttling and back pressure").
//!
//! Refusals are those of on-demand tables: `ThrottlingException` with `ThrottlingReasons`; in a transaction, the reason
//! `ThrottlingError`. A batch is done in part, and refused if nothing of it can be done.

mod partitions;
mod request;
mod throughput;

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value, json};

use crate::{Limits, Refusal};
use partitions::Partitions;
pub use request::Indexed;
use request::Touch;
use throughput::{Exceeded, Throughput};

/// Names of the keys of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The partition key.
    pub partition: String,
    /// The sort key.
    pub sort: Option<String>,
    /// Of each index: its name, its partition key and its sort key.
    pub indexes: Vec<(String, String, String)>,
}

/// Reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Reads.
    Read,
    /// Writes.
    Write,
}

/// All tables.
#[derive(Debug)]
pub struct DynamoDb {
    schemas: BTreeMap<String, Schema>,
    resources: BTreeMap<Name, Resource>,
    throttles: BTreeMap<Throttled, u64>,
}

/// What was throttled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Throttled {
    /// The table.
    pub table: String,
    /// The index, if it was one.
    pub index: Option<String>,
    /// What was to be done.
    pub direction: Direction,
}

/// A table, or an index of it.
type Name = (String, Option<String>);

#[derive(Debug)]
struct Resource {
    partitions: Partitions,
    throughput: Throughput,
    units: BTreeMap<Direction, f64>,
}

/// What a table or index was used for.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    /// `Table`, or `Table/index`.
    pub name: String,
    /// Read units.
    pub read_units: f64,
    /// Write units.
    pub write_units: f64,
    /// Partitions at present.
    pub partitions: usize,
    /// Write units that it takes a second at present.
    pub write_limit: f64,
    /// Read units that it takes a second at present.
    pub read_limit: f64,
}

/// A request that may have its effect, and is then to be charged.
#[derive(Debug)]
#[must_use = "a request that is not charged costs nothing"]
pub struct Admitted {
    touches: Vec<Touch>,
    left: Option<(&'static str, Value)>,
    /// What was too much for the entries that are left.
    pub throttled: Vec<String>,
}

impl Admitted {
    /// Adds what was left of a batch to its answer.
    pub fn merge(&self, answer: &mut Value) {
        let Some((member, left)) = &self.left else { return };
        let Some(left) = left.as_object() else { return };
        let into = &mut answer[*member];
        if !into.is_object() {
            *into = json!({});
        }
        for (table, of_table) in left {
            // The service may have left some of the rest itself.
            match (&mut into[table.as_str()], of_table) {
                (Value::Array(there), Value::Array(more)) => there.extend(more.iter().cloned()),
                (Value::Object(there), more) => {
                    if let (Some(Value::Array(there)), Some(more)) = (there.get_mut("Keys"), more["Keys"].as_array()) {
                        there.extend(more.iter().cloned());
                    }
                }
                (there, more) => *there = more.clone(),
            }
        }
    }

    /// Whether something of a batch was left.
    pub fn is_partial(&self) -> bool {
        self.left.is_some()
    }
}

impl DynamoDb {
    /// New tables with these keys. Requests for other tables pass.
    pub fn new(limits: &Limits, schemas: BTreeMap<String, Schema>) -> Self {
        let names = schemas.iter().flat_map(|(table, schema)| {
            let indexes = schema.indexes.iter().map(|(name, ..)| (table.clone(), Some(name.clone())));
            std::iter::once((table.clone(), None)).chain(indexes)
        });
        let resource = |name: Name| {
            let throughput = Throughput::new(limits);
            let [read, write] = [Direction::Read, Direction::Write].map(|direction| throughput.rate(direction));
            (name, Resource { partitions: Partitions::new(limits, write, read), throughput, units: BTreeMap::new() })
        };
        let resources = names.map(resource).collect();
        Self { schemas, resources, throttles: BTreeMap::new() }
    }

    /// The items of which indexes may have entries, in the order of the request's writes. [`DynamoDb::admit`] needs
    /// them as they are before the request.
    pub fn indexed(&self, operation: &str, request: &Value) -> Vec<Option<Indexed>> {
        let indexed = |action: request::Action<'_>| action.indexed(self.schemas.get(action.table)?);
        let all: Vec<_> = request::actions(operation, request).into_iter().map(indexed).collect();
        if all.iter().all(Option::is_none) { Vec::new() } else { all }
    }

    /// Decides about a request. Entries of a batch that cannot be done are taken out of `request`.
    ///
    /// # Errors
    /// DynamoDB's answer if nothing of it can be done.
    pub fn admit(
        &mut self,
        now: Duration,
        operation: &str,
        request: &mut Value,
        before: &[Option<Value>],
    ) -> Result<Admitted, Refusal> {
        let mut touches = request::reads(operation, request, &self.schemas);
        for (number, action) in request::actions(operation, request).into_iter().enumerate() {
            if let Some(schema) = self.schemas.get(action.table) {
                touches.extend(action.touches(schema, before.get(number).and_then(Option::as_ref)));
            }
        }
        // What is admitted is charged at once with the least that it costs: others come before its answer.
        let is_batch = operation.starts_with("Batch");
        let mut refused = Vec::new();
        for touch in &touches {
            match self.refusal(now, touch) {
                Some(reason) => refused.push((touch.entry, reason)),
                None if is_batch => self.take(now, touch, touch.least),
                None => {}
            }
        }
        if refused.is_empty() && !is_batch {
            touches.iter().for_each(|touch| self.take(now, touch, touch.least));
        }
        for (_, reason) in &refused {
            *self.throttles.entry(reason.throttled()).or_default() += 1;
        }
        let is_transaction = operation.starts_with("Transact");
        let Some((_, reason)) = refused.first() else {
            return Ok(Admitted { touches, left: None, throttled: Vec::new() });
        };
        let entries: std::collections::BTreeSet<usize> = refused.iter().map(|(entry, _)| *entry).collect();
        let throttled = refused.iter().map(|(_, reason)| reason.what()).collect();
        let left = match operation {
            "BatchWriteItem" => split_writes(request, &entries).map(|left| ("UnprocessedItems", left)),
            "BatchGetItem" => split_reads(request, &entries).map(|left| ("UnprocessedKeys", left)),
            _ => None,
        };
        if left.is_some() {
            touches.retain(|touch| !entries.contains(&touch.entry));
            return Ok(Admitted { touches, left, throttled });
        }
        if !is_transaction {
            return Err(reason.refusal());
        }
        let actions = request["TransactItems"].as_array().map_or(0, Vec::len);
        let reasons: Vec<_> = (0..actions)
            .map(|entry| match refused.iter().find(|(of, _)| *of == entry) {
                Some((_, reason)) => json!({"Code": "ThrottlingError", "Message": reason.message()}),
                None => json!({"Code": "None"}),
            })
            .collect();
        let body = json!({
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons",
            "CancellationReasons": reasons,
        });
        Err(Refusal { status: 400, body, what: reason.what() })
    }

    /// Charges a request with what its answer's `ConsumedCapacity` reports beyond the least that it costs. Without one,
    /// the request failed, for example because of its condition, and has cost what the smallest item costs.
    pub fn charge(&mut self, now: Duration, admitted: &Admitted, consumed: Option<&Value>) {
        let Some(consumed) = consumed else { return };
        let mut counts: BTreeMap<Name, f64> = BTreeMap::new();
        for touch in &admitted.touches {
            *counts.entry((touch.table.clone(), touch.index.clone())).or_default() += 1.0;
        }
        for touch in admitted.touches.iter().filter(|touch| touch.units.is_none()) {
            let name = (touch.table.clone(), touch.index.clone());
            if let Some(total) = consumed_units(consumed, &touch.table, touch.index.as_deref()) {
                let units = total / counts.get(&name).copied().unwrap_or(1.0);
                self.take(now, touch, units - touch.least);
            }
        }
    }

    fn take(&mut self, now: Duration, touch: &Touch, units: f64) {
        let Some(resource) = self.resources.get_mut(&(touch.table.clone(), touch.index.clone())) else { return };
        *resource.units.entry(touch.direction).or_default() += units;
        resource.throughput.take(now, touch.direction, units);
        if let Some(at) = &touch.at {
            resource.partitions.take(now, at, touch.direction, units);
        }
    }

    /// How often each table and index was throttled since the last call: once for each item or index entry of a
    /// request, as CloudWatch counts `ReadThrottleEvents` and `WriteThrottleEvents`.
    pub fn take_throttles(&mut self) -> BTreeMap<Throttled, u64> {
        std::mem::take(&mut self.throttles)
    }

    /// What was used of each table and index so far.
    pub fn usage(&self) -> Vec<Usage> {
        let usage = |((table, index), resource): (&Name, &Resource)| Usage {
            name: display(table, index.as_deref()),
            read_units: resource.units.get(&Direction::Read).copied().unwrap_or_default(),
            write_units: resource.units.get(&Direction::Write).copied().unwrap_or_default(),
            partitions: resource.partitions.len(),
            write_limit: resource.throughput.rate(Direction::Write),
            read_limit: resource.throughput.rate(Direction::Read),
        };
        self.resources.iter().map(usage).collect()
    }

    fn refusal(&mut self, now: Duration, touch: &Touch) -> Option<Reason> {
        let resource = self.resources.get_mut(&(touch.table.clone(), touch.index.clone()))?;
        let limit = match resource.throughput.admits(now, touch.direction) {
            Err(exceeded) => Some(Limit::Table(exceeded)),
            Ok(()) => match &touch.at {
                Some(at) if !resource.partitions.admits(now, at, touch.direction) => {
                    Some(Limit::KeyRange(at.kind().map(str::to_owned)))
                }
                _ => None,
            },
        };
        let (table, index, direction) = (touch.table.clone(), touch.index.clone(), touch.direction);
        limit.map(|limit| Reason { table, index, direction, limit })
    }
}

/// Why a request is throttled.
#[derive(Debug)]
struct Reason {
    table: String,
    index: Option<String>,
    direction: Direction,
    limit: Limit,
}

#[derive(Debug)]
enum Limit {
    /// That of a partition. The kind is what its keys begin with.
    KeyRange(Option<String>),
    Table(Exceeded),
}

impl Reason {
    /// `ResourceType`, `OperationType` and `LimitType` (API Reference, "ThrottlingReason"). A table that grows too fast
    /// has too few partitions, which shows as their limit.
    fn code(&self) -> String {
        let resource = if self.index.is_some() { "Index" } else { "Table" };
        let limit = match self.limit {
            Limit::KeyRange(_) | Limit::Table(Exceeded::Growth) => "KeyRangeThroughputExceeded",
            Limit::Table(Exceeded::Quota) => "AccountLimitExceeded",
        };
        format!("{resource}{:?}{limit}", self.direction)
    }

    fn throttled(&self) -> Throttled {
        Throttled { table: self.table.clone(), index: self.index.clone(), direction: self.direction }
    }

    fn message(&self) -> &'static str {
        "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table \
         or index so please try again shortly."
    }

    fn what(&self) -> String {
        let limit = match &self.limit {
            Limit::KeyRange(None) => "partition".to_owned(),
            Limit::KeyRange(Some(kind)) => format!("partition of {kind}"),
            Limit::Table(Exceeded::Growth) => "table".to_owned(),
            Limit::Table(Exceeded::Quota) => "quota".to_owned(),
        };
        let direction = if self.direction == Direction::Write { "writes" } else { "reads" };
        format!("{} {direction}, {limit}", display(&self.table, self.index.as_deref()))
    }

    fn refusal(&self) -> Refusal {
        let index = self.index.as_ref().map(|index| format!("/index/{index}")).unwrap_or_default();
        let body = json!({
            "__type": "com.amazon.coral.availability#ThrottlingException", "message": self.message(),
            "throttlingReasons": [{"reason": self.code(), "resource": format!("table/{}{index}", self.table)}],
        });
        Refusal { status: 400, body, what: self.what() }
    }
}

fn display(table: &str, index: Option<&str>) -> String {
    index.map_or_else(|| table.to_owned(), |index| format!("{table}/{index}"))
}

/// The units that an answer reports for a table or index.
fn consumed_units(consumed: &Value, table: &str, index: Option<&str>) -> Option<f64> {
    let all: &[Value] = match consumed {
        Value::Array(all) => all,
        one => std::slice::from_ref(one),
    };
    let of_table = all.iter().find(|consumed| consumed["TableName"] == table)?;
    let indexes = &of_table["GlobalSecondaryIndexes"];
    if let Some(index) = index {
        return indexes[index]["CapacityUnits"].as_f64();
    }
    of_table["Table"]["CapacityUnits"].as_f64().or_else(|| of_table["CapacityUnits"].as_f64())
}

/// Takes entries out of a BatchWriteItem. None if nothing would be left in it.
fn split_writes(request: &mut Value, entries: &std::collections::BTreeSet<usize>) -> Option<Value> {
    let (mut left, mut number, mut done) = (Map::new(), 0, 0);
    let mut rest = request["RequestItems"].clone();
    for (table, of_table) in rest.as_object_mut()? {
        let (mut kept, mut out) = (Vec::new(), Vec::new());
        for entry in of_table.as_array_mut()?.drain(..) {
            if entries.contains(&number) {
                out.push(entry);
            } else {
                kept.push(entry);
            }
            number += 1;
        }
        done += kept.len();
        *of_table = kept.into();
        if !out.is_empty() {
            left.insert(table.clone(), out.into());
        }
    }
    if done == 0 {
        return None;
    }
    rest.as_object_mut()?.retain(|_, of_table| of_table.as_array().is_some_and(|entries| !entries.is_empty()));
    request["RequestItems"] = rest;
    Some(left.into())
}

/// Takes keys out of a BatchGetItem. None if nothing would be left in it.
fn split_reads(request: &mut Value, entries: &std::collections::BTreeSet<usize>) -> Option<Value> {
    let (mut left, mut number, mut done) = (Map::new(), 0, 0);
    let mut rest = request["RequestItems"].clone();
    for (table, of_table) in rest.as_object_mut()? {
        let (mut kept, mut out) = (Vec::new(), Vec::new());
        for key in of_table["Keys"].as_array_mut()?.drain(..) {
            if entries.contains(&number) {
                out.push(key);
            } else {
                kept.push(key);
            }
            number += 1;
        }
        done += kept.len();
        if !out.is_empty() {
            let mut undone = of_table.clone();
            undone["Keys"] = out.into();
            left.insert(table.clone(), undone);
        }
        of_table["Keys"] = kept.into();
    }
    if done == 0 {
        return None;
    }
    let has_keys = |of_table: &Value| of_table["Keys"].as_array().is_some_and(|keys| !keys.is_empty());
    rest.as_object_mut()?.retain(|_, of_table| has_keys(of_table));
    request["RequestItems"] = rest;
    Some(left.into())
}

#[cfg(test)]
mod tests;
