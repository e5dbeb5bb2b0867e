//! What a function may do: the inline policies of `AWS::Serverless::Function`. Every statement is read completely, so
//! the model has all permissions.

use super::{
    super::{
        error::{Result, TemplateError},
        properties::Properties,
    },
    super::{model::Statement, node::Node},
    reading::Reading,
};

/// The only key of conditions that the local stack knows. It restricts access to certain partitions of a table.
const LEADING_KEYS: &str = "dynamodb:LeadingKeys";
/// The operators of such conditions. With the second one, a key may end with `*`.
const OPERATORS: [&str; 2] = ["ForAllValues:StringEquals", "ForAllValues:StringLike"];

/// Reads `Policies`. A policy that is only a name, or is one of SAM's templates, is a warning.
pub(super) fn read(reading: &mut Reading<'_>, open: &mut Properties<'_>) -> Result<Vec<Statement>> {
    let mut statements = Vec::new();
    for policy in open.take("Policies").map(Node::items).unwrap_or_default() {
        let inline =
            |node: &Node| node.entries("a policy").is_ok_and(|all| all.iter().any(|entry| entry.key == "Statement"));
        if !inline(policy) {
            reading.warnings.note("AWS::Serverless::Function", reading.id, "a named policy", policy.at);
            continue;
        }
        let mut document = open.part("Policies", policy)?;
        document.one_of("Version", &["2012-10-17"])?;
        for statement in document.require("Statement")?.items() {
            statements.push(read_statement(document.part("Statement", statement)?)?);
        }
        document.finish()?;
    }
    Ok(statements)
}

fn read_statement(mut open: Properties<'_>) -> Result<Statement> {
    open.take("Sid");
    if open.one_of("Effect", &["Allow"])?.is_none() {
        return Err(TemplateError::new(open.at(), "a statement needs an `Effect`"));
    }
    let texts = |node: &Node, what: &str| -> Result<Vec<String>> {
        node.items().iter().map(|item| Ok(item.text(what)?.to_owned())).collect()
    };
    let actions = texts(open.require("Action")?, "an action")?;
    let resources = texts(open.require("Resource")?, "a resource")?;
    let leading_keys = match open.take("Condition") {
        None => None,
        Some(condition) => {
            let mut condition = open.part("Condition", condition)?;
            let [equals, like] = OPERATORS;
            let (name, operator) = match condition.take(like) {
                Some(operator) => (like, operator),
                None => (equals, condition.require(equals)?),
            };
            let mut operator = condition.part(name, operator)?;
            let keys = operator.require(LEADING_KEYS)?;
            let read = texts(keys, LEADING_KEYS)?;
            let is_pattern = |key: &String| key.trim_end_matches('*').contains(['*', '?']) || key.ends_with("**");
            if name == like && read.iter().any(is_pattern) {
                return Err(keys.error("the local stack knows only patterns with one `*` at their end"));
            }
            operator.finish()?;
            condition.finish()?;
            Some(read)
        }
    };
    open.finish()?;
    Ok(Statement { actions, resources, leading_keys })
}
