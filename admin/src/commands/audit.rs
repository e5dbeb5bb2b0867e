//! `audit`: compares read models with the command table, and sends tasks that repair what is wrong.

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use tidings::model::Timestamp;

use super::post_id;
use crate::{deployment::Deployment, output::Output};

/// What is audited.
#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    /// A user: the id, or @handle
    #[arg(long, value_name = "USER", conflicts_with = "post")]
    user: Option<String>,
    /// A post
    #[arg(long, value_name = "ID")]
    post: Option<String>,
    /// Repair what is wrong. Without --user or --post, go through all tables
    #[arg(long)]
    repair: bool,
}

/// Looks at a user or a post at once. Without one, shows how far the audit of all tables has come.
pub(crate) async fn audit(
    deployment: &Deployment,
    output: Output,
    AuditArguments { user, post, repair }: &AuditArguments,
) -> anyhow::Result<()> {
    let request = match (user, post) {
        (Some(user), _) => json!({ "user": { "user": user, "repair": repair } }),
        (None, Some(post)) => json!({ "post": { "post": post_id(post)?, "repair": repair } }),
        (None, None) if *repair => json!({ "sweep": {} }),
        (None, None) => json!({ "state": {} }),
    };
    let answer =
        if *repair { deployment.invoke("Audit", &request).await? } else { deployment.ask("Audit", &request).await? };
    if output.json {
        output.object(&answer);
        return Ok(());
    }
    let Some(findings) = answer["findings"].as_array() else {
        output.object(&state(&answer)?);
        return Ok(());
    };
    if findings.is_empty() {
        println!("nothing is wrong");
        return Ok(());
    }
    output.rows(&["kind", "repair"], findings);
    match (*repair, answer["repairs"].as_u64()) {
        (true, Some(sent)) => eprintln!("{sent} tasks were sent; look again in a moment"),
        _ => eprintln!("nothing was changed; --repair sends these tasks"),
    }
    Ok(())
}

/// What is shown of the audit's state.
fn state(state: &Value) -> anyhow::Result<Value> {
    let at = |name: &str| state[name].as_u64().map(|at| Timestamp::from_ms(at).to_string());
    let position = match &state["position"] {
        Value::Null => "between two rounds".to_owned(),
        position => format!("in the table {}", position["table"].as_str().context("the position has no table")?),
    };
    Ok(json!({
        "round": state["round"],
        "position": position,
        "round_began_at": at("round_began_at"),
        "last_run_at": at("last_run_at"),
        "checked": state["checked"],
        "found": state["found"],
        "sweep_requested_at": at("sweep_requested_at"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_shown_with_readable_times() {
        let shown = state(&json!({
            "round": 2, "position": { "table": "viewers", "after": null }, "round_began_at": 0, "last_run_at": null,
            "checked": 7, "found": { "log_behind": 1 }, "sweep_requested_at": 1000,
        }));
        let expected = json!({
            "round": 2, "position": "in the table viewers", "round_began_at": "1970-01-01T00:00:00.000Z",
            "last_run_at": null, "checked": 7, "found": { "log_behind": 1 },
            "sweep_requested_at": "1970-01-01T00:00:01.000Z",
        });
        assert_eq!(shown.unwrap(), expected);
    }
}
