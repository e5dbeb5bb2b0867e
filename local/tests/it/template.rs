//! Rules for the project's template besides being valid. Functions may do what their code does and no more. Every retry
//! has a limit, and nothing is given up silently. The routes are those of the HTTP contract.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use tidings::model::OPERATION_MAX;
use tidings_local::{
    aws::{ACCOUNT, REGION},
    template::{
        Addresses, Values, load,
        model::{EventSource, Function, System},
    },
};

use crate::access::{self, Access, Resource};

/// A message must stay hidden for this many times the function's timeout (AWS Lambda Developer Guide, "Using Lambda
/// with SQS").
const VISIBILITY_TIMEOUTS_MIN: u32 = 6;

fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn system() -> System {
    let supplied = [("JwtIssuer", "http://127.0.0.1:1".to_owned()), ("CursorKey", "k".repeat(32))];
    let supplied = supplied.map(|(name, value)| (name.to_owned(), value)).into();
    let addresses = Addresses {
        sqs: "http://127.0.0.1:2".into(),
        api: "http://127.0.0.1:1".into(),
        function_url: "http://127.0.0.1:3".into(),
    };
    load(&directory().join("template.yaml"), Values { given: BTreeMap::new(), supplied }, addresses).unwrap()
}

/// An action, a resource, and the partition if the permission is limited to one.
type Granted = BTreeSet<(String, String, Option<String>)>;

/// Everything that a function's policies allow, as single pairs of an action and a resource.
fn granted(function: &Function) -> Granted {
    let mut granted = Granted::new();
    for statement in &function.statements {
        let partitions = match &statement.leading_keys {
            Some(keys) => keys.iter().cloned().map(Some).collect(),
            None => vec![None],
        };
        for action in &statement.actions {
            for resource in &statement.resources {
                for partition in &partitions {
                    let new = granted.insert((action.clone(), resource.clone(), partition.clone()));
                    assert!(new, "{}: {action} on {resource} is granted twice", function.name);
                }
            }
        }
    }
    granted
}

/// What a function's code needs, and the destinations to which its mappings report failures.
fn needed(system: &System, function: &Function, accesses: &[Access]) -> Granted {
    let arns = |resource: Resource| {
        let arn = |service: &str, rest: &str| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}");
        let table = |name: &str| arn("dynamodb", &format!("table/tidings-{name}"));
        match resource {
            Resource::Commands => vec![table("Commands")],
            Resource::Timelines | Resource::Viewers | Resource::Cards | Resource::SearchIndex => {
                vec![table(&format!("{resource:?}")), table(&format!("{resource:?}B"))]
            }
            Resource::CommandsStream => vec![arn("dynamodb", "table/tidings-Commands/stream/local")],
            Resource::CardsHottest => ["Cards", "CardsB"].map(|name| table(&format!("{name}/index/hottest"))).into(),
            Resource::Events => vec![arn("kinesis", &format!("stream/tidings-{resource:?}"))],
            Resource::Deliveries | Resource::Quarantine | Resource::FailedBatches => {
                vec![arn("sqs", &format!("tidings-{resource:?}"))]
            }
        }
    };
    let of_code = accesses.iter().flat_map(|access| {
        let grant = |arn| (access.action.to_owned(), arn, access.partition.map(str::to_owned));
        arns(access.resource).into_iter().map(grant)
    });
    let on_failure = function.sources.iter().filter_map(|source| match source {
        EventSource::Stream(stream) => stream.on_failure_queue.as_ref(),
        EventSource::Queue(_) | EventSource::Schedule(_) => None,
    });
    let queue = |name: &String| {
        assert!(system.queues.iter().any(|queue| queue.name == *name), "{}: no queue {name}", function.name);
        ("sqs:SendMessage".to_owned(), format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"), None)
    };
    of_code.chain(on_failure.map(queue)).collect()
}

