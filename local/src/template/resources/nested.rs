//! `AWS::CloudFormation::Stack`: a part of the system in another template. The local stack reads its alarms. A nested
//! stack with anything else that has a meaning on one machine is an error.

use std::collections::BTreeMap;

use super::{
    super::{
        Inputs, LoadError, Values,
        error::{Result, TemplateError},
        model::System,
        parse_nested,
        physical::Addresses,
        properties::Properties,
    },
    reading::Reading,
};

pub(super) fn read(
    system: &mut System,
    reading: &mut Reading<'_>,
    mut open: Properties<'_>,
    addresses: &Addresses,
) -> Result<()> {
    let url = open.require("TemplateURL")?;
    let file = url.text("TemplateURL")?;
    let mut given = BTreeMap::new();
    if let Some(parameters) = open.nested("Parameters")? {
        for (name, _, value) in parameters.rest() {
            given.insert(name.to_owned(), value.text("a parameter")?.to_owned());
        }
    }
    open.ignore(reading.warnings, &["NotificationARNs", "Tags", "TimeoutInMinutes"]);
    open.finish()?;
    // Without a directory, only this template is read.
    let Some(directory) = reading.directory else { return Ok(()) };
    let source = std::fs::read_to_string(directory.join(file));
    let source = source.map_err(|error| url.error(format!("cannot read the template {file}: {error}")))?;
    let values = Values { given, supplied: BTreeMap::new() };
    let inputs = Inputs { values, addresses: addresses.clone(), directory: None };
    let nested = parse_nested(file, &source, &inputs).map_err(|error| match error {
        LoadError::Template { error, .. } => url.error(format!("{file}:{error}")),
        other => url.error(other.to_string()),
    })?;
    let System { tables, other_tables: _, streams, queues, functions, api, alarms, composite_alarms, warnings } =
        nested;
    if !(tables.is_empty() && streams.is_empty() && queues.is_empty() && functions.is_empty() && api.is_none()) {
        return Err(TemplateError::new(url.at, "the local stack reads only alarms from a nested stack"));
    }
    system.warnings.extend(warnings);
    system.alarms.extend(alarms);
    system.composite_alarms.extend(composite_alarms);
    Ok(())
}
