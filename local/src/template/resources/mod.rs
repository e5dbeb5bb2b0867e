//! The types of resources, one module for each. This file has the list of known types and reads the resources in order.

mod alarm;
mod api;
mod events;
mod function;
mod function_url;
mod messaging;
pub(super) mod nested;
mod policies;
mod reading;
mod table;

use std::path::Path;

use super::{
    Level,
    error::{Result, TemplateError},
    globals::Globals,
    model::System,
    node::{Node, Value},
    properties::{Properties, Warnings},
    scope::{Resource, Scope},
};
use reading::Reading;

/// Every type that the local stack knows. The types that [`read_one`] does not name have no meaning on one machine.
const KINDS: [&str; 21] = [
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::CloudFormation::Stack",
    "AWS::CloudFront::Distribution",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::DynamoDB::Table",
    "AWS::Kinesis::Stream",
    "AWS::Kinesis::StreamConsumer",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Url",
    "AWS::Logs::LogGroup",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
    "AWS::SSM::Parameter",
    "AWS::Serverless::Function",
    "AWS::Serverless::HttpApi",
];

/// Refuses an unknown type. This check comes first, because errors about references to such a resource would be less
/// clear.
pub(super) fn check_kind(kind: &Node, level: Level) -> Result<()> {
    let name = kind.text("Type")?;
    if !KINDS.contains(&name) {
        return Err(kind.error(format!("the local stack does not know the resource type `{name}`")));
    }
    let is_of_root = name == nested::KIND || name.starts_with("AWS::Serverless::");
    if level == Level::Nested && is_of_root {
        return Err(kind.error(format!("the local stack reads no `{name}` within a nested stack")));
    }
    Ok(())
}

/// Reads the resources of `scope` in the given order, and adds what nested stacks have.
pub(super) fn read<'a>(
    nested: Vec<System>,
    scope: &'a Scope,
    globals: &Globals<'_>,
    order: impl Iterator<Item = &'a str>,
    directory: Option<&Path>,
    warnings: &mut Warnings,
) -> Result<System> {
    let mut system = System::default();
    for part in nested {
        nested::add(&mut system, part);
    }
    let mut checks = Vec::new();
    for id in order {
        // A resource with a false condition is not in the scope.
        let Some(resource) = scope.resources.get(id) else {
            continue;
        };
        let (metadata, properties) = open(scope, globals, id, resource, warnings)?;
        let name = scope.physical_name(id, resource)?;
        let reading = Reading { directory, warnings, name, id, metadata };
        checks.extend(read_one(&mut system, reading, resource, &properties)?);
    }
    for check in checks {
        check.make(&mut system)?;
    }
    Ok(system)
}

fn read_one(
    system: &mut System,
    mut reading: Reading<'_>,
    resource: &Resource,
    properties: &Node,
) -> Result<Vec<events::Check>> {
    let kind = resource.kind.as_str();
    let mut open = Properties::open(kind, reading.id, resource.at, Some(properties))?;
    if let Some(name) = super::physical::name_property(kind) {
        open.take(name);
    }
    if let Some(metadata) = reading.metadata.as_ref().filter(|_| kind != "AWS::Serverless::Function") {
        reading.warnings.note(kind, reading.id, "Metadata", metadata.at);
    }
    match kind {
        nested::KIND => nested::check(&mut reading, open)?,
        "AWS::CloudWatch::Alarm" => system.alarms.push(alarm::read(&mut reading, open)?),
        "AWS::CloudWatch::CompositeAlarm" => system.composite_alarms.push(alarm::read_composite(&mut reading, open)?),
        "AWS::DynamoDB::Table" => system.tables.push(table::read(&mut reading, open)?),
        "AWS::Kinesis::Stream" => system.streams.push(messaging::read_stream(&mut reading, open)?),
        "AWS::SQS::Queue" => system.queues.push(messaging::read_queue(&mut reading, open)?),
        "AWS::Serverless::Function" => {
            let (function, checks) = function::read(&mut reading, open)?;
            system.functions.push(function);
            return Ok(checks);
        }
        "AWS::Serverless::HttpApi" => {
            if system.api.is_some() {
                return Err(TemplateError::new(
                    resource.at,
                    "the local stack serves one AWS::Serverless::HttpApi only",
                ));
            }
            system.api = Some(api::read(&mut reading, open)?);
        }
        "AWS::Lambda::Url" => system.function_urls.push(function_url::read(open)?),
        // A source that has its ARN tells all about it.
        "AWS::Kinesis::StreamConsumer" => {}
        _ => reading.warnings.note(kind, reading.id, "the whole resource", resource.at),
    }
    Ok(Vec::new())
}

/// The metadata and the properties of a resource, resolved and merged with the global ones.
fn open(
    scope: &Scope,
    globals: &Globals<'_>,
    id: &str,
    resource: &Resource,
    warnings: &mut Warnings,
) -> Result<(Option<Node>, Node)> {
    let mut attributes = Properties::open("a resource", id, resource.at, Some(&resource.node))?;
    attributes.take("Type");
    attributes.take("Condition");
    // The local stack creates everything before it runs anything, so only dangling names matter.
    for dependency in attributes.take("DependsOn").map(Node::items).unwrap_or_default() {
        let name = dependency.text("DependsOn")?;
        if !scope.resources.contains_key(name) {
            return Err(dependency.error(format!("there is no resource `{name}`")));
        }
    }
    attributes.ignore(warnings, &["DeletionPolicy", "UpdateReplacePolicy", "CreationPolicy", "UpdatePolicy"]);
    let metadata = attributes.take("Metadata").map(|metadata| scope.resolve(metadata)).transpose()?;
    let empty = Node { at: resource.at, value: Value::Map(Vec::new()) };
    let own = attributes.take("Properties").cloned().unwrap_or(empty);
    attributes.finish()?;
    Ok((metadata, scope.resolve(&globals.apply(&resource.kind, own))?))
}
