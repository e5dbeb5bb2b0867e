//! The operator's command. It works on any deployment: the local stack, LocalStack, or a stack on AWS by its name. An
//! error is one line on standard error that says what to do.
//!
//! - `deployment.rs` finds the physical names, invokes functions, and reaches queues and tables.
//! - `queue.rs` receives messages and lets others have them again.
//! - `output.rs` prints tables, or JSON with `--json`.
//! - `plan/` is a model of a month's bill. It needs no deployment.
//! - `commands/` has one file for each group of subcommands.

mod commands;
mod deployment;
mod output;
mod plan;
mod queue;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use commands::{account, audit, moderation, plan as planning, quarantine, rebuild, recover, stats, status};
use deployment::{Deployment, Target};
use output::Output;

/// Operates a deployment of Tidings.
#[derive(Debug, Parser)]
#[command(name = "admin", version)]
struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints what a month costs at a given load, and what changes it; needs no deployment
    Plan(planning::PlanArguments),
    #[command(flatten)]
    OnDeployment(DeploymentCommand),
}

#[derive(Debug, Subcommand)]
enum DeploymentCommand {
    /// Shows queues and tables
    Status,
    /// Shows what changes in queues, until it is interrupted
    Watch(status::WatchArguments),
    /// Looks at tasks that failed for good, and decides about them
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// Does at once what streams gave up, without waiting for the function Recover
    Recover,
    /// Compares the read models of a user or a post with the truth, or shows how far the audit of all has come
    Audit(audit::AuditArguments),
    /// Prints what happened on each day: posts, likes, new and active users, tags
    Stats(stats::StatsArguments),
    /// Fills read models anew from the table of commands
    #[command(subcommand)]
    Rebuild(rebuild::Command),
    /// Hides a post from everybody but its author
    TakeDown(moderation::PostArguments),
    /// Shows a post again that was taken down
    Restore(moderation::PostArguments),
    /// Hides everything by a user, and refuses the user's commands
    Suspend(moderation::UserArguments),
    /// Ends a suspension
    Reinstate(moderation::UserArguments),
    /// Ends an author's celebrity status: the posts are copied to followers again
    Demote(moderation::UserArguments),
    /// Writes everything that is stored about a user to standard output, one JSON object in each line
    Export(account::ExportArguments),
    /// Deletes the account of a user, for good
    Erase(account::EraseArguments),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("admin: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(Arguments { target, json, command }: Arguments) -> anyhow::Result<()> {
    let output = Output { json };
    let command = match command {
        Command::Plan(arguments) => return planning::plan(output, &arguments),
        Command::OnDeployment(command) => command,
    };
    let deployment = &Deployment::open(&target).await?;
    match command {
        DeploymentCommand::Status => status::status(deployment, output).await,
        DeploymentCommand::Watch(arguments) => status::watch(deployment, output, &arguments).await,
        DeploymentCommand::Quarantine(command) => quarantine::run(deployment, output, command).await,
        DeploymentCommand::Recover => recover::recover(deployment, output).await,
        DeploymentCommand::Audit(arguments) => audit::audit(deployment, output, &arguments).await,
        DeploymentCommand::Stats(arguments) => stats::stats(deployment, output, &arguments).await,
        DeploymentCommand::Rebuild(command) => rebuild::run(deployment, output, command).await,
        DeploymentCommand::TakeDown(arguments) => moderation::post(deployment, output, "take_down", &arguments).await,
        DeploymentCommand::Restore(arguments) => moderation::post(deployment, output, "restore", &arguments).await,
        DeploymentCommand::Suspend(arguments) => moderation::user(deployment, output, "suspend", &arguments).await,
        DeploymentCommand::Reinstate(arguments) => moderation::user(deployment, output, "reinstate", &arguments).await,
        DeploymentCommand::Demote(arguments) => moderation::demote(deployment, output, &arguments).await,
        DeploymentCommand::Export(arguments) => account::export(deployment, &arguments).await,
        DeploymentCommand::Erase(arguments) => account::erase(deployment, output, &arguments).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_target_is_a_url_or_a_stack() {
        let parse = |arguments: &[&str]| Arguments::try_parse_from([&["admin"], arguments].concat());
        assert!(parse(&["status"]).is_ok());
        assert!(parse(&["--stack", "tidings", "status"]).is_ok());
        assert!(parse(&["--stack", "tidings", "--endpoint", "http://127.0.0.1:4566", "status"]).is_ok());
        assert!(parse(&["--stack", "tidings", "--url", "http://127.0.0.1:3000", "status"]).is_err());
        assert!(parse(&["--endpoint", "http://127.0.0.1:4566", "status"]).is_err(), "which stack?");
    }
}
