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
    /// Of what.
    pub unit: String,
    /// The page of AWS.
    pub source: String,
    /// Whether no copy of the page with this price could be read.
    #[serde(default)]
    pub unverified: bool,
}

impl Prices {
    /// The price file of this crate.
    ///
    /// # Errors
    /// If the file is broken, which a test excludes.
    pub fn load() -> Result<Self, serde_json::Error> {
        serde_json::from_str(FILE)
    }

    /// Dollars for so much of something. None if the file has no price of this name.
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
            assert!(price.source.starts_with("https://aws.amazon.com/"), "{name}");
            assert!(price.dollars > 0.0 && price.per > 0.0, "{name}");
        }
        assert_eq!(prices.dollars("dynamodb_write_units", 2_000_000.0), Some(1.25));
        assert_eq!(prices.dollars("unknown", 1.0), None);
    }
}
