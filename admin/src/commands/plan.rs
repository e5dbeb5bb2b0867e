//! `plan`: what a month costs.

use anyhow::ensure;
use aws_limits::prices::Prices;
use clap::Args;
use serde_json::{Value, json};

use crate::{
    output::{Output, table},
    plan::{Bill, Change, ITEMS, Line, Load, Settings, Units, of_parameters, of_several},
};

/// What is planned.
#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    load: Load,
    /// A parameter of the template with another value than its default, such as StatisticsDays=400
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// Print each line of the bill: how many, how much each, the price, and where they come from
    #[arg(long)]
    explain: bool,
}

/// Prints what a month costs.
pub(crate) fn plan(output: Output, arguments: &PlanArguments) -> anyhow::Result<()> {
    let plan = Plan::new(arguments)?;
    if output.json {
        output.object(&plan.json());
    } else {
        print!("{}", plan.text(arguments.explain));
    }
    Ok(())
}

/// A plan.
struct Plan {
    load: Load,
    settings: Settings,
    prices: Prices,
    bill: Bill,
    parameters: Vec<Change>,
    several: Vec<Change>,
}

impl Plan {
    fn new(PlanArguments { load, parameters, .. }: &PlanArguments) -> anyhow::Result<Self> {
        load.validate()?;
        let settings = parameters.iter().try_fold(Settings::default(), |settings, given| settings.with(given))?;
        let (units, prices) = (Units::load()?, Prices::load()?);
        let bill = Bill::of(load, &settings, &units, &prices)?;
        ensure!(bill.total().is_finite(), "the numbers are too large");
        let changed = of_parameters(load, &settings, &units, &prices)?;
        let several = of_several(load, &settings, &units, &prices)?;
        Ok(Self { load: load.clone(), settings, prices, bill, parameters: changed, several })
    }

    /// The rows of the table: items with their dollars.
    fn items(&self) -> impl Iterator<Item = (&'static str, f64)> {
        ITEMS.into_iter().map(|item| (item, self.bill.item(item))).filter(|(_, dollars)| *dollars != 0.0)
    }

    fn share(&self, dollars: f64) -> f64 {
        dollars / self.bill.total().max(f64::MIN_POSITIVE)
    }

    fn json(&self) -> Value {
        let item = |(item, dollars)| json!({"item": item, "dollars": dollars, "share": self.share(dollars)});
        let change = |change: &Change| json!({"what": change.what, "more": change.more, "total": change.total});
        let line = |line: &Line| {
            let price = &self.prices.prices[line.price];
            json!({
                "item": line.item, "what": line.what, "count": line.count, "each": line.each,
                "amount": line.amount(), "unit": price.unit, "price": line.price, "dollars": line.dollars,
                "source": line.source, "price_source": price.source, "price_unverified": price.unverified,
            })
        };
        json!({
            "load": self.load.json(), "settings": self.settings.json(), "prices_of": self.prices.date,
            "region": self.prices.region, "total": self.bill.total(),
            "items": self.items().map(item).collect::<Vec<_>>(),
            "parameters": self.parameters.iter().map(change).collect::<Vec<_>>(),
            "several": self.several.iter().map(change).collect::<Vec<_>>(),
            "lines": self.bill.lines.iter().map(line).collect::<Vec<_>>(),
        })
    }

    fn text(&self, explain: bool) -> String {
        let row = |item: &str, dollars: f64| {
            let share = percent(self.share(dollars));
            json!({"item": item, "$ a month": right(dollars, 9), "share": share})
        };
        let mut rows: Vec<_> = self.items().map(|(item, dollars)| row(item, dollars)).collect();
        rows.push(row("together", self.bill.total()));
        let mut text = table(&["item", "$ a month", "share"], &rows);
        text += "\n";
        text += &changes("what a parameter changes", &self.parameters);
        text += "\n";
        text += &changes("what several change at once", &self.several);
        if explain {
            text += "\n";
            text += &self.lines();
            text += "\n";
            text += &self.used_prices();
        }
        text
    }

    /// Each line with its factors.
    fn lines(&self) -> String {
        let row = |line: &Line| {
            json!({
                "item": line.item, "what": line.what, "a month": right(line.count, 15), "each": short(line.each),
                "price": line.price, "$ a month": right(line.dollars, 9), "each from": line.source,
            })
        };
        let of = |item: &'static str| self.bill.lines.iter().filter(move |line| line.item == item);
        let rows: Vec<_> = ITEMS.into_iter().flat_map(of).map(row).collect();
        table(&["item", "what", "a month", "each", "price", "$ a month", "each from"], &rows)
    }

    /// The prices of these lines.
    fn used_prices(&self) -> String {
        let used =
            self.prices.prices.iter().filter(|(name, _)| self.bill.lines.iter().any(|line| line.price == **name));
        let row = |(name, price): (&String, &aws_limits::prices::Price)| {
            let tiers = price.tiers.iter().map(|tier| format!(", {} from {}", tier.dollars, grouped(tier.from)));
            json!({
                "price": name, "dollars": format!("{}{}", price.dollars, tiers.collect::<String>()),
                "for": grouped(price.per), "unit": price.unit, "source": price.source,
                "seen": if price.unverified { "not verified" } else { "verified" },
            })
        };
        let rows: Vec<_> = used.map(row).collect();
        let heading = format!("prices of {}, {}\n", self.prices.date, self.prices.region);
        heading + &table(&["price", "dollars", "for", "unit", "seen", "source"], &rows)
    }
}

