//! Benchmarks, over HTTP like any client. `replay` sends a social graph and its posts and judges every home feed by a
//! reference model; `lag` measures how long a post takes to reach its followers at a steady rate.
//!
//! [`graph`], [`texts`] and [`reactions`] are the data, real or generated; [`plan`] orders it into commands; [`replay`] sends them;
//! [`lag`] measures; [`chaos`] kills; [`target`] is what all of it is sent to. Nothing here may call the system's code.

pub mod chaos;
pub mod graph;
pub mod lag;
pub mod plan;
pub mod reactions;
pub mod replay;
pub mod target;
pub mod texts;
