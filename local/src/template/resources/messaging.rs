//! `AWS::Kinesis::Stream` and `AWS::SQS::Queue`.

use std::time::Duration;

use super::{
    super::{
        error::{Result, TemplateError},
        properties::Properties,
    },
    super::{
        model::{KinesisStream, Queue, Redrive},
        physical,
    },
    reading::Reading,
};

/// The shards of a new on-demand stream on AWS.
const ON_DEMAND_SHARDS: u32 = 4;

pub(super) fn read_stream(reading: &mut Reading<'_>, mut open: Properties<'_>) -> Result<KinesisStream> {
    let at = open.at();
    let mode = match open.nested("StreamModeDetails")? {
        Some(mut details) => {
            let mode = details.one_of("StreamMode", &["ON_DEMAND", "PROVISIONED"])?.unwrap_or("PROVISIONED");
            details.finish()?;
            mode
        }
        None => "PROVISIONED",
    };
    let shards = match (mode, open.count("ShardCount", 1..=500)?) {
        ("ON_DEMAND", None) => ON_DEMAND_SHARDS,
        ("ON_DEMAND", Some(_)) => return Err(TemplateError::new(at, "an ON_DEMAND stream takes no ShardCount")),
        (_, Some(shards)) => shards,
        (_, None) => return Err(TemplateError::new(at, "a PROVISIONED stream needs a ShardCount")),
    };
    if open.count("RetentionPeriodHours", 24..=8760)?.is_some_and(|hours| hours > 24) {
        reading.warnings.note("AWS::Kinesis::Stream", reading.id, "RetentionPeriodHours over 24", at);
    }
    open.ignore(reading.warnings, &["StreamEncryption", "Tags", "DesiredShardLevelMetrics"]);
    open.finish()?;
    Ok(KinesisStream { name: reading.name.clone(), shards })
}

pub(super) fn read_queue(reading: &mut Reading<'_>, mut open: Properties<'_>) -> Result<Queue> {
    let visibility_timeout = open.seconds("VisibilityTimeout", 0..=43_200)?.unwrap_or(Duration::from_secs(30));
    let retention = open.seconds("MessageRetentionPeriod", 60..=1_209_600)?;
    let retention = retention.unwrap_or(Duration::from_secs(345_600));
    let redrive = match open.nested("RedrivePolicy")? {
        Some(mut policy) => {
            let target = policy.require("deadLetterTargetArn")?;
            let arn = target.text("deadLetterTargetArn")?;
            let queue = physical::queue(arn)
                .ok_or_else(|| target.error(format!("`{arn}` is not the ARN of a queue of this template")))?;
            let at = policy.at();
            let max_receive_count = policy
                .count("maxReceiveCount", 1..=1000)?
                .ok_or_else(|| TemplateError::new(at, "a RedrivePolicy needs a maxReceiveCount"))?;
            policy.finish()?;
            Some(Redrive { dead_letter_queue: queue.to_owned(), max_receive_count })
        }
        None => None,
    };
    open.ignore(
        reading.warnings,
        &[
            "KmsDataKeyReusePeriodSeconds",
            "KmsMasterKeyId",
            "MaximumMessageSize",
            "ReceiveMessageWaitTimeSeconds",
            "RedriveAllowPolicy",
            "SqsManagedSseEnabled",
            "Tags",
        ],
    );
    open.finish()?;
    Ok(Queue { name: reading.name.clone(), visibility_timeout, retention, redrive })
}
