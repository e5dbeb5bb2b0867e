//! Evaluates alarms as CloudWatch does: each of the last few periods is a data point, and an alarm needs so many of
//! them beyond its threshold.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Metrics;
use crate::template::model::{Alarm, Comparison, CompositeAlarm, MissingData};

/// The state of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The alarm's condition does not hold.
    Ok,
    /// It holds.
    Alarm,
    /// There is not enough data to tell.
    InsufficientData,
}

impl State {
    /// CloudWatch's name.
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

/// The states of all alarms at second `now_s`, as JSON. With `period_s`, all periods have this length, so that nobody
/// has to wait for minutes to see an alarm.
pub fn states(
    metrics: &Metrics,
    alarms: &[Alarm],
    composites: &[CompositeAlarm],
    now_s: i64,
    period_s: Option<u32>,
) -> Vec<Value> {
    let mut known = BTreeMap::new();
    let mut described: Vec<Value> = Vec::new();
    for alarm in alarms {
        let points = data_points(metrics, alarm, now_s, period_s);
        let state = state(alarm, &points);
        known.insert(alarm.name.as_str(), state);
        described.push(json!({
            "name": alarm.id, "state": state.name(), "newest": points.first(), "threshold": alarm.threshold,
            "metrics": alarm.metrics.iter().map(|metric| &metric.metric.name).collect::<Vec<_>>(),
            "description": alarm.description,
        }));
    }
    for composite in composites {
        let fires = composite.any_of.iter().any(|name| known.get(name.as_str()) == Some(&State::Alarm));
        let state = if fires { State::Alarm } else { State::Ok };
        described.push(json!({
            "name": composite.id, "state": state.name(), "any_of": composite.any_of,
            "description": composite.description,
        }));
    }
    described
}

/// The values of the last periods, the newest first. None for a period without data.
fn data_points(metrics: &Metrics, alarm: &Alarm, now_s: i64, period_s: Option<u32>) -> Vec<Option<f64>> {
    let period = i64::from(period_s.unwrap_or(alarm.period_s));
    let point = |age: u32| {
        // The present second counts: values of it are already there.
        let until = now_s + 1 - i64::from(age) * period;
        let values = alarm
            .metrics
            .iter()
            .filter_map(|metric| metrics.statistic(&metric.metric, metric.statistic, until - period, until));
        values.reduce(|sum, value| sum + value)
    };
    (0..alarm.evaluation_periods).map(point).collect()
}

fn state(alarm: &Alarm, points: &[Option<f64>]) -> State {
    if alarm.missing == MissingData::Unknown && points.iter().all(Option::is_none) {
        return State::InsufficientData;
    }
    let is_breaching = |point: &&Option<f64>| match point {
        None => alarm.missing == MissingData::Breaching,
        Some(value) => match alarm.comparison {
            Comparison::Greater => *value > alarm.threshold,
            Comparison::GreaterOrEqual => *value >= alarm.threshold,
            Comparison::Less => *value < alarm.threshold,
            Comparison::LessOrEqual => *value <= alarm.threshold,
        },
    };
    let breaching = points.iter().filter(is_breaching).count();
    if breaching >= alarm.datapoints as usize { State::Alarm } else { State::Ok }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::model::{AlarmMetric, MetricId, Statistic};

    fn alarm() -> Alarm {
        let metric = AlarmMetric { metric: MetricId::new("N", "m", []), statistic: Statistic::Sum };
        Alarm {
            id: "A".to_owned(),
            name: "tidings-A".to_owned(),
            description: String::new(),
            metrics: vec![metric],
            period_s: 10,
            evaluation_periods: 3,
            datapoints: 2,
            comparison: Comparison::Greater,
            threshold: 1.0,
            missing: MissingData::NotBreaching,
        }
    }

    fn state_of(alarm: &Alarm, values: &[(i64, f64)]) -> State {
        let metrics = Metrics::default();
        for (at_s, value) in values {
            metrics.record_at(*at_s, MetricId::new("N", "m", []), None, &[*value]);
        }
        state(alarm, &data_points(&metrics, alarm, 99, None))
    }

    #[test]
    fn an_alarm_needs_enough_breaching_periods_among_the_last_ones() {
        assert_eq!(state_of(&alarm(), &[(95, 2.0), (72, 2.0)]), State::Alarm);
        assert_eq!(state_of(&alarm(), &[(95, 1.0), (96, 1.0), (85, 2.0)]), State::Alarm, "a period is a sum");
        assert_eq!(state_of(&alarm(), &[(95, 2.0), (96, 2.0)]), State::Ok, "only one period breaches");
        assert_eq!(state_of(&alarm(), &[(95, 2.0), (65, 2.0)]), State::Ok, "the other period is too old");
        assert_eq!(state_of(&alarm(), &[(95, 1.0), (85, 1.0)]), State::Ok, "not beyond the threshold");
    }

    #[test]
    fn missing_data_counts_as_the_alarm_says() {
        assert_eq!(state_of(&alarm(), &[]), State::Ok);
        assert_eq!(state_of(&Alarm { missing: MissingData::Breaching, ..alarm() }, &[]), State::Alarm);
        assert_eq!(state_of(&Alarm { missing: MissingData::Unknown, ..alarm() }, &[]), State::InsufficientData);
    }

    #[test]
    fn a_composite_alarm_fires_with_any_of_its_alarms() {
        let composite = |name: &str| CompositeAlarm {
            id: "C".to_owned(),
            description: String::new(),
            any_of: vec![name.to_owned()],
        };
        let breaching = Alarm { missing: MissingData::Breaching, ..alarm() };
        let composites = [composite("tidings-A"), composite("tidings-B")];
        let states = states(&Metrics::default(), &[breaching], &composites, 99, None);
        let names: Vec<_> = states.iter().map(|state| state["state"].as_str().unwrap()).collect();
        assert_eq!(names, ["ALARM", "ALARM", "OK"]);
    }
}
