//! What the end-to-end tests and the benchmarks need. Everything here uses the HTTP contract, as any other client
//! would, so the same tests work with the local stack and with a deployment. Nothing here may call the code under test.
//!
//! [`client`] is a typed client of the API; it checks each answer against the [`contract`]. [`costs`] reads what a
//! request cost. [`dev_client`] uses what only the local stack has. [`stack`] starts, kills and restarts a local stack,
//! and [`process`] kills single processes. [`deployment`] is where the tests run: by default a stack that they share.
//! [`model`] is the reference that says what every feed must contain. [`wait`] asks again until an answer is right,
//! with a deadline.

pub mod client;
pub mod contract;
pub mod costs;
pub mod deployment;
pub mod dev_client;
pub mod model;
pub mod process;
pub mod stack;
pub mod wait;
