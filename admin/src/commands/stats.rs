//! `stats`: what happened on each day, for the whole deployment.

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tidings::model::limits::{STATISTICS_DAYS_ASKED_MAX, TOP_TAGS_MAX};

use crate::{deployment::Deployment, output::Output};

/// The columns, in their order. The last one has the tags.
const COLUMNS: [&str; 10] =
    ["day", "posts", "comments", "likes", "follows", "unfollows", "deletions", "new_users", "active_users", "top_tags"];

/// What is printed.
#[derive(Debug, Args)]
pub(crate) struct StatsArguments {
    /// The first day in UTC, such as 2026-11-20 [default: a week ends with --to]
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// The last day in UTC [default: today]
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// How many tags of each day to print
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    tags: usize,
    /// How to print [default: a table, or JSON with --json]
    #[arg(long)]
    format: Option<Format>,
}

/// How statistics are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table for people.
    Table,
    /// Comma-separated values (RFC 4180).
    Csv,
    /// JSON.
    Json,
}

/// Prints the statistics of some days.
pub(crate) async fn stats(
    deployment: &Deployment,
    output: Output,
    StatsArguments { from, to, tags, format }: &StatsArguments,
) -> anyhow::Result<()> {
    anyhow::ensure!(*tags <= TOP_TAGS_MAX, "--tags must be at most {TOP_TAGS_MAX}");
    let request = json!({ "site": { "from": from, "to": to, "tags": tags } });
    let answer = deployment.ask("ReadStatistics", &request).await;
    let answer = answer.with_context(|| {
        format!("the statistics cannot be read; give days as 2026-11-20, at most {STATISTICS_DAYS_ASKED_MAX} of them")
    })?;
    let days = answer["days"].as_array().context("the answer has no days; look at the log of ReadStatistics")?;
    match format.unwrap_or(if output.json { Format::Json } else { Format::Table }) {
        Format::Json => println!("{answer}"),
        Format::Csv => print!("{}", csv(days)),
        Format::Table => Output { json: false }.rows(&COLUMNS, &days.iter().map(row).collect::<Vec<_>>()),
    }
    Ok(())
}

/// A day with its tags in one cell: `#rust 3, #aws 1`.
fn row(day: &Value) -> Value {
    let tag = |tag: &Value| format!("#{} {}", tag["tag"].as_str().unwrap_or_default(), tag["posts"]);
    let tags: Vec<_> = day["top_tags"].as_array().into_iter().flatten().map(tag).collect();
    let mut row = day.clone();
    row["top_tags"] = tags.join(", ").into();
    row
}

/// The days as comma-separated values, with a line of names first. Lines end as RFC 4180 says.
fn csv(days: &[Value]) -> String {
    let cell = |value: &Value| match value {
        Value::String(text) if text.contains([',', '"', '\r', '\n']) => format!("\"{}\"", text.replace('"', "\"\"")),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let line = |day: &Value| {
        let row = row(day);
        format!("{}\r\n", COLUMNS.map(|name| cell(&row[name])).join(","))
    };
    format!("{}\r\n", COLUMNS.join(",")) + &days.iter().map(line).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day() -> Value {
        json!({
            "day": "2026-11-26", "posts": 3, "comments": 1, "likes": 4, "follows": 2, "unfollows": 0, "deletions": 0,
            "new_users": 1, "active_users": 2, "top_tags": [{"tag": "rust", "posts": 2}, {"tag": "aws", "posts": 1}],
        })
    }

    #[test]
    fn tags_are_one_cell() {
        assert_eq!(row(&day())["top_tags"], "#rust 2, #aws 1");
    }

    #[test]
    fn a_cell_with_a_comma_is_quoted() {
        let expected = "day,posts,comments,likes,follows,unfollows,deletions,new_users,active_users,top_tags\r\n\
                        2026-11-26,3,1,4,2,0,0,1,2,\"#rust 2, #aws 1\"\r\n";
        assert_eq!(csv(&[day()]), expected);
    }
}
