//! Reads `template.yaml`: resolves its parameters and intrinsic functions, and turns the resources into a
//! [`model::System`]. Nothing is skipped silently: a property without meaning on one machine is a warning, and an
//! unknown property is an error with its position in the file.

mod error;
mod globals;
pub mod model;
mod node;
mod parameters;
mod physical;
mod properties;
mod resources;
mod scope;

use std::path::{Path, PathBuf};

pub use error::{Position, TemplateError};
pub use parameters::Values;
pub use physical::Addresses;

use error::Result as TemplateResult;
use globals::Globals;
use model::System;
use node::{Entry, Node};
use properties::{Properties, Warnings};
use scope::{Resource, Scope, find};

/// Why a template could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the template {file}: {error}")]
    Read {
        /// The path of the file.
        file: String,
        /// The error of the operating system.
        error: std::io::Error,
    },
    /// The template is wrong.
    #[error("{file}:{error}")]
    Template {
        /// The path of the file.
        file: String,
        /// The error and its position.
        error: TemplateError,
    },
    /// A parameter has a value that is not allowed.
    #[error("--parameter {name}: {reason}")]
    Parameter {
        /// The name of the parameter.
        name: String,
        /// The reason.
        reason: String,
    },
}

/// Everything that the system depends on besides the template.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The values of parameters.
    pub values: Values,
    /// The addresses that references resolve to.
    pub addresses: Addresses,
    /// The directory for the template's relative paths. Without it, the paths are not checked.
    pub directory: Option<PathBuf>,
}

/// Reads the template at `path`. Relative paths in the template start at its directory.
///
/// # Errors
/// If the template cannot be read, is wrong, or contains something that the local stack does not know.
pub fn load(path: &Path, values: Values, addresses: Addresses) -> Result<System, LoadError> {
    let file = path.display().to_string();
    let source = std::fs::read_to_string(path).map_err(|error| LoadError::Read { file: file.clone(), error })?;
    let directory = path.parent().map(Path::to_owned);
    parse(&file, &source, &Inputs { values, addresses, directory })
}

/// Reads the template in `source`. Errors and warnings call it `file`.
///
/// # Errors
/// If the template is wrong, or contains something that the local stack does not know.
pub fn parse(file: &str, source: &str, inputs: &Inputs) -> Result<System, LoadError> {
    parse_as(file, source, inputs, Transform::Sam)
}

/// Reads the template of a nested stack, which is plain CloudFormation.
fn parse_nested(file: &str, source: &str, inputs: &Inputs) -> Result<System, LoadError> {
    parse_as(file, source, inputs, Transform::None)
}

/// Which transform a template has to name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transform {
    Sam,
    None,
}

fn parse_as(file: &str, source: &str, inputs: &Inputs, transform: Transform) -> Result<System, LoadError> {
    let wrong = |error| LoadError::Template { file: file.into(), error };
    let mut warnings = Warnings::default();
    let root = Node::parse(source).map_err(wrong)?;
    let mut sections = Sections::read(&root, transform, &mut warnings).map_err(wrong)?;

    let mut scope = Scope::new(inputs.addresses.clone());
    scope.parameters =
        parameters::read(&sections.parameters, &inputs.values, &mut warnings).map_err(|error| error.in_file(file))?;
    scope.mappings = std::mem::take(&mut sections.mappings).into_iter().map(|map| (map.key, map.value)).collect();
    let mut system = read_resources(scope, &sections, inputs, &mut warnings).map_err(wrong)?;
    system.warnings.extend(warnings.into_lines(file));
    Ok(system)
}

/// The top level of the template.
struct Sections<'node> {
    parameters: Vec<Entry>,
    mappings: Vec<Entry>,
    conditions: Vec<Entry>,
    rules: Vec<Entry>,
    globals: Option<&'node Node>,
    resources: Vec<Entry>,
    outputs: Vec<Entry>,
}

