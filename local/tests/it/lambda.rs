//! The Runtime API and the life of function processes, with a real function that does what each test says.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::BufRead as _,
    time::{Duration, Instant},
};

use crate::support::{eventually, scripted_function};
use bytes::Bytes;
use serde_json::{Value, json};
use tidings_local::{
    invoke::{Invoke as _, InvokeError},
    lambda::{FunctionSpec, Lambda, PAYLOAD_BYTES_MAX},
    metrics::Metrics,
};

fn spec() -> FunctionSpec {
    FunctionSpec {
        name: "Scripted".into(),
        program: scripted_function(),
        environment: BTreeMap::from([("RUST_LOG".into(), "warn".into()), ("OWN_VARIABLE".into(), "own".into())]),
        timeout: Duration::from_secs(20),
        memory_mib: 256,
        max_concurrency: 4,
        allows_recursion: false,
    }
}

async fn start(spec: FunctionSpec) -> Lambda {
    Lambda::start(vec![spec], Metrics::default()).await.unwrap()
}

async fn invoke(lambda: &Lambda, event: Value) -> Result<Value, InvokeError> {
    let answer = lambda.invoke("Scripted", event.to_string().into()).await?;
    Ok(serde_json::from_slice(&answer).unwrap())
}

fn is_alive(pid: u32) -> bool {
    // A zombie has ended. It only waits until its parent reads its exit status.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z')))
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn an_event_goes_in_and_an_answer_comes_out() {
    let lambda = start(spec()).await;
    let event = json!({ "do": "echo", "text": "grüße 🎉" });
    assert_eq!(invoke(&lambda, event.clone()).await, Ok(event));
}

#[tokio::test]
async fn a_function_sees_the_context_and_environment_that_lambda_documents() {
    let lambda = start(spec()).await;
    let before = time::OffsetDateTime::now_utc();
    let context = invoke(&lambda, json!({ "do": "context" })).await.unwrap();
    assert!(uuid::Uuid::parse_str(context["request_id"].as_str().unwrap()).is_ok());
    let left = context["deadline_ms"].as_i64().unwrap() - before.unix_timestamp() * 1000;
    assert!((20_000..40_000).contains(&left), "{left} ms left");
    assert_eq!(context["arn"], "arn:aws:lambda:us-east-1:000000000000:function:Scripted");
    assert!(context["trace_id"].as_str().unwrap().starts_with("Root=1-"));
    assert_eq!((&context["function"], &context["memory"]), (&json!("Scripted"), &json!(256)));
    let environment = context["environment"].as_object().unwrap();
    assert_eq!(environment["OWN_VARIABLE"], "own");
    assert_eq!(environment["AWS_LAMBDA_FUNCTION_VERSION"], "$LATEST");
    assert!(!environment.contains_key("CARGO"), "nothing of this process's environment is inherited but PATH");
}

#[tokio::test]
async fn an_error_is_the_functions_own_document_and_the_process_lives_on() {
    let lambda = start(spec()).await;
    let pid = invoke(&lambda, json!({ "do": "context" })).await.unwrap()["pid"].clone();
    let Err(InvokeError::Function(document)) = invoke(&lambda, json!({ "do": "error" })).await else {
        panic!("it should fail")
    };
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["errorMessage"], "asked to fail");
    assert_eq!(invoke(&lambda, json!({ "do": "context" })).await.unwrap()["pid"], pid);
}

#[tokio::test]
async fn a_crash_is_reported_at_once_and_the_next_invocation_gets_a_new_process() {
    let lambda = start(spec()).await;
    let start = Instant::now();
    assert_eq!(invoke(&lambda, json!({ "do": "crash" })).await, Err(InvokeError::Crashed));
    assert!(start.elapsed() < spec().timeout / 2);
    assert!(invoke(&lambda, json!({ "do": "echo" })).await.is_ok());
}