fn changes(what: &str, changes: &[Change]) -> String {
    let row = |change: &Change| {
        let more = format!("{:>12}", signed(change.more));
        json!({what: change.what, "more or less": more, "$ a month": right(change.total, 9)})
    };
    table(&[what, "more or less", "$ a month"], &changes.iter().map(row).collect::<Vec<_>>())
}

/// A whole number with spaces between groups of three digits.
fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    if number <= -0.5 { format!("-{text}") } else { text }
}

fn right(number: f64, width: usize) -> String {
    format!("{:>width$}", grouped(number))
}

fn signed(number: f64) -> String {
    if number >= 0.5 { format!("+{}", grouped(number)) } else { grouped(number) }
}

fn percent(share: f64) -> String {
    format!("{:>3.0} %", share * 100.0)
}

/// A factor with a few digits that matter.
fn short(number: f64) -> String {
    match number.abs() {
        large if large >= 1000.0 => grouped(number),
        usual if usual >= 0.01 => format!("{}", (number * 1000.0).round() / 1000.0),
        _ => format!("{number:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Given {
        #[command(flatten)]
        arguments: PlanArguments,
    }

    fn plan_of(arguments: &[&str]) -> anyhow::Result<Plan> {
        Plan::new(&Given::try_parse_from([&["plan"], arguments].concat())?.arguments)
    }

    /// Lines as a block of a document.
    fn block<'a>(lines: impl Iterator<Item = &'a str>) -> String {
        lines.map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") }).collect()
    }

    #[test]
    fn the_document_shows_what_the_program_prints() {
        let document = include_str!("../../../docs/costs.md");
        let printed = plan_of(&[]).unwrap().text(false);
        let whole = block(printed.lines());
        assert!(document.contains(&whole), "docs/costs.md does not show what `admin plan` prints:\n{whole}");
        assert!(printed.lines().all(|line| line.chars().count() <= 116), "{printed}");
        let target = ["ProvisionedUnits=25", "CommandsProvisionedUnits=25", "FeedUrl=true"];
        let printed = plan_of(&target.map(|parameter| ["--parameter", parameter]).concat()).unwrap().text(false);
        let items = block(printed.lines().take_while(|line| !line.is_empty()));
        assert!(document.contains(&items), "docs/costs.md does not have the bill of the target:\n{items}");
    }

    #[test]
    fn an_explained_plan_names_the_source_of_every_factor() {
        let plan = plan_of(&["--parameter", "SearchDays=30", "--parameter", "CacheUrl=redis://c"]).unwrap();
        let text = plan.text(true);
        for line in &plan.bill.lines {
            assert!(!line.source.is_empty(), "{line:?}");
            assert!(text.contains(&line.source) && text.contains(&plan.prices.prices[line.price].source), "{line:?}");
        }
        let json = plan.json();
        let lines = json["lines"].as_array().unwrap();
        let sum: f64 = lines.iter().filter_map(|line| line["dollars"].as_f64()).sum();
        assert!((sum - json["total"].as_f64().unwrap()).abs() < 0.01);
        let items: f64 = json["items"].as_array().unwrap().iter().filter_map(|item| item["dollars"].as_f64()).sum();
        assert!((items - sum).abs() < 0.01, "a line is in no row of the table");
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_one_line_that_names_it() {
        for (arguments, says) in [
            (&["--page-kb=-1"][..], "--page-kb must be between 0 and 6000"),
            (&["--counted", "101"], "--counted must be between 0 and 100"),
            (&["--posts-per-day", "nan"], "--posts-per-day"),
            (&["--reads-per-day", "inf"], "--reads-per-day"),
            (&["--parameter", "LogLevel=warn"], "costs depend on StatisticsDays"),
            (&["--parameter", "StatisticsDays"], "Name=value"),
            (&["--parameter", "StatisticsDays=-1"], "whole number"),
            (&["--parameter", "FeedUrl=True"], "neither true nor false"),
            (&["--parameter", "EnhancedFanOut="], "neither true nor false"),
            (&["--parameter", "LogRetentionDays=31"], "none of [1, 3, 5, 7"),
        ] {
            let Err(error) = plan_of(arguments) else { panic!("{arguments:?} is taken") };
            let error = format!("{error:#}");
            assert!(error.contains(says) && error.lines().count() == 1, "{error}");
        }
    }

    #[test]
    fn nothing_costs_what_is_always_there() {
        let plan = plan_of(&["--posts-per-day", "0", "--reads-per-day", "0"]).unwrap();
        // As docs/deploying.md says for a deployment without load, without free tiers, and with the audit.
        assert!((38.0..50.0).contains(&plan.bill.total()), "{}", plan.bill.total());
    }

    #[test]
    fn numbers_have_groups() {
        assert_eq!(grouped(1_234_567.4), "1 234 567");
        assert_eq!(
            (grouped(999.0).as_str(), grouped(-1000.0).as_str(), grouped(-0.2).as_str()),
            ("999", "-1 000", "0")
        );
        assert_eq!(signed(1000.0), "+1 000");
        assert_eq!(
            (short(12.5).as_str(), short(0.000_012_1).as_str(), short(25_000.0).as_str()),
            ("12.5", "1.210e-5", "25 000")
        );
    }
}
