//! What a scenario costs.

use std::collections::BTreeMap;

use aws_limits::{Limits, prices::Prices};

use super::record::Totals;
use crate::limits::Used;

const GB: f64 = 1_073_741_824.0;
/// What compression leaves of pages, measured on real posts (docs/costs.md). The texts of a scenario are all alike, so
/// nothing is compressed in it.
const COMPRESSED: f64 = 0.33;

/// For which time something is paid, and how many such times the bill is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// Its hours.
    pub(super) hours: f64,
    /// What its amounts are multiplied by.
    pub(super) times: f64,
}

/// Dollars of what was used beyond `before`, by what is paid for. `ready_gb` is the memory of processes that are kept
/// ready. Storage, logs, metrics, provisioned pollers and warm throughput are not among it.
pub(super) fn dollars(
    totals: &Totals,
    before: &Used,
    limits: &Limits,
    ready_gb: f64,
    span: Span,
) -> BTreeMap<String, f64> {
    let Ok(prices) = Prices::load() else { return BTreeMap::new() };
    let mut bill = BTreeMap::new();
    let mut add = |what: String, price: &str, amount: f64| {
        if let Some(dollars) = prices.dollars(price, amount) {
            *bill.entry(what).or_default() += dollars;
        }
    };
    let Span { hours, times } = span;
    if let Some(used) = &totals.used {
        for (now, before) in used.tables.iter().zip(&before.tables) {
            let name = now.name.trim_start_matches("tidings-");
            let (reads, writes) = (now.read_units - before.read_units, now.write_units - before.write_units);
            add(format!("{name}, reads"), "dynamodb_read_units", reads * times);
            add(format!("{name}, writes"), "dynamodb_write_units", writes * times);
        }
        let bytes_in = used.bus.billed_bytes - before.bus.billed_bytes;
        let bytes_out = used.bus.read_bytes - before.bus.read_bytes;
        add("Kinesis".to_owned(), "kinesis_gb_in", bytes_in / GB * times);
        let read = if limits.enhanced_fan_out { "kinesis_gb_fan_out" } else { "kinesis_gb_out" };
        add("Kinesis".to_owned(), read, bytes_out / GB * times);
    }
    add("Kinesis".to_owned(), "kinesis_hours", hours);
    let invocations: f64 = totals.invocations.values().map(|(count, _)| as_float(*count)).sum();
    let gb_seconds: f64 = totals.invocations.values().map(|(_, gb_seconds)| gb_seconds).sum();
    add("Lambda".to_owned(), "lambda_requests", invocations * times);
    add("Lambda".to_owned(), "lambda_gb_seconds", gb_seconds * times);
    add("Lambda, kept ready".to_owned(), "lambda_provisioned_gb_seconds", ready_gb * hours * 3600.0);
    add("HTTP API".to_owned(), "api_requests", as_float(totals.answered) * times);
    add("SQS".to_owned(), "sqs_requests", as_float(totals.queue_calls) * times);
    add("data out".to_owned(), "data_out_gb", as_float(totals.answer_bytes) / GB * COMPRESSED * times);
    bill.retain(|_, dollars| *dollars > 0.0);
    bill
}

#[expect(clippy::cast_precision_loss, reason = "counts of a scenario are far below 2⁵³")]
fn as_float(count: u64) -> f64 {
    count as f64
}
