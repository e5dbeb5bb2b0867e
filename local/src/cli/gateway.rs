//! `gateway`: runs only the HTTP API, in front of functions that another endpoint runs.

use std::collections::BTreeMap;

use clap::Args;
use tidings_local::remote::{Endpoint, Options, RemoteGateway};

use super::{Common, Template};

/// Runs only the HTTP API, for an endpoint that runs the functions but has no HTTP API
#[derive(Debug, Args)]
pub(crate) struct GatewayArguments {
    /// URL of the endpoint's Lambda and CloudFormation, for example http://127.0.0.1:4566
    #[arg(long, value_name = "URL")]
    endpoint: String,
    /// Name of the CloudFormation stack with the functions
    #[arg(long, default_value = "tidings")]
    stack: String,
    /// Port of the HTTP API on 127.0.0.1; 0 picks a free port
    #[arg(long, default_value_t = 3000)]
    port: u16,
    #[command(flatten)]
    template: Template,
    #[command(flatten)]
    common: Common,
}

/// Serves until the process is asked to stop.
pub(crate) async fn run(arguments: GatewayArguments) -> anyhow::Result<()> {
    arguments.common.log_to_stderr();
    let ending = arguments.common.ending()?;
    let options = Options {
        template: arguments.template.find()?,
        port: arguments.port,
        parameters: arguments.template.parameters.into_iter().collect::<BTreeMap<_, _>>(),
        endpoint: Endpoint::from_env(&arguments.endpoint)?,
        stack: arguments.stack,
    };
    let gateway = RemoteGateway::open(options).await?;
    println!("Tidings listens on {}", gateway.url());
    gateway.serve(ending).await
}
