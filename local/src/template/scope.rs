//! The values that intrinsic functions refer to. Every name is checked, even if the local stack does not use the value
//! (policies, alarms, outputs). So a dangling reference fails here as it does at deployment.

use std::{cell::Cell, collections::BTreeMap};

use super::{
    error::{Position, Result, TemplateError},
    node::{Entry, Node, Value},
    physical::{self, Addresses},
};
use crate::aws;

/// The longest chain of properties that follow from each other. It bounds the recursion.
const CHAIN_MAX: u32 = 8;

/// A resource in the template.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub(super) kind: String,
    pub(super) at: Position,
    /// The whole resource, with nothing resolved.
    pub(super) node: Node,
}

/// Everything with a name.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) addresses: Addresses,
    /// Scalars and lists.
    pub(super) parameters: BTreeMap<String, Node>,
    pub(super) mappings: BTreeMap<String, Node>,
    pub(super) conditions: BTreeMap<String, bool>,
    pub(super) resources: BTreeMap<String, Resource>,
    /// The outputs of the nested stacks that were read, by the logical ids of the stacks.
    pub(super) outputs: BTreeMap<String, BTreeMap<String, String>>,
    /// How many properties have led to the value that is being resolved.
    chain: Cell<u32>,
}

impl Scope {
    /// A scope that knows only the pseudo parameters.
    pub(super) fn new(addresses: Addresses) -> Self {
        Self {
            addresses,
            parameters: BTreeMap::new(),
            mappings: BTreeMap::new(),
            conditions: BTreeMap::new(),
            resources: BTreeMap::new(),
            outputs: BTreeMap::new(),
            chain: Cell::new(0),
        }
    }

    /// Resolves a property of a resource, from which an attribute follows that something at this position refers to.
    fn property(&self, at: Position, name: &str, property: &str) -> Result<String> {
        let properties = self.resources.get(name).and_then(|resource| find(&resource.node, "Properties"));
        let value = properties.and_then(|properties| find(properties, property));
        let value = value.ok_or_else(|| TemplateError::new(at, format!("`{name}` has no {property}")))?;
        let chain = self.chain.get();
        if chain >= CHAIN_MAX {
            return Err(TemplateError::new(at, "properties of resources follow from each other in a circle"));
        }
        self.chain.set(chain + 1);
        let resolved = self.resolve(value);
        self.chain.set(chain);
        resolved?.text(property).map(str::to_owned)
    }

    /// Replaces every intrinsic function in the node by its value, and removes what `AWS::NoValue` removes.
    pub(super) fn resolve(&self, node: &Node) -> Result<Node> {
        let value = match &node.value {
            Value::Call(function, argument) => return self.call(node.at, function, argument),
            Value::List(items) => Value::List(
                items.iter().map(|item| self.resolve(item)).filter(|item| !is_no_value(item)).collect::<Result<_>>()?,
            ),
            Value::Map(entries) => {
                let mut resolved = Vec::new();
                for entry in entries {
                    let value = self.resolve(&entry.value)?;
                    let removed = value.value == Value::Null && entry.value.value != Value::Null;
                    if !removed {
                        resolved.push(Entry { key: entry.key.clone(), at: entry.at, value });
                    }
                }
                Value::Map(resolved)
            }
            other => other.clone(),
        };
        Ok(Node { at: node.at, value })
    }

    /// Whether the condition with this name is true.
    pub(super) fn condition(&self, name: &Node) -> Result<bool> {
        let text = name.text("a condition's name")?;
        self.conditions.get(text).copied().ok_or_else(|| name.error(format!("there is no condition `{text}`")))
    }

    /// The value of a condition: `Fn::Equals`, `Fn::And`, `Fn::Or`, `Fn::Not` or `Condition`.
    pub(super) fn evaluate(&self, node: &Node) -> Result<bool> {
        let (function, argument) = match &node.value {
            Value::Call(function, argument) => (function.as_str(), argument.as_ref()),
            Value::Map(entries) if entries.len() == 1 && entries[0].key == "Condition" => {
                ("Condition", &entries[0].value)
            }
            _ => return Err(node.error("a condition must be Fn::Equals, Fn::And, Fn::Or, Fn::Not or Condition")),
        };
        let operands = || argument.items().iter().map(|operand| self.evaluate(operand));
        match function {
            "Condition" => self.condition(argument),
            "Equals" => match argument.items() {
                [left, right] => Ok(self.resolve(left)?.value == self.resolve(right)?.value),
                _ => Err(argument.error("Fn::Equals takes two values")),
            },
            "And" => operands().try_fold(true, |all, operand| Ok(all & operand?)),
            "Or" => operands().try_fold(false, |any, operand| Ok(any | operand?)),
            "Not" => match argument.items() {
                [operand] => Ok(!self.evaluate(operand)?),
                _ => Err(argument.error("Fn::Not takes one condition")),
            },
            _ => Err(node.error(format!("`{function}` is not a condition function"))),
        }
    }

