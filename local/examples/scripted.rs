//! A Lambda function that does what its event says, so that tests can see how Lambda reacts. An event is `{"do": …}`
//! with one of the actions below, records of a stream whose `data` are such events, or a message to send again. With
//! the environment variable `FAIL_INIT`, the function does not start: `exit` ends with a message on stderr, and `once`
//! does so only the first time (it creates the file in `FAIL_INIT_MARK`).

use std::{path::Path, time::Duration};

use aws_lambda_events::kinesis::KinesisEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    fail_init();
    run(service_fn(async |event: LambdaEvent<Value>| {
        let LambdaEvent { payload, context } = event;
        match payload["Records"][0]["eventSource"].as_str() {
            Some("aws:sqs") => return send_again(&payload["Records"][0]).await,
            Some(_) => return records(payload).await,
            None => {}
        }
        match payload["do"].as_str().unwrap_or_default() {
            "echo" => Ok(payload),
            "context" => Ok(json!({
                "request_id": context.request_id,
                "deadline_ms": context.deadline,
                "arn": context.invoked_function_arn,
                "trace_id": context.xray_trace_id,
                "function": context.env_config.function_name,
                "memory": context.env_config.memory,
                "environment": std::env::vars().collect::<std::collections::BTreeMap<_, _>>(),
                "pid": std::process::id(),
            })),
            "error" => Err("asked to fail".into()),
            "sleep" => {
                tokio::time::sleep(Duration::from_millis(payload["ms"].as_u64().unwrap_or_default())).await;
                Ok(json!({ "pid": std::process::id() }))
            }
            "crash" => std::process::exit(3),
            "large" => Ok("x".repeat(usize::try_from(payload["bytes"].as_u64().unwrap_or_default())?).into()),
            "speak" => {
                eprintln!("a line on stderr");
                println!("a line on stdout");
                Ok(Value::Null)
            }
            unknown => Err(format!("cannot do {unknown:?}").into()),
        }
    }))
    .await
}

/// Appends each record's `name` to the file that the record names. Crashes, hangs or reports failures if the record
/// says so.
async fn records(event: Value) -> Result<Value, Error> {
    let event: KinesisEvent = serde_json::from_value(event)?;
    for record in event.records {
        let script: Value = serde_json::from_slice(&record.kinesis.data.0)?;
        let log = Path::new(script["log"].as_str().ok_or("no log")?);
        let name = script["name"].as_str().ok_or("no name")?;
        append(log, &format!("begin {name}\n"))?;
        match script["do"].as_str().unwrap_or_default() {
            "crash" => std::process::exit(3),
            "hang" => tokio::time::sleep(Duration::from_secs(3600)).await,
            "fail" => {
                return Ok(json!({ "batchItemFailures": [{ "itemIdentifier": record.kinesis.sequence_number }] }));
            }
            _ => append(log, &format!("end {name}\n"))?,
        }
    }
    Ok(json!({ "batchItemFailures": [] }))
}

/// Sends the message again to its own queue, with `n` one higher, until `n` is `until`. Then sends it to another queue.
async fn send_again(record: &Value) -> Result<Value, Error> {
    let mut script: Value = serde_json::from_str(record["body"].as_str().unwrap_or_default())?;
    let text = |name: &str| script[name].as_str().unwrap_or_default();
    let n = script["n"].as_u64().unwrap_or_default();
    let queue = text(if Some(n) == script["until"].as_u64() { "then" } else { "queue" }).to_owned();
    let client = tidings_local::aws::sqs(text("endpoint"));
    script["n"] = (n + 1).into();
    client.send_message().queue_url(queue).message_body(script.to_string()).send().await?;
    Ok(json!({ "batchItemFailures": [] }))
}

fn append(log: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    std::fs::OpenOptions::new().create(true).append(true).open(log)?.write_all(text.as_bytes())
}

fn fail_init() {
    let fails = match std::env::var("FAIL_INIT").as_deref() {
        Ok("exit") => true,
        Ok("once") => std::env::var("FAIL_INIT_MARK").is_ok_and(|mark| std::fs::File::create_new(mark).is_ok()),
        _ => false,
    };
    if fails {
        eprintln!("FATAL: asked not to start");
        std::process::exit(4);
    }
}
