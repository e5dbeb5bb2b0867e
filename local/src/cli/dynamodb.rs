//! `dynamodb`: runs only the embedded DynamoDB server, for systems that lack a DynamoDB.

use std::path::PathBuf;

use clap::Args;
use tidings_local::{data_dir::DataDir, observe::Observer, servers::dynamodb, stack::bind};

use super::Common;

/// Runs only DynamoDB and DynamoDB Streams on this machine
#[derive(Debug, Args)]
pub(crate) struct DynamodbArguments {
    /// Port on 127.0.0.1; 0 picks a free port
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Directory that keeps the tables after a restart [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Serves until the process is asked to stop.
pub(crate) async fn run(arguments: DynamodbArguments) -> anyhow::Result<()> {
    arguments.common.log_to_stderr();
    let ending = arguments.common.ending()?;
    // A file, not memory: dynoxide's stream records can be indexed and trimmed only in a file.
    let data = DataDir::open(arguments.data.as_deref())?;
    let (listener, url) = bind(arguments.port)?;
    println!("DynamoDB listens on {url}");
    dynamodb::serve(listener, Some(&data.path().join("dynamodb.sqlite")), Observer::default(), ending).await
}
