//! The trace header, as far as Lambda's recursive loop detection uses it (Lambda Developer Guide, "Use Lambda recursive
//! loop detection to prevent infinite loops"). The field `Lineage` counts how often a chain of requests has invoked
//! each function. The SDK in the function passes the header on (`RecursionDetectionInterceptor`), and SQS keeps it with
//! the message. Lambda stops a function that a chain has invoked 16 times, unless its template says `RecursiveLoop:
//! Allow`.

use std::{collections::BTreeMap, fmt};

/// How often one chain of requests may invoke a function.
pub const INVOCATIONS_MAX: u32 = 16;

/// The header `X-Amzn-Trace-Id`: `Root=1-…;Lineage=0a1b2c3d:4|5e6f7a8b:1`. Other fields are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TraceHeader {
    root: Option<String>,
    /// How often the chain has invoked each function, by a hash of the function's name.
    lineage: BTreeMap<String, u32>,
}

impl TraceHeader {
    /// Reads the header. Fields that are not understood are dropped, as Lambda does.
    pub fn parse(header: &str) -> Self {
        let field = |name: &str| {
            header.split(';').filter_map(|field| field.split_once('=')).find(|(is, _)| *is == name).map(|(_, is)| is)
        };
        let count = |entry: &str| {
            let (function, count) = entry.split_once(':')?;
            Some((function.to_owned(), count.parse().ok()?))
        };
        Self {
            root: field("Root").map(str::to_owned),
            lineage: field("Lineage").unwrap_or_default().split('|').filter_map(count).collect(),
        }
    }

    /// How often the chain has invoked the function.
    pub fn invocations(&self, function: &str) -> u32 {
        self.lineage.get(&hash(function)).copied().unwrap_or_default()
    }

    /// The header of the function's next invocation in this chain. `new_root` is the trace id of a new chain.
    pub fn enter(&self, function: &str, new_root: impl FnOnce() -> String) -> Self {
        let mut entered = self.clone();
        entered.root.get_or_insert_with(new_root);
        *entered.lineage.entry(hash(function)).or_default() += 1;
        entered
    }
}

impl fmt::Display for TraceHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root={}", self.root.as_deref().unwrap_or_default())?;
        let entries = self.lineage.iter().map(|(function, count)| format!("{function}:{count}"));
        let entries = entries.collect::<Vec<_>>().join("|");
        if entries.is_empty() { Ok(()) } else { write!(f, ";Lineage={entries}") }
    }
}

/// Eight hexadecimal digits for a function (FNV-1a).
fn hash(function: &str) -> String {
    let hash = function.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_counts_the_invocations_of_each_function() {
        let mut trace = TraceHeader::default();
        for _ in 0..3 {
            trace = trace.enter("Deliver", || "1-2-3".to_owned());
        }
        trace = trace.enter("Fanout", || unreachable!("the chain has a root"));
        let read = TraceHeader::parse(&format!("{trace};Parent=0a;Sampled=0"));
        assert_eq!(read, trace);
        assert_eq!(["Deliver", "Fanout", "Trending"].map(|function| read.invocations(function)), [3, 1, 0]);
    }

    #[test]
    fn a_header_without_lineage_begins_a_chain() {
        for header in ["", "Root=1-2-3", "Root=1-2-3;Lineage=", "Lineage=x:y|z"] {
            assert_eq!(TraceHeader::parse(header).invocations("Deliver"), 0);
        }
    }
}
