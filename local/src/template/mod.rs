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

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

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
    /// Where the template's relative paths lead to.
    pub files: Files,
}

/// Where the relative paths in a template lead to.
#[derive(Debug, Clone)]
pub enum Files {
    /// A directory. The templates of nested stacks are read from it, and code has to be there.
    Directory(PathBuf),
    /// The templates of nested stacks by their paths. Nobody looks for code.
    Texts(BTreeMap<String, String>),
}

impl Files {
    fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(directory) => Some(directory),
            Self::Texts(_) => None,
        }
    }

    fn read(&self, path: &str) -> std::io::Result<String> {
        match self {
            Self::Directory(directory) => std::fs::read_to_string(directory.join(path)),
            Self::Texts(texts) => texts.get(path).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into()),
        }
    }
}

/// Reads the template at `path`. Relative paths in the template start at its directory.
///
/// # Errors
/// If the template cannot be read, is wrong, or contains something that the local stack does not know.
pub fn load(path: &Path, values: Values, addresses: Addresses) -> Result<System, LoadError> {
    let file = path.display().to_string();
    let source = std::fs::read_to_string(path).map_err(|error| LoadError::Read { file: file.clone(), error })?;
    let files = Files::Directory(path.parent().map(Path::to_owned).unwrap_or_default());
    parse(&file, &source, &Inputs { values, addresses, files })
}

/// Reads the template in `source`. Errors and warnings call it `file`.
///
/// # Errors
/// If the template is wrong, or contains something that the local stack does not know.
pub fn parse(file: &str, source: &str, inputs: &Inputs) -> Result<System, LoadError> {
    parse_as(file, source, inputs, Level::Root).map(|stack| stack.system)
}

/// Reads the template of a nested stack.
fn parse_nested(file: &str, source: &str, inputs: &Inputs) -> Result<Stack, LoadError> {
    parse_as(file, source, inputs, Level::Nested)
}

/// What a template is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// The template that is deployed. It has SAM's transform.
    Root,
    /// The template of a nested stack. It is plain CloudFormation, without nested stacks of its own.
    Nested,
}

/// A template that was read.
struct Stack {
    /// What is in it and in its nested stacks.
    system: System,
    /// The logical ids of its own resources.
    ids: BTreeSet<String>,
    outputs: BTreeMap<String, String>,
}

fn parse_as(file: &str, source: &str, inputs: &Inputs, level: Level) -> Result<Stack, LoadError> {
    let wrong = |error| LoadError::Template { file: file.into(), error };
    let mut warnings = Warnings::default();
    let root = Node::parse(source).map_err(wrong)?;
    let mut sections = Sections::read(&root, level, &mut warnings).map_err(wrong)?;

    let mut scope = Scope::new(inputs.addresses.clone());
    scope.parameters =
        parameters::read(&sections.parameters, &inputs.values, &mut warnings).map_err(|error| error.in_file(file))?;
    scope.mappings = std::mem::take(&mut sections.mappings).into_iter().map(|map| (map.key, map.value)).collect();
    let mut stack = read_resources(scope, &sections, inputs, level, &mut warnings).map_err(wrong)?;
    stack.system.warnings.extend(warnings.into_lines(file));
    Ok(stack)
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
    fn read(root: &'node Node, level: Level, warnings: &mut Warnings) -> TemplateResult<Self> {
        let mut top = Properties::open("the template", "template", root.at, Some(root))?;
        for documentation in ["AWSTemplateFormatVersion", "Description"] {
            top.take(documentation);
        }
        if level == Level::Root {
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
    level: Level,
    warnings: &mut Warnings,
) -> TemplateResult<Stack> {
    evaluate_conditions(&mut scope, &sections.conditions)?;
    check_rules(&scope, &sections.rules)?;
    for entry in &sections.resources {
        let kind = find(&entry.value, "Type")
            .ok_or_else(|| TemplateError::new(entry.at, format!("resource `{}` needs a `Type`", entry.key)))?;
        resources::check_kind(kind, level)?;
        if let Some(condition) = find(&entry.value, "Condition")
            && !scope.condition(condition)?
        {
            continue;
        }
        let resource = Resource { kind: kind.text("Type")?.to_owned(), at: entry.at, node: entry.value.clone() };
        scope.resources.insert(entry.key.clone(), resource);
    }
    let nested = resources::nested::read_all(&mut scope, inputs)?;
    let outputs = read_outputs(&scope, &sections.outputs)?;
    let globals = Globals::read(sections.globals)?;
    let order = sections.resources.iter().map(|entry| entry.key.as_str());
    let system = resources::read(nested, &scope, &globals, order, inputs.files.directory(), warnings)?;
    Ok(Stack { system, ids: scope.resources.into_keys().collect(), outputs })
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

/// The values of the outputs. Those of the template that is deployed are only checked: they have to refer to something
/// that exists.
fn read_outputs(scope: &Scope, outputs: &[Entry]) -> TemplateResult<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    for output in outputs {
        let mut properties = Properties::open("an output", &output.key, output.at, Some(&output.value))?;
        properties.take("Description");
        let holds = properties.take("Condition").map(|condition| scope.condition(condition)).transpose()?;
        if holds.unwrap_or(true) {
            let value = scope.resolve(properties.require("Value")?)?;
            values.insert(output.key.clone(), value.text("an output")?.to_owned());
        }
        if let Some(export) = properties.take("Export") {
            scope.resolve(export)?;
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests;
