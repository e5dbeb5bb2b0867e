//! No subcommand: starts the whole stack, prints how to use it, and stops it when asked.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use aws_limits::{Limits, numbers};
use clap::Args;
use tidings_local::{
    sources::Chaos,
    stack::{Options, Stack},
};

use super::{Common, Template, interrupted};

/// How the stack is started.
#[derive(Debug, Args)]
pub(crate) struct StackArguments {
    /// Port of the HTTP API on 127.0.0.1; 0 picks a free port
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Directory that keeps all data after a restart [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    template: Template,
    /// Deliver some records of streams and queues twice
    #[arg(long)]
    duplicate_records: bool,
    /// Deliver records in every order that AWS allows
    #[arg(long)]
    reorder_records: bool,
    /// Create users who follow each other, and who post, like and comment a few times per second
    #[arg(long)]
    demo: bool,
    /// Milliseconds that each transaction takes; if not 0, transactions on the same item conflict as on AWS
    #[arg(long, value_name = "MS", default_value_t = 0)]
    transaction_ms: u64,
    /// Refuse what a new AWS account with default quotas would refuse, poll as Lambda does, and, unless
    /// --transaction-ms says otherwise, let transactions conflict; --aws-limits=0.01 has a hundredth of all limits on
    /// rates and on what runs at once, which one machine can reach
    #[arg(long, value_name = "FRACTION", num_args = 0..=1, require_equals = true, default_missing_value = "1",
        value_parser = fraction)]
    aws_limits: Option<f64>,
    /// Timeout of every function, whatever the template says
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=900))]
    function_timeout: Option<u64>,
    /// Start a shared cache, if there is redis-server or valkey-server on this machine
    #[arg(long)]
    cache: bool,
    /// Enforce the functions' policies in the template; GET /dev/access lists the permissions that were never used
    #[arg(long)]
    check_access: bool,
    #[command(flatten)]
    common: Common,
}

/// Runs the stack until the process is asked to stop.
pub(crate) async fn run(arguments: StackArguments) -> anyhow::Result<()> {
    arguments.common.log_to_stderr();
    let (verbose, demo) = (arguments.common.verbose > 0, arguments.demo);
    let ending = arguments.common.ending()?;
    tokio::pin!(ending);
    let mut stack = tokio::select! {
        started = Stack::start(options(arguments)?) => started?,
        () = &mut ending => return Ok(()),
    };
    report_warnings(stack.warnings(), verbose);
    print!("{}", greeting(stack.url(), demo));
    if demo {
        stack.demo().start(None);
    }
    let failed = tokio::select! {
        error = stack.failure() => Some(error),
        () = &mut ending => None,
    };
    // A second request stops the process at once, and the processes of the functions with it.
    tokio::select! {
        () = stack.shutdown() => {}
        () = interrupted()? => {}
    }
    failed.map_or(Ok(()), Err)
}

/// A part of AWS's limits.
fn fraction(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(fraction) if fraction > 0.0 && fraction <= 1.0 => Ok(fraction),
        _ => Err("a fraction is more than 0 and at most 1".to_owned()),
    }
}

fn options(arguments: StackArguments) -> anyhow::Result<Options> {
    let transaction_time = match (arguments.transaction_ms, arguments.aws_limits) {
        (0, Some(_)) => numbers::transaction_time(),
        (ms, _) => Duration::from_millis(ms)..=Duration::from_millis(ms),
    };
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
        transaction_time,
        // With as many lanes as this, the stream keeps its shards.
        limits: arguments.aws_limits.map(|fraction| Limits::new_account().scaled(fraction, u32::MAX)),
        function_timeout: arguments.function_timeout.map(Duration::from_secs),
        check_access: arguments.check_access,
        cache: arguments.cache,
        chaos: Chaos { duplicate_records: arguments.duplicate_records, reorder_records: arguments.reorder_records },
    })
}

fn report_warnings(warnings: &[String], verbose: bool) {
    if verbose {
        for warning in warnings {
            eprintln!("warning: {warning}");
        }
    } else if !warnings.is_empty() {
        eprintln!("warning: {} settings of the template have no meaning on one machine; -v lists them", warnings.len());
    }
}

/// The text that says where the stack listens and how to use it. Each command can be pasted into a shell.
fn greeting(url: &str, demo: bool) -> String {
    let demo = match demo {
        true => format!(
            r#"
The demo is running: its users post, like and comment. Stop it with the button on the page, or with:

  curl -s {url}/dev/demo -d '{{"running":false}}'
"#
        ),
        false => String::new(),
    };
    let bearer = r#"-H "Authorization: Bearer $TOKEN""#;
    format!(
        r#"Tidings listens on {url}

Open this address in a browser: it shows a feed, and the system behind it at work. {url}/docs has
the HTTP API.
{demo}
Or paste these lines into a shell to write a post and read it in your feed:

  TOKEN=$(curl -s {url}/dev/token -d '{{"user":"ada"}}' | cut -d'"' -f4)
  curl -s -X PUT {url}/v1/me {bearer} -d '{{"handle":"ada","display_name":"Ada"}}'
  curl -s {url}/v1/posts {bearer} -d '{{"text":"Hello, world"}}' && sleep 1
  curl -s {url}/v1/feeds/home {bearer}

Press Ctrl-C to stop.
"#
    )
}
