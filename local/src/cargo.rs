//! Builds the function binaries that the template names, with the same profile as this program, and shows cargo's
//! progress. This module always runs cargo, because only cargo knows what is out of date.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{self, Stdio},
};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

/// Variables that `cargo run` and `cargo test` set for a program. Build scripts of some dependencies read these
/// variables, so their crates, and all that depend on these, would be built again for each value.
const SET_BY_CARGO: [&str; 5] =
    ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"];

/// The cargo that started this program, or the one of the path. It builds nothing again that is up to date.
pub fn cargo() -> process::Command {
    let mut command = process::Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| SET_BY_CARGO.iter().any(|set| name.starts_with(set))) {
            command.env_remove(name);
        }
    }
    command
}

/// Builds `binaries` in the workspace at `directory`. Returns the path of each binary.
///
/// Features are resolved for the whole workspace. So cargo builds a dependency once for this program and the functions.
///
/// # Errors
/// If cargo cannot be run, if the build fails, or if the workspace has no such binary.
pub async fn build(directory: &Path, binaries: &BTreeSet<String>) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut command = Command::from(cargo());
    command.current_dir(directory).args(["build", "--workspace", "--message-format=json-render-diagnostics"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    for binary in binaries {
        command.args(["--bin", binary]);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot run cargo to build the functions")?;
    let stdout = child.stdout.take().context("cargo has no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut built = BTreeMap::new();
    while let Some(line) = lines.next_line().await? {
        if let Some((name, path)) = executable(&line) {
            built.insert(name, path);
        }
    }
    // Cargo has already printed what is wrong.
    ensure!(child.wait().await?.success(), "the functions cannot be built");
    built.retain(|name, _| binaries.contains(name));
    match binaries.iter().find(|binary| !built.contains_key(*binary)) {
        Some(missing) => bail!("cargo did not build the binary {missing}"),
        None => Ok(built),
    }
}

/// The name and the path of the binary that a line of cargo's JSON output reports.
fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Message = serde_json::from_str(line).ok()?;
    Some((message.target?.name, message.executable?))
}

#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_artifacts_with_an_executable_count() {
        let artifact =
            r#"{"reason":"compiler-artifact","target":{"name":"fanout","kind":["bin"]},"executable":"/t/fanout"}"#;
        assert_eq!(executable(artifact), Some(("fanout".into(), "/t/fanout".into())));
        let library = r#"{"reason":"compiler-artifact","target":{"name":"fanout","kind":["lib"]},"executable":null}"#;
        assert_eq!(executable(library), None);
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(executable("not JSON"), None);
    }
}