    /// The name of the resource outside the template: its own name property, or a name made from its logical id.
    pub(super) fn physical_name(&self, logical_id: &str, resource: &Resource) -> Result<String> {
        let given = physical::name_property(&resource.kind).and_then(|property| {
            let properties = find(&resource.node, "Properties")?;
            find(properties, property)
        });
        match given {
            // Only parameters are known here, because a name that refers to other resources could refer to itself.
            Some(name) => {
                let scope = Self { parameters: self.parameters.clone(), ..Self::new(self.addresses.clone()) };
                Ok(scope.resolve(name)?.text("a name")?.to_owned())
            }
            None => Ok(aws::physical_name(logical_id)),
        }
    }

    fn call(&self, at: Position, function: &str, argument: &Node) -> Result<Node> {
        let scalar = |text: String| Node { at, value: Value::Scalar(text) };
        match function {
            "Ref" => self.reference(at, argument.text("the name in Ref")?),
            "GetAtt" => {
                let path = match &argument.value {
                    Value::Scalar(path) => path.clone(),
                    _ => self.join(argument.items(), ".")?,
                };
                let (resource, attribute) = path.split_once('.').unwrap_or((&path, ""));
                self.attribute(argument.at, resource, attribute).map(scalar)
            }
            "Sub" => self.substitute(argument).map(scalar),
            "Join" => match argument.items() {
                [separator, items] => {
                    let items = self.resolve(items)?;
                    self.join(items.items(), separator.text("the separator of Fn::Join")?).map(scalar)
                }
                _ => Err(argument.error("Fn::Join takes a separator and a list")),
            },
            "Split" => match argument.items() {
                [separator, source] => {
                    let (source, separator) = (self.resolve(source)?, separator.text("the separator of Fn::Split")?);
                    let parts = source.text("the source of Fn::Split")?.split(separator);
                    Ok(Node { at, value: Value::List(parts.map(|part| scalar(part.to_owned())).collect()) })
                }
                _ => Err(argument.error("Fn::Split takes a separator and a string")),
            },
            "Select" => match argument.items() {
                [index, list] => {
                    let (index, list) = (self.resolve(index)?, self.resolve(list)?);
                    let position: Option<usize> = index.text("the index of Fn::Select")?.parse().ok();
                    let item = position.and_then(|position| list.items().get(position));
                    item.cloned().ok_or_else(|| index.error("Fn::Select: the list has no such item"))
                }
                _ => Err(argument.error("Fn::Select takes an index and a list")),
            },
            "If" => match argument.items() {
                [condition, then, otherwise] => self.resolve(if self.condition(condition)? { then } else { otherwise }),
                _ => Err(argument.error("Fn::If takes a condition and two values")),
            },
            "FindInMap" => self.find_in_map(argument),
            _ => Err(argument.error(format!("the local stack does not know the function `{function}`"))),
        }
    }

    fn reference(&self, at: Position, name: &str) -> Result<Node> {
        if let Some(parameter) = self.parameters.get(name) {
            return Ok(Node { at, value: parameter.value.clone() });
        }
        let text = match name {
            "AWS::NoValue" => return Ok(Node { at, value: Value::Null }),
            "AWS::AccountId" => aws::ACCOUNT.to_owned(),
            "AWS::Partition" => "aws".to_owned(),
            "AWS::Region" => aws::REGION.to_owned(),
            "AWS::StackName" => "tidings".to_owned(),
            "AWS::URLSuffix" => "amazonaws.com".to_owned(),
            _ => match self.resources.get(name) {
                Some(resource) => {
                    let physical = self.physical_name(name, resource)?;
                    physical::reference(&resource.kind, &physical, &self.addresses)
                }
                None if self.is_stage(name) => "$default".to_owned(),
                None => match self.function_of_alias(name) {
                    Some((id, function)) => physical::alias(&self.physical_name(id, function)?),
                    None => {
                        let message = format!("there is no parameter or resource `{name}`");
                        return Err(TemplateError::new(at, message));
                    }
                },
            },
        };
        Ok(Node { at, value: Value::Scalar(text) })
    }

