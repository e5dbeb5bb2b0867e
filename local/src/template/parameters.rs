//! The template's parameters: their values, and CloudFormation's checks of the values.

use std::collections::BTreeMap;

use super::{
    LoadError,
    error::{Position, TemplateError},
    node::{Entry, Node, Value},
    properties::{Properties, Warnings},
};

/// Values of parameters.
#[derive(Debug, Clone, Default)]
pub struct Values {
    /// Values from the user. A name that the template does not have is an error.
    pub given: BTreeMap<String, String>,
    /// Values from the local stack, for parameters without a value from the user. They replace the template's defaults,
    /// which are meant for AWS.
    pub supplied: BTreeMap<String, String>,
}

/// The value of each parameter in the section: the user's, or the local stack's, or the default.
pub(super) fn read(
    section: &[Entry],
    values: &Values,
    warnings: &mut Warnings,
) -> Result<BTreeMap<String, Node>, ParameterError> {
    if let Some(name) = values.given.keys().find(|name| section.iter().all(|entry| &entry.key != *name)) {
        let known: Vec<_> = section.iter().map(|entry| entry.key.as_str()).collect();
        let reason = format!("the template has no such parameter; it has {}", known.join(", "));
        return Err(ParameterError::Given { name: name.clone(), reason });
    }
    section.iter().map(|entry| Ok((entry.key.clone(), value(entry, values, warnings)?))).collect()
}

fn value(entry: &Entry, values: &Values, warnings: &mut Warnings) -> Result<Node, ParameterError> {
    let name = &entry.key;
    let mut declaration = Properties::open("a parameter", name, entry.at, Some(&entry.value))?;
    let kind = declaration.require("Type")?;
    let default = declaration.take("Default");
    let given = values.given.get(name);
    let (text, at) = match (given, default, values.supplied.get(name)) {
        (Some(given), ..) => (given.clone(), entry.at),
        (_, _, Some(supplied)) => (supplied.clone(), entry.at),
        (_, Some(default), _) => (default.text("a default")?.to_owned(), default.at),
        _ if declared_empty(&entry.value) => (String::new(), entry.at),
        _ => {
            let message = format!("parameter `{name}` has no default; give it with --parameter {name}=VALUE");
            return Err(TemplateError::new(entry.at, message).into());
        }
    };
    let refuse = |reason: String| match given {
        Some(_) => ParameterError::Given { name: name.clone(), reason },
        None => TemplateError::new(at, format!("parameter `{name}`: {reason}")).into(),
    };
    check(&mut declaration, kind.text("Type")?, &text).map_err(|failure| match failure {
        Failure::Value(reason) => refuse(reason),
        Failure::Declaration(error) => error.into(),
    })?;
    for documentation in ["Description", "NoEcho", "ConstraintDescription"] {
        declaration.take(documentation);
    }
    // This check would need regular expressions in Java's dialect.
    declaration.ignore(warnings, &["AllowedPattern"]);
    declaration.finish()?;
    typed(kind, text, at)
}

/// `Default:` without a value is an empty default.
fn declared_empty(declaration: &Node) -> bool {
    super::scope::find(declaration, "Default").is_some()
}

fn check(declaration: &mut Properties<'_>, kind: &str, text: &str) -> Result<(), Failure> {
    let allowed = declaration.texts("AllowedValues")?;
    if !allowed.is_empty() && !allowed.iter().any(|allowed| allowed == text) {
        return Err(Failure::Value(format!("must be one of {}", allowed.join(", "))));
    }
    let length = text.chars().count();
    if let Some(least) = declaration.count("MinLength", 0..=u32::MAX)?.filter(|least| length < *least as usize) {
        return Err(Failure::Value(format!("must have at least {least} characters")));
    }
    if let Some(most) = declaration.count("MaxLength", 0..=u32::MAX)?.filter(|most| length > *most as usize) {
        return Err(Failure::Value(format!("must have at most {most} characters")));
    }
    let number: Option<f64> = text.parse().ok();
    if kind == "Number" && number.is_none() {
        return Err(Failure::Value(format!("must be a number, not `{text}`")));
    }
    let value = number.unwrap_or_default();
    let limits = i64::from(i32::MIN)..=i64::from(i32::MAX);
    if let Some(least) = declaration.number("MinValue", limits.clone())?.filter(|least| value < *least as f64) {
        return Err(Failure::Value(format!("must be at least {least}")));
    }
    if let Some(most) = declaration.number("MaxValue", limits)?.filter(|most| value > *most as f64) {
        return Err(Failure::Value(format!("must be at most {most}")));
    }
    Ok(())
}

fn typed(kind: &Node, text: String, at: Position) -> Result<Node, ParameterError> {
    let value = match kind.text("Type")? {
        "String" | "Number" => Value::Scalar(text),
        "CommaDelimitedList" | "List<Number>" => {
            Value::List(text.split(',').map(|item| Node { at, value: Value::Scalar(item.trim().to_owned()) }).collect())
        }
        other => {
            let message = format!("the local stack does not know the parameter type `{other}`");
            return Err(kind.error(message).into());
        }
    };
    Ok(Node { at, value })
}

enum Failure {
    /// The value is not allowed.
    Value(String),
    /// The declaration is wrong.
    Declaration(TemplateError),
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Self {
        Self::Declaration(error)
    }
}

/// A parameter without a valid value.
#[derive(Debug)]
pub(super) enum ParameterError {
    Given { name: String, reason: String },
    Template(TemplateError),
}

impl From<TemplateError> for ParameterError {
    fn from(error: TemplateError) -> Self {
        Self::Template(error)
    }
}

impl ParameterError {
    pub(super) fn in_file(self, file: &str) -> LoadError {
        match self {
            Self::Given { name, reason } => LoadError::Parameter { name, reason },
            Self::Template(error) => LoadError::Template { file: file.into(), error },
        }
    }
}
