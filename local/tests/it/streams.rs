//! Event source mappings from DynamoDB and Kinesis streams, with a function that fails in the way each test is about.

mod batches;
mod failing;
mod pauses;
mod positions;
