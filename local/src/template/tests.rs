//! The project's own template must be valid, and every kind of error must have its position.

use std::{collections::BTreeMap, time::Duration};

use super::{
    model::{
        AlarmMetric, Cors, EventSource, FunctionUrl, KeySchema, MetricId, Redrive, Statistic, StreamKind, StreamSource,
        Table,
    },
    *,
};

const SHELL: &str = "Transform: AWS::Serverless-2016-10-31\nResources:\n";

fn inputs(given: &[(&str, &str)]) -> Inputs {
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let supplied: BTreeMap<_, _> = map(&[("JwtIssuer", "http://127.0.0.1:1"), ("CursorKey", &"k".repeat(32))]);
    Inputs {
        values: Values { given: map(given), supplied },
        addresses: Addresses {
            sqs: "http://127.0.0.1:2".into(),
            api: "http://127.0.0.1:1".into(),
            function_url: "http://127.0.0.1:3".into(),
        },
        files: Files::Texts(BTreeMap::new()),
    }
}

fn project(given: &[(&str, &str)]) -> Result<System, LoadError> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let source = std::fs::read_to_string(directory.join("template.yaml")).unwrap();
    parse("template.yaml", &source, &Inputs { files: Files::Directory(directory), ..inputs(given) })
}

fn read(source: &str) -> Result<System, String> {
    parse("t.yaml", source, &inputs(&[])).map_err(|error| error.to_string())
}

#[track_caller]
fn assert_error(source: &str, expected: &str) {
    assert_eq!(read(source).unwrap_err(), expected, "{source}");
}

#[test]
fn the_projects_template_is_read_whole() {
    let system = project(&[]).unwrap();
    let names = |function: &str| system.functions.iter().find(|f| f.name == function).unwrap();

    let commands = system.tables.iter().find(|table| table.name == "tidings-Commands").unwrap();
    assert_eq!(commands.key, KeySchema { partition: "PK".into(), sort: Some("SK".into()) });
    assert_eq!(commands.stream_view.as_deref(), Some("NEW_AND_OLD_IMAGES"));
    assert_eq!(commands.ttl_attribute.as_deref(), Some("expires_at"));
    assert_eq!(system.streams[0].shards, 4);
    let deliveries = system.queues.iter().find(|queue| queue.name == "tidings-Deliveries").unwrap();
    assert_eq!(
        deliveries.redrive,
        Some(Redrive { dead_letter_queue: "tidings-Quarantine".into(), max_receive_count: 1000 })
    );

    // From Globals, from the function itself, and by the two kinds of reference.
    let fanout = names("Fanout");
    assert_eq!(fanout.binary, "fanout");
    assert_eq!(fanout.environment["RUST_LOG"], "info");
    assert_eq!(fanout.environment["COMMANDS_TABLE"], "tidings-Commands");
    assert_eq!(fanout.environment["CARDS_TABLE_B"], "tidings-CardsB", "an output of a nested stack");
    assert_eq!(fanout.environment["DELIVERIES_QUEUE"], "http://127.0.0.1:2/000000000000/tidings-Deliveries");
    assert_eq!((fanout.timeout, fanout.memory_mib), (Duration::from_secs(60), 1024));
    assert_eq!(names("GetFeed").environment["CURSOR_KEY"], "k".repeat(32));
    assert_eq!(names("FollowUser").routes[0].path, "/v1/users/{user}/follow");

    let EventSource::Stream(source) = &names("PublishEvents").sources[0] else { panic!("not a stream") };
    assert_eq!(source.id, "PublishEvents-Log");
    assert_eq!(source.stream, StreamKind::DynamoDb("tidings-Commands".into()));
    assert_eq!(source.on_failure_queue.as_deref(), Some("tidings-FailedBatches"));
    assert_eq!((source.max_retries, source.parallelization_factor), (Some(10_000), 4));
    assert!(source.report_failures && source.bisect && source.from_oldest);
    assert_eq!(source.filters[0]["eventName"][0], "INSERT");

    let api = system.api.unwrap();
    assert_eq!(api.authorizer.unwrap().issuer, "http://127.0.0.1:1");
    assert_eq!(api.cors.unwrap().allow_origins, ["*"]);
    assert!(system.warnings.iter().any(|line| line.contains("PointInTimeRecoverySpecification")), "nothing is silent");
    assert!(system.warnings.iter().any(|line| line.contains("AWS::CloudWatch::Dashboard")), "nothing is silent");
}

