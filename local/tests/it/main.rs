//! Functions and what invokes them, tested against the embedded servers and with real processes.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail the test, as tests themselves do")]

mod access;
mod cli;
mod conflicts;
mod invoke_api;
mod lambda;
mod limits;
mod partial;
mod processes;
mod queues;
mod recursion;
mod remote;
mod schedules;
mod shared_cache;
mod streams;
mod support;
mod template;
mod world;
