//! Nested stacks: what is read of them, and what is refused.

use std::collections::BTreeMap;

use super::super::super::{Addresses, Files, Inputs, LoadError, Values, model::System, parse};

/// Reads a template whose resources are in the first text, beside the templates of nested stacks.
fn read(resources: &str, nested: &[(&str, &str)]) -> Result<System, LoadError> {
    let texts = nested.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let inputs = Inputs {
        values: Values { given: BTreeMap::new(), supplied: BTreeMap::new() },
        addresses: Addresses {
            sqs: "http://127.0.0.1:2".into(),
            api: "http://127.0.0.1:1".into(),
            function_url: "http://127.0.0.1:3".into(),
        },
        files: Files::Texts(texts),
    };
    parse("t.yaml", &format!("Transform: AWS::Serverless-2016-10-31\nResources:\n{resources}"), &inputs)
}

#[track_caller]
fn assert_refused(resources: &str, nested: &[(&str, &str)], expected: &str) {
    assert_eq!(read(resources, nested).unwrap_err().to_string(), expected);
}

const ONE: &str = "  A: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: a.yaml}}\n";
const QUEUE: &str = "Resources:\n  Q: {Type: AWS::SQS::Queue}\n";

/// The first stack is told the output of the second one, and a queue of the template has what the first one returns.
#[test]
fn outputs_go_from_one_nested_stack_to_another_in_any_order() {
    let resources = "
  A:
    Type: AWS::CloudFormation::Stack
    Properties: {TemplateURL: a.yaml, Parameters: {Seconds: !GetAtt B.Outputs.Seconds}}
  B: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: b.yaml, Parameters: {Name: !Ref Own}}}
  Own: {Type: AWS::SQS::Queue, Properties: {VisibilityTimeout: !Sub '${A.Outputs.Seconds}0'}}
";
    let a = "Parameters: {Seconds: {Type: Number}}
Resources: {Q: {Type: AWS::SQS::Queue, Properties: {VisibilityTimeout: !Ref Seconds}}}
Outputs: {Seconds: {Value: !Ref Seconds}}";
    let b = "Parameters: {Name: {Type: String}}
Resources: {T: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub '${Name}-b'}}}
Outputs: {Seconds: {Value: '7'}}";
    let mut queues = read(resources, &[("a.yaml", a), ("b.yaml", b)]).unwrap().queues;
    queues.sort_by(|a, b| a.name.cmp(&b.name));
    let found: Vec<_> = queues.iter().map(|queue| (queue.name.as_str(), queue.visibility_timeout.as_secs())).collect();
    let other = "http://127.0.0.1:2/000000000000/tidings-Own-b";
    assert_eq!(found, [(other, 30), ("tidings-Own", 70), ("tidings-Q", 7)]);
}

#[test]
fn a_nested_stack_is_refused_where_it_stands() {
    let at = "t.yaml:3:67: ";
    assert_refused(ONE, &[], &format!("{at}cannot read the template a.yaml: entity not found"));
    assert_refused(
        ONE,
        &[("a.yaml", "Resources:\n  X: {Type: AWS::Nothing}\n")],
        &format!("{at}a.yaml:2:13: the local stack does not know the resource type `AWS::Nothing`"),
    );
    // A function needs SAM, and a template that nests itself would have no end.
    for kind in ["AWS::Serverless::Function", "AWS::CloudFormation::Stack"] {
        let nested = format!("Resources:\n  X: {{Type: {kind}, Properties: {{TemplateURL: a.yaml}}}}\n");
        let expected = format!("{at}a.yaml:2:13: the local stack reads no `{kind}` within a nested stack");
        assert_refused(ONE, &[("a.yaml", &nested)], &expected);
    }
}

#[test]
fn parameters_and_outputs_have_to_exist() {
    let missing = "  Own: {Type: AWS::SQS::Queue, Properties: {VisibilityTimeout: !GetAtt A.Outputs.X}}\n";
    let circle = ONE.replace("a.yaml", "a.yaml, Parameters: {X: !GetAtt A.Outputs.X}");
    for (resources, line) in [(format!("{ONE}{missing}"), 4), (circle, 3)] {
        let error = read(&resources, &[("a.yaml", QUEUE)]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("t.yaml:{line}:")), "{error}");
        assert!(error.ends_with("the nested stack `A` has no output `X`"), "{error}");
    }
    let unknown = ONE.replace("a.yaml", "a.yaml, Parameters: {X: 1}");
    let expected = "t.yaml:3:67: a.yaml: parameter `X`: the template has no such parameter; it has ";
    assert_refused(&unknown, &[("a.yaml", QUEUE)], expected);
}

/// The local stack names resources by their logical ids alone.
#[test]
fn two_templates_have_no_resource_of_one_name() {
    let own = format!("{ONE}  Q: {{Type: AWS::SQS::Queue}}\n");
    let expected = "t.yaml:3:3: `Q` is a resource of two templates, which would have one name";
    assert_refused(&own, &[("a.yaml", QUEUE)], expected);
    let twice = format!("{ONE}{}", ONE.replace("A:", "B:"));
    let error = read(&twice, &[("a.yaml", QUEUE)]).unwrap_err().to_string();
    assert!(error.ends_with("`Q` is a resource of two templates, which would have one name"), "{error}");
}
