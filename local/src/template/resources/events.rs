//! The `Events` of a function: the routes and the event source mappings that invoke it.

use std::time::Duration;

use super::{
    super::{
        Position,
        model::{EventSource, QueueSource, Route, ScheduleSource, StreamKind, StreamSource, System},
        node::Node,
        physical,
    },
    super::{
        error::{Result, TemplateError},
        properties::Properties,
    },
    reading::Reading,
};

/// The most filters of an event source mapping.
const FILTERS_MAX: usize = 5;

/// What a function's events contain.
#[derive(Default)]
pub(super) struct Events {
    pub(super) routes: Vec<Route>,
    pub(super) sources: Vec<EventSource>,
    pub(super) checks: Vec<Check>,
}

/// A resource that an event needs in the template. It is checked after all resources were read.
pub(super) struct Check {
    at: Position,
    needs: Needs,
}

enum Needs {
    Api,
    Route(Route),
    Stream(StreamKind),
    /// The queue, and the timeout of the function that reads it.
    Queue(String, Duration),
    /// A queue that receives reports.
    Destination(String),
}

impl Check {
    /// Checks that the resource is in the template. A table may also be one of another origin, such as a backup.
    pub(super) fn make(&self, system: &mut System) -> Result<()> {
        if let Needs::Stream(StreamKind::DynamoDb(name)) = &self.needs
            && !system.tables.iter().any(|table| &table.name == name)
        {
            system.other_tables.push(name.clone());
            return Ok(());
        }
        let queue = |name: &String| system.queues.iter().find(|queue| &queue.name == name);
        let complaint = match &self.needs {
            Needs::Api => system.api.is_none().then(|| "there is no AWS::Serverless::HttpApi".to_owned()),
            Needs::Route(route) => {
                let routes = system.functions.iter().flat_map(|function| &function.routes);
                let twice = routes.filter(|other| *other == route).count() > 1;
                twice.then(|| format!("`{} {}` is the route of more than one event", route.method, route.path))
            }
            Needs::Stream(StreamKind::DynamoDb(name)) => {
                let found = system.tables.iter().any(|table| &table.name == name && table.stream_view.is_some());
                (!found).then(|| format!("there is no table `{name}` with a stream"))
            }
            Needs::Stream(StreamKind::Kinesis(name)) => {
                let found = system.streams.iter().any(|stream| &stream.name == name);
                (!found).then(|| format!("there is no stream `{name}`"))
            }
            Needs::Destination(name) => queue(name).is_none().then(|| format!("there is no queue `{name}`")),
            Needs::Queue(name, timeout) => match queue(name) {
                // Lambda refuses such a mapping, too.
                Some(queue) if queue.visibility_timeout < *timeout => Some(format!(
                    "the queue's visibility timeout of {} s is less than the function's timeout of {} s",
                    queue.visibility_timeout.as_secs(),
                    timeout.as_secs()
                )),
                Some(_) => None,
                None => Some(format!("there is no queue `{name}`")),
            },
        };
        complaint.map_or(Ok(()), |message| Err(TemplateError::new(self.at, message)))
    }
}

/// Reads the events of a function with this `timeout`.
pub(super) fn read(reading: &mut Reading<'_>, events: Properties<'_>, timeout: Duration) -> Result<Events> {
    let mut read = Events::default();
    let kind = "AWS::Serverless::Function.Events";
    for (name, at, node) in events.rest() {
        let mut event = Properties::open(kind, reading.id, at, Some(node))?;
        let event_type = event.one_of("Type", &["HttpApi", "DynamoDB", "Kinesis", "SQS", "Schedule"])?;
        let event_type = event_type.ok_or_else(|| TemplateError::new(at, "an event needs a `Type`"))?;
        let properties = event.take("Properties");
        event.finish()?;
        let kind = format!("{kind}.{event_type}");
        let open = Properties::open(&kind, &format!("{}.{name}", reading.id), at, properties)?;
        let id = format!("{}-{name}", reading.id);
        match event_type {
            "HttpApi" => read_route(&mut read, reading, open)?,
            "SQS" => read_queue(&mut read, open, id, timeout)?,
            "Schedule" => read_schedule(&mut read, reading, open, id)?,
            dynamodb_or_kinesis => read_stream(&mut read, open, id, dynamodb_or_kinesis == "DynamoDB")?,
        }
    }
    Ok(read)
}

