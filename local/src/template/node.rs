//! YAML as a tree in which each node has its position. The two forms of CloudFormation's intrinsic functions (`!Ref X`
//! and `Ref: X`) are the same here. Scalars are not interpreted: each one is its text, even if it is a number.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::error::{Position, Result, TemplateError};

/// The deepest nesting, far deeper than any template. It bounds the recursion.
const DEPTH_MAX: usize = 100;

/// One value with its position.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// The text of a scalar.
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// An intrinsic function and its argument. The name is the long one without `Fn::`.
    Call(String, Box<Node>),
    /// No value: an empty value, or `!Ref AWS::NoValue`, which removes its property.
    Null,
}

/// A key of a map, with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Position,
    pub(super) value: Node,
}

impl Node {
    /// Reads the single document in `source`.
    pub(super) fn parse(source: &str) -> Result<Self> {
        let mut events = Events { parser: Parser::new_from_str(source) };
        while let (Event::StreamStart | Event::DocumentStart(_), _) = events.peek()? {
            events.next()?;
        }
        let root = events.node(0)?;
        match events.next()? {
            (Event::DocumentEnd, _) => {}
            (_, at) => return Err(TemplateError::new(at, "expected the end of the document")),
        }
        match events.next()? {
            (Event::StreamEnd, _) => Ok(root),
            (_, at) => Err(TemplateError::new(at, "a template is a single YAML document")),
        }
    }

    /// The entries of a map. Errors call the node `what`.
    pub(super) fn entries(&self, what: &str) -> Result<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Ok(entries),
            Value::Null => Ok(&[]),
            _ => Err(self.error(format!("{what} must be a map"))),
        }
    }

    /// The items of a list. As in SAM, a single item needs no list.
    pub(super) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// The text of a scalar.
    pub(super) fn text(&self, what: &str) -> Result<&str> {
        match &self.value {
            Value::Scalar(text) => Ok(text),
            _ => Err(self.error(format!("{what} must be a string"))),
        }
    }

    pub(super) fn error(&self, message: impl Into<String>) -> TemplateError {
        TemplateError::new(self.at, message)
    }
}

/// The parser's events, for a recursive descent.
struct Events<'input> {
    parser: Parser<'input, saphyr_parser::StrInput<'input>>,
}

impl<'input> Events<'input> {
    fn peek(&mut self) -> Result<(Event<'input>, Position)> {
        match self.parser.peek() {
            Some(Ok((event, span))) => Ok((event.clone(), position(*span))),
            Some(Err(error)) => Err(scan_error(&error)),
            None => Err(TemplateError::new(Position::default(), "the template ends unexpectedly")),
        }
    }

    fn next(&mut self) -> Result<(Event<'input>, Position)> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, position(span))),
            Some(Err(error)) => Err(scan_error(&error)),
            None => Err(TemplateError::new(Position::default(), "the template ends unexpectedly")),
        }
    }

    fn node(&mut self, depth: usize) -> Result<Node> {
        let (event, at) = self.next()?;
        if depth > DEPTH_MAX {
            return Err(TemplateError::new(at, "nested too deeply"));
        }
        let (value, tag) = match event {
            Event::Scalar(text, style, _, tag) => {
                let null = style == ScalarStyle::Plain && tag.is_none() && matches!(&*text, "" | "~" | "null");
                (if null { Value::Null } else { Value::Scalar(text.into_owned()) }, tag)
            }
            Event::SequenceStart(_, tag) => {
                let mut items = Vec::new();
                while self.peek()?.0 != Event::SequenceEnd {
                    items.push(self.node(depth + 1)?);
                }
                self.next()?;
                (Value::List(items), tag)
            }
            Event::MappingStart(_, tag) => {
                let mut entries = Vec::new();
                while self.peek()?.0 != Event::MappingEnd {
                    entries.push(self.entry(&entries, depth)?);
                }
                self.next()?;
                (long_form(entries), tag)
            }
            Event::Alias(_) => return Err(TemplateError::new(at, "CloudFormation does not support YAML aliases")),
            _ => return Err(TemplateError::new(at, "the template is empty")),
        };
        let node = Node { at, value };
        match tag.as_deref().and_then(short_form) {
            Some(function) => Ok(Node { at, value: Value::Call(function, Box::new(node)) }),
            None => Ok(node),
        }
    }

    fn entry(&mut self, before: &[Entry], depth: usize) -> Result<Entry> {
        let key = self.node(depth + 1)?;
        let text = key.text("a key")?.to_owned();
        if before.iter().any(|entry| entry.key == text) {
            return Err(key.error(format!("the key `{text}` appears twice")));
        }
        Ok(Entry { key: text, at: key.at, value: self.node(depth + 1)? })
    }
}

/// `{Ref: X}` and `{Fn::Sub: X}` are calls. Every other map is a map.
fn long_form(mut entries: Vec<Entry>) -> Value {
    let function = match entries.as_slice() {
        [entry] if entry.key == "Ref" => Some(entry.key.clone()),
        [entry] => entry.key.strip_prefix("Fn::").map(str::to_owned),
        _ => None,
    };
    match (function, entries.pop()) {
        (Some(function), Some(argument)) => Value::Call(function, Box::new(argument.value)),
        (_, last) => {
            entries.extend(last);
            Value::Map(entries)
        }
    }
}

/// The function `Sub` for the tag `!Sub`, or `None` for the tags of YAML itself.
fn short_form(tag: &Tag) -> Option<String> {
    (!tag.is_yaml_core_schema()).then(|| tag.suffix.clone())
}

fn position(span: Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

fn scan_error(error: &ScanError) -> TemplateError {
    let at = Position { line: error.marker().line(), column: error.marker().col() + 1 };
    TemplateError::new(at, format!("not YAML: {}", error.info()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_forms_of_a_function_are_one() {
        let short = Node::parse("a: !GetAtt Table.Arn\nb: !Join [',', [x, !Ref Y]]").unwrap();
        let long = Node::parse("a: {'Fn::GetAtt': Table.Arn}\nb: {'Fn::Join': [',', [x, {Ref: Y}]]}").unwrap();
        assert_eq!(strip(short), strip(long));
    }

    #[test]
    fn every_node_knows_its_place() {
        let root = Node::parse("a:\n  - b: c\n    d: !Ref E\n").unwrap();
        let entries = root.entries("root").unwrap();
        let item = &entries[0].value.items()[0];
        let d = &item.entries("item").unwrap()[1];
        assert_eq!((d.at, d.value.at), (Position { line: 3, column: 5 }, Position { line: 3, column: 8 }));
    }

    #[test]
    fn invalid_yaml_is_an_error_with_its_position() {
        for (source, expected) in [
            ("a: 1\na: 2\n", "2:1: the key `a` appears twice"),
            ("a: &x 1\nb: *x\n", "2:4: CloudFormation does not support YAML aliases"),
            ("a: 1\n---\nb: 2\n", "2:1: a template is a single YAML document"),
        ] {
            assert_eq!(Node::parse(source).unwrap_err().to_string(), expected);
        }
        assert!(Node::parse("a: [1\nb: 2").unwrap_err().to_string().contains("not YAML"));
        assert!(Node::parse("").unwrap_err().to_string().contains("empty"));
    }

    fn strip(node: Node) -> Node {
        let value = match node.value {
            Value::List(items) => Value::List(items.into_iter().map(strip).collect()),
            Value::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|entry| Entry { at: Position::default(), value: strip(entry.value), ..entry })
                    .collect(),
            ),
            Value::Call(function, argument) => Value::Call(function, Box::new(strip(*argument))),
            other => other,
        };
        Node { at: Position::default(), value }
    }
}
