//! The trending list in the bill.

use super::{DAYS, Kind, Writer};

/// Share of likes and comments that move a post in the index of trending posts.
const INDEXED_SHARE: f64 = 0.01;

impl Writer<'_> {
    /// What the few contenders of the trending list add, and its merges, one a second.
    pub(super) fn trending(&mut self) -> anyhow::Result<()> {
        let (item, source) = ("likes: cards and trending index", "decision 0082");
        let moves = (self.count(Kind::Like) + self.count(Kind::Comment)) * INDEXED_SHARE;
        self.units_of(item, ("moves in the index", moves), "Cards/hottest", [0.0, 2.0], source);
        let merges = ("merges of the list", if moves > 0.0 { DAYS * 86_400.0 } else { 0.0 });
        let [reads, writes] = ["merge_read_units", "merge_write_units"].map(|name| self.units.figure(name));
        self.units_of(item, merges, "Cards/hottest", [reads?.value, 0.0], source);
        self.units_of(item, merges, "Cards", [1.0, writes?.value], source);
        Ok(())
    }
}
