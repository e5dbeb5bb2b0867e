//! SAM's `Globals`: default properties of all resources of a type. A resource's own scalar replaces the global one,
//! maps are merged, and lists are appended to the global list.

use super::{
    error::Result,
    node::{Entry, Node, Value},
};

/// The sections that `Globals` may have, and their resource types.
const SECTIONS: [(&str, &str); 2] =
    [("Function", "AWS::Serverless::Function"), ("HttpApi", "AWS::Serverless::HttpApi")];

/// The sections of `Globals` by resource type.
pub(super) struct Globals<'node> {
    sections: Vec<(&'static str, &'node Node)>,
}

impl<'node> Globals<'node> {
    /// Reads the section, if the template has one.
    pub(super) fn read(section: Option<&'node Node>) -> Result<Self> {
        let entries = section.map(|section| section.entries("Globals")).transpose()?.unwrap_or_default();
        let section = |entry: &'node Entry| match SECTIONS.iter().find(|(name, _)| *name == entry.key) {
            Some((_, kind)) => Ok((*kind, &entry.value)),
            None => {
                let message = format!("the local stack does not know the section `{}` of Globals", entry.key);
                Err(super::TemplateError::new(entry.at, message))
            }
        };
        Ok(Self { sections: entries.iter().map(section).collect::<Result<_>>()? })
    }

    /// The properties of a resource of this type, merged with the global ones.
    pub(super) fn apply(&self, kind: &str, properties: Node) -> Node {
        match self.sections.iter().find(|(section, _)| *section == kind) {
            Some((_, global)) => merge(global, properties),
            None => properties,
        }
    }
}

fn merge(global: &Node, own: Node) -> Node {
    let value = match (&global.value, own.value) {
        (Value::Map(global), Value::Map(own)) => {
            let mut merged = global.clone();
            for entry in own {
                match merged.iter_mut().find(|merged| merged.key == entry.key) {
                    Some(same) => *same = Entry { value: merge(&same.value, entry.value), ..entry },
                    None => merged.push(entry),
                }
            }
            Value::Map(merged)
        }
        (Value::List(global), Value::List(own)) => Value::List(global.iter().cloned().chain(own).collect()),
        (_, own) => own,
    };
    Node { at: own.at, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_replaced_maps_merged_and_lists_appended() {
        let global = Node::parse("{a: 1, b: {x: 1, y: 1}, c: [1], d: 1}").unwrap();
        let own = Node::parse("{a: 2, b: {y: 2, z: 2}, c: [2]}").unwrap();
        let merged = format!("{:?}", values(&merge(&global, own)));
        assert_eq!(merged, r#"["a", "2", "b", "x", "1", "y", "2", "z", "2", "c", "1", "2", "d", "1"]"#);
    }

    fn values(node: &Node) -> Vec<String> {
        match &node.value {
            Value::Scalar(text) => vec![text.clone()],
            Value::List(items) => items.iter().flat_map(values).collect(),
            Value::Map(entries) => entries
                .iter()
                .flat_map(|entry| std::iter::once(entry.key.clone()).chain(values(&entry.value)))
                .collect(),
            _ => Vec::new(),
        }
    }
}
