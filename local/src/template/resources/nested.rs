//! `AWS::CloudFormation::Stack`: a part of the system in another template. The local stack has all resources in one
//! place: those of nested stacks have the names that they would have in the template itself. A nested stack is plain
//! CloudFormation, so it has no functions and no API.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        Inputs, LoadError, Stack, Values,
        error::{Result, TemplateError},
        model::System,
        parse_nested,
        properties::Properties,
        scope::{Resource, Scope, find},
    },
    reading::Reading,
};

/// The type of a nested stack.
pub(super) const KIND: &str = "AWS::CloudFormation::Stack";

/// Reads the templates of all nested stacks of `scope`, and puts their outputs there. Parameters of one may be outputs
/// of another one, so a stack that cannot be read yet is tried again when others have been read.
pub(in super::super) fn read_all(scope: &mut Scope, inputs: &Inputs) -> Result<Vec<System>> {
    let stacks = scope.resources.iter().filter(|(_, resource)| resource.kind == KIND);
    let mut waiting: Vec<_> = stacks.map(|(id, resource)| (id.clone(), resource.clone())).collect();
    let mut ids: BTreeSet<_> = scope.resources.keys().cloned().collect();
    let mut systems = Vec::new();
    while !waiting.is_empty() {
        let (mut unread, mut first_error) = (Vec::new(), None);
        let tried = waiting.len();
        for (id, resource) in waiting {
            match read(scope, &resource, inputs) {
                Ok(stack) => {
                    if let Some(twice) = stack.ids.iter().find(|inner| !ids.insert((*inner).clone())) {
                        let message = format!("`{twice}` is a resource of two templates, which would have one name");
                        return Err(TemplateError::new(resource.at, message));
                    }
                    systems.push(stack.system);
                    scope.outputs.insert(id, stack.outputs);
                }
                Err(error) => {
                    first_error.get_or_insert(error);
                    unread.push((id, resource));
                }
            }
        }
        if let Some(error) = first_error.filter(|_| unread.len() == tried) {
            return Err(error);
        }
        waiting = unread;
    }
    Ok(systems)
}

fn read(scope: &Scope, resource: &Resource, inputs: &Inputs) -> Result<Stack> {
    let property = |name| find(&resource.node, "Properties").and_then(|properties| find(properties, name));
    let url = property("TemplateURL");
    let url = url.ok_or_else(|| TemplateError::new(resource.at, "a nested stack needs a `TemplateURL`"))?;
    let resolved = scope.resolve(url)?;
    let file = resolved.text("TemplateURL")?;
    let mut given = BTreeMap::new();
    if let Some(parameters) = property("Parameters") {
        for entry in scope.resolve(parameters)?.entries("Parameters")? {
            given.insert(entry.key.clone(), entry.value.text("a parameter")?.to_owned());
        }
    }
    let wrong = |text: String| url.error(text);
    let source = inputs.files.read(file).map_err(|error| wrong(format!("cannot read the template {file}: {error}")))?;
    let values = Values { given, supplied: BTreeMap::new() };
    let inputs = Inputs { values, addresses: inputs.addresses.clone(), files: inputs.files.clone() };
    parse_nested(file, &source, &inputs).map_err(|error| match error {
        LoadError::Template { error, .. } => wrong(format!("{file}:{error}")),
        LoadError::Parameter { name, reason } => wrong(format!("{file}: parameter `{name}`: {reason}")),
        other @ LoadError::Read { .. } => wrong(other.to_string()),
    })
}

/// Checks that the properties of a nested stack are known. Its template was read by [`read_all`].
pub(super) fn check(reading: &mut Reading<'_>, mut open: Properties<'_>) -> Result<()> {
    open.take("TemplateURL");
    open.take("Parameters");
    open.ignore(reading.warnings, &["NotificationARNs", "Tags", "TimeoutInMinutes"]);
    open.finish()
}

/// Adds what is in a nested stack to the system.
pub(super) fn add(system: &mut System, part: System) {
    // A nested stack has no functions. So it has no API, and no sources that read tables of another origin.
    let System {
        tables,
        other_tables: _,
        streams,
        queues,
        functions: _,
        api: _,
        function_urls,
        alarms,
        composite_alarms,
        warnings,
    } = part;
    system.tables.extend(tables);
    system.streams.extend(streams);
    system.queues.extend(queues);
    system.function_urls.extend(function_urls);
    system.alarms.extend(alarms);
    system.composite_alarms.extend(composite_alarms);
    system.warnings.extend(warnings);
}

#[cfg(test)]
mod tests;