#[test]
fn functions_may_do_what_their_code_does_and_no_more() {
    let system = system();
    let listed: BTreeMap<_, _> = access::FUNCTIONS.into_iter().collect();
    let names: BTreeSet<_> = system.functions.iter().map(|function| function.binary.as_str()).collect();
    assert_eq!(names, listed.keys().copied().collect(), "the functions of the template and those of the list");
    for function in &system.functions {
        let (granted, needed) = (granted(function), needed(&system, function, listed[function.binary.as_str()]));
        let missing: Vec<_> = needed.difference(&granted).collect();
        let needless: Vec<_> = granted.difference(&needed).collect();
        assert!(
            missing.is_empty() && needless.is_empty(),
            "{}: missing {missing:?}, needless {needless:?}",
            function.name
        );
    }
}

#[test]
fn the_functions_that_read_and_write_the_shared_cache_know_its_url() {
    let system = system();
    let know = system.functions.iter().filter(|function| function.environment.contains_key("CACHE_URL"));
    let know: BTreeSet<_> = know.map(|function| function.binary.as_str()).collect();
    // Whoever changes rows of homes, viewer items or cards, and whoever reads pages.
    let writes = |function: &&Function| {
        let accesses = access::FUNCTIONS.into_iter().find(|(binary, _)| *binary == function.binary).unwrap().1;
        accesses.iter().any(|access| access.resource == Resource::Cards && access.action == "dynamodb:UpdateItem")
    };
    let mut expected: BTreeSet<_> = system.functions.iter().filter(writes).map(|it| it.binary.as_str()).collect();
    expected.insert("get-feed");
    assert_eq!(know, expected);
    assert!(know.contains("deliver") && know.len() == 4, "{know:?}");
}

#[test]
fn no_statement_has_a_star() {
    for function in &system().functions {
        // Whoever issues tickets only signs them.
        assert_eq!(function.statements.is_empty(), function.name == "IssueTicket", "{}", function.name);
        for statement in &function.statements {
            // Every action and every resource of this system has a name.
            let mut words = statement.actions.iter().chain(&statement.resources);
            assert!(!words.any(|word| word.contains('*')), "{}: {statement:?}", function.name);
        }
    }
}

#[test]
fn streams_are_not_tried_without_end_and_nothing_is_given_up_silently() {
    let system = system();
    let sources = system.functions.iter().flat_map(|function| &function.sources);
    let mut streams = 0;
    for source in sources {
        let EventSource::Stream(stream) = source else { continue };
        streams += 1;
        assert!(stream.max_retries.is_some(), "{} tries without end", stream.id);
        assert!(stream.max_record_age.is_some(), "{} keeps records without end", stream.id);
        assert!(stream.on_failure_queue.is_some(), "{} gives batches up silently", stream.id);
        assert!(stream.bisect && stream.report_failures, "{}: one bad record holds up its batch", stream.id);
    }
    assert!(streams >= 3, "only {streams} streams");
}

#[test]
fn messages_stay_hidden_for_as_long_as_a_function_may_work_on_them() {
    let system = system();
    let mut queues = 0;
    for function in &system.functions {
        for source in &function.sources {
            let EventSource::Queue(source) = source else { continue };
            queues += 1;
            let queue = system.queues.iter().find(|queue| queue.name == source.queue).unwrap();
            let least: Duration = function.timeout * VISIBILITY_TIMEOUTS_MIN;
            assert!(queue.visibility_timeout >= least, "{}: less than {least:?}", source.id);
            assert!(queue.redrive.is_some(), "{}: what fails comes again without end", source.id);
            assert!(source.report_failures, "{}: one bad message brings all of its batch again", source.id);
        }
    }
    assert!(queues >= 2, "only {queues} queues are read");
}

