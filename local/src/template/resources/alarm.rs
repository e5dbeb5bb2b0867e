//! `AWS::CloudWatch::Alarm` and `AWS::CloudWatch::CompositeAlarm`, as far as the local stack can evaluate them: one
//! metric, or the sum of several, and an alarm that fires with any of others.

use std::collections::BTreeMap;

use super::{
    super::{
        error::{Result, TemplateError},
        model::{Alarm, AlarmMetric, Comparison, CompositeAlarm, MetricId, MissingData, Statistic},
        node::Node,
        properties::Properties,
    },
    reading::Reading,
};

/// The only metric math that the local stack knows.
const SUM: &str = "SUM(METRICS())";

pub(super) fn read(reading: &mut Reading<'_>, mut open: Properties<'_>) -> Result<Alarm> {
    let at = open.at();
    let description = open.text("AlarmDescription")?.unwrap_or_default().to_owned();
    ignore(reading, &mut open);
    // `ignore` would leave the alarm as it is where there are few samples.
    open.one_of("EvaluateLowSampleCountPercentile", &["evaluate"])?;
    let evaluation_periods = open.count("EvaluationPeriods", 1..=1440)?;
    let evaluation_periods =
        evaluation_periods.ok_or_else(|| TemplateError::new(at, "an alarm needs EvaluationPeriods"))?;
    let datapoints = open.count("DatapointsToAlarm", 1..=evaluation_periods)?.unwrap_or(evaluation_periods);
    let comparisons = [
        ("GreaterThanThreshold", Comparison::Greater),
        ("GreaterThanOrEqualToThreshold", Comparison::GreaterOrEqual),
        ("LessThanThreshold", Comparison::Less),
        ("LessThanOrEqualToThreshold", Comparison::LessOrEqual),
    ];
    let comparison = choice(&mut open, "ComparisonOperator", &comparisons)?;
    let comparison = comparison.ok_or_else(|| TemplateError::new(at, "an alarm needs a ComparisonOperator"))?;
    let threshold = number(open.require("Threshold")?)?;
    let missing = [
        ("breaching", MissingData::Breaching),
        ("notBreaching", MissingData::NotBreaching),
        ("missing", MissingData::Unknown),
        ("ignore", MissingData::Unknown),
    ];
    let missing = choice(&mut open, "TreatMissingData", &missing)?.unwrap_or(MissingData::Unknown);
    let (metrics, period_s) = match open.take("Metrics") {
        Some(metrics) => read_sum(&open, metrics)?,
        None => {
            let metric = read_metric(&mut open)?;
            let statistic = open.take("Statistic").or_else(|| open.take("ExtendedStatistic"));
            let statistic = statistic.ok_or_else(|| TemplateError::new(at, "an alarm needs a Statistic"))?;
            let statistic = read_statistic(statistic)?;
            (vec![AlarmMetric { metric, statistic }], read_period(&mut open)?)
        }
    };
    open.finish()?;
    let (id, name) = (reading.id.to_owned(), reading.name.clone());
    Ok(Alarm {
        id,
        name,
        description,
        metrics,
        period_s,
        evaluation_periods,
        datapoints,
        comparison,
        threshold,
        missing,
    })
}

pub(super) fn read_composite(reading: &mut Reading<'_>, mut open: Properties<'_>) -> Result<CompositeAlarm> {
    let description = open.text("AlarmDescription")?.unwrap_or_default().to_owned();
    ignore(reading, &mut open);
    let rule = open.require("AlarmRule")?;
    let name = |term: &str| Some(term.trim().strip_prefix("ALARM(\"")?.strip_suffix("\")")?.to_owned());
    let any_of: Option<Vec<_>> = rule.text("AlarmRule")?.split(" OR ").map(name).collect();
    let any_of =
        any_of.ok_or_else(|| rule.error("the local stack knows only rules like ALARM(\"a\") OR ALARM(\"b\")"))?;
    open.finish()?;
    Ok(CompositeAlarm { id: reading.id.to_owned(), description, any_of })
}

