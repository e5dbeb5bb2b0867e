//! The names of resources outside the template: what `Ref` and `GetAtt` return for each type that the local stack
//! knows, and which resource an ARN names.

use crate::aws;

/// The addresses that references to queues, to the API and to a function URL resolve to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The base URL of the SQS server.
    pub sqs: String,
    /// The base URL of the HTTP API.
    pub api: String,
    /// The base URL of the function URL.
    pub function_url: String,
}

/// The property with a resource's name, if its type has one.
pub(super) fn name_property(kind: &str) -> Option<&'static str> {
    match kind {
        "AWS::DynamoDB::Table" => Some("TableName"),
        "AWS::Kinesis::Stream" => Some("Name"),
        "AWS::SQS::Queue" => Some("QueueName"),
        _ => None,
    }
}

/// What `Ref` returns.
pub(super) fn reference(kind: &str, name: &str, addresses: &Addresses) -> String {
    match kind {
        "AWS::SQS::Queue" => format!("{}/{}/{name}", addresses.sqs, aws::ACCOUNT),
        "AWS::SNS::Topic" => arn("sns", name),
        _ => name.to_owned(),
    }
}

/// What `GetAtt` returns, or `None` if the type has no such attribute.
pub(super) fn attribute(kind: &str, attribute: &str, name: &str, addresses: &Addresses) -> Option<String> {
    Some(match (kind, attribute) {
        ("AWS::DynamoDB::Table", "Arn") => arn("dynamodb", &format!("table/{name}")),
        ("AWS::DynamoDB::Table", "StreamArn") => arn("dynamodb", &format!("table/{name}/stream/local")),
        ("AWS::Kinesis::Stream", "Arn") => arn("kinesis", &format!("stream/{name}")),
        ("AWS::SQS::Queue", "Arn") => arn("sqs", name),
        ("AWS::SQS::Queue", "QueueName") => name.to_owned(),
        ("AWS::SQS::Queue", "QueueUrl") => reference(kind, name, addresses),
        ("AWS::ApiGatewayV2::DomainName", "RegionalDomainName") | ("AWS::CloudFront::Distribution", "DomainName") => {
            format!("{name}.invalid")
        }
        ("AWS::Serverless::Function", "Arn") => arn("lambda", &format!("function:{name}")),
        ("AWS::Lambda::Url", "FunctionUrl") => format!("{}/", addresses.function_url),
        ("AWS::Serverless::HttpApi", "ApiEndpoint") => addresses.api.clone(),
        ("AWS::Logs::LogGroup", "Arn") => arn("logs", &format!("log-group:{name}:*")),
        ("AWS::CloudWatch::Alarm" | "AWS::CloudWatch::CompositeAlarm", "Arn") => {
            arn("cloudwatch", &format!("alarm:{name}"))
        }
        _ => return None,
    })
}

/// The ARN of the alias of the function with this name. There is one version of each function on one machine, so all
/// aliases are the same.
pub(super) fn alias(function: &str) -> String {
    arn("lambda", &format!("function:{function}:live"))
}

/// The function that this text names: an ARN, with or without an alias, or the name itself.
pub(super) fn function(text: &str) -> &str {
    let name = text.strip_prefix(&arn("lambda", "function:")).unwrap_or(text);
    name.split_once(':').map_or(name, |(name, _alias)| name)
}

/// The name of the table whose stream has this ARN. The embedded server names a region of its own in the ARNs of its
/// streams, which an operator gives as a parameter after a restore. So the region does not matter.
pub(super) fn table_of_stream(text: &str) -> Option<&str> {
    let (_region, table) = text.strip_prefix("arn:aws:dynamodb:")?.split_once(&format!(":{}:table/", aws::ACCOUNT))?;
    table.split_once("/stream/").map(|(name, _)| name)
}

/// What stands between the ARN of a stream and the name of one of its consumers.
const CONSUMER: &str = "/consumer/";

/// The ARN of the consumer with this name of the stream with this ARN. On AWS, the time of its registration follows.
pub(super) fn consumer(stream: &str, name: &str) -> String {
    format!("{stream}{CONSUMER}{name}:0")
}

/// The name of the Kinesis stream with this ARN, or of the stream whose consumer has it, and which of the two it is.
pub(super) fn kinesis_stream(text: &str) -> Option<(&str, bool)> {
    let stream = text.strip_prefix(&arn("kinesis", "stream/"))?;
    Some(stream.split_once(CONSUMER).map_or((stream, false), |(stream, _)| (stream, true)))
}

/// The name of the queue with this ARN.
pub(super) fn queue(text: &str) -> Option<&str> {
    text.strip_prefix(&arn("sqs", ""))
}

fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{}:{}:{resource}", aws::REGION, aws::ACCOUNT)
}
