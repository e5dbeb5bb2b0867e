//! Event source mappings from DynamoDB and Kinesis streams. The function fails as each test says.

mod batches;
mod failing;
mod pauses;
mod positions;
