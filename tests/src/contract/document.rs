//! Reads an OpenAPI document for the checks. Follows references within the document. If something is missing where the
//! specification requires it, that is an error with the place in the document.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, ensure};
use boon::{Compiler, SchemaIndex, Schemas};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

/// The URL of the document among schemas. Nothing is fetched from there.
const LOCATION: &str = "https://tidings.example/openapi.yaml";
/// The characters of a JSON pointer that a URL's fragment may contain unencoded.
const FRAGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'~').remove(b'-').remove(b'_').remove(b'.');
/// The longest chain of references.
const REFERENCES_MAX: usize = 8;
/// The methods of a path that may have operations, as the specification writes them.
const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// One operation: a method on a path.
#[derive(Debug)]
pub(super) struct Operation {
    /// The method in capitals.
    pub(super) method: String,
    /// The path with `{parameters}`.
    pub(super) path: String,
    pub(super) parameters: Vec<Parameter>,
    /// The schema of the JSON body, if the operation has one.
    pub(super) body: Option<SchemaIndex>,
    pub(super) responses: BTreeMap<u16, Response>,
}

#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    /// `path`, `query` or `header`.
    pub(super) place: String,
    pub(super) schema: SchemaIndex,
}

#[derive(Debug)]
pub(super) struct Response {
    pub(super) headers: Vec<Header>,
    /// The schemas by media type.
    pub(super) content: BTreeMap<String, SchemaIndex>,
}

#[derive(Debug)]
pub(super) struct Header {
    /// The name in lower case.
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) schema: SchemaIndex,
}

/// A value in the document, and its place.
#[derive(Clone)]
struct Place<'a> {
    pointer: String,
    value: &'a Value,
}

pub(super) struct Reader<'a> {
    document: &'a Value,
    compiler: Compiler,
    pub(super) schemas: Schemas,
}

impl<'a> Reader<'a> {
    pub(super) fn new(document: &'a Value) -> Result<Self> {
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        compiler.add_resource(LOCATION, document.clone()).map_err(|error| anyhow!("{error:#}"))?;
        Ok(Self { document, compiler, schemas: Schemas::new() })
    }

    /// All operations. Those of paths with fewer parameters come first, because they are more specific.
    pub(super) fn operations(&mut self) -> Result<Vec<Operation>> {
        let paths = self.root().member("paths")?;
        let mut operations = Vec::new();
        for (path, item) in paths.entries()? {
            for (method, operation) in item.entries()? {
                ensure!(METHODS.contains(&method.as_str()), "{}: unknown method", operation.pointer);
                operations.push(self.operation(&method, &path, &operation)?);
            }
        }
        operations.sort_by_key(|operation| operation.path.matches('{').count());
        Ok(operations)
    }