/// A rebuild waits until nothing is done any more without knowledge of a phase. What reads streams asks for each user,
/// and the audit for each page.
#[test]
fn no_query_and_no_task_takes_longer_than_a_rebuild_expects() {
    let is_stream = |source: &EventSource| matches!(source, EventSource::Stream(_));
    let is_of_read_model = |resource: &String| {
        let models = ["Timelines", "Viewers", "Cards", "SearchIndex"];
        models.iter().any(|model| resource.contains(&format!("table/tidings-{model}")))
    };
    let mut checked = 0;
    for function in &system().functions {
        let uses_read_models = function.statements.iter().flat_map(|it| &it.resources).any(is_of_read_model);
        if !uses_read_models || function.name == "Audit" || function.sources.iter().any(is_stream) {
            continue;
        }
        checked += 1;
        assert!(function.timeout <= OPERATION_MAX, "{} may run for {:?}", function.name, function.timeout);
    }
    assert!(checked >= 4, "only {checked} functions are checked");
}

#[test]
fn routes_are_those_of_the_contract() {
    let document = std::fs::read_to_string(directory().join("openapi.yaml")).unwrap();
    let document: serde_json::Value = serde_saphyr::from_str(&document).unwrap();
    let operations = |(path, item): (&String, &serde_json::Value)| {
        let methods: Vec<_> = item.as_object().unwrap().keys().map(|method| method.to_ascii_uppercase()).collect();
        methods.into_iter().map(|method| format!("{method} {path}")).collect::<Vec<_>>()
    };
    let documented: BTreeSet<_> = document["paths"].as_object().unwrap().iter().flat_map(operations).collect();
    let system = system();
    let routes = system.functions.iter().flat_map(|function| &function.routes);
    let served: BTreeSet<_> = routes.map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(served, documented);
}

/// The names that follow `!Ref` in this text.
fn referred(text: &str) -> impl Iterator<Item = &str> {
    let name = |rest: &'_ str| rest.find(|it: char| !it.is_alphanumeric()).unwrap_or(rest.len());
    text.split("!Ref ").skip(1).map(move |rest| &rest[..name(rest)])
}

/// A version is not published when only the value of a parameter changes, so functions would go on with the old one.
#[test]
fn functions_take_over_every_changed_parameter_or_revision_is_said_to_be_needed() {
    let source = std::fs::read_to_string(directory().join("template.yaml")).unwrap();
    let part = |from: &str, to: &str| {
        let rest = source.split_once(from).unwrap().1;
        rest.split_once(to).unwrap().0
    };
    let (parameters, configuration) = (part("\nParameters:\n", "\nRules:\n"), part("  Configuration:\n", "\n\n"));
    let of_revision = part("\n  Revision:\n", "\n  ProjectionConcurrency:");
    let mut known = 0;
    for variables in source.split("Variables:\n").skip(1) {
        let indent = variables.len() - variables.trim_start().len();
        let lines = variables.lines().take_while(|line| line.len() - line.trim_start().len() >= indent);
        for name in lines.flat_map(referred).filter(|name| parameters.contains(&format!("\n  {name}:"))) {
            let is_told = configuration.contains(&format!("${{{name}}}")) || of_revision.contains(name);
            assert!(is_told, "{name} is neither in Configuration nor named under Revision");
            known += 1;
        }
    }
    assert!(known > 15, "{known}");
    // Lambda publishes no version of a function that has not changed but for the description of the version.
    let globals = part("\nGlobals:\n", "\nResources:\n");
    assert!(globals.contains("CONFIGURATION: !GetAtt Configuration.Value"), "in the environment of all functions");
}

#[test]
fn the_dashboard_shows_every_alarm() {
    let source = std::fs::read_to_string(directory().join("stacks/monitoring.yaml")).unwrap();
    let resources = source.split_once("\nResources:").unwrap().1;
    let name = |line: &str| line.strip_prefix("  ")?.strip_suffix("Alarm:").map(str::to_owned);
    let alarms: Vec<_> = resources.lines().filter_map(name).filter(|name| !name.starts_with(' ')).collect();
    assert!(alarms.len() >= 20, "{alarms:?}");
    let hidden: Vec<_> =
        alarms.iter().filter(|name| !resources.contains(&format!("- !GetAtt {name}Alarm.Arn"))).collect();
    assert!(hidden.is_empty(), "the dashboard lacks {hidden:?}");
}
