//! What requests and commands cost: `units.json`, the one place for these figures. A test compares it with the tables
//! of `docs/costs.md`; `bench --bin costs` and `simulation --bin units` measure the figures again.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Deserialize;

const FILE: &str = include_str!("../../units.json");

/// The file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Units {
    /// What each route costs, as `bench --bin costs` measures it, in the order of the document.
    pub(crate) routes: Vec<Route>,
    /// What each kind of command costs with everything that follows, as `simulation --bin units` measures it.
    pub(crate) commands: BTreeMap<String, Usage>,
    /// Other numbers.
    pub(crate) figures: BTreeMap<String, Figure>,
}

/// What a request costs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    /// The route as the document names it.
    pub(crate) route: String,
    /// Calls of DynamoDB that wait for each other.
    pub(crate) round_trips: f64,
    /// All calls.
    pub(crate) calls: f64,
    /// Read request units.
    pub(crate) read_units: f64,
    /// Write request units.
    pub(crate) write_units: f64,
}

/// What a command costs, with everything that follows.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Usage {
    /// Read and write units of the command itself.
    pub(crate) command: [f64; 2],
    /// Read units by table, the command's included.
    pub(crate) reads: BTreeMap<String, f64>,
    /// Write units by table and index, the command's included.
    pub(crate) writes: BTreeMap<String, f64>,
    /// Bytes by table that are kept for good.
    pub(crate) bytes: BTreeMap<String, f64>,
    /// Bytes by table that expire.
    pub(crate) expiring_bytes: BTreeMap<String, f64>,
    /// Bytes that the bus takes.
    pub(crate) bus_bytes: f64,
    /// Bytes that consumers read from the bus.
    pub(crate) bus_read_bytes: f64,
    /// Invocations by function.
    pub(crate) invocations: BTreeMap<String, f64>,
    /// GB-seconds by function, in thousandths.
    pub(crate) gb_ms: BTreeMap<String, f64>,
}

/// A number with what it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Figure {
    /// The number.
    pub(crate) value: f64,
    /// Where it comes from.
    pub(crate) source: String,
}

impl Units {
    /// The file.
    ///
    /// # Errors
    /// If it is broken, which a test excludes.
    pub(crate) fn load() -> anyhow::Result<Self> {
        serde_json::from_str(FILE).context("the figures of this program are broken")
    }

    /// What the request of this name in `docs/costs.md` costs.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn route(&self, name: &str) -> anyhow::Result<&Route> {
        let found = self.routes.iter().find(|route| route.route == name);
        found.with_context(|| format!("the figures have no route {name}"))
    }

    /// What the command of this kind costs.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn command(&self, kind: &str) -> anyhow::Result<&Usage> {
        self.commands.get(kind).with_context(|| format!("the figures have no command {kind}"))
    }

    /// Another number.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn figure(&self, name: &str) -> anyhow::Result<&Figure> {
        self.figures.get(name).with_context(|| format!("the figures have no {name}"))
    }
}
