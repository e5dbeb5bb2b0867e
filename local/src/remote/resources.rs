//! What CloudFormation tells of a stack: the physical names of its resources and of those of its nested stacks, from
//! `ListStackResources`, and the values of its parameters, from `DescribeStacks`.

use std::collections::{HashMap, VecDeque};

use anyhow::{Context, ensure};
use aws_smithy_xml::decode::{Document, ScopedDecoder, try_data};
use bytes::Bytes;
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::endpoint::Endpoint;

/// The most pages to read. CloudFormation allows 500 resources in a stack and returns 100 in a page; this leaves some
/// room.
const PAGES_MAX: usize = 100;
/// The most nested stacks to read, far more than any template here has.
const NESTED_MAX: usize = 50;
/// The type of a nested stack. Its physical name is its id, which names it in requests.
const NESTED: &str = "AWS::CloudFormation::Stack";
/// What is read of each resource.
const FIELDS: [&str; 4] = ["LogicalResourceId", "PhysicalResourceId", "ResourceStatus", "ResourceType"];
/// The status of a resource that an update deleted. CloudFormation may still list it.
const DELETED: &str = "DELETE_COMPLETE";

/// A resource of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The type, such as `AWS::SQS::Queue`.
    pub kind: String,
    /// The physical name. For a queue, it is the URL.
    pub name: String,
}

/// One page of a stack's resources.
#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    /// The resources by their logical ids.
    resources: HashMap<String, Resource>,
    next_token: Option<String>,
}

/// The resources of `stack` and of its nested stacks, by their logical ids. The templates of this project have no
/// logical id twice. Of two resources with one id, that of the outer stack is returned.
///
/// # Errors
/// If there is no such stack, or if the endpoint cannot be reached.
pub async fn of_stack(endpoint: &Endpoint, stack: &str) -> anyhow::Result<HashMap<String, Resource>> {
    let mut resources = of_one(endpoint, stack).await?;
    let nested = |resources: &HashMap<String, Resource>| {
        // A nested stack whose creation failed has no name.
        let nested = resources.values().filter(|resource| resource.kind == NESTED && !resource.name.is_empty());
        nested.map(|resource| resource.name.clone()).collect::<Vec<_>>()
    };
    let mut unread = VecDeque::from(nested(&resources));
    let mut read = 0;
    while let Some(id) = unread.pop_front() {
        read += 1;
        ensure!(read <= NESTED_MAX, "the stack {stack} has more than {NESTED_MAX} nested stacks");
        let inner = of_one(endpoint, &id).await?;
        unread.extend(nested(&inner));
        for (id, resource) in inner {
            resources.entry(id).or_insert(resource);
        }
    }
    Ok(resources)
}

/// The resources of one stack, without those of its nested stacks.
async fn of_one(endpoint: &Endpoint, stack: &str) -> anyhow::Result<HashMap<String, Resource>> {
    let mut resources = HashMap::new();
    let mut token = None;
    for _ in 0..PAGES_MAX {
        let page = list(endpoint, stack, token.as_deref()).await?;
        resources.extend(page.resources);
        token = page.next_token;
        if token.is_none() {
            return Ok(resources);
        }
    }
    anyhow::bail!("the stack {stack} has more than {PAGES_MAX} pages of resources")
}

async fn list(endpoint: &Endpoint, stack: &str, token: Option<&str>) -> anyhow::Result<Page> {
    let text = ask(endpoint, "ListStackResources", stack, token).await?;
    parse(&text).context("cannot read the list of the stack's resources")
}

/// The value of a parameter of the stack, if the stack has it.
///
/// # Errors
/// If there is no such stack, or if the endpoint cannot be reached.
pub async fn parameter(endpoint: &Endpoint, stack: &str, name: &str) -> anyhow::Result<Option<String>> {
    let text = ask(endpoint, "DescribeStacks", stack, None).await?;
    parse_parameter(&text, name).context("cannot read the stack's parameters")
}

async fn ask(endpoint: &Endpoint, action: &str, stack: &str, token: Option<&str>) -> anyhow::Result<String> {
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let mut form = format!("Action={action}&Version=2010-05-15&StackName={}", encode(stack));
    if let Some(token) = token {
        form.push_str(&format!("&NextToken={}", encode(token)));
    }
    let content_type = "application/x-www-form-urlencoded";
    let (status, _, body) = endpoint.post("cloudformation", "/", content_type, Bytes::from(form)).await?;
    let text = String::from_utf8_lossy(&body);
    ensure!(status == StatusCode::OK, "{action} fails for the stack {stack}: {status}: {}", message(&text));
    Ok(text.into_owned())
}

