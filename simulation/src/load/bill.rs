//! What an hour of a scenario costs.

use std::collections::BTreeMap;

use aws_limits::{Limits, prices::Prices};

use super::record::Facts;

const GB: f64 = 1_073_741_824.0;

/// Dollars of an hour at the rates of the whole, by what is paid for. Storage and logs are not among it.
pub(super) fn dollars_per_hour(
    facts: &Facts,
    before: &crate::limits::Used,
    limits: &Limits,
    requests: f64,
    seconds: f64,
    fraction: f64,
) -> BTreeMap<String, f64> {
    let Ok(prices) = Prices::load() else { return BTreeMap::new() };
    let an_hour = 3600.0 / seconds / fraction;
    let mut bill = BTreeMap::new();
    let mut add = |what: String, price: &str, amount: f64| {
        if let Some(dollars) = prices.dollars(price, amount) {
            *bill.entry(what).or_default() += dollars;
        }
    };
    if let Some(used) = &facts.used {
        for (now, before) in used.tables.iter().zip(&before.tables) {
            let name = now.name.trim_start_matches("tidings-");
            let (reads, writes) = (now.read_units - before.read_units, now.write_units - before.write_units);
            add(format!("{name}, reads"), "dynamodb_read_units", reads * an_hour);
            add(format!("{name}, writes"), "dynamodb_write_units", writes * an_hour);
        }
        let bytes_in = used.bus.billed_bytes - before.bus.billed_bytes;
        let bytes_out = used.bus.read_bytes - before.bus.read_bytes;
        add("Kinesis".to_owned(), "kinesis_gb_in", bytes_in / GB * an_hour);
        let read = if limits.enhanced_fan_out { "kinesis_gb_fan_out" } else { "kinesis_gb_out" };
        add("Kinesis".to_owned(), read, bytes_out / GB * an_hour);
    }
    add("Kinesis".to_owned(), "kinesis_hours", 1.0);
    let invocations: f64 = facts.invocations.values().map(|(count, _)| as_float(*count)).sum();
    let gb_seconds: f64 = facts.invocations.values().map(|(_, gb_seconds)| gb_seconds).sum();
    add("Lambda".to_owned(), "lambda_requests", invocations * an_hour);
    add("Lambda".to_owned(), "lambda_gb_seconds", gb_seconds * an_hour);
    add("HTTP API".to_owned(), "api_requests", requests * an_hour);
    add("SQS".to_owned(), "sqs_requests", as_float(facts.queue_calls) * an_hour);
    add("data out".to_owned(), "data_out_gb", as_float(facts.answer_bytes) / GB * an_hour);
    bill.retain(|_, dollars| *dollars > 0.0);
    bill
}

#[expect(clippy::cast_precision_loss, reason = "counts of a scenario are far below 2⁵³")]
fn as_float(count: u64) -> f64 {
    count as f64
}
