//! DynamoDB: dynoxide, with the operations of the local stack.

use dynoxide::Database;
use tidings_local::servers::dynamodb::operations;

use crate::connector::Answer;

/// Answers one operation.
pub(crate) fn call(database: &Database, operation: &str, body: &[u8]) -> Answer {
    let (status, body) = operations::call(database, operation, body);
    Answer { status, body: body.into(), query_error: None }
}
