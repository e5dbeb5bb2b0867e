//! AWS SDK clients for the servers of this process. The clients talk plain HTTP to loopback with test credentials. No
//! client may ever use the credentials, the region or the endpoint that are configured on this machine.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};

/// The region of everything in the local stack.
pub const REGION: &str = "us-east-1";
/// The account of everything in the local stack.
pub const ACCOUNT: &str = "000000000000";
/// The access key id and the secret access key. The servers check that both are present, not their values.
pub const TEST_CREDENTIAL: &str = "test";

/// What `!Ref` returns for a resource without a name of its own.
pub fn physical_name(logical_id: &str) -> String {
    format!("tidings-{logical_id}")
}

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

/// The configuration of clients for servers at `endpoint`, an `http://` URL.
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
