//! The operations of DynamoDB and DynamoDB Streams, as dynoxide has them. dynoxide's own HTTP server answers every web
//! page and waits for ever for a client that stalls, and its dispatch is private. So the local stack and the tests
//! dispatch here.

use dynoxide::{Database, DynoxideError};
use serde::{Serialize, de::DeserializeOwned};

/// How dynoxide marks that a request is refused because of a value rather than its form. Its server tells the two
/// apart in a private function.
const REFUSED_VALUE: &str = "VALIDATION:";

/// Answers one operation: the status and the body of the answer.
pub fn call(database: &Database, operation: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let answered = match operation {
        "BatchExecuteStatement" => answer(body, |request| database.batch_execute_statement(request)),
        "BatchGetItem" => answer(body, |request| database.batch_get_item(request)),
        "BatchWriteItem" => answer(body, |request| database.batch_write_item(request)),
        "CreateTable" => answer(body, |request| database.create_table(request)),
        "DeleteItem" => answer(body, |request| database.delete_item(request)),
        "DeleteTable" => answer(body, |request| database.delete_table(request)),
        "DescribeStream" => answer(body, |request| database.describe_stream(request)),
        "DescribeTable" => answer(body, |request| database.describe_table(request)),
        "DescribeTimeToLive" => answer(body, |request| database.describe_time_to_live(request)),
        "ExecuteStatement" => answer(body, |request| database.execute_statement(request)),
        "ExecuteTransaction" => answer(body, |request| database.execute_transaction(request)),
        "GetItem" => answer(body, |request| database.get_item(request)),
        "GetRecords" => answer(body, |request| database.get_records(request)),
        "GetShardIterator" => answer(body, |request| database.get_shard_iterator(request)),
        "ListStreams" => answer(body, |request| database.list_streams(request)),
        "ListTables" => answer(body, |request| database.list_tables(request)),
        "ListTagsOfResource" => answer(body, |request| database.list_tags_of_resource(request)),
        "PutItem" => answer(body, |request| database.put_item(request)),
        "Query" => answer(body, |request| database.query(request)),
        "Scan" => answer(body, |request| database.scan(request)),
        "TagResource" => answer(body, |request| database.tag_resource(request)),
        "TransactGetItems" => answer(body, |request| database.transact_get_items(request)),
        "TransactWriteItems" => answer(body, |request| database.transact_write_items(request)),
        "UntagResource" => answer(body, |request| database.untag_resource(request)),
        "UpdateItem" => answer(body, |request| database.update_item(request)),
        "UpdateTable" => answer(body, |request| database.update_table(request)),
        "UpdateTimeToLive" => answer(body, |request| database.update_time_to_live(request)),
        other => Err(DynoxideError::ValidationException(format!("{other} is not served here"))),
    };
    answered.map_or_else(|error| (error.status_code(), error.to_json().into()), |body| (200, body))
}

fn answer<Request: DeserializeOwned, Response: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Request) -> Result<Response, DynoxideError>,
) -> Result<Vec<u8>, DynoxideError> {
    // Types that derive `Deserialize` would also accept an array.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(DynoxideError::SerializationException("the request is not a JSON object".to_owned()));
    }
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