    fn root(&self) -> Place<'a> {
        Place { pointer: String::new(), value: self.document }
    }

    fn operation(&mut self, method: &str, path: &str, place: &Place<'a>) -> Result<Operation> {
        let parameters = match place.find("parameters") {
            Some(list) => list.items()?.iter().map(|parameter| self.parameter(parameter)).collect::<Result<_>>()?,
            None => Vec::new(),
        };
        let body = match place.find("requestBody") {
            Some(body) => {
                let content = self.resolve(&body)?.member("content")?;
                Some(self.schema(&content.member("application/json")?)?)
            }
            None => None,
        };
        let mut responses = BTreeMap::new();
        for (status, response) in place.member("responses")?.entries()? {
            let status = status.parse().with_context(|| format!("{}: not a status", response.pointer))?;
            responses.insert(status, self.response(&response)?);
        }
        Ok(Operation { method: method.to_ascii_uppercase(), path: path.to_owned(), parameters, body, responses })
    }

    fn parameter(&mut self, place: &Place<'a>) -> Result<Parameter> {
        let place = self.resolve(place)?;
        let text = |name| anyhow::Ok(place.member(name)?.text()?.to_owned());
        Ok(Parameter { name: text("name")?, place: text("in")?, schema: self.schema(&place)? })
    }

    fn response(&mut self, place: &Place<'a>) -> Result<Response> {
        let place = self.resolve(place)?;
        let mut headers = Vec::new();
        for (name, header) in place.find("headers").map_or(Ok(Vec::new()), |headers| headers.entries())? {
            let header = self.resolve(&header)?;
            let required = header.find("required").is_some_and(|required| required.value == &Value::Bool(true));
            headers.push(Header { name: name.to_ascii_lowercase(), required, schema: self.schema(&header)? });
        }
        let mut content = BTreeMap::new();
        for (media_type, entry) in place.find("content").map_or(Ok(Vec::new()), |content| content.entries())? {
            content.insert(media_type, self.schema(&entry)?);
        }
        Ok(Response { headers, content })
    }

    /// Compiles the `schema` of a parameter, header or body.
    fn schema(&mut self, place: &Place<'a>) -> Result<SchemaIndex> {
        let pointer = place.member("schema")?.pointer;
        let location = format!("{LOCATION}#{}", utf8_percent_encode(&pointer, FRAGMENT));
        self.compiler.compile(&location, &mut self.schemas).map_err(|error| anyhow!("{pointer}: {error:#}"))
    }

    /// The place that a reference leads to, or the place itself.
    fn resolve(&self, place: &Place<'a>) -> Result<Place<'a>> {
        let mut place = place.clone();
        for _ in 0..REFERENCES_MAX {
            let Some(reference) = place.find("$ref") else { return Ok(place) };
            let pointer =
                reference.text()?.strip_prefix('#').context("a reference must stay within the document")?.to_owned();
            let value = self.document.pointer(&pointer).with_context(|| format!("there is no {pointer}"))?;
            place = Place { pointer, value };
        }
        anyhow::bail!("{}: the chain of references is too long or has no end", place.pointer)
    }

    /// Every example that has a schema, as pointer, schema and example.
    #[cfg(test)]
    pub(super) fn examples(&mut self) -> Result<Vec<(String, SchemaIndex, &'a Value)>> {
        let (mut found, mut left) = (Vec::new(), vec![self.root()]);
        while let Some(place) = left.pop() {
            if place.find("schema").is_some_and(|schema| schema.value.is_object()) {
                let schema = self.schema(&place)?;
                found.extend(place.find("example").map(|example| (example.pointer.clone(), schema, example.value)));
                for (_, example) in place.find("examples").map_or(Ok(Vec::new()), |examples| examples.entries())? {
                    let example = self.resolve(&example)?;
                    found.push((example.pointer.clone(), schema, example.member("value")?.value));
                }
            }
            match place.value {
                Value::Object(_) => left.extend(place.entries()?.into_iter().map(|(_, member)| member)),
                Value::Array(_) => left.extend(place.items()?),
                _ => {}
            }
        }
        Ok(found)
    }
}

impl<'a> Place<'a> {
    fn find(&self, name: &str) -> Option<Self> {
        Some(Self { pointer: self.pointer_to(name), value: self.value.get(name)? })
    }

    fn member(&self, name: &str) -> Result<Self> {
        self.find(name).with_context(|| format!("{}: no {name}", self.pointer))
    }

    fn entries(&self) -> Result<Vec<(String, Self)>> {
        let object: &Map<_, _> = self.value.as_object().with_context(|| format!("{}: no object", self.pointer))?;
        Ok(object.iter().map(|(name, value)| (name.clone(), Self { pointer: self.pointer_to(name), value })).collect())
    }

    fn items(&self) -> Result<Vec<Self>> {
        let items = self.value.as_array().with_context(|| format!("{}: no list", self.pointer))?;
        let item = |(at, value)| Self { pointer: format!("{}/{at}", self.pointer), value };
        Ok(items.iter().enumerate().map(item).collect())
    }

    fn text(&self) -> Result<&'a str> {
        self.value.as_str().with_context(|| format!("{}: no text", self.pointer))
    }

    fn pointer_to(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"))
    }
}
