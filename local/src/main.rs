//! The command line of the local stack. Without a subcommand it runs the whole stack. Each subcommand runs one part of
//! the stack, for systems that lack this part. An error at start is one line on standard error.

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cli::{dynamodb, gateway, stack};

/// The C library's allocator took an eighth of this process's time for a request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs Tidings on this machine, from the same template that deploys it to AWS.
#[derive(Debug, Parser)]
#[command(name = "tidings-local", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    stack: stack::StackArguments,
}

#[derive(Debug, Subcommand)]
enum Part {
    Gateway(gateway::GatewayArguments),
    Dynamodb(dynamodb::DynamodbArguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let ended = runtime.block_on(async {
        match arguments.part {
            None => stack::run(arguments.stack).await,
            Some(Part::Gateway(arguments)) => gateway::run(arguments).await,
            Some(Part::Dynamodb(arguments)) => dynamodb::run(arguments).await,
        }
    });
    // Do not wait for threads that are blocked by a file or by a name lookup.
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
