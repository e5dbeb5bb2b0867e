//! What the end-to-end tests and the benchmarks stand on. Everything here goes through the HTTP contract, as any other
//! client would, so the same tests judge the local stack and a deployment; nothing here may call the code under test.
//!
//! [`client`] speaks the API with typed answers, each held against the [`contract`]; [`control`] asks the local stack whether it is idle; [`costs`]
//! reads what an answer cost; [`stack`] starts,
//! kills and restarts one; [`deployment`] is where the tests run, by default a stack that they share; [`model`] is the
//! reference that says what every feed must hold; [`wait`] polls with a deadline.

pub mod client;
pub mod contract;
pub mod costs;
pub mod deployment;
pub mod dev_client;
pub mod model;
pub mod process;
pub mod stack;
pub mod wait;