impl<'node> Sections<'node> {
    fn read(root: &'node Node, transform: Transform, warnings: &mut Warnings) -> TemplateResult<Self> {
        let mut top = Properties::open("the template", "template", root.at, Some(root))?;
        for documentation in ["AWSTemplateFormatVersion", "Description"] {
            top.take(documentation);
        }
        if transform == Transform::Sam {
            top.one_of("Transform", &["AWS::Serverless-2016-10-31"])?;
        }
        top.ignore(warnings, &["Metadata"]);
        let entries = |node: Option<&Node>, name: &str| match node {
            Some(node) => Ok(node.entries(name)?.to_vec()),
            None => Ok(Vec::new()),
        };
        let sections = Self {
            parameters: entries(top.take("Parameters"), "Parameters")?,
            mappings: entries(top.take("Mappings"), "Mappings")?,
            conditions: entries(top.take("Conditions"), "Conditions")?,
            rules: entries(top.take("Rules"), "Rules")?,
            globals: top.take("Globals"),
            resources: entries(Some(top.require("Resources")?), "Resources")?,
            outputs: entries(top.take("Outputs"), "Outputs")?,
        };
        top.finish()?;
        Ok(sections)
    }
}

fn read_resources(
    mut scope: Scope,
    sections: &Sections<'_>,
    inputs: &Inputs,
    warnings: &mut Warnings,
) -> TemplateResult<System> {
    evaluate_conditions(&mut scope, &sections.conditions)?;
    check_rules(&scope, &sections.rules)?;
    for entry in &sections.resources {
        let kind = find(&entry.value, "Type")
            .ok_or_else(|| TemplateError::new(entry.at, format!("resource `{}` needs a `Type`", entry.key)))?;
        resources::check_kind(kind)?;
        if let Some(condition) = find(&entry.value, "Condition")
            && !scope.condition(condition)?
        {
            continue;
        }
        let resource = Resource { kind: kind.text("Type")?.to_owned(), at: entry.at, node: entry.value.clone() };
        scope.resources.insert(entry.key.clone(), resource);
    }
    check_outputs(&scope, &sections.outputs)?;
    let globals = Globals::read(sections.globals)?;
    let order = sections.resources.iter().map(|entry| entry.key.as_str());
    resources::read(&scope, &globals, order, inputs.directory.as_deref(), warnings)
}

/// Evaluates all conditions. They may refer to each other in any order, so a condition that cannot be evaluated yet is
/// tried again in the next round.
fn evaluate_conditions(scope: &mut Scope, conditions: &[Entry]) -> TemplateResult<()> {
    for last_round in (0..conditions.len()).rev().map(|rounds_left| rounds_left == 0) {
        for condition in conditions {
            match scope.evaluate(&condition.value) {
                Ok(holds) => _ = scope.conditions.insert(condition.key.clone(), holds),
                Err(error) if last_round => return Err(error),
                Err(_) => {}
            }
        }
    }
    Ok(())
}

/// Checks the assertions about parameters.
fn check_rules(scope: &Scope, rules: &[Entry]) -> TemplateResult<()> {
    for rule in rules {
        let mut properties = Properties::open("a rule", &rule.key, rule.at, Some(&rule.value))?;
        for assertion in properties.require("Assertions")?.items() {
            let mut assertion = properties.part("Assertions", assertion)?;
            let assert = assertion.require("Assert")?;
            let description = assertion.text("AssertDescription")?.unwrap_or("its assertion is false");
            if !scope.evaluate(assert)? {
                return Err(TemplateError::new(rule.at, format!("rule `{}`: {description}", rule.key)));
            }
            assertion.finish()?;
        }
        properties.finish()?;
    }
    Ok(())
}

/// Checks that outputs refer to something that exists. The local stack does not use their values.
fn check_outputs(scope: &Scope, outputs: &[Entry]) -> TemplateResult<()> {
    for output in outputs {
        let mut properties = Properties::open("an output", &output.key, output.at, Some(&output.value))?;
        properties.take("Description");
        let holds = properties.take("Condition").map(|condition| scope.condition(condition)).transpose()?;
        if holds.unwrap_or(true) {
            scope.resolve(properties.require("Value")?)?;
        }
        if let Some(export) = properties.take("Export") {
            scope.resolve(export)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
