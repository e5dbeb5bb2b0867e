//! `dynamodb`: only the embedded DynamoDB server, for systems that have none of their own.

use std::path::PathBuf;

use clap::Args;
use tidings_local::{data_dir::DataDir, servers::dynamodb, stack::bind};

use super::Common;

/// Serves DynamoDB and DynamoDB Streams on this machine, and nothing else.
#[derive(Debug, Args)]
pub(crate) struct DynamodbArguments {
    /// Port on 127.0.0.1; 0 picks a free one.
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Directory in which tables are kept, also over a restart [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Serves until it is asked to end.
pub(crate) async fn run(arguments: DynamodbArguments) -> anyhow::Result<()> {
    arguments.common.log_to_stderr();
    let ending = arguments.common.ending()?;
    // A file rather than memory: only there the records of streams can be indexed and trimmed.
    let data = DataDir::open(arguments.data.as_deref())?;
    let (listener, url) = bind(arguments.port)?;
    println!("DynamoDB listens on {url}");
    dynamodb::serve(listener, Some(&data.path().join("dynamodb.sqlite")), ending).await
}
