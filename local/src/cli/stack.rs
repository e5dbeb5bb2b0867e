//! Without a subcommand: starts the whole stack, says how to use it, and ends it when asked.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use clap::Args;
use tidings_local::{
    sources::Chaos,
    stack::{Options, Stack},
};

use super::{Common, Template, interrupted};

/// How the stack is started.
#[derive(Debug, Args)]
pub(crate) struct StackArguments {
    /// Port of the HTTP API on 127.0.0.1; 0 picks a free one.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Directory in which everything is kept, also over a restart [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    template: Template,
    /// Deliver records of streams and queues a second time now and then.
    #[arg(long)]
    duplicate_records: bool,
    /// Deliver records in another order, as far as AWS does not promise one.
    #[arg(long)]
    reorder_records: bool,
    /// Let transactions take this long, and conflict with each other as on AWS; 0 for neither.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    transaction_ms: u64,
    /// Let functions do only what their policies in the template allow; GET /dev/access tells what they made no use of.
    #[arg(long)]
    check_access: bool,
    #[command(flatten)]
    common: Common,
}

/// Runs the stack until it is asked to end.
pub(crate) async fn run(arguments: StackArguments) -> anyhow::Result<()> {
    arguments.common.log_to_stderr();
    let verbose = arguments.common.verbose > 0;
    let ending = arguments.common.ending()?;
    tokio::pin!(ending);
    let mut stack = tokio::select! {
        started = Stack::start(options(arguments)?) => started?,
        () = &mut ending => return Ok(()),
    };
    report_warnings(stack.warnings(), verbose);
    print!("{}", greeting(stack.url()));
    let failed = tokio::select! {
        error = stack.failure() => Some(error),
        () = &mut ending => None,
    };
    // Asked twice, it ends at once; the functions' processes end with it.
    tokio::select! {
        () = stack.shutdown() => {}
        () = interrupted()? => {}
    }
    failed.map_or(Ok(()), Err)
}

fn options(arguments: StackArguments) -> anyhow::Result<Options> {
    Ok(Options {
        template: arguments.template.find()?,
        port: arguments.port,
        data: arguments.data,
        parameters: arguments.template.parameters.into_iter().collect::<BTreeMap<_, _>>(),
        function_log_level: match arguments.common.verbose {
            0 => "warn",
            1 => "info",
            _ => "debug",
        },
        transaction_time: Duration::from_millis(arguments.transaction_ms),
        check_access: arguments.check_access,
        chaos: Chaos { duplicate_records: arguments.duplicate_records, reorder_records: arguments.reorder_records },
    })
}

fn report_warnings(warnings: &[String], verbose: bool) {
    if verbose {
        for warning in warnings {
            eprintln!("warning: {warning}");
        }
    } else if !warnings.is_empty() {
        eprintln!("warning: {} things in the template have no meaning on one machine; -v names them", warnings.len());
    }
}

/// Says where the stack listens, and how to use it: each command can be pasted into a shell.
fn greeting(url: &str) -> String {
    format!(
        r#"Tidings listens on {url}

  TOKEN=$(curl -s {url}/dev/token -d '{{"user":"ada"}}' | cut -d'"' -f4)
  curl -s -X PUT {url}/v1/me -H "Authorization: Bearer $TOKEN" -d '{{"handle":"ada","display_name":"Ada"}}'
  curl -s {url}/v1/posts -H "Authorization: Bearer $TOKEN" -d '{{"text":"Hello, world"}}' && sleep 1 && curl -s {url}/v1/feeds/home -H "Authorization: Bearer $TOKEN"

Ctrl-C ends it.
"#
    )
}
