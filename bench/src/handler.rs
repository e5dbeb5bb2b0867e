//! A function's process, and the Lambda Runtime API that it asks for invocations. Each process has an API of its own.
//! What a process has used of the processor is read from Linux's `/proc`, when the process has nothing to do.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::Ipv4Addr,
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, anyhow, bail};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{Response, StatusCode},
    response::IntoResponse,
    routing::{get, post},
    serve::ListenerExt as _,
};
use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    sync::{Mutex, mpsc},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// How long a process may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// A process asks for the next invocation and then goes to sleep, a little later.
const FALLS_ASLEEP: Duration = Duration::from_millis(3);
/// As much as a function may answer (AWS Lambda quotas: 6 MB).
const ANSWER_BYTES_MAX: usize = 6 * 1024 * 1024;

/// How to start a function.
#[derive(Debug, Clone)]
pub struct Program {
    /// What reports call it.
    pub name: String,
    /// What is executed.
    pub command: PathBuf,
    /// With these arguments.
    pub arguments: Vec<OsString>,
    /// The whole environment, except for the address of the Runtime API.
    pub environment: BTreeMap<OsString, OsString>,
}

/// What a process told the Runtime API.
enum Message {
    /// It wants an invocation.
    Idle,
    /// It answered the invocation, or could not.
    Answer(Result<Bytes, String>),
}

/// A running process. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Handler {
    name: String,
    child: Child,
    pid: u32,
    invocations: mpsc::UnboundedSender<Bytes>,
    messages: mpsc::UnboundedReceiver<Message>,
    api: JoinHandle<()>,
}

/// The first invocation of a process.
#[derive(Debug, Clone)]
pub struct ColdStart {
    /// From before the process exists until it has answered.
    pub time: Duration,
    /// What the process has used of the processor until it asked for the second invocation.
    pub cpu: Duration,
    /// The answer.
    pub answer: Value,
}

#[derive(Clone)]
struct Api {
    invocations: Arc<Mutex<mpsc::UnboundedReceiver<Bytes>>>,
    messages: mpsc::UnboundedSender<Message>,
}

impl Handler {
    /// Starts the program, and waits for the answer to its first invocation.
    ///
    /// # Errors
    /// If the program cannot be started, or does not answer.
    pub async fn start(program: &Program, event: &Value, shows_output: bool) -> Result<(Self, ColdStart)> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (invocations, received) = mpsc::unbounded_channel();
        let (sender, messages) = mpsc::unbounded_channel();
        let state = Api { invocations: Arc::new(Mutex::new(received)), messages: sender };
        let api = tokio::spawn(serve(listener, state));
        invocations.send(Bytes::from(serde_json::to_vec(event)?))?;
        let output = || if shows_output { Stdio::inherit() } else { Stdio::null() };
        let mut command = Command::new(&program.command);
        command.args(&program.arguments).env_clear().envs(&program.environment);
        command.env("AWS_LAMBDA_RUNTIME_API", address.to_string());
        command.stdin(Stdio::null()).stdout(output()).stderr(output()).kill_on_drop(true);
        let began = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {}", program.command.display()))?;
        let pid = child.id().context("the process has ended")?;
        let mut handler = Self { name: program.name.clone(), child, pid, invocations, messages, api };
        handler.idle().await?;
        let answer = handler.answer().await?;
        let time = began.elapsed();
        handler.idle().await?;
        let cpu = handler.cpu().await?;
        Ok((handler, ColdStart { time, cpu, answer }))
    }

    /// Sends an invocation. Returns the answer once the process waits for the next one.
    ///
    /// # Errors
    /// If the process does not answer, or answers with an error.
    pub async fn invoke(&mut self, event: &Value) -> Result<Value> {
        self.invocations.send(Bytes::from(serde_json::to_vec(event)?))?;
        let answer = self.answer().await?;
        self.idle().await?;
        Ok(answer)
    }

    /// What the process has used of the processor since it began, with all of its threads. The process has to be idle.
    ///
    /// # Errors
    /// If the process has ended, or if this is not Linux.
    pub async fn cpu(&self) -> Result<Duration> {
        sleep(FALLS_ASLEEP).await;
        let mut nanos = 0;
        let threads = format!("/proc/{}/task", self.pid);
        for thread in std::fs::read_dir(&threads).with_context(|| format!("cannot read {threads}: this needs Linux"))? {
            let statistics = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            nanos += statistics.split(' ').next().context("an empty schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    async fn idle(&mut self) -> Result<()> {
        match self.message().await? {
            Message::Idle => Ok(()),
            Message::Answer(answer) => bail!("{} answered twice: {answer:?}", self.name),
        }
    }

    async fn answer(&mut self) -> Result<Value> {
        match self.message().await? {
            Message::Answer(Ok(answer)) => Ok(serde_json::from_slice(&answer)?),
            Message::Answer(Err(error)) => bail!("{} failed: {error}", self.name),
            Message::Idle => bail!("{} did not answer", self.name),
        }
    }

    async fn message(&mut self) -> Result<Message> {
        tokio::select! {
            message = timeout(PATIENCE, self.messages.recv()) => {
                message.ok().flatten().with_context(|| format!("{} does not answer; try --show-output", self.name))
            }
            ended = self.child.wait() => Err(anyhow!("{} has ended, {}; try --show-output", self.name, ended?)),
        }
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.api.abort();
    }
}

/// Serves the Runtime API, version 2018-06-01.
async fn serve(listener: tokio::net::TcpListener, state: Api) {
    let api = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{request}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{request}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(error))
        .layer(DefaultBodyLimit::max(ANSWER_BYTES_MAX))
        .with_state(state);
    // A connection that cannot be without delay is only slower. A server that ends is missed by whoever asks it.
    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    drop(axum::serve(listener, api).await);
}

async fn next(State(api): State<Api>) -> impl IntoResponse {
    // Nobody listens any more when the process is being killed. Then it gets no invocation, either.
    drop(api.messages.send(Message::Idle));
    let invocation = api.invocations.lock().await.recv().await;
    invocation_response(invocation).unwrap_or_else(|| StatusCode::GONE.into_response())
}

fn invocation_response(invocation: Option<Bytes>) -> Option<Response<Body>> {
    let deadline = since_epoch() + PATIENCE;
    Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
        .header("lambda-runtime-deadline-ms", deadline.as_millis().to_string())
        .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:GetFeed")
        .header("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0")
        .body(Body::from(invocation?))
        .ok()
}

#[expect(clippy::disallowed_methods, reason = "the deadline of a real process, in a benchmark")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

async fn response(State(api): State<Api>, body: Bytes) -> impl IntoResponse {
    drop(api.messages.send(Message::Answer(Ok(body))));
    accepted()
}

async fn error(State(api): State<Api>, body: Bytes) -> impl IntoResponse {
    drop(api.messages.send(Message::Answer(Err(String::from_utf8_lossy(&body).into_owned()))));
    accepted()
}

fn accepted() -> impl IntoResponse {
    (StatusCode::ACCEPTED, axum::Json(json!({ "status": "OK" })))
}