#[tokio::test]
async fn a_process_killed_from_outside_is_a_crash() {
    let lambda = start(spec()).await;
    let running = tokio::spawn({
        let lambda = lambda.clone();
        async move { invoke(&lambda, json!({ "do": "sleep", "ms": 60_000 })).await }
    });
    eventually("a process", async || !lambda.processes().is_empty()).await;
    // Before the process asks for work, a kill is not a crash. The pool starts another process.
    while !running.is_finished() {
        for (_, pid) in lambda.processes() {
            kill(pid);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(running.await.unwrap(), Err(InvokeError::Crashed));
}

#[tokio::test]
async fn an_idle_process_that_was_killed_costs_no_invocation() {
    let lambda = start(spec()).await;
    for _ in 0..5 {
        assert!(invoke(&lambda, json!({ "do": "echo" })).await.is_ok());
        let processes = lambda.processes();
        let (_, pid) = processes.first().unwrap();
        kill(*pid);
        eventually("the kernel to end it", async || !is_alive(*pid)).await;
    }
    assert!(invoke(&lambda, json!({ "do": "echo" })).await.is_ok());
}

#[tokio::test]
async fn a_timeout_kills_the_process() {
    let lambda = start(FunctionSpec { timeout: Duration::from_millis(500), ..spec() }).await;
    let pid = invoke(&lambda, json!({ "do": "context" })).await.unwrap()["pid"].as_u64().unwrap();
    let answer = invoke(&lambda, json!({ "do": "sleep", "ms": 60_000 })).await;
    assert_eq!(answer, Err(InvokeError::TimedOut(Duration::from_millis(500))));
    let pid = u32::try_from(pid).unwrap();
    eventually("the process to end", async || !is_alive(pid)).await;
    assert!(invoke(&lambda, json!({ "do": "echo" })).await.is_ok());
}

#[tokio::test]
async fn one_after_the_other_needs_one_process() {
    let lambda = start(spec()).await;
    for _ in 0..50 {
        invoke(&lambda, json!({ "do": "echo" })).await.unwrap();
    }
    assert_eq!(lambda.processes().len(), 1);
}

#[tokio::test]
async fn concurrent_invocations_get_processes_up_to_the_limit_and_the_rest_wait() {
    let lambda = start(FunctionSpec { max_concurrency: 3, ..spec() }).await;
    let all = futures::future::join_all((0..12).map(|_| invoke(&lambda, json!({ "do": "sleep", "ms": 200 })))).await;
    let pids: BTreeSet<u64> = all.into_iter().map(|answer| answer.unwrap()["pid"].as_u64().unwrap()).collect();
    assert_eq!(pids.len(), 3);
    assert_eq!(lambda.processes().len(), 3);
}

#[tokio::test]
async fn an_invocation_that_waits_too_long_is_throttled() {
    let lambda = start(FunctionSpec { max_concurrency: 1, ..spec() }).await;
    let busy = invoke(&lambda, json!({ "do": "sleep", "ms": 8_000 }));
    let late = async {
        eventually("the process to be busy", async || !lambda.processes().is_empty()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        invoke(&lambda, json!({ "do": "echo" })).await
    };
    let (busy, late) = tokio::join!(busy, late);
    assert!(busy.is_ok());
    assert_eq!(late, Err(InvokeError::Throttled));
}

#[tokio::test]
async fn a_function_that_cannot_start_says_why() {
    let environment = BTreeMap::from([("FAIL_INIT".into(), "exit".into())]);
    let lambda = start(FunctionSpec { environment, ..spec() }).await;
    let Err(InvokeError::Function(document)) = invoke(&lambda, json!({ "do": "echo" })).await else {
        panic!("it should fail")
    };
    assert!(document.contains("FATAL: asked not to start"), "{document}");
    assert!(document.contains("Runtime.ExitError"), "{document}");
}

#[tokio::test]
async fn a_function_that_fails_to_start_once_is_started_again() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("mark").to_str().unwrap().to_owned();
    let environment = BTreeMap::from([("FAIL_INIT".into(), "once".into()), ("FAIL_INIT_MARK".into(), mark.clone())]);
    let lambda = start(FunctionSpec { environment, ..spec() }).await;
    assert!(invoke(&lambda, json!({ "do": "echo" })).await.is_ok());
    assert!(std::fs::exists(mark).unwrap());
}

#[tokio::test]
async fn a_binary_that_cannot_run_is_unavailable_and_a_missing_one_is_an_error_at_start() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("function");
    let missing = Lambda::start(vec![FunctionSpec { program: program.clone(), ..spec() }], Metrics::default()).await;
    assert!(missing.err().unwrap().to_string().contains("Scripted is missing"));
    std::fs::write(&program, "not a program").unwrap();
    let lambda = start(FunctionSpec { program, ..spec() }).await;
    assert!(matches!(invoke(&lambda, json!({})).await, Err(InvokeError::Unavailable(_))));
}

#[tokio::test]
async fn an_unknown_function_is_unavailable() {
    let lambda = start(spec()).await;
    assert!(matches!(lambda.invoke("Nobody", Bytes::from_static(b"{}")).await, Err(InvokeError::Unavailable(_))));
}

#[tokio::test]
async fn a_throttled_function_runs_nothing_until_it_is_released() {
    let lambda = start(spec()).await;
    assert!(lambda.set_throttled("Scripted", true) && !lambda.set_throttled("Other", true));
    assert_eq!(lambda.throttled(), ["Scripted"]);
    assert_eq!(invoke(&lambda, json!({ "do": "echo" })).await, Err(InvokeError::Throttled));
    assert!(lambda.processes().is_empty());
    assert!(lambda.set_throttled("Scripted", false) && lambda.throttled().is_empty());
    assert!(invoke(&lambda, json!({ "do": "echo" })).await.is_ok());
}

#[tokio::test]
async fn killing_a_function_ends_its_invocations_as_crashed_and_the_next_one_gets_a_new_process() {
    let lambda = start(spec()).await;
    assert_eq!((lambda.kill("Other"), lambda.kill("Scripted")), (None, Some(0)));
    let running = tokio::spawn({
        let lambda = lambda.clone();
        async move { invoke(&lambda, json!({ "do": "sleep", "ms": 60_000 })).await }
    });
    eventually("a process", async || !lambda.processes().is_empty()).await;
    // The process may not have fetched its invocation yet. Then the next process gets the invocation.
    let mut killed = 0;
    while !running.is_finished() {
        killed += lambda.kill("Scripted").unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(running.await.unwrap(), Err(InvokeError::Crashed));
    assert!(killed > 0);
    assert!(invoke(&lambda, json!({ "do": "echo" })).await.is_ok());
}

#[tokio::test]
async fn payloads_are_limited_to_6_mb_each_way() {
    let lambda = start(spec()).await;
    let text = "x".repeat(PAYLOAD_BYTES_MAX - 100);
    assert!(invoke(&lambda, json!({ "do": "echo", "text": text })).await.is_ok());
    let text = "x".repeat(PAYLOAD_BYTES_MAX);
    assert!(matches!(invoke(&lambda, json!({ "do": "echo", "text": text })).await, Err(InvokeError::Unavailable(_))));
    let Err(InvokeError::Function(document)) =
        invoke(&lambda, json!({ "do": "large", "bytes": PAYLOAD_BYTES_MAX })).await
    else {
        panic!("it should fail")
    };
    assert!(document.contains("Function.ResponseSizeTooLarge"), "{document}");
    assert!(invoke(&lambda, json!({ "do": "echo" })).await.is_ok());
}

#[tokio::test]
async fn an_invocation_goes_on_when_its_caller_has_gone() {
    let lambda = start(FunctionSpec { max_concurrency: 1, ..spec() }).await;
    let caller = tokio::spawn({
        let lambda = lambda.clone();
        async move { invoke(&lambda, json!({ "do": "sleep", "ms": 500 })).await }
    });
    eventually("a process", async || !lambda.processes().is_empty()).await;
    caller.abort();
    // The only process is still busy with this invocation. It answers, and is then free.
    assert!(invoke(&lambda, json!({ "do": "echo" })).await.is_ok());
    assert_eq!(lambda.processes().len(), 1);
}

#[tokio::test]
async fn shutdown_ends_all_processes_and_running_invocations() {
    let lambda = start(spec()).await;
    let running = tokio::spawn({
        let lambda = lambda.clone();
        async move { invoke(&lambda, json!({ "do": "sleep", "ms": 60_000 })).await }
    });
    invoke(&lambda, json!({ "do": "echo" })).await.unwrap();
    // A process may answer before the pool knows its process id.
    eventually("both processes to be known", async || lambda.processes().len() == 2).await;
    let pids: Vec<u32> = lambda.processes().into_iter().map(|(_, pid)| pid).collect();
    lambda.shutdown().await;
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
    assert!(running.await.unwrap().is_err());
    assert!(matches!(invoke(&lambda, json!({ "do": "echo" })).await, Err(InvokeError::Unavailable(_))));
}

#[tokio::test]
async fn dropping_the_last_clone_ends_all_processes() {
    let lambda = start(spec()).await;
    invoke(&lambda, json!({ "do": "echo" })).await.unwrap();
    let pids: Vec<u32> = lambda.processes().into_iter().map(|(_, pid)| pid).collect();
    drop(lambda);
    eventually("the processes to end", async || pids.iter().all(|pid| !is_alive(*pid))).await;
}

#[tokio::test]
async fn killing_this_process_ends_its_functions() {
    let mut host = std::process::Command::new(std::env::current_exe().unwrap());
    host.args(["--exact", "lambda::host_until_killed", "--ignored", "--nocapture"])
        .stdout(std::process::Stdio::piped());
    let mut host = host.spawn().unwrap();
    let lines = std::io::BufReader::new(host.stdout.take().unwrap()).lines();
    let pid = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("pid ")?.parse().ok());
    let pid = pid.expect("the host says which process it started");
    assert!(is_alive(pid));
    kill(host.id());
    host.wait().unwrap();
    eventually("the function's process to end", async || !is_alive(pid)).await;
}

/// Not a test: [`killing_this_process_ends_its_functions`] kills this process.
#[tokio::test]
#[ignore = "runs until it is killed"]
async fn host_until_killed() {
    let lambda = start(spec()).await;
    let context = invoke(&lambda, json!({ "do": "context" })).await.unwrap();
    println!("\npid {}", context["pid"]);
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn the_runtime_api_refuses_strangers_and_late_answers() {
    let lambda = start(spec()).await;
    let context = invoke(&lambda, json!({ "do": "context" })).await.unwrap();
    let own = context["environment"]["AWS_LAMBDA_RUNTIME_API"].as_str().unwrap();
    let request_id = context["request_id"].as_str().unwrap();
    let http = reqwest::Client::new();
    let post = async |base: &str, what: &str| {
        let url = format!("{base}/2018-06-01/runtime/{what}");
        http.post(url).body("{}").send().await.unwrap().status().as_u16()
    };
    assert_eq!(post(own, &format!("invocation/{request_id}/response")).await, 400);
    assert_eq!(post(own, "invocation/unknown/error").await, 400);
    let (server, _) = own.split_once("/Scripted").unwrap();
    assert_eq!(post(&format!("{server}/Scripted/0"), &format!("invocation/{request_id}/response")).await, 403);
    let next = format!("{server}/Scripted/0/2018-06-01/runtime/invocation/next");
    assert_eq!(http.get(next).send().await.unwrap().status().as_u16(), 403);
}
