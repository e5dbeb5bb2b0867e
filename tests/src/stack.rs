//! Starts the local stack as its own process, as a person does, and kills it with SIGKILL. The stack never runs inside
//! the test process, because tests judge what dies with `kill -9` and what survives.

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

/// The beginning of the line that the stack prints when it serves.
const READY: &str = "Tidings listens on ";

/// From start to ready. The first start also builds the functions, and may wait for another build.
const START_DEADLINE: Duration = Duration::from_secs(1800);

/// From the request to stop until the stack has stopped. A stack that takes longer is killed.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// The settings of a stack.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The data directory. By default a temporary directory, which is removed with the stack.
    pub data: Option<PathBuf>,
    /// Template parameters.
    pub parameters: Vec<(String, String)>,
    /// Whether functions may do only what their policies in the template allow.
    pub check_access: bool,
    /// Whether event sources deliver some records twice.
    pub duplicate_records: bool,
    /// Whether event sources deliver records of different keys out of order.
    pub reorder_records: bool,
    /// The duration of each transaction in milliseconds. Transactions on the same item then conflict as on AWS. With 0,
    /// they never conflict.
    pub transaction_ms: u32,
    /// The timeout of every function in seconds, instead of the template's.
    pub function_timeout: Option<u32>,
    /// Whether there is a shared cache.
    pub cache: bool,
}

/// The template parameters that limit how much one user may do.
pub const RATE_LIMITS: [&str; 6] =
    ["PostsPerHour", "CommentsPerHour", "FollowsPerDay", "ProfileChangesPerDay", "BlocksPerHour", "LikesPerHour"];
/// A limit that nobody reaches. Tests and benchmarks let one user do much more than the defaults allow.
pub const UNLIMITED: &str = "1000000000";

impl Options {
    /// The settings of the stack that tests share. It also shows costs, has a second address for feeds, and enforces
    /// the policies of functions.
    pub fn shared() -> Self {
        let parameters = ["ShowCosts", "FeedUrl"].map(|name| (name.to_owned(), "true".to_owned())).into();
        Self { parameters, check_access: true, ..Self::default() }
    }
}

/// A running local stack. Dropping this value stops the stack.
#[derive(Debug)]
pub struct Stack {
    options: Options,
    url: String,
    child: Child,
}

impl Stack {
    /// Builds the stack if necessary, starts it on a free port, and waits until it serves.
    pub fn start(options: Options) -> Result<Self> {
        let (child, url) = spawn(&options, 0)?;
        Ok(Self { options, url, child })
    }

    /// The root of the HTTP API, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process id of the stack itself.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the stack with SIGKILL. Returns when the stack is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().context("cannot kill the stack")?;
        self.child.wait().context("cannot wait for the stack to end")?;
        Ok(())
    }

    /// Starts a killed stack again with the same data and the same port, so that clients find it again.
    pub fn restart(&mut self) -> Result<()> {
        let port =
            self.url.rsplit(':').next().and_then(|port| port.parse().ok()).context("the stack's URL has no port")?;
        ensure!(self.options.data.is_some(), "only a stack with a data directory can be restarted");
        let (child, url) = spawn(&self.options, port)?;
        self.child = child;
        ensure!(url == self.url, "the stack listens on {url}, but on {} before", self.url);
        Ok(())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Asks first, so that the stack can remove its temporary directory. The process id belongs to the stack only
        // while the stack runs or nobody has waited for it.
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
        // A destructor cannot report this error.
        let _ = self.kill();
    }
}

/// Runs the stack's binary until it prints that it serves.
fn spawn(options: &Options, port: u16) -> Result<(Child, String)> {
    let binary = BINARY.as_ref().map_err(|error| anyhow!("{error}"))?;
    let mut command = Command::new(binary);
    // `--exit-with-parent` is needed because the shared stack is never dropped, and because a killed test run drops
    // nothing.
    command.args(["--exit-with-parent", "--port", &port.to_string()]);
    if let Some(data) = &options.data {
        command.arg("--data").arg(data);
    }
    let is_given = |name: &str| options.parameters.iter().any(|(given, _)| given == name);
    for name in RATE_LIMITS.iter().filter(|name| !is_given(name)) {
        command.arg("--parameter").arg(format!("{name}={UNLIMITED}"));
    }
    for (name, value) in &options.parameters {
        command.arg("--parameter").arg(format!("{name}={value}"));
    }
    command.args(options.check_access.then_some("--check-access"));
    command.args(options.duplicate_records.then_some("--duplicate-records"));
    command.arg("--transaction-ms").arg(options.transaction_ms.to_string());
    if let Some(seconds) = options.function_timeout {
        command.arg("--function-timeout").arg(seconds.to_string());
    }
    command.args(options.cache.then_some("--cache"));
    command.args(options.reorder_records.then_some("--reorder-records"));
    command.current_dir(workspace()).stdin(Stdio::null()).stdout(Stdio::piped());

    let mut child = command.spawn().context("cannot start tidings-local")?;
    let stdout = child.stdout.take().context("tidings-local has no standard output")?;
    let (ready, became_ready) = mpsc::channel();
    // Reads on after the ready line, so that the stack can print more.
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some((_, url)) = line.split_once(READY) {
                // Nobody waits for a second line.
                let _ = ready.send(url.trim().trim_end_matches('/').to_owned());
            }
        }
    });
    match became_ready.recv_timeout(START_DEADLINE) {
        Ok(url) => Ok((child, url)),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            child.kill().context("cannot kill a stack that is not ready")?;
            bail!("tidings-local was not ready within {START_DEADLINE:?}")
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => bail!("tidings-local ended at start: {}", child.wait()?),
    }
}

/// The binary `tidings-local`, or the reason why it could not be built. It is built once in a process, in the profile
/// of this process, so that nothing is compiled twice.
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
    // Features are resolved for the whole workspace, as in `cargo test --workspace`. So nothing is built twice.
    command
        .args(["build", "--quiet", "--workspace", "--bin", "tidings-local", "--profile", profile])
        .current_dir(workspace());
    // Build scripts of some dependencies read the variables that cargo sets for this process, and would build again for
    // each value.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|set| name.starts_with(set))) {
            command.env_remove(name);
        }
    }
    let status = command.status().context("cannot run cargo")?;
    ensure!(status.success(), "cannot build tidings-local: {status}");
    Ok(directory.join(format!("tidings-local{}", env::consts::EXE_SUFFIX)))
}

/// Whether this machine has a server for [`Options::cache`]: where `tidings-local --cache` looks for one.
pub fn has_cache_server() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let programs = ["valkey-server", "redis-server"];
    let in_path = || env::split_paths(&path).any(|directory| programs.iter().any(|it| directory.join(it).is_file()));
    env::var_os("TIDINGS_CACHE_SERVER").is_some() || in_path() || workspace().join("target/cache-server/lib").is_dir()
}

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