/// A rebuild switches from one set to the other one. The second one is in another template.
#[test]
fn both_sets_of_read_models_have_the_same_keys_and_indexes() {
    let tables = project(&[]).unwrap().tables;
    for model in ["Timelines", "Viewers", "Cards", "SearchIndex"] {
        let [first, second] = ["", "B"].map(|suffix| {
            let name = format!("tidings-{model}{suffix}");
            let table = tables.iter().find(|table| table.name == name);
            table.cloned().unwrap_or_else(|| panic!("there is no {name}"))
        });
        assert_eq!(Table { name: first.name.clone(), ..second }, first);
    }
}

#[test]
fn the_edge_is_read_where_there_is_one() {
    let is_read = |system: System| system.warnings.iter().any(|line| line.starts_with("stacks/edge.yaml:"));
    assert!(!is_read(project(&[]).unwrap()));
    let domain = [("CertificateArn", "arn:aws:x"), ("DomainName", "api.example.com")];
    for given in [&domain[..], &[("WebAclArn", "arn:aws:x")]] {
        assert!(is_read(project(given).unwrap()), "{given:?}");
    }
    for half in domain {
        project(&[half]).unwrap_err();
    }
}

#[test]
fn capacity_is_read_where_it_is_asked_for_and_changes_nothing_else() {
    let on_demand = project(&[]).unwrap();
    for (parameter, file) in
        [("ProvisionedUnits", "stacks/capacity.yaml:"), ("CommandsProvisionedUnits", "stacks/commands-capacity.yaml:")]
    {
        let system = project(&[(parameter, "25"), ("MaxReadUnits", "9000")]).unwrap();
        let is_read = |system: &System| system.warnings.iter().any(|line| line.starts_with(file));
        assert!(is_read(&system) && !is_read(&on_demand), "{parameter}");
        assert_eq!(system.tables, on_demand.tables);
    }
}

#[test]
fn feeds_have_a_second_address_where_it_is_asked_for() {
    let address = |system: &System| {
        let issuer = system.functions.iter().find(|function| function.name == "IssueTicket").unwrap();
        issuer.environment["FEED_URL"].clone()
    };
    let without = project(&[]).unwrap();
    assert_eq!((address(&without), &*without.function_urls), (String::new(), &[][..]));

    let with = project(&[("FeedUrl", "true"), ("CorsAllowOrigin", "https://app.example")]).unwrap();
    assert_eq!(address(&with), "http://127.0.0.1:3/");
    let [FunctionUrl { function, cors: Some(cors) }] = &*with.function_urls else { panic!("{:?}", with.function_urls) };
    let Cors { allow_origins, allow_methods, .. } = cors;
    assert_eq!((function.as_str(), &**allow_origins), ("tidings-GetFeed", &["https://app.example".to_owned()][..]));
    assert_eq!(*allow_methods, ["GET"]);
    assert_eq!(with.alarms.len(), without.alarms.len() + 1);
}

#[test]
fn a_function_url_that_checks_callers_is_refused() {
    let url = |properties: &str| format!("{SHELL}  U: {{Type: AWS::Lambda::Url, Properties: {{{properties}}}}}\n");
    let one = read(&url("TargetFunctionArn: f, AuthType: NONE")).unwrap().function_urls;
    assert_eq!(one, [FunctionUrl { function: "f".into(), cors: None }]);
    assert_error(&url("TargetFunctionArn: f"), "t.yaml:3:3: AWS::Lambda::Url needs `AuthType`");
    for (properties, expected) in [
        ("AuthType: NONE", "needs `TargetFunctionArn`"),
        ("TargetFunctionArn: f, AuthType: AWS_IAM", "supports only NONE"),
        ("TargetFunctionArn: f, AuthType: NONE, InvokeMode: RESPONSE_STREAM", "supports only BUFFERED"),
    ] {
        let error = read(&url(properties)).unwrap_err();
        assert!(error.ends_with(expected), "{error}");
    }
}

#[test]
fn enhanced_fan_out_reads_the_same_bus() {
    let buses = |given: &[(&str, &str)]| -> Vec<_> {
        let functions = project(given).unwrap().functions.into_iter();
        let streams = functions.flat_map(|function| function.sources).filter_map(|source| match source {
            EventSource::Stream(StreamSource { stream: StreamKind::Kinesis(name), id, enhanced_fan_out, .. }) => {
                Some((id, name, enhanced_fan_out))
            }
            _ => None,
        });
        streams.collect()
    };
    let [usual, enhanced] = [buses(&[]), buses(&[("EnhancedFanOut", "true")])];
    assert_eq!(usual.len(), 2);
    assert!(usual.iter().all(|(.., enhanced)| !enhanced) && enhanced.iter().all(|(.., enhanced)| *enhanced));
    let names = |buses: Vec<(String, String, bool)>| buses.into_iter().map(|(id, name, _)| (id, name));
    assert!(names(usual).eq(names(enhanced)));
}

