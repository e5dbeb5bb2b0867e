//! Starting and ending function processes. Every child is bound to this process in two ways: the kernel kills it when
//! the thread that started it ends (so also when this process is killed with -9), and dropping its [`Child`] kills it.
//! Must never start a child from another thread than the spawner's.

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

/// Longest log line that is passed on in one piece.
const LOG_LINE_BYTES_MAX: u64 = 64 * 1024;

/// Log lines kept to explain why a process failed to initialise.
const TAIL_LINES: usize = 12;

/// How long the last output of a process that has ended may be on its way.
const OUTPUT_GRACE: Duration = Duration::from_secs(2);

/// The thread that starts all function processes. It lives as long as a clone of this does.
#[derive(Clone)]
pub(super) struct Spawner {
    requests: mpsc::Sender<Request>,
}

struct Request {
    command: Command,
    answer: oneshot::Sender<std::io::Result<Child>>,
}

impl Spawner {
    /// Starts the thread. Must be called in a Tokio runtime, which then reaps the children.
    pub(super) fn start() -> std::io::Result<Self> {
        let (requests, received) = mpsc::channel::<Request>();
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new().name("lambda-spawner".into()).spawn(move || {
            let _guard = runtime.enter();
            for Request { mut command, answer } in received {
                // When nobody waits for the child any more, dropping it kills it.
                drop(answer.send(command.spawn()));
            }
        })?;
        Ok(Self { requests })
    }

    async fn spawn(&self, command: Command) -> std::io::Result<Child> {
        let gone = || std::io::Error::other("the thread that starts function processes has ended");
        let (answer, started) = oneshot::channel();
        self.requests.send(Request { command, answer }).map_err(|_| gone())?;
        started.await.map_err(|_| gone())?
    }
}

/// A started function process, with what it wrote last.
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) pid: u32,
    pub(super) output: Output,
}

/// What a process writes, as it is passed on.
pub(super) struct Output {
    tail: Tail,
    streams: Vec<JoinHandle<()>>,
}

impl Output {
    /// The last lines of a process that has ended. They may still be on their way; a child of its own that keeps its output
    /// open is not waited for.
    pub(super) async fn last_lines(self) -> String {
        // After the time, what has come by then is all there is.
        let _ended = timeout(OUTPUT_GRACE, futures::future::join_all(self.streams)).await;
        self.tail.text()
    }
}

/// Starts a process of `function` that will fetch its invocations as `instance`.
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
        // On Lambda it is a bare host and port; the Rust runtime takes a URL with a path as well.
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
    let stdout = child.stdout.take().map(|out| tokio::spawn(pass_on(out, function.name.clone(), tail.clone())));
    let stderr = child.stderr.take().map(|err| tokio::spawn(pass_on(err, function.name.clone(), tail.clone())));
    Ok(Process { child, pid, output: Output { tail, streams: stdout.into_iter().chain(stderr).collect() } })
}

/// Has the kernel kill the child when the thread that starts it ends.
#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let prepare = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // The parent may have died before the line above: then the signal never comes.
        if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(rustix::io::Errno::SRCH.into()) }
    };
    #[expect(unsafe_code, reason = "the only way to have children end with a parent that is killed with -9")]
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; these are two system calls (prctl and
    // getppid) which allocate nothing and take no lock.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Elsewhere children end when their [`Child`] is dropped, which a kill -9 of this process prevents.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(_: &mut Command) {}

/// Whether a child has ended, whether or not that was noticed already.
pub(super) fn has_ended(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // Only looks, and leaves the exit status to whoever waits for the child.
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

/// Copies a process's output to stderr, each line after the function's name. What is written at all is the function's
/// choice: the template gives it `RUST_LOG`.
async fn pass_on(output: impl AsyncRead + Unpin, function: String, tail: Tail) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut output).take(LOG_LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
                // A closed stderr is no reason to stop reading: the function would block on a full pipe.
                drop(writeln!(std::io::stderr().lock(), "[{function}] {text}"));
                tail.push(text);
            }
        }
    }
}
