//! `AWS::Serverless::Function`.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::model::Function,
    super::{
        error::{Result, TemplateError},
        properties::Properties,
    },
    events::{self, Check},
    policies,
    reading::Reading,
};

/// Lambda's limit for the names and values of a function's environment together.
const ENVIRONMENT_BYTES_MAX: usize = 4096;
/// Variables that Lambda sets. A template must not set them.
const RESERVED: [&str; 8] = [
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "_HANDLER",
];
const RESERVED_PREFIX: &str = "AWS_LAMBDA_";

pub(super) fn read(reading: &mut Reading<'_>, mut open: Properties<'_>) -> Result<(Function, Vec<Check>)> {
    let at = open.at();
    if open.one_of("Runtime", &["provided.al2023", "provided.al2"])?.is_none() {
        return Err(TemplateError::new(at, "AWS::Serverless::Function needs `Runtime`"));
    }
    let binary = read_binary(reading, at)?;
    let code = open.require("CodeUri")?;
    let path = code.text("CodeUri")?;
    if reading.directory.is_some_and(|directory| !directory.join(path).join("Cargo.toml").is_file()) {
        return Err(code.error(format!("there is no Cargo package in `{path}`")));
    }
    let environment = match open.nested("Environment")? {
        Some(environment) => read_environment(environment)?,
        None => BTreeMap::new(),
    };
    let timeout = open.seconds("Timeout", 1..=900)?.unwrap_or(Duration::from_secs(3));
    let memory_mib = open.count("MemorySize", 128..=10_240)?.unwrap_or(128);
    let max_concurrency = open.count("ReservedConcurrentExecutions", 0..=1_000_000)?;
    let provisioned = match open.nested("ProvisionedConcurrencyConfig")? {
        Some(mut config) => {
            let environments = config.count("ProvisionedConcurrentExecutions", 1..=1_000_000)?;
            config.finish()?;
            environments.unwrap_or(0)
        }
        None => 0,
    };
    let allows_recursion = open.one_of("RecursiveLoop", &["Allow", "Terminate"])? == Some("Allow");
    let events = match open.nested("Events")? {
        Some(events) => events::read(reading, events, timeout)?,
        None => events::Events::default(),
    };
    let statements = policies::read(reading, &mut open)?;
    open.take("Description");
    open.ignore(
        reading.warnings,
        &[
            "Architectures",
            "AutoPublishAlias",
            "AutoPublishAliasAllProperties",
            "DeploymentPreference",
            "EphemeralStorage",
            "FunctionName",
            "Handler",
            "KmsKeyArn",
            "LoggingConfig",
            "PropagateTags",
            "Role",
            "Tags",
            "Tracing",
            "VersionDescription",
            "VpcConfig",
        ],
    );
    open.finish()?;
    let function = Function {
        name: reading.id.to_owned(),
        physical_name: reading.name.clone(),
        binary,
        environment,
        timeout,
        memory_mib,
        max_concurrency,
        provisioned,
        allows_recursion,
        routes: events.routes,
        sources: events.sources,
        statements,
    };
    Ok((function, events.checks))
}

/// The binary that `cargo lambda` builds for the function: `Metadata.BuildProperties.Binary`.
fn read_binary(reading: &Reading<'_>, at: super::super::Position) -> Result<String> {
    let kind = "AWS::Serverless::Function.Metadata";
    let mut metadata = Properties::open(kind, reading.id, at, reading.metadata.as_ref())?;
    if metadata.one_of("BuildMethod", &["rust-cargolambda"])?.is_none() {
        return Err(TemplateError::new(at, "a function needs the Metadata `BuildMethod: rust-cargolambda`"));
    }
    let build = metadata.require("BuildProperties")?;
    let mut build = metadata.part("BuildProperties", build)?;
    let binary = build.require("Binary")?.text("Binary")?.to_owned();
    build.finish()?;
    metadata.finish()?;
    Ok(binary)
}

fn read_environment(mut open: Properties<'_>) -> Result<BTreeMap<String, String>> {
    let mut environment = BTreeMap::new();
    let at = open.at();
    if let Some(variables) = open.nested("Variables")? {
        for (name, at, value) in variables.rest() {
            if RESERVED.contains(&name) || name.starts_with(RESERVED_PREFIX) {
                return Err(TemplateError::new(at, format!("Lambda does not let a function set `{name}`")));
            }
            environment.insert(name.to_owned(), value.text("a variable")?.to_owned());
        }
    }
    open.finish()?;
    let bytes: usize = environment.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > ENVIRONMENT_BYTES_MAX {
        let message = format!("an environment has at most {ENVIRONMENT_BYTES_MAX} bytes, this has {bytes}");
        return Err(TemplateError::new(at, message));
    }
    Ok(environment)
}