    /// Whether this is the name that SAM has for the stage of an HTTP API: `Api.Stage`.
    fn is_stage(&self, name: &str) -> bool {
        let api = name.strip_suffix(".Stage").and_then(|api| self.resources.get(api));
        api.is_some_and(|api| api.kind == "AWS::Serverless::HttpApi")
    }

    /// The function whose alias has this name in SAM: `GetFeed.Alias`.
    fn function_of_alias(&self, name: &str) -> Option<(&str, &Resource)> {
        let (id, resource) = self.resources.get_key_value(name.strip_suffix(".Alias")?)?;
        (resource.kind == "AWS::Serverless::Function").then_some((id.as_str(), resource))
    }

    fn attribute(&self, at: Position, name: &str, attribute: &str) -> Result<String> {
        let Some(resource) = self.resources.get(name) else {
            return Err(TemplateError::new(at, format!("there is no resource `{name}`")));
        };
        match (resource.kind.as_str(), attribute) {
            // The value of a parameter in the Parameter Store is what the template says.
            ("AWS::SSM::Parameter", "Value") => return self.property(at, name, "Value"),
            ("AWS::Kinesis::StreamConsumer", "ConsumerARN") => {
                let stream = self.property(at, name, "StreamARN")?;
                return Ok(physical::consumer(&stream, &self.property(at, name, "ConsumerName")?));
            }
            _ => {}
        }
        let output = attribute.strip_prefix("Outputs.").filter(|_| resource.kind == "AWS::CloudFormation::Stack");
        if let Some(output) = output {
            let value = self.outputs.get(name).and_then(|outputs| outputs.get(output)).cloned();
            let missing = || TemplateError::new(at, format!("the nested stack `{name}` has no output `{output}`"));
            return value.ok_or_else(missing);
        }
        let physical = self.physical_name(name, resource)?;
        physical::attribute(&resource.kind, attribute, &physical, &self.addresses).ok_or_else(|| {
            let message =
                format!("{} `{name}` has no attribute `{attribute}` that the local stack knows", resource.kind);
            TemplateError::new(at, message)
        })
    }

    /// `Fn::Sub`: replaces `${Name}` and `${Resource.Attribute}` by their values, and `${!x}` by `${x}`.
    fn substitute(&self, argument: &Node) -> Result<String> {
        let (template, variables) = match &argument.value {
            Value::List(items) => match items.as_slice() {
                [template, variables] => (template, variables.entries("the variables of Fn::Sub")?),
                _ => return Err(argument.error("Fn::Sub takes a string, or a list of a string and a map")),
            },
            _ => (argument, &[][..]),
        };
        let mut rest = template.text("the string of Fn::Sub")?;
        let mut text = String::new();
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) =
                after.split_once('}').ok_or_else(|| template.error("Fn::Sub: `${` without its `}`"))?;
            text.push_str(before);
            match (name.strip_prefix('!'), variables.iter().find(|entry| entry.key == name), name.split_once('.')) {
                (Some(literal), ..) => text.extend(["${", literal, "}"]),
                (_, Some(entry), _) => text.push_str(self.resolve(&entry.value)?.text("a variable of Fn::Sub")?),
                (_, _, Some((resource, attribute))) => {
                    text.push_str(&self.attribute(template.at, resource, attribute)?);
                }
                _ => text.push_str(self.reference(template.at, name)?.text("a value in Fn::Sub")?),
            }
            rest = behind;
        }
        text.push_str(rest);
        Ok(text)
    }

    fn join(&self, items: &[Node], separator: &str) -> Result<String> {
        let texts = items.iter().map(|item| Ok(self.resolve(item)?.text("an item")?.to_owned()));
        Ok(texts.collect::<Result<Vec<_>>>()?.join(separator))
    }

    fn find_in_map(&self, argument: &Node) -> Result<Node> {
        let [map, first, second] = argument.items() else {
            return Err(argument.error("Fn::FindInMap takes a map's name and two keys"));
        };
        let (map, first, second) = (self.resolve(map)?, self.resolve(first)?, self.resolve(second)?);
        let found = self.mappings.get(map.text("a map's name")?).and_then(|node| {
            let inner = find(node, first.text("a key").ok()?)?;
            find(inner, second.text("a key").ok()?)
        });
        found.cloned().ok_or_else(|| argument.error("Fn::FindInMap: the map has no such keys"))
    }
}

/// The value of `key`, if the node is a map with this key.
pub(super) fn find<'node>(node: &'node Node, key: &str) -> Option<&'node Node> {
    match &node.value {
        Value::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
        _ => None,
    }
}

fn is_no_value(item: &Result<Node>) -> bool {
    matches!(item, Ok(node) if node.value == Value::Null)
}
