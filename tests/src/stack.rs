//! Starts the local stack as its own process, the way a person does, and kills it the hard way. The stack is never run
//! inside this process: what dies with `kill -9` and what survives it is part of what the tests judge.

use std::{
    env,
    ffi::OsString,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{LazyLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::process::ask_to_end;

/// What the stack prints when it serves.
const READY: &str = "Tidings listens on ";

/// From start to ready. Building the functions is part of it the first time, and may wait for another build.
const START_DEADLINE: Duration = Duration::from_secs(1800);

/// From being asked to end to having ended; a stack that takes longer is killed.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// How a stack is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where it keeps its data; by default a temporary directory that goes away with the stack.
    pub data: Option<PathBuf>,
    /// Template parameters.
    pub parameters: Vec<(String, String)>,
    /// Functions may only do what their policies in the template allow.
    pub check_access: bool,
    /// Event sources deliver records twice now and then.
    pub duplicate_records: bool,
    /// Event sources deliver records of different keys in another order.
    pub reorder_records: bool,
    /// Transactions take so many milliseconds, and conflict with each other as on AWS; 0 for neither.
    pub transaction_ms: u32,
}

impl Options {
    /// Of the stack that tests share: it also tells what requests cost, and holds functions to their policies.
    pub fn shared() -> Self {
        let parameters = vec![("ShowCosts".to_owned(), "true".to_owned())];
        Self { parameters, check_access: true, ..Self::default() }
    }
}

/// A running local stack. Dropping it ends it.
#[derive(Debug)]
pub struct Stack {
    options: Options,
    url: String,
    child: Child,
}

impl Stack {
    /// Builds the stack if need be, starts it on a free port, and waits until it serves.
    pub fn start(options: Options) -> Result<Self> {
        let (child, url) = spawn(&options, 0)?;
        Ok(Self { options, url, child })
    }

    /// Root of the HTTP API, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Process id of the stack itself.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the stack with SIGKILL, and returns when it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().context("killing the stack")?;
        self.child.wait().context("waiting for the stack to end")?;
        Ok(())
    }

    /// Starts a killed stack again, on the same data and the same port, so that clients find it where it was.
    pub fn restart(&mut self) -> Result<()> {
        let port = self.url.rsplit(':').next().and_then(|port| port.parse().ok()).context("no port in the URL")?;
        ensure!(self.options.data.is_some(), "only a stack with a data directory survives");
        let (child, url) = spawn(&self.options, port)?;
        self.child = child;
        ensure!(url == self.url, "listens on {url}, before on {}", self.url);
        Ok(())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Asked first, so that it takes its temporary directory with it. Only while it runs or is not waited for is the
        // process id its own.
        let has_ended = |child: &mut Child| !matches!(child.try_wait(), Ok(None));
        if has_ended(&mut self.child) || ask_to_end(self.pid()).is_err() {
            return;
        }
        let deadline = Instant::now() + END_DEADLINE;
        while Instant::now() < deadline {
            if has_ended(&mut self.child) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        // Nobody is left to be told.
        let _ = self.kill();
    }
}

/// Runs the stack's binary until it prints that it serves.
fn spawn(options: &Options, port: u16) -> Result<(Child, String)> {
    let binary = BINARY.as_ref().map_err(|error| anyhow!("{error}"))?;
    let mut command = Command::new(binary);
    // `--exit-with-parent`: the stack shared by all tests is never dropped, and a killed test run drops nothing.
    command.args(["--exit-with-parent", "--port", &port.to_string()]);
    if let Some(data) = &options.data {
        command.arg("--data").arg(data);
    }
    for (name, value) in &options.parameters {
        command.arg("--parameter").arg(format!("{name}={value}"));
    }
    command.args(options.check_access.then_some("--check-access"));
    command.args(options.duplicate_records.then_some("--duplicate-records"));
    command.arg("--transaction-ms").arg(options.transaction_ms.to_string());
    command.args(options.reorder_records.then_some("--reorder-records"));
    command.current_dir(workspace()).stdin(Stdio::null()).stdout(Stdio::piped());

    let mut child = command.spawn().context("starting tidings-local")?;
    let stdout = child.stdout.take().context("no standard output")?;
    let (ready, became_ready) = mpsc::channel();
    // Reads on after the ready line, so that the stack can go on printing.
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some((_, url)) = line.split_once(READY) {
                // Nobody waits for a second one.
                let _ = ready.send(url.trim().trim_end_matches('/').to_owned());
            }
        }
    });
    match became_ready.recv_timeout(START_DEADLINE) {
        Ok(url) => Ok((child, url)),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            child.kill().context("killing a stack that does not get ready")?;
            bail!("tidings-local was not ready within {START_DEADLINE:?}")
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => bail!("tidings-local ended at start: {}", child.wait()?),
    }
}

/// `tidings-local`, built once a process in the profile that this process was built in, so that nothing is compiled
/// twice; or the reason why it could not be built.
static BINARY: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| build().map_err(|error| format!("{error:#}")));

fn build() -> Result<PathBuf> {
    let mut directory = env::current_exe()?;
    directory.pop();
    if directory.ends_with("deps") {
        directory.pop();
    }
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(profile) => profile,
        None => bail!("this executable is not in a target directory"),
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    // The whole workspace takes part in resolving features, as it does in `cargo test --workspace`: nothing that both need
    // is built twice.
    command
        .args(["build", "--quiet", "--workspace", "--bin", "tidings-local", "--profile", profile])
        .current_dir(workspace());
    // Build scripts of dependencies look at what cargo sets for this process, and would build anew for each value.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|set| name.starts_with(set))) {
            command.env_remove(name);
        }
    }
    let status = command.status().context("running cargo")?;
    ensure!(status.success(), "building tidings-local: {status}");
    Ok(directory.join(format!("tidings-local{}", env::consts::EXE_SUFFIX)))
}

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