/// Nobody is notified on one machine.
fn ignore(reading: &mut Reading<'_>, open: &mut Properties<'_>) {
    let ignored =
        ["ActionsEnabled", "AlarmActions", "AlarmName", "InsufficientDataActions", "OKActions", "Tags", "Unit"];
    open.ignore(reading.warnings, &ignored);
}

/// The metrics of a sum, and their period.
fn read_sum(open: &Properties<'_>, list: &Node) -> Result<(Vec<AlarmMetric>, u32)> {
    let (mut metrics, mut period_s, mut sums) = (Vec::new(), None, 0);
    for item in list.items() {
        let mut query = open.part("Metrics", item)?;
        query.require("Id")?;
        query.take("Label");
        let returns = query.boolean("ReturnData")?.unwrap_or(true);
        if let Some(expression) = query.take("Expression") {
            if expression.text("Expression")? != SUM || !returns {
                return Err(expression.error(format!("the local stack knows only the expression {SUM}")));
            }
            sums += 1;
        } else {
            let stat = query.require("MetricStat")?;
            if returns {
                return Err(item.error("the metrics of a sum need `ReturnData: false`"));
            }
            let mut stat = query.part("MetricStat", stat)?;
            let statistic = read_statistic(stat.require("Stat")?)?;
            let period = read_period(&mut stat)?;
            if *period_s.get_or_insert(period) != period {
                return Err(item.error("the metrics of a sum need the same Period"));
            }
            let metric = stat.require("Metric")?;
            let mut metric = stat.part("Metric", metric)?;
            metrics.push(AlarmMetric { metric: read_metric(&mut metric)?, statistic });
            metric.finish()?;
            stat.finish()?;
        }
        query.finish()?;
    }
    match (period_s, sums) {
        (Some(period_s), 1) => Ok((metrics, period_s)),
        _ => Err(list.error(format!("the local stack needs metrics and one expression {SUM}"))),
    }
}

fn read_metric(open: &mut Properties<'_>) -> Result<MetricId> {
    let namespace = open.require("Namespace")?.text("Namespace")?.to_owned();
    let name = open.require("MetricName")?.text("MetricName")?.to_owned();
    let mut dimensions = BTreeMap::new();
    for dimension in open.take("Dimensions").map(Node::items).unwrap_or_default() {
        let mut dimension = open.part("Dimensions", dimension)?;
        let name = dimension.require("Name")?.text("Name")?.to_owned();
        dimensions.insert(name, dimension.require("Value")?.text("Value")?.to_owned());
        dimension.finish()?;
    }
    Ok(MetricId { namespace, name, dimensions })
}

fn read_period(open: &mut Properties<'_>) -> Result<u32> {
    let at = open.at();
    open.count("Period", 10..=86_400)?.ok_or_else(|| TemplateError::new(at, "an alarm needs a Period"))
}

fn read_statistic(node: &Node) -> Result<Statistic> {
    let text = node.text("a statistic")?;
    let percent = text.strip_prefix('p').and_then(|percent| percent.parse().ok());
    Ok(match (text, percent) {
        ("Sum", _) => Statistic::Sum,
        ("SampleCount", _) => Statistic::SampleCount,
        ("Average", _) => Statistic::Average,
        ("Minimum", _) => Statistic::Minimum,
        ("Maximum", _) => Statistic::Maximum,
        (_, Some(percent)) => Statistic::Percentile(percent),
        _ => return Err(node.error(format!("the local stack does not know the statistic `{text}`"))),
    })
}

fn choice<T: Copy>(open: &mut Properties<'_>, key: &str, choices: &[(&str, T)]) -> Result<Option<T>> {
    let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
    let chosen = open.one_of(key, &names)?;
    Ok(chosen.and_then(|chosen| choices.iter().find(|(name, _)| *name == chosen)).map(|(_, choice)| *choice))
}

fn number(node: &Node) -> Result<f64> {
    node.text("a number")?.parse().map_err(|_| node.error("this must be a number"))
}