fn read_route(read: &mut Events, reading: &mut Reading<'_>, mut open: Properties<'_>) -> Result<()> {
    let at = open.at();
    let api = open.require("ApiId")?;
    api.text("ApiId")?;
    let method = open.require("Method")?.text("Method")?.to_uppercase();
    let path_node = open.require("Path")?;
    let path = path_node.text("Path")?;
    if !path.starts_with('/') {
        return Err(path_node.error("a path starts with `/`"));
    }
    open.one_of("PayloadFormatVersion", &["2.0"])?;
    open.ignore(reading.warnings, &["RouteSettings", "TimeoutInMillis"]);
    open.finish()?;
    let route = Route { method, path: path.to_owned() };
    read.checks.push(Check { at: api.at, needs: Needs::Api });
    read.checks.push(Check { at, needs: Needs::Route(route.clone()) });
    read.routes.push(route);
    Ok(())
}

fn read_stream(read: &mut Events, mut open: Properties<'_>, id: String, dynamodb: bool) -> Result<()> {
    let stream_node = open.require("Stream")?;
    let arn = stream_node.text("Stream")?;
    let found = if dynamodb {
        physical::table_of_stream(arn).map(|name| (StreamKind::DynamoDb(name.to_owned()), false))
    } else {
        physical::kinesis_stream(arn).map(|(name, is_consumer)| (StreamKind::Kinesis(name.to_owned()), is_consumer))
    };
    let (stream, enhanced_fan_out) =
        found.ok_or_else(|| stream_node.error(format!("`{arn}` is not the ARN of a stream of this template")))?;
    let at = open.at();
    let from_oldest = match open.one_of("StartingPosition", &["TRIM_HORIZON", "LATEST"])? {
        Some(position) => position == "TRIM_HORIZON",
        None => return Err(TemplateError::new(at, "a stream event needs a `StartingPosition`")),
    };
    let enabled = open.boolean("Enabled")?.unwrap_or(true);
    let on_failure_queue = read_destination(read, &mut open)?;
    let source = StreamSource {
        id,
        stream: stream.clone(),
        enhanced_fan_out,
        from_oldest,
        batch_size: open.count("BatchSize", 1..=10_000)?.unwrap_or(100),
        batching_window: open.seconds("MaximumBatchingWindowInSeconds", 0..=300)?.unwrap_or_default(),
        parallelization_factor: open.count("ParallelizationFactor", 1..=10)?.unwrap_or(1),
        bisect: open.boolean("BisectBatchOnFunctionError")?.unwrap_or(false),
        max_retries: endless(open.number("MaximumRetryAttempts", -1..=10_000)?),
        max_record_age: endless(open.number("MaximumRecordAgeInSeconds", -1..=604_800)?)
            .map(|seconds| Duration::from_secs(seconds.into())),
        report_failures: read_response_types(&mut open)?,
        on_failure_queue,
        filters: read_filters(&mut open)?,
    };
    open.finish()?;
    if source.max_record_age.is_some_and(|age| age < Duration::from_secs(60)) {
        return Err(TemplateError::new(at, "MaximumRecordAgeInSeconds must be -1 or at least 60"));
    }
    read.checks.push(Check { at: stream_node.at, needs: Needs::Stream(stream) });
    if enabled {
        read.sources.push(EventSource::Stream(source));
    }
    Ok(())
}

fn read_queue(read: &mut Events, mut open: Properties<'_>, id: String, timeout: Duration) -> Result<()> {
    let at = open.at();
    let queue_node = open.require("Queue")?;
    let arn = queue_node.text("Queue")?;
    let queue = physical::queue(arn)
        .ok_or_else(|| queue_node.error(format!("`{arn}` is not the ARN of a queue of this template")))?
        .to_owned();
    let enabled = open.boolean("Enabled")?.unwrap_or(true);
    let max_concurrency = match open.nested("ScalingConfig")? {
        Some(mut scaling) => {
            let concurrency = scaling.count("MaximumConcurrency", 2..=1000)?;
            scaling.finish()?;
            concurrency
        }
        None => None,
    };
    let provisioned_pollers = match open.nested("ProvisionedPollerConfig")? {
        Some(mut provisioned) => {
            let at = provisioned.at();
            let pollers = provisioned.count("MinimumPollers", 2..=200)?.unwrap_or(2);
            let most = provisioned.count("MaximumPollers", 2..=2000)?.unwrap_or(200);
            provisioned.finish()?;
            if most != pollers {
                return Err(TemplateError::new(at, "only as many MaximumPollers as MinimumPollers are supported here"));
            }
            Some(pollers)
        }
        None => None,
    };
    if provisioned_pollers.is_some() && max_concurrency.is_some() {
        return Err(TemplateError::new(at, "ProvisionedPollerConfig and ScalingConfig exclude each other"));
    }
    let source = QueueSource {
        id,
        queue: queue.clone(),
        batch_size: open.count("BatchSize", 1..=10_000)?.unwrap_or(10),
        batching_window: open.seconds("MaximumBatchingWindowInSeconds", 0..=300)?.unwrap_or_default(),
        report_failures: read_response_types(&mut open)?,
        max_concurrency,
        provisioned_pollers,
        filters: read_filters(&mut open)?,
    };
    open.finish()?;
    if source.batch_size > 10 && source.batching_window.is_zero() {
        return Err(TemplateError::new(at, "a BatchSize over 10 needs a MaximumBatchingWindowInSeconds"));
    }
    read.checks.push(Check { at: queue_node.at, needs: Needs::Queue(queue, timeout) });
    if enabled {
        read.sources.push(EventSource::Queue(source));
    }
    Ok(())
}

