//! Reads what a request cost, if the deployment tells (`ShowCosts`).

use anyhow::{Context, Result, bail};

use crate::client::Answer;

/// The values of the header `Tidings-Cost`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// Calls of DynamoDB that had to wait for each other.
    pub round_trips: u32,
    /// All calls of DynamoDB.
    pub calls: u32,
    /// Read request units.
    pub read_units: f64,
    /// Write request units.
    pub write_units: f64,
}

impl Cost {
    /// The cost in the answer's header, or `None` if there is no such header.
    pub fn of(answer: &Answer) -> Result<Option<Self>> {
        answer.header("tidings-cost").map(Self::parse).transpose()
    }

    /// The cost that the header of this value tells.
    ///
    /// # Errors
    /// If it is no such header.
    pub fn parse(header: &str) -> Result<Self> {
        let mut cost = Self::default();
        for member in header.split(", ") {
            let (name, value) = member.split_once('=').with_context(|| format!("not a dictionary: {header}"))?;
            match name {
                "round_trips" => cost.round_trips = value.parse()?,
                "calls" => cost.calls = value.parse()?,
                "read_units" => cost.read_units = value.parse()?,
                "write_units" => cost.write_units = value.parse()?,
                _ => bail!("unknown member {name}"),
            }
        }
        Ok(cost)
    }

    /// The higher one of each number.
    pub fn max(self, other: Self) -> Self {
        Self {
            round_trips: self.round_trips.max(other.round_trips),
            calls: self.calls.max(other.calls),
            read_units: self.read_units.max(other.read_units),
            write_units: self.write_units.max(other.write_units),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_read_from_its_header() {
        let cost = Cost::parse("round_trips=2, calls=4, read_units=3.5, write_units=0.0").unwrap();
        assert_eq!(cost, Cost { round_trips: 2, calls: 4, read_units: 3.5, write_units: 0.0 });
        assert!(Cost::parse("nonsense").is_err());
    }
}