/// The message of an error, or the whole answer if it has none, in one line.
fn message(answer: &str) -> String {
    let mut document = Document::new(answer);
    let mut message = None;
    while let Some(element) = document.next_start_element() {
        if element.local() == "Message" {
            message = try_data(&mut document.scoped_to(element)).ok();
            break;
        }
    }
    message.as_deref().unwrap_or(answer).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn parse_parameter(xml: &str, name: &str) -> anyhow::Result<Option<String>> {
    let mut document = Document::new(xml);
    while let Some(element) = document.next_start_element() {
        if element.local() != "Parameters" {
            continue;
        }
        let mut parameters = document.scoped_to(element);
        while let Some(mut member) = parameters.next_tag() {
            let mut parameter = texts(&mut member, &["ParameterKey", "ParameterValue"])?;
            if parameter.remove("ParameterKey").as_deref() == Some(name) {
                return Ok(parameter.remove("ParameterValue"));
            }
        }
    }
    Ok(None)
}

/// The texts of the elements with these names that stand directly in this one.
fn texts(element: &mut ScopedDecoder<'_, '_>, names: &[&str]) -> anyhow::Result<HashMap<String, String>> {
    let mut texts = HashMap::new();
    while let Some(mut field) = element.next_tag() {
        let name = field.start_el().local().to_owned();
        if names.contains(&name.as_str()) {
            texts.insert(name, try_data(&mut field)?.into_owned());
        }
    }
    Ok(texts)
}

fn parse(xml: &str) -> anyhow::Result<Page> {
    let mut page = Page::default();
    let mut document = Document::new(xml);
    let mut response = document.root_element()?;
    while let Some(mut result) = response.next_tag() {
        while let Some(mut part) = result.next_tag() {
            match part.start_el().local() {
                "NextToken" => page.next_token = Some(try_data(&mut part)?.into_owned()),
                "StackResourceSummaries" => {
                    while let Some(mut member) = part.next_tag() {
                        let mut resource = texts(&mut member, &FIELDS)?;
                        let mut take = |name| resource.remove(name).unwrap_or_default();
                        let (kind, name) = (take("ResourceType"), take("PhysicalResourceId"));
                        if take("ResourceStatus") != DELETED {
                            page.resources.insert(take("LogicalResourceId"), Resource { kind, name });
                        }
                    }
                }
                _ => {}
            }
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resources_of_a_page_are_found_by_their_logical_ids() {
        let resource = |id: &str, name: &str, kind: &str, status: &str| {
            format!(
                "<member><LastUpdatedTimestamp>2026-01-01T00:00:00Z</LastUpdatedTimestamp>
                 <LogicalResourceId>{id}</LogicalResourceId><PhysicalResourceId>{name}</PhysicalResourceId>
                 <DriftInformation><StackResourceDriftStatus>NOT_CHECKED</StackResourceDriftStatus></DriftInformation>
                 <ResourceStatus>{status}</ResourceStatus><ResourceType>{kind}</ResourceType></member>"
            )
        };
        let members = [
            resource("Fanout", "tidings-Fanout-1", "AWS::Lambda::Function", "UPDATE_COMPLETE"),
            resource("Cards", "tidings-Cards-1", "AWS::DynamoDB::Table", "CREATE_COMPLETE"),
            resource("CardsB", "tidings-CardsB-1", "AWS::DynamoDB::Table", "DELETE_COMPLETE"),
            resource("Deliver", "tidings-Deliver-1", "AWS::Lambda::Function", "CREATE_COMPLETE"),
        ];
        let xml = format!(
            r#"<?xml version='1.0' encoding='utf-8'?>
            <ListStackResourcesResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
            <ListStackResourcesResult><StackResourceSummaries>{}</StackResourceSummaries>
            <NextToken>a&amp;b</NextToken></ListStackResourcesResult>
            <ResponseMetadata><RequestId>x</RequestId></ResponseMetadata></ListStackResourcesResponse>"#,
            members.concat()
        );
        let named = |(id, kind): (&str, &str)| {
            (id.to_owned(), Resource { kind: format!("AWS::{kind}"), name: format!("tidings-{id}-1") })
        };
        let resources = [("Fanout", "Lambda::Function"), ("Cards", "DynamoDB::Table"), ("Deliver", "Lambda::Function")];
        let expected = Page { resources: resources.map(named).into(), next_token: Some("a&b".into()) };
        assert_eq!(parse(&xml).unwrap(), expected);
        assert!(parse("").is_err());
    }

    #[test]
    fn a_parameter_is_found_whatever_the_order_of_its_members() {
        let xml = "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>tidings</StackName>
            <Parameters><member><ParameterKey>Revision</ParameterKey><ParameterValue>1</ParameterValue></member>
            <member><ParameterValue>restored</ParameterValue><ParameterKey>CommandsTable</ParameterKey></member>
            <member><ParameterKey>JwtScope</ParameterKey><ParameterValue/></member></Parameters>
            <Outputs/></member></Stacks></DescribeStacksResult></DescribeStacksResponse>";
        let value = |name| parse_parameter(xml, name).unwrap();
        assert_eq!(value("CommandsTable").as_deref(), Some("restored"));
        assert_eq!(value("JwtScope").as_deref(), Some(""));
        assert_eq!(value("Unknown"), None);
    }

    #[test]
    fn an_error_is_one_line() {
        let xml = "<ErrorResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\">\n  <Error>\n
            <Type>Sender</Type>\n    <Code>ValidationError</Code>\n
            <Message>Stack with id typo does &quot;not&quot; exist</Message>\n  </Error>\n</ErrorResponse>";
        assert_eq!(message(xml), "Stack with id typo does \"not\" exist");
        assert_eq!(message(" no XML,\n but two lines\n"), "no XML, but two lines");
        assert_eq!(message(""), "");
    }
}
