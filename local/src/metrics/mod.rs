//! CloudWatch on one machine, as far as it helps to try alarms: keeps the metrics that functions write in the embedded
//! metric format, and those that Lambda, SQS and API Gateway have on AWS and that this stack can know. The template's
//! alarms are evaluated over them ([`alarms`]). Metrics are in memory only, for about an hour.
//!
//! What this stack does not know it does not record: errors of DynamoDB and Kinesis, and throttled requests unless it
//! runs within AWS's limits (`servers/limits.rs`).

pub mod alarms;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::template::model::{MetricId, Statistic};

/// The most metrics that are kept. Further ones are left out.
const METRICS_MAX: usize = 1000;
/// The most seconds with values that are kept of a metric. Older ones are dropped.
const SECONDS_MAX: usize = 3600;
/// The most values of a second that are kept for percentiles.
const VALUES_MAX: usize = 1000;

/// The metrics of a running stack. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<MetricId, Series>>>);

/// The values of one metric by the second in which they were recorded.
#[derive(Debug, Default)]
struct Series {
    unit: Option<String>,
    seconds: BTreeMap<i64, Second>,
}

#[derive(Debug, Default)]
struct Second {
    sum: f64,
    count: u64,
    /// The first of the values.
    values: Vec<f64>,
}

impl Metrics {
    /// Records a value now.
    pub fn record(&self, metric: MetricId, unit: &str, value: f64) {
        self.record_at(OffsetDateTime::now_utc().unix_timestamp(), metric, Some(unit), &[value]);
    }

    /// Records a value of a function, as Lambda does.
    pub(crate) fn of_function(&self, function: &str, name: &str, unit: &str, value: f64) {
        let metric = MetricId::new("AWS/Lambda", name, [("FunctionName", crate::aws::physical_name(function))]);
        self.record(metric, unit, value);
    }

    /// Records the metrics in a line of the embedded metric format. False if the line is something else.
    pub fn record_line(&self, line: &str) -> bool {
        if !line.starts_with('{') || !line.contains("\"_aws\"") {
            return false;
        }
        let Ok(document) = serde_json::from_str::<Embedded>(line) else { return false };
        let at_s = document.aws.timestamp / 1000;
        for directive in &document.aws.cloudwatch_metrics {
            for dimensions in &directive.dimensions {
                let value_of = |name: &String| {
                    let value = document.members.get(name).and_then(Value::as_str).unwrap_or_default();
                    (name.clone(), value.to_owned())
                };
                let dimensions: BTreeMap<_, _> = dimensions.iter().map(value_of).collect();
                for metric in &directive.metrics {
                    let values: Vec<f64> = match document.members.get(&metric.name) {
                        Some(Value::Array(values)) => values.iter().filter_map(Value::as_f64).collect(),
                        Some(value) => value.as_f64().into_iter().collect(),
                        None => Vec::new(),
                    };
                    let (namespace, name) = (directive.namespace.clone(), metric.name.clone());
                    let id = MetricId { namespace, name, dimensions: dimensions.clone() };
                    self.record_at(at_s, id, metric.unit.as_deref(), &values);
                }
            }
        }
        true
    }

    fn record_at(&self, at_s: i64, metric: MetricId, unit: Option<&str>, values: &[f64]) {
        let mut all = self.lock();
        if values.is_empty() || (all.len() >= METRICS_MAX && !all.contains_key(&metric)) {
            return;
        }
        let series = all.entry(metric).or_default();
        series.unit = unit.map(str::to_owned);
        let second = series.seconds.entry(at_s).or_default();
        for value in values {
            second.sum += value;
            second.count += 1;
            if second.values.len() < VALUES_MAX {
                second.values.push(*value);
            }
        }
        while series.seconds.len() > SECONDS_MAX {
            series.seconds.pop_first();
        }
    }

    /// The statistic of the values from second `from_s` until before second `until_s`. None without values.
    pub fn statistic(&self, metric: &MetricId, statistic: Statistic, from_s: i64, until_s: i64) -> Option<f64> {
        self.lock().get(metric)?.statistic(statistic, from_s, until_s)
    }