fn read_schedule(read: &mut Events, reading: &mut Reading<'_>, mut open: Properties<'_>, id: String) -> Result<()> {
    let schedule = open.require("Schedule")?;
    let every = rate(schedule.text("Schedule")?)
        .ok_or_else(|| schedule.error("the local stack knows schedules of the form `rate(5 minutes)` only"))?;
    let enabled = open.boolean("Enabled")?.unwrap_or(true);
    let input = open.text("Input")?.map(str::to_owned);
    open.take("Description");
    open.take("Name");
    open.ignore(reading.warnings, &["DeadLetterConfig", "RetryPolicy"]);
    open.finish()?;
    if enabled {
        read.sources.push(EventSource::Schedule(ScheduleSource { id, every, input }));
    }
    Ok(())
}

/// The time of a rate expression (EventBridge, "Rate expressions"): a number, and a unit that is in the singular
/// exactly if the number is 1.
fn rate(expression: &str) -> Option<Duration> {
    let (number, unit) = expression.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?;
    let number: u32 = number.parse().ok().filter(|number| *number > 0)?;
    let unit = if number == 1 { unit } else { unit.strip_suffix('s')? };
    let seconds = match unit {
        "minute" => 60,
        "hour" => 60 * 60,
        "day" => 24 * 60 * 60,
        _ => return None,
    };
    Some(Duration::from_secs(seconds) * number)
}

/// -1 means no limit.
fn endless(number: Option<i64>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok())
}

fn read_destination(read: &mut Events, open: &mut Properties<'_>) -> Result<Option<String>> {
    let Some(mut destination) = open.nested("DestinationConfig")? else {
        return Ok(None);
    };
    let on_failure = destination.require("OnFailure")?;
    let mut on_failure = destination.part("OnFailure", on_failure)?;
    destination.finish()?;
    on_failure.one_of("Type", &["SQS"])?;
    let target = on_failure.require("Destination")?;
    let arn = target.text("Destination")?;
    on_failure.finish()?;
    let queue = physical::queue(arn)
        .ok_or_else(|| target.error(format!("`{arn}` is not the ARN of a queue of this template")))?
        .to_owned();
    read.checks.push(Check { at: target.at, needs: Needs::Destination(queue.clone()) });
    Ok(Some(queue))
}

fn read_response_types(open: &mut Properties<'_>) -> Result<bool> {
    let Some(node) = open.take("FunctionResponseTypes") else {
        return Ok(false);
    };
    match node.items() {
        [item] if item.text("FunctionResponseTypes")? == "ReportBatchItemFailures" => Ok(true),
        _ => Err(node.error("FunctionResponseTypes can only be [ReportBatchItemFailures]")),
    }
}

fn read_filters(open: &mut Properties<'_>) -> Result<Vec<serde_json::Value>> {
    let Some(mut criteria) = open.nested("FilterCriteria")? else {
        return Ok(Vec::new());
    };
    let list = criteria.require("Filters")?;
    if list.items().len() > FILTERS_MAX {
        return Err(list.error(format!("an event source mapping has at most {FILTERS_MAX} filters")));
    }
    let mut filters = Vec::new();
    for filter in list.items() {
        let mut filter = criteria.part("Filters", filter)?;
        filters.push(read_pattern(filter.require("Pattern")?)?);
        filter.finish()?;
    }
    criteria.finish()?;
    Ok(filters)
}

fn read_pattern(node: &Node) -> Result<serde_json::Value> {
    match serde_json::from_str(node.text("Pattern")?) {
        Ok(pattern @ serde_json::Value::Object(_)) => Ok(pattern),
        Ok(_) => Err(node.error("a filter's pattern must be a JSON object")),
        Err(error) => Err(node.error(format!("a filter's pattern must be JSON: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_eventbridge_reads_them() {
        for (expression, seconds) in [("rate(1 minute)", 60), ("rate(5 minutes)", 300), ("rate(2 days)", 172_800)] {
            assert_eq!(rate(expression), Some(Duration::from_secs(seconds)), "{expression}");
        }
        for wrong in ["rate(1 minutes)", "rate(5 minute)", "rate(0 minutes)", "rate(5)", "cron(0 12 * * ? *)", ""] {
            assert_eq!(rate(wrong), None, "{wrong}");
        }
    }
}
