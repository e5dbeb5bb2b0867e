//! DynamoDB: dynoxide without its HTTP server, which is private to that crate.

use dynoxide::{Database, DynoxideError};
use serde::{Serialize, de::DeserializeOwned};

use crate::connector::Answer;

/// How dynoxide marks that a request is refused because of a value rather than its form. Its server tells the two
/// apart in a private function.
const REFUSED_VALUE: &str = "VALIDATION:";

/// Answers one operation.
pub(crate) fn call(database: &Database, operation: &str, body: &[u8]) -> Answer {
    let answered = match operation {
        "BatchGetItem" => answer(body, |request| database.batch_get_item(request)),
        "BatchWriteItem" => answer(body, |request| database.batch_write_item(request)),
        "CreateTable" => answer(body, |request| database.create_table(request)),
        "DeleteItem" => answer(body, |request| database.delete_item(request)),
        "DescribeStream" => answer(body, |request| database.describe_stream(request)),
        "DescribeTable" => answer(body, |request| database.describe_table(request)),
        "GetItem" => answer(body, |request| database.get_item(request)),
        "GetRecords" => answer(body, |request| database.get_records(request)),
        "GetShardIterator" => answer(body, |request| database.get_shard_iterator(request)),
        "ListStreams" => answer(body, |request| database.list_streams(request)),
        "PutItem" => answer(body, |request| database.put_item(request)),
        "Query" => answer(body, |request| database.query(request)),
        "Scan" => answer(body, |request| database.scan(request)),
        "TransactGetItems" => answer(body, |request| database.transact_get_items(request)),
        "TransactWriteItems" => answer(body, |request| database.transact_write_items(request)),
        "UpdateItem" => answer(body, |request| database.update_item(request)),
        "UpdateTimeToLive" => answer(body, |request| database.update_time_to_live(request)),
        other => Err(DynoxideError::ValidationException(format!("{other} is not served here"))),
    };
    match answered {
        Ok(body) => Answer { status: 200, body: body.into(), query_error: None },
        Err(error) => Answer { status: error.status_code(), body: error.to_json().into(), query_error: None },
    }
}

fn answer<Request: DeserializeOwned, Response: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Request) -> Result<Response, DynoxideError>,
) -> Result<Vec<u8>, DynoxideError> {
    let request = serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        match text.strip_prefix(REFUSED_VALUE) {
            Some(refused) => DynoxideError::ValidationException(refused.to_owned()),
            None => DynoxideError::SerializationException(text),
        }
    })?;
    let response = operation(request)?;
    serde_json::to_vec(&response).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}