    /// Every metric, with its statistics from second `from_s` until before second `until_s`.
    pub fn overview(&self, from_s: i64, until_s: i64) -> Vec<Value> {
        let statistics = [
            ("sum", Statistic::Sum),
            ("count", Statistic::SampleCount),
            ("min", Statistic::Minimum),
            ("max", Statistic::Maximum),
            ("p50", Statistic::Percentile(50.0)),
            ("p99", Statistic::Percentile(99.0)),
        ];
        let all = self.lock();
        let described = all.iter().map(|(metric, series)| {
            let known = statistics.iter().filter_map(|(name, statistic)| {
                Some(((*name).to_owned(), json!(series.statistic(*statistic, from_s, until_s)?)))
            });
            json!({
                "namespace": metric.namespace, "name": metric.name, "dimensions": metric.dimensions,
                "unit": series.unit, "statistics": known.collect::<Map<_, _>>(),
            })
        });
        described.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MetricId, Series>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Series {
    fn statistic(&self, statistic: Statistic, from_s: i64, until_s: i64) -> Option<f64> {
        let seconds = || self.seconds.range(from_s..until_s).map(|(_, second)| second);
        let (sum, count) = seconds().fold((0.0, 0), |(sum, count), second| (sum + second.sum, count + second.count));
        if count == 0 {
            return None;
        }
        let mut values: Vec<f64> = seconds().flat_map(|second| second.values.iter().copied()).collect();
        values.sort_unstable_by(f64::total_cmp);
        match statistic {
            Statistic::Sum => Some(sum),
            Statistic::SampleCount => Some(count as f64),
            Statistic::Average => Some(sum / count as f64),
            Statistic::Minimum => values.first().copied(),
            Statistic::Maximum => values.last().copied(),
            Statistic::Percentile(percent) => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into the values")]
                let rank = (percent / 100.0 * values.len() as f64).ceil() as usize;
                values.get(rank.clamp(1, values.len()) - 1).copied()
            }
        }
    }
}

/// A line of the embedded metric format.
#[derive(Deserialize)]
struct Embedded {
    #[serde(rename = "_aws")]
    aws: Directives,
    #[serde(flatten)]
    members: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Directives {
    /// Milliseconds since the Unix epoch.
    timestamp: i64,
    #[serde(rename = "CloudWatchMetrics")]
    cloudwatch_metrics: Vec<Directive>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: String,
    dimensions: Vec<Vec<String>>,
    metrics: Vec<Definition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: String,
    unit: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"_aws":{"Timestamp":5000,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["Stack"]],
        "Metrics":[{"Name":"Lag","Unit":"Milliseconds"},{"Name":"Pages","Unit":"Count"}]}]},
        "Stack":"s","Lag":[30.0,10.0,20.0],"Pages":2,"RequestId":"r"}"#;

    #[test]
    fn a_line_of_the_embedded_metric_format_is_recorded_and_any_other_is_not() {
        let metrics = Metrics::default();
        assert!(metrics.record_line(LINE));
        for line in ["", "text", "{}", r#"{"level":"INFO","message":"\"_aws\""}"#, r#"{"_aws":1}"#] {
            assert!(!metrics.record_line(line), "{line}");
        }
        let metric = |name| MetricId::new("N", name, [("Stack", "s".to_owned())]);
        let of = |name, statistic| metrics.statistic(&metric(name), statistic, 5, 6);
        assert_eq!(of("Pages", Statistic::Sum), Some(2.0));
        assert_eq!(of("Lag", Statistic::SampleCount), Some(3.0));
        assert_eq!(of("Lag", Statistic::Average), Some(20.0));
        assert_eq!(of("Lag", Statistic::Percentile(50.0)), Some(20.0));
        assert_eq!(of("Lag", Statistic::Percentile(99.0)), Some(30.0));
        assert_eq!(metrics.statistic(&metric("Lag"), Statistic::Sum, 6, 100), None, "nothing was recorded then");
        assert_eq!(metrics.overview(0, 10).len(), 2);
    }

    #[test]
    fn seconds_and_metrics_are_bounded() {
        let metrics = Metrics::default();
        for second in 0..5000 {
            metrics.record_at(second, MetricId::new("N", "a", []), None, &[1.0]);
        }
        assert_eq!(metrics.statistic(&MetricId::new("N", "a", []), Statistic::Sum, 0, 5000), Some(SECONDS_MAX as f64));
        for number in 0..2000 {
            metrics.record_at(0, MetricId::new("N", &format!("m{number}"), []), None, &[1.0]);
        }
        assert_eq!(metrics.overview(0, 1).len(), METRICS_MAX);
    }
}
