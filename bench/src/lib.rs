//! Benchmarks, over HTTP like any client.
//!
//! The programs: `replay` sends a social graph and its posts, and compares every feed with a reference model. `lag`
//! measures how long a post takes to reach followers at a steady rate. `deliveries` measures how fast a large audience
//! receives a post, and how much that delays small authors. `likes` measures likes on one post. `costs` measures what
//! each route costs. `cache` compares pages with and without a shared cache. `cpu` measures the processor time of a
//! page and of a cold start, beside other programs that read the same.
//!
//! The modules: [`graph`], [`texts`], [`reactions`] and [`changes`] make the data, real or generated. [`plan`] turns
//! the data into [`command`]s in a random order. [`replay`] sends them, with [`locks`] between commands that depend on
//! each other. [`circle`] and [`audience`] are authors with few and with many followers. [`lag`], [`fairness`] and
//! [`memory`] measure. [`chaos`] kills processes. [`target`] is the stack under test. [`handler`] runs a function's
//! process without a stack, with the invocation of [`home_page`] and a DynamoDB that was [`recorded`]. No module may
//! call the system's code.

pub mod audience;
pub mod changes;
pub mod chaos;
pub mod circle;
pub mod command;
pub mod fairness;
pub mod graph;
pub mod handler;
pub mod home_page;
pub mod lag;
pub mod locks;
pub mod memory;
pub mod plan;
pub mod reactions;
pub mod rebuild;
pub mod recorded;
pub mod replay;
pub mod target;
pub mod texts;
