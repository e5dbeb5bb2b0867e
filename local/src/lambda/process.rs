//! Starts and ends function processes. Two mechanisms end every child with this process. The kernel kills the child
//! when the thread that started it ends, which also works for `kill -9`. And dropping a [`Child`] kills it. Only the
//! spawner's thread may start children.

use std::{
    collections::VecDeque,
    io::Write as _,
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use rustix::process::{WaitId, WaitIdOptions};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use super::FunctionSpec;
use crate::metrics::Metrics;

/// A longer log line is passed on in pieces.
const LOG_LINE_BYTES_MAX: u64 = 64 * 1024;

/// How many log lines are kept to explain why a process failed to initialise.
const TAIL_LINES: usize = 12;

/// How long to wait for the last output of a process that has ended.
const OUTPUT_GRACE: Duration = Duration::from_secs(2);

/// The thread that starts all function processes. It lives as long as a clone of this value.
#[derive(Clone)]
pub(super) struct Spawner {
    requests: mpsc::Sender<Request>,
    /// Where the metrics go that the processes write.
    metrics: Metrics,
}

struct Request {
    command: Command,
    answer: oneshot::Sender<std::io::Result<Child>>,
}

impl Spawner {
    /// Starts the thread. Call this in a Tokio runtime, which then reaps the children.
    pub(super) fn start(metrics: Metrics) -> std::io::Result<Self> {
        let (requests, received) = mpsc::channel::<Request>();
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new().name("lambda-spawner".into()).spawn(move || {
            let _guard = runtime.enter();
            for Request { mut command, answer } in received {
                // If nobody waits for the child any more, dropping it kills it.
                drop(answer.send(command.spawn()));
            }
        })?;
        Ok(Self { requests, metrics })
    }

    async fn spawn(&self, command: Command) -> std::io::Result<Child> {
        let gone = || std::io::Error::other("the thread that starts function processes has ended");
        let (answer, started) = oneshot::channel();
        self.requests.send(Request { command, answer }).map_err(|_| gone())?;
        started.await.map_err(|_| gone())?
    }
}

/// A started function process, and its last output.
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) pid: u32,
    pub(super) output: Output,
}

/// The output of a process, on its way to standard error.
pub(super) struct Output {
    tail: Tail,
    streams: Vec<JoinHandle<()>>,
}

impl Output {
    /// The last lines of a process that has ended. Waits a little for lines that have not arrived yet. If a child of
    /// the process keeps the output open, this does not wait for that child.
    pub(super) async fn last_lines(self) -> String {
        // After the wait, the lines that have arrived are all.
        let _ended = timeout(OUTPUT_GRACE, futures::future::join_all(self.streams)).await;
        self.tail.text()
    }
}

/// Starts a process of `function` that fetches its invocations as `instance`.
pub(super) async fn start(
    spawner: &Spawner,
    function: &FunctionSpec,
    runtime_api: SocketAddr,
    instance: &str,
) -> std::io::Result<Process> {
    let mut command = Command::new(&function.program);
    command.env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
        .envs(&function.environment)
        // On Lambda this is only host and port. The Rust runtime also accepts a URL with a path.
        .env("AWS_LAMBDA_RUNTIME_API", format!("http://{runtime_api}/{}/{instance}", function.name))
        .env("AWS_LAMBDA_FUNCTION_NAME", &function.name)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory_mib.to_string())
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", function.name))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", instance)
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        .env("TZ", ":UTC")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    die_with_parent(&mut command);
    let mut child = spawner.spawn(command).await?;
    let pid = child.id().ok_or_else(|| std::io::Error::other("the process ended as it started"))?;
    let tail = Tail::default();
    let (metrics, name) = (&spawner.metrics, &function.name);
    let stdout = child.stdout.take();
    let stdout = stdout.map(|out| tokio::spawn(pass_on(out, name.clone(), metrics.clone(), tail.clone())));
    let stderr = child.stderr.take();
    let stderr = stderr.map(|err| tokio::spawn(pass_on(err, name.clone(), metrics.clone(), tail.clone())));
    Ok(Process { child, pid, output: Output { tail, streams: stdout.into_iter().chain(stderr).collect() } })
}

/// Makes the kernel kill the child when the thread that started it ends.
#[cfg(target_os = "linux")]
pub(crate) fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let prepare = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // The parent may have died before the line above. Then the signal would never come.
        if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(rustix::io::Errno::SRCH.into()) }
    };
    #[expect(unsafe_code, reason = "the only way to have children end with a parent that is killed with -9")]
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; these are two system calls (prctl and
    // getppid) which allocate nothing and take no lock.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Other systems lack such a signal. Children end when their [`Child`] is dropped, but survive a `kill -9` of this
/// process.
#[cfg(not(target_os = "linux"))]
pub(crate) fn die_with_parent(_: &mut Command) {}

/// Whether a child has ended, even if nobody has noticed it yet.
pub(super) fn has_ended(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // This only looks. The exit status stays for the task that waits for the child.
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    pid.is_none_or(|pid| !matches!(rustix::process::waitid(WaitId::Pid(pid), look), Ok(None)))
}

/// The last lines that a process wrote.
#[derive(Clone, Default)]
struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Copies a process's output to standard error, and puts the function's name before each line. The function decides
/// what it logs: the template sets its `RUST_LOG`. Lines of metrics are recorded instead, as CloudWatch does.
async fn pass_on(output: impl AsyncRead + Unpin, function: String, metrics: Metrics, tail: Tail) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut output).take(LOG_LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
                if metrics.record_line(&text) {
                    continue;
                }
                // If standard error is closed, reading must go on: otherwise the function would block on a full pipe.
                drop(writeln!(std::io::stderr().lock(), "[{function}] {text}"));
                tail.push(text);
            }
        }
    }
}
