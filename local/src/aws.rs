//! AWS SDK clients for the servers of this process. They talk plain HTTP to loopback with made-up credentials; nothing
//! here may ever pick up the credentials, the region or the endpoint of the machine it runs on.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};

/// The region that everything local claims to be in.
pub const REGION: &str = "us-east-1";
/// The account that everything local claims to belong to.
pub const ACCOUNT: &str = "000000000000";
/// Access key id and secret access key: the servers check their presence, not their value.
pub const TEST_CREDENTIAL: &str = "test";

/// A client for DynamoDB at `endpoint`, an `http://` URL.
pub fn dynamodb(endpoint: &str) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(&config(endpoint))
}

/// A client for DynamoDB Streams at `endpoint`, an `http://` URL.
pub fn dynamodbstreams(endpoint: &str) -> aws_sdk_dynamodbstreams::Client {
    aws_sdk_dynamodbstreams::Client::new(&config(endpoint))
}

/// A client for Kinesis at `endpoint`, an `http://` URL.
pub fn kinesis(endpoint: &str) -> aws_sdk_kinesis::Client {
    aws_sdk_kinesis::Client::new(&config(endpoint))
}

/// A client for SQS at `endpoint`, an `http://` URL.
pub fn sqs(endpoint: &str) -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(&config(endpoint))
}

/// What clients of servers at `endpoint`, an `http://` URL, are made from.
pub fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new(TEST_CREDENTIAL, TEST_CREDENTIAL, None, None, "tidings-local");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}