#[test]
fn the_pollers_of_deliver_are_those_that_the_parameter_asks_for() {
    let pollers = |given: &[(&str, &str)]| -> Vec<_> {
        let functions = project(given).unwrap().functions.into_iter().filter(|it| it.name == "Deliver");
        let queues = functions.flat_map(|it| it.sources).filter_map(|source| match source {
            EventSource::Queue(queue) => Some((queue.max_concurrency, queue.provisioned_pollers)),
            _ => None,
        });
        queues.collect()
    };
    assert_eq!(pollers(&[]), [(Some(50), None)]);
    assert_eq!(pollers(&[("ProjectionConcurrency", "30")]), [(Some(30), None)]);
    assert_eq!(pollers(&[("DeliverPollers", "20"), ("ProjectionConcurrency", "30")]), [(None, Some(20))]);
    let refused = project(&[("DeliverPollers", "1")]).unwrap_err().to_string();
    assert!(refused.contains("DeliverPollers is 0, or at least 2"), "{refused}");
}

#[test]
fn environments_that_are_kept_ready_are_those_of_feeds_and_likes() {
    let ready = |given: &[(&str, &str)]| -> Vec<_> {
        let functions = project(given).unwrap().functions.into_iter();
        functions.filter(|it| it.provisioned > 0).map(|it| (it.name, it.provisioned)).collect()
    };
    assert_eq!(ready(&[]), []);
    assert_eq!(ready(&[("FeedProvisioned", "400")]), [("GetFeed".to_owned(), 400)]);
    assert_eq!(ready(&[("LikesProvisioned", "30")]), [("ReactToPost".to_owned(), 30)]);
}

#[test]
fn the_projects_alarms_are_read_with_those_of_nested_stacks() {
    let system = project(&[("StaleSeconds", "7")]).unwrap();
    let alarm = |id: &str| system.alarms.iter().find(|alarm| alarm.id == id).unwrap();
    let age = alarm("FanoutAgeAlarm");
    let fanout = MetricId::new("AWS/Lambda", "IteratorAge", [("FunctionName", "tidings-Fanout".to_owned())]);
    assert_eq!(age.metrics, [AlarmMetric { metric: fanout, statistic: Statistic::Maximum }]);
    assert_eq!((age.threshold, age.period_s, age.datapoints), (7000.0, 60, 3));
    let lag = &alarm("FeedLagAlarm").metrics[0];
    assert_eq!(lag.metric, MetricId::new("Tidings", "FeedLag", [("Stack", "tidings".to_owned())]));
    assert_eq!(lag.statistic, Statistic::Percentile(99.0));
    assert_eq!(alarm("ProjectionErrorsAlarm").metrics.len(), 6, "a sum");
    let stale = &system.composite_alarms[0];
    assert_eq!(stale.any_of.len(), 4);
    assert!(stale.any_of.iter().all(|name| system.alarms.iter().any(|alarm| &alarm.name == name)));
}

/// A misspelt metric would make an alarm that never fires.
#[test]
fn every_metric_of_the_projects_alarms_is_one_that_functions_write() {
    let system = project(&[]).unwrap();
    let of_alarms = system.alarms.iter().flat_map(|alarm| &alarm.metrics).map(|metric| &metric.metric);
    let own: Vec<_> = of_alarms.filter(|metric| metric.namespace == tidings::metrics::NAMESPACE).collect();
    assert!(!own.is_empty());
    for metric in own {
        assert!(tidings::metrics::ALL.iter().any(|(name, _)| *name == metric.name), "{}", metric.name);
    }
}

#[test]
fn another_table_of_commands_replaces_the_own_one_everywhere() {
    let with_stream = |name: &str, region: &str| {
        let stream = format!("arn:aws:dynamodb:{region}:000000000000:table/{name}/stream/local");
        project(&[("CommandsTable", name), ("CommandsTableStream", &stream)])
    };
    let with_commands = |name: &str| with_stream(name, "us-east-1");
    let restored = with_commands("restored").unwrap();
    assert_eq!(with_stream("restored", "dynoxide").unwrap().other_tables, ["restored"], "as the server describes it");
    assert_eq!(restored.other_tables, ["restored"]);
    assert!(restored.functions.iter().all(|function| function.environment["COMMANDS_TABLE"] == "restored"));
    // This table of the template has no stream.
    let refused = with_commands("tidings-Timelines").unwrap_err().to_string();
    assert!(refused.contains("there is no table `tidings-Timelines` with a stream"), "{refused}");
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml")).unwrap();
    let references = ["!Ref Commands\n", "!Ref Commands,", "!Ref Commands ", "!GetAtt Commands.Arn"];
    for direct in references.into_iter().chain(["${Commands}", "${Commands."]) {
        assert!(!source.contains(direct), "`{direct}` does not follow the parameter CommandsTable");
    }
}

