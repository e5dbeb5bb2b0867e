//! What subcommands print: a table for people, or JSON for programs.

use std::io::IsTerminal;

use serde_json::{Map, Value};

/// How results are printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// JSON instead of tables.
    pub(crate) json: bool,
}

impl Output {
    /// Prints one object.
    pub(crate) fn object(self, object: &Value) {
        if self.json {
            return println!("{object}");
        }
        let empty = Map::new();
        for (name, value) in object.as_object().unwrap_or(&empty) {
            println!("{name}: {}", cell(value));
        }
    }

    /// Prints objects with these members.
    pub(crate) fn rows(self, columns: &[&str], rows: &[Value]) {
        if self.json {
            println!("{}", Value::from(rows.to_vec()));
        } else {
            print!("{}", table(columns, rows));
        }
    }
}

/// Shows how far something is, on one line of a terminal, which the next call overwrites. Elsewhere, nothing is shown.
pub(crate) fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        // Clears what is left of a longer line.
        eprint!("\r{text}\x1b[K");
    }
}

/// A table with a line for each row. Columns are as wide as their widest cell.
pub(crate) fn table(columns: &[&str], rows: &[Value]) -> String {
    let mut lines = vec![columns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|name| cell(&row[*name])).collect()));
    let width = |at: usize| lines.iter().map(|line: &Vec<String>| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(line).collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows = [json!({"queue": "Deliveries", "waiting": 7}), json!({"queue": "Ü", "waiting": null})];
        assert_eq!(table(&["queue", "waiting"], &rows), "queue       waiting\nDeliveries  7\nÜ           -\n");
    }
}
