//! Benchmarks, over HTTP like any client. `replay` sends a social graph and its posts and judges every feed by a
//! reference model; `lag` measures how long a post takes to reach its followers at a steady rate, `deliver` how fast a
//! large audience gets one, and how fair that is to small ones.
//!
//! [`graph`], [`texts`], [`reactions`] and [`changes`] are the data, real or generated; [`plan`] puts it into commands;
//! [`replay`] sends them, in the [`order`] that they need; [`circle`] and [`audience`] are authors with few and many followers;
//! [`lag`], [`fairness`] and [`memory`] measure; [`chaos`] kills; [`target`] is what all of it is sent to. Nothing here
//! may call the system's code.

pub mod audience;
pub mod changes;
pub mod chaos;
pub mod circle;
pub mod command;
pub mod fairness;
pub mod graph;
pub mod lag;
pub mod locks;
pub mod memory;
pub mod plan;
pub mod reactions;
pub mod replay;
pub mod target;
pub mod texts;