#[test]
fn a_given_parameter_replaces_the_default() {
    let system = project(&[("LogLevel", "debug"), ("JwtIssuer", "https://example.com")]).unwrap();
    assert_eq!(system.functions[0].environment["RUST_LOG"], "debug");
    assert_eq!(system.api.unwrap().authorizer.unwrap().issuer, "https://example.com");
}

#[test]
fn a_given_parameter_is_checked_as_the_template_says() {
    for (name, value, reason) in [
        ("LogLevel", "loud", "--parameter LogLevel: must be one of error, warn, info, debug, trace"),
        ("PageMilliseconds", "0", "--parameter PageMilliseconds: must be at least 1"),
        ("CursorKey", "", "template.yaml:"),
        ("LogRetentionDays", "2", "--parameter LogRetentionDays: must be one of 1, 3, 5"),
        ("Typo", "1", "--parameter Typo: the template has no such parameter; it has JwtIssuer"),
    ] {
        let error = project(&[(name, value)]).unwrap_err().to_string();
        assert!(error.starts_with(reason), "{error}");
    }
}

#[test]
fn a_parameter_without_any_value_is_an_error() {
    assert_error(
        "Parameters:\n  Secret:\n    Type: String\nResources: {}\n",
        "t.yaml:2:3: parameter `Secret` has no default; give it with --parameter Secret=VALUE",
    );
}

#[test]
fn unknown_properties_are_errors_with_their_position() {
    let resource = |text: &str| format!("{SHELL}  R:\n{text}");
    for (source, expected) in [
        (
            "Resource: {}\nResources: {}".to_owned(),
            "1:1: the local stack does not know the property `Resource` of the template",
        ),
        (
            resource("    Type: AWS::SNS::TopicPolicy"),
            "4:11: the local stack does not know the resource type `AWS::SNS::TopicPolicy`",
        ),
        (
            resource("    Type: AWS::SQS::Queue\n    Properties:\n      VisibilityTimeOut: 3"),
            "6:7: the local stack does not know the property `VisibilityTimeOut` of AWS::SQS::Queue",
        ),
        (
            resource(
                "    Type: AWS::SQS::Queue\n    Properties:\n      \
                 RedrivePolicy: {maxReceiveCount: 1, deadLetterTargetArn: x}",
            ),
            "6:64: `x` is not the ARN of a queue of this template",
        ),
        (
            resource("    Type: AWS::SQS::Queue\n    Properties:\n      VisibilityTimeout: 1m"),
            "6:26: `VisibilityTimeout` must be a whole number from 0 to 43200",
        ),
        (
            resource("    Type: AWS::SQS::Queue\n    Property: 1"),
            "5:5: the local stack does not know the property `Property` of a resource",
        ),
        (resource("    Type: AWS::SQS::Queue\n    DependsOn: Q"), "5:16: there is no resource `Q`"),
        (resource("    Properties: {}"), "3:3: resource `R` needs a `Type`"),
        (
            "Globals:\n  Table: {}\nResources: {}".to_owned(),
            "2:3: the local stack does not know the section `Table` of Globals",
        ),
    ] {
        assert_error(&source, &format!("t.yaml:{expected}"));
    }
}

#[test]
fn a_dangling_reference_is_an_error_wherever_it_stands() {
    let queue = |text: &str| format!("{SHELL}  Q:\n    Type: AWS::SQS::Queue\n    Properties:\n      Tags: {text}\n");
    for (text, expected) in [
        ("!Ref Typo", "6:13: there is no parameter or resource `Typo`"),
        ("!GetAtt Q.Size", "6:13: AWS::SQS::Queue `Q` has no attribute `Size` that the local stack knows"),
        ("!Sub 'a ${Typo} b'", "6:13: there is no parameter or resource `Typo`"),
        ("!If [Typo, a, b]", "6:18: there is no condition `Typo`"),
        ("!ImportValue x", "6:13: the local stack does not know the function `ImportValue`"),
    ] {
        let source = queue(text);
        let error = read(&source).unwrap_err();
        // The position is that of the function or of its argument.
        assert!(error.ends_with(expected.split_once(": ").unwrap().1) && error.starts_with("t.yaml:6:"), "{error}");
    }
}

