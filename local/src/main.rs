//! The command line of the local stack: reads arguments, starts the stack, says how to use it, and ends it when asked.
//! Whatever goes wrong at start is one line on standard error.

use std::{collections::BTreeMap, env, io::IsTerminal, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{ArgAction, Parser};
use tidings_local::{
    sources::Chaos,
    stack::{Options, Stack},
};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How soon a stack notices that its parent is gone.
const PARENT_POLL: Duration = Duration::from_millis(200);

/// Runs Tidings on this machine, from the template that deploys it to AWS.
#[derive(Debug, Parser)]
#[command(name = "tidings-local", version)]
struct Arguments {
    /// Port of the HTTP API on 127.0.0.1; 0 picks a free one.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Directory in which everything is kept, also over a restart [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Value of a template parameter; may be repeated.
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parse_parameter)]
    parameters: Vec<(String, String)>,
    /// The template [default: template.yaml here or in a directory above].
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
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
    /// End when the process that started this one ends.
    #[arg(long)]
    exit_with_parent: bool,
    /// Log more on standard error: -v what happens, -vv more of it.
    #[arg(short, action = ArgAction::Count)]
    verbose: u8,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let ended = runtime.block_on(run(arguments));
    // Threads that still block, on a file or a name, must not hold up the end.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("tidings-local: {error:#}");
    ExitCode::FAILURE
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    log_to_stderr(arguments.verbose);
    let verbose = arguments.verbose > 0;
    let ending = ending(arguments.exit_with_parent)?;
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

fn options(arguments: Arguments) -> anyhow::Result<Options> {
    let template = match arguments.template {
        Some(template) => template,
        None => find_template()?,
    };
    Ok(Options {
        template,
        port: arguments.port,
        data: arguments.data,
        parameters: arguments.parameters.into_iter().collect::<BTreeMap<_, _>>(),
        function_log_level: match arguments.verbose {
            0 => "warn",
            1 => "info",
            _ => "debug",
        },
        transaction_time: Duration::from_millis(arguments.transaction_ms),
        check_access: arguments.check_access,
        chaos: Chaos { duplicate_records: arguments.duplicate_records, reorder_records: arguments.reorder_records },
    })
}

/// As cargo finds its manifest: here, or in the nearest directory above.
fn find_template() -> anyhow::Result<PathBuf> {
    const NAME: &str = "template.yaml";
    let here = env::current_dir().context("cannot tell the current directory")?;
    if here.join(NAME).is_file() {
        return Ok(NAME.into());
    }
    let above = here.ancestors().map(|directory| directory.join(NAME)).find(|path| path.is_file());
    above.context("there is no template.yaml here or above; name one with --template FILE")
}

fn parse_parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The libraries that are served here log every refused request, which is the business of whoever made it.
fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => "warn,dynoxide=off,ferrokinesis=error",
        1 => "info,dynoxide=warn,ferrokinesis=warn",
        _ => "info,tidings_local=debug",
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(verbose > 1)
        .init();
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

/// Completes when the stack is to end: Ctrl-C, SIGTERM, or the end of the parent if that counts.
fn ending(with_parent: bool) -> anyhow::Result<impl Future<Output = ()>> {
    let interrupted = interrupted()?;
    Ok(async move {
        tokio::select! {
            () = interrupted => {}
            () = orphaned(), if with_parent => {}
        }
    })
}

fn interrupted() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Completes when another process has become the parent of this one. Asked now and then rather than by a parent-death
/// signal, which would come when the *thread* ends that started this process.
async fn orphaned() {
    let parent = rustix::process::getppid();
    while rustix::process::getppid() == parent {
        tokio::time::sleep(PARENT_POLL).await;
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
