//! Reads the properties of one resource so that none is overlooked. Each property is read, or ignored with a warning
//! because it has no meaning on one machine, or unknown, which is an error.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use super::{
    error::{Position, Result, TemplateError},
    node::{Node, Value},
};

/// Collects what has no meaning on one machine, once for each type and property.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    found: BTreeMap<(String, String), (Position, Vec<String>)>,
}

impl Warnings {
    /// Notes that the local stack ignores `what` of `owner`, at position `at`. `kind` is the type of the owner.
    pub(super) fn note(&mut self, kind: &str, owner: &str, what: &str, at: Position) {
        let (_, owners) = self.found.entry((kind.into(), what.into())).or_insert_with(|| (at, Vec::new()));
        owners.push(owner.into());
    }

    /// One line for each, in the order of the file.
    pub(super) fn into_lines(self, file: &str) -> Vec<String> {
        let mut lines: Vec<_> = self.found.into_iter().collect();
        lines.sort_by_key(|(_, (at, _))| *at);
        let line = |((kind, what), (at, owners)): ((String, String), (Position, Vec<String>))| {
            format!("{file}:{at}: {what} of {kind} has no meaning on one machine ({})", owners.join(", "))
        };
        lines.into_iter().map(line).collect()
    }
}

/// The properties of one resource, or of a part of it, that were not read yet.
pub(super) struct Properties<'node> {
    /// `AWS::SQS::Queue`, or `AWS::SQS::Queue.RedrivePolicy`.
    kind: String,
    /// The logical id, for warnings.
    owner: String,
    at: Position,
    unread: Vec<(&'node str, Position, &'node Node)>,
}

impl<'node> Properties<'node> {
    /// Opens a map. A map that is absent or empty has no properties.
    pub(super) fn open(kind: &str, owner: &str, at: Position, node: Option<&'node Node>) -> Result<Self> {
        let entries = node.map(|node| node.entries(kind)).transpose()?.unwrap_or_default();
        let unread = entries.iter().map(|entry| (entry.key.as_str(), entry.at, &entry.value)).collect();
        Ok(Self { kind: kind.into(), owner: owner.into(), at, unread })
    }

    /// Opens the map in the property `key`, if the property is present.
    pub(super) fn nested(&mut self, key: &str) -> Result<Option<Self>> {
        let Some(node) = self.take(key) else { return Ok(None) };
        self.part(key, node).map(Some)
    }

    /// Opens a map that is an item or a value of the property `key`.
    pub(super) fn part(&self, key: &str, node: &'node Node) -> Result<Self> {
        Properties::open(&format!("{}.{key}", self.kind), &self.owner, node.at, Some(node))
    }

    /// Takes a property. `None` if it is absent or empty.
    pub(super) fn take(&mut self, key: &str) -> Option<&'node Node> {
        let index = self.unread.iter().position(|(unread, ..)| *unread == key)?;
        let (_, _, node) = self.unread.remove(index);
        (node.value != Value::Null).then_some(node)
    }

    /// Takes all remaining properties, whatever their keys are.
    pub(super) fn rest(self) -> impl Iterator<Item = (&'node str, Position, &'node Node)> {
        self.unread.into_iter()
    }

    /// Takes a property that must be present.
    pub(super) fn require(&mut self, key: &str) -> Result<&'node Node> {
        self.take(key).ok_or_else(|| TemplateError::new(self.at, format!("{} needs `{key}`", self.kind)))
    }

    /// Takes a string.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<&'node str>> {
        self.take(key).map(|node| node.text(key)).transpose()
    }

    /// Takes a whole number within `range`.
    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<i64>) -> Result<Option<i64>> {
        let Some(node) = self.take(key) else { return Ok(None) };
        match node.text(key)?.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(node.error(format!("`{key}` must be a whole number from {} to {}", range.start(), range.end()))),
        }
    }

    /// Takes a whole number within `range` that is not negative.
    pub(super) fn count(&mut self, key: &str, range: RangeInclusive<u32>) -> Result<Option<u32>> {
        let number = self.number(key, i64::from(*range.start())..=i64::from(*range.end()))?;
        Ok(number.and_then(|number| u32::try_from(number).ok()))
    }

    /// Takes a number of seconds within `range`.
    pub(super) fn seconds(&mut self, key: &str, range: RangeInclusive<u32>) -> Result<Option<Duration>> {
        Ok(self.count(key, range)?.map(|seconds| Duration::from_secs(seconds.into())))
    }

    /// Takes `true` or `false`.
    pub(super) fn boolean(&mut self, key: &str) -> Result<Option<bool>> {
        let Some(node) = self.take(key) else { return Ok(None) };
        match node.text(key)? {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(node.error(format!("`{key}` must be true or false"))),
        }
    }

    /// Takes a string that must be one of `allowed`.
    pub(super) fn one_of(&mut self, key: &str, allowed: &[&str]) -> Result<Option<&'node str>> {
        let Some(node) = self.take(key) else { return Ok(None) };
        let text = node.text(key)?;
        match allowed.contains(&text) {
            true => Ok(Some(text)),
            false => {
                Err(node.error(format!("`{key}` is `{text}`; the local stack supports only {}", allowed.join(", "))))
            }
        }
    }

    /// Takes a list of strings. Empty if the property is absent.
    pub(super) fn texts(&mut self, key: &str) -> Result<Vec<String>> {
        let items = self.take(key).map(Node::items).unwrap_or_default();
        items.iter().map(|item| Ok(item.text(key)?.to_owned())).collect()
    }

    /// Takes properties without meaning on one machine, each with a warning.
    pub(super) fn ignore(&mut self, warnings: &mut Warnings, keys: &[&str]) {
        self.unread.retain(|(key, at, _)| {
            let ignored = keys.contains(key);
            if ignored {
                warnings.note(&self.kind, &self.owner, key, *at);
            }
            !ignored
        });
    }

    /// Ends the reading. Properties that were not taken are unknown, which is an error.
    pub(super) fn finish(self) -> Result<()> {
        match self.unread.first() {
            Some((key, at, _)) => {
                let message = format!("the local stack does not know the property `{key}` of {}", self.kind);
                Err(TemplateError::new(*at, message))
            }
            None => Ok(()),
        }
    }

    /// The position of the map.
    pub(super) fn at(&self) -> Position {
        self.at
    }
}
