//! Helpers for all integration tests of this crate.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// The directory of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The function of `examples/scripted.rs`. It is built if necessary, because `cargo test --test …` does not build
/// examples.
pub(crate) fn scripted_function() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM
        .get_or_init(|| {
            let mut cargo = tidings_local::cargo::cargo();
            // As `cargo test --workspace` builds it: with other features, most dependencies would be compiled again.
            cargo.args(["build", "--quiet", "--workspace", "--example", "scripted"]);
            if !cfg!(debug_assertions) {
                cargo.arg("--release");
            }
            assert!(cargo.status().expect("cargo runs").success(), "examples/scripted.rs must build");
            // target/<profile>/deps/<test> → target/<profile>/examples/scripted
            let test = std::env::current_exe().expect("a test has a path");
            let profile = test.parent().and_then(|deps| deps.parent()).expect("a test lies in target/<profile>/deps");
            profile.join("examples").join("scripted")
        })
        .clone()
}

/// Waits until `condition` is true. Fails after a time that is long enough for a slow machine.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
