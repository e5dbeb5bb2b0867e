//! Which items a request to DynamoDB writes. All tables of the template have keys with the names `PK` and `SK`.

use serde::Serialize;
use serde_json::Value;

/// Items that were written together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// The function that wrote them. Empty if it was none.
    pub function: String,
    /// The operation, for example `BatchWriteItem`.
    pub operation: String,
    /// The items: at most 100, as in a transaction.
    pub items: Vec<Item>,
}

/// An item that was put, changed or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// The physical name of the table.
    pub table: String,
    /// The partition key.
    pub pk: String,
    /// The sort key, if the table has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sk: Option<String>,
    /// Whether it was deleted.
    pub deleted: bool,
}

/// Whether the operation can write.
pub fn can_write(operation: &str) -> bool {
    ["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"].contains(&operation)
}

/// The items that the request writes. Empty if it writes none.
pub fn items(operation: &str, body: &[u8]) -> Vec<Item> {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    match operation {
        "PutItem" => item(&request["TableName"], &request["Item"], false).into_iter().collect(),
        "UpdateItem" => item(&request["TableName"], &request["Key"], false).into_iter().collect(),
        "DeleteItem" => item(&request["TableName"], &request["Key"], true).into_iter().collect(),
        "BatchWriteItem" => {
            let tables = request["RequestItems"].as_object().into_iter().flatten();
            let each = |(table, writes): (&String, &Value)| {
                let table = Value::from(table.as_str());
                let of_table = writes.as_array().into_iter().flatten().filter_map(move |write| {
                    item(&table, &write["PutRequest"]["Item"], false)
                        .or_else(|| item(&table, &write["DeleteRequest"]["Key"], true))
                });
                of_table.collect::<Vec<_>>()
            };
            tables.flat_map(each).collect()
        }
        "TransactWriteItems" => {
            let writes = request["TransactItems"].as_array().into_iter().flatten();
            let each = |write: &Value| {
                item(&write["Put"]["TableName"], &write["Put"]["Item"], false)
                    .or_else(|| item(&write["Update"]["TableName"], &write["Update"]["Key"], false))
                    .or_else(|| item(&write["Delete"]["TableName"], &write["Delete"]["Key"], true))
            };
            writes.filter_map(each).collect()
        }
        _ => Vec::new(),
    }
}

fn item(table: &Value, attributes: &Value, deleted: bool) -> Option<Item> {
    let key = |name: &str| attributes[name]["S"].as_str().map(ToOwned::to_owned);
    Some(Item { table: table.as_str()?.to_owned(), pk: key("PK")?, sk: key("SK"), deleted })
}