#[test]
fn intrinsic_functions_have_cloudformations_values() {
    let source = "
Parameters:
  Stage: {Type: String, Default: test}
  Names: {Type: CommaDelimitedList, Default: 'a, b'}
Mappings:
  Sizes: {test: {days: 60}}
Conditions:
  Production: !Not [!Condition Test]
  Test: !Equals [!Ref Stage, test]
Globals:
  Function: {Runtime: provided.al2023}
Resources:
  Q: {Type: AWS::SQS::Queue, Properties: {MessageRetentionPeriod: !FindInMap [Sizes, !Ref Stage, days]}}
  Gone: {Type: AWS::SQS::Queue, Condition: Production}
  F:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: rust-cargolambda, BuildProperties: {Binary: f}}
    Properties:
      CodeUri: f
      Environment:
        Variables:
          JOIN: !Join ['-', [x, !Ref Stage, !Select [1, !Ref Names]]]
          SUB: !Sub ['${a}/${Q.QueueName}/${AWS::Region}/${!b}', {a: {Ref: Stage}}]
          IF: !If [Production, 'yes', 'no']
          SPLIT: !Select [0, !Split ['.', 'x.y']]
          GONE: !If [Production, x, !Ref 'AWS::NoValue']
";
    let system = read(source).unwrap();
    assert_eq!((system.queues.len(), system.queues[0].retention), (1, Duration::from_secs(60)));
    let environment: Vec<_> = system.functions[0].environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(environment, ["IF=no", "JOIN=x-test-b", "SPLIT=x", "SUB=test/tidings-Q/us-east-1/${b}"]);
}

#[test]
fn events_are_checked_against_what_they_name() {
    let function = |event: &str| {
        format!(
            "{SHELL}  Q: {{Type: AWS::SQS::Queue}}
  F:
    Type: AWS::Serverless::Function
    Metadata: {{BuildMethod: rust-cargolambda, BuildProperties: {{Binary: f}}}}
    Properties:
      Runtime: provided.al2023
      CodeUri: f
      Timeout: 60
      Events:
        E: {event}
"
        )
    };
    for (event, expected) in [
        (
            "{Type: S3}",
            "12:19: `Type` is `S3`; the local stack supports only HttpApi, DynamoDB, Kinesis, SQS, Schedule",
        ),
        (
            "{Type: SQS, Properties: {Queue: !GetAtt Q.Arn}}",
            "12:44: the queue's visibility timeout of 30 s is less than the function's timeout of 60 s",
        ),
        (
            "{Type: DynamoDB, Properties: {Stream: !GetAtt Q.Arn, StartingPosition: LATEST}}",
            "12:50: `arn:aws:sqs:us-east-1:000000000000:tidings-Q` is not the ARN of a stream of this template",
        ),
        (
            "{Type: Kinesis, Properties: {Stream: 'arn:aws:kinesis:us-east-1:000000000000:stream/x', \
             StartingPosition: LATEST}}",
            "12:49: there is no stream `x`",
        ),
        (
            "{Type: HttpApi, Properties: {ApiId: x, Method: GET, Path: /}}",
            "12:48: there is no AWS::Serverless::HttpApi",
        ),
        ("{Type: HttpApi, Properties: {ApiId: x, Method: GET, Path: a}}", "12:70: a path starts with `/`"),
    ] {
        assert_error(&function(event), &format!("t.yaml:{expected}"));
    }
}

#[test]
fn a_filter_that_is_not_json_is_an_error() {
    let source = format!(
        "{SHELL}  S: {{Type: AWS::Kinesis::Stream, Properties: {{ShardCount: 1}}}}
  F:
    Type: AWS::Serverless::Function
    Metadata: {{BuildMethod: rust-cargolambda, BuildProperties: {{Binary: f}}}}
    Properties:
      Runtime: provided.al2023
      CodeUri: f
      Events:
        E:
          Type: Kinesis
          Properties:
            Stream: !GetAtt S.Arn
            StartingPosition: LATEST
            FilterCriteria: {{Filters: [{{Pattern: '{{oops'}}]}}
"
    );
    let error = read(&source).unwrap_err();
    assert!(error.starts_with("t.yaml:16:50: a filter's pattern must be JSON: "), "{error}");
}
