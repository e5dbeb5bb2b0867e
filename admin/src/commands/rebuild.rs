//! `rebuild`: fills read models from the table `Commands`, beside the tables that are read or in place. The function
//! Rebuild starts it, and Deliver takes its steps, so nothing here has to go on running.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::require_yes;
use crate::{deployment::Deployment, output::Output};

/// The function.
const FUNCTION: &str = "Rebuild";
/// How often the progress is asked for.
const INTERVAL: Duration = Duration::from_secs(2);

/// What to do about a rebuild.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tells which tables are read, and how far a rebuild is
    Status,
    /// Prints how far the rebuild is, whenever that changes, until it has ended
    Progress,
    /// Starts a rebuild
    Start(StartArguments),
    /// Sends the next step of each segment again, if messages were lost
    Resume,
    /// Ends a rebuild before readers switch to it, and empties what it has filled
    Cancel(CancelArguments),
}

/// How a rebuild is started.
#[derive(Debug, Args)]
pub(crate) struct StartArguments {
    /// Models to fill, separated by commas [default: all]
    #[arg(long, value_delimiter = ',')]
    models: Vec<Model>,
    /// Fill the tables that are read, because what was in them is lost
    #[arg(long)]
    in_place: bool,
    /// Parts of the command table that are worked on at once
    #[arg(long, default_value_t = 8)]
    segments: u32,
    /// Read and write units in each second that the rebuild may use
    #[arg(long, default_value_t = 1000)]
    units_per_second: u32,
    /// Yes: in the end, the tables that are not read any more are emptied
    #[arg(long)]
    yes: bool,
}

/// How a rebuild is cancelled.
#[derive(Debug, Args)]
pub(crate) struct CancelArguments {
    /// Yes: what was filled is emptied again
    #[arg(long)]
    yes: bool,
}

/// A read model.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Model {
    Timelines,
    Viewers,
    Cards,
    Search,
}

impl Model {
    fn name(self) -> &'static str {
        match self {
            Self::Timelines => "timelines",
            Self::Viewers => "viewers",
            Self::Cards => "cards",
            Self::Search => "search",
        }
    }
}

/// Does what the operator asks for.
pub(crate) async fn run(deployment: &Deployment, output: Output, command: Command) -> anyhow::Result<()> {
    let request = match command {
        Command::Status => {
            print(output, &status(deployment).await?);
            return Ok(());
        }
        Command::Progress => return progress(deployment, output).await,
        Command::Start(arguments) => {
            require_yes(arguments.yes, "what a rebuild empties in the end")?;
            start(&arguments)
        }
        Command::Resume => json!({ "action": "resume" }),
        Command::Cancel(CancelArguments { yes }) => {
            require_yes(yes, "what a cancelled rebuild empties")?;
            json!({ "action": "cancel" })
        }
    };
    print(output, &deployment.invoke(FUNCTION, &request).await?);
    Ok(())
}

fn start(arguments: &StartArguments) -> Value {
    json!({
        "action": "start", "models": arguments.models.iter().map(|model| model.name()).collect::<Vec<_>>(),
        "in_place": arguments.in_place, "segments": arguments.segments,
        "units_per_second": arguments.units_per_second,
    })
}

/// Which tables are read, and how far a rebuild is.
async fn status(deployment: &Deployment) -> anyhow::Result<Value> {
    deployment.ask(FUNCTION, &json!({ "action": "status" })).await
}

/// Prints the status whenever it has changed.
async fn progress(deployment: &Deployment, output: Output) -> anyhow::Result<()> {
    let mut last = Value::Null;
    loop {
        let status = status(deployment).await?;
        let has_ended = status["rebuild"].is_null();
        if status != last {
            match (output.json, has_ended) {
                (true, _) => println!("{status}"),
                (false, true) => print(output, &status),
                (false, false) => println!("{}", line(&status["rebuild"])),
            }
        }
        if has_ended {
            return Ok(());
        }
        last = status;
        sleep(INTERVAL).await;
    }
}

/// How far a rebuild is, in one line.
fn line(rebuild: &Value) -> String {
    let (phase, done) = (rebuild["phase"].as_str().unwrap_or_default(), &rebuild["done"]);
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let units = number(&done["read_units"]) + number(&done["write_units"]);
    let begins = match rebuild["last_step_at"].as_str() {
        Some(_) => String::new(),
        None => format!(", first step at {}", rebuild["work_begins_at"].as_str().unwrap_or("?")),
    };
    format!(
        "{phase}: {} of {} segments; so far {} users, {} counters, {} follows, {} likes, {} rows in homes, {} items \
         emptied, {units} units{begins}",
        number(&rebuild["segments_done"]),
        number(&rebuild["segments"]),
        number(&done["users"]),
        number(&done["tallies"]),
        number(&done["follows"]),
        number(&done["likes"]),
        number(&done["home_rows"]),
        number(&done["cleared"]),
    )
}

/// Prints the status.
fn print(output: Output, status: &Value) {
    if output.json {
        return output.object(status);
    }
    let mut shown = json!({ "tables that are read": status["active"] });
    let last = &status["last"];
    shown["rebuild"] = match &status["rebuild"] {
        Value::Null => Value::Null,
        rebuild => line(rebuild).into(),
    };
    if let (Some(began), Some(ended)) = (last["started_at"].as_str(), last["ended_at"].as_str()) {
        let end = if last["cancelled"] == true { "cancelled" } else { "complete" };
        shown["last rebuild"] = format!("{end}, from {began} to {ended}").into();
    }
    output.object(&shown);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_a_rebuild_is_and_when_its_work_begins() {
        let rebuild = json!({
            "phase": "fill", "segments": 8, "segments_done": 3, "work_begins_at": "2026-01-01T00:00:00Z",
            "last_step_at": null,
            "done": {"users": 5, "tallies": 4, "follows": 0, "likes": 3, "home_rows": 7, "cleared": 1,
                "read_units": 20, "write_units": 22},
        });
        assert_eq!(
            line(&rebuild),
            "fill: 3 of 8 segments; so far 5 users, 4 counters, 0 follows, 3 likes, 7 rows in homes, 1 items \
             emptied, 42 units, first step at 2026-01-01T00:00:00Z"
        );
    }
}
