//! What AWS asks, from one dated file: `prices.json`.

use std::collections::BTreeMap;

use serde::Deserialize;

const FILE: &str = include_str!("../prices.json");

/// The price file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// The day for which it holds.
    pub date: String,
    /// The region.
    pub region: String,
    /// What it leaves out.
    pub note: String,
    /// Prices by the name of what is counted.
    pub prices: BTreeMap<String, Price>,
}

/// One price.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Dollars for `per` of the unit.
    pub dollars: f64,
    /// For how many.
    pub per: f64,
    /// What more of it costs in the same month, with rising `from`.
    #[serde(default)]
    pub tiers: Vec<Tier>,
    /// Of what.
    pub unit: String,
    /// The page of AWS.
    pub source: String,
    /// Whether no copy of the page with this price could be read.
    #[serde(default)]
    pub unverified: bool,
}

/// Another price from some amount on.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// From how many in a month.
    pub from: f64,
    /// Dollars for `per` of the unit.
    pub dollars: f64,
}

impl Price {
    /// Dollars for so much in a month.
    pub fn dollars_a_month(&self, amount: f64) -> f64 {
        let ends = self.tiers.iter().map(|tier| tier.from).chain([f64::INFINITY]);
        let tiers = [Tier { from: 0.0, dollars: self.dollars }].into_iter().chain(self.tiers.iter().copied());
        tiers.zip(ends).map(|(tier, end)| (amount.min(end) - tier.from).max(0.0) / self.per * tier.dollars).sum()
    }
}

impl Prices {
    /// The price file of this crate.
    ///
    /// # Errors
    /// If the file is broken, which a test excludes.
    pub fn load() -> Result<Self, serde_json::Error> {
        serde_json::from_str(FILE)
    }

    /// Dollars for so much of something, in the first tier. None if the file has no price of this name.
    pub fn dollars(&self, name: &str, amount: f64) -> Option<f64> {
        self.prices.get(name).map(|price| amount / price.per * price.dollars)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_price_has_its_page() {
        let prices = Prices::load().unwrap();
        for (name, price) in &prices.prices {
            let of_aws = ["https://aws.amazon.com/", "https://docs.aws.amazon.com/"];
            assert!(of_aws.iter().any(|site| price.source.starts_with(site)), "{name}");
            assert!(price.dollars > 0.0 && price.per > 0.0, "{name}");
            assert!(price.tiers.is_sorted_by(|one, other| one.from < other.from), "{name}");
        }
        assert_eq!(prices.dollars("dynamodb_write_units", 2_000_000.0), Some(1.25));
        assert_eq!(prices.dollars("unknown", 1.0), None);
    }
    #[test]
    fn more_than_a_tier_costs_what_the_next_one_says() {
        let prices = Prices::load().unwrap();
        let api = &prices.prices["api_requests"];
        assert_eq!(api.dollars_a_month(1e6), 1.0);
        assert_eq!(api.dollars_a_month(3e8), 300.0);
        assert!((api.dollars_a_month(4e8) - 390.0).abs() < 1e-9);
        let out = &prices.prices["data_out_gb"];
        assert!((out.dollars_a_month(20_480.0) - (10_240.0 * 0.09 + 10_240.0 * 0.085)).abs() < 1e-9);
        assert_eq!(prices.prices["sqs_requests"].dollars_a_month(5e6), 2.0);
    }
}
