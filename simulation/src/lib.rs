//! The simulated world: the whole of Tidings in one process, on one thread, in virtual time, from one seed.
//!
//! What runs is the real code: every function's handler, the stores, the AWS SDKs and the event source mappings of the
//! local stack. Only the SDKs' HTTP client is another one, which reaches DynamoDB, Kinesis and SQS in memory.
//!
//! - [`determinism`] makes time and randomness follow from the seed.
//! - [`world`] puts the system together from `template.yaml`: [`network`] is the way from functions to AWS, [`lambda`]
//!   runs [`functions`] in processes, and [`chain`] tells which invocation caused which. [`faults`] says what goes
//!   wrong, [`partial`] how batches are done in part. [`damage`] damages read models, and [`next_release`] writes what
//!   this release does not know.
//! - [`history`] is one history: each [`command`] of a few users ([`commands`]), their [`queries`], [`walks`] through
//!   feeds and through posts that are [`pulled`], and what an operator decides ([`moderation`]). [`ledger`] is what is
//!   known of it from outside, with the reference model that the end-to-end tests use, too. [`reasons`] tells why a
//!   command may be refused. [`notices`] judges notifications, and [`search`] searches.
//! - [`checks`] are the invariants by name; [`rest`] compares everything at rest with the model and with [`truth`],
//!   the command table; [`deletions`] looks for what should be gone.
//! - [`limits`] puts AWS's limits in force. [`load`] runs scenarios of much load within them, and reports what was
//!   reached, what was throttled and what it costs. [`units`] measures what each command costs.
//! - [`runner`] runs many histories, each in a process of its own, and shortens one that fails. [`trace`] tells what
//!   happened.

mod cache;
mod chain;
pub mod checks;
mod command;
mod commands;
mod crowds;
mod damage;
mod deletions;
pub mod determinism;
mod doubts;
pub mod faults;
mod functions;
pub mod history;
mod lambda;
mod ledger;
mod limits;
pub mod load;
mod moderation;
mod network;
mod newer;
mod next_release;
mod notices;
mod operator;
mod partial;
mod plan;
mod poison;
mod pulled;
mod queries;
mod reasons;
mod rebuilds;
mod rest;
pub mod runner;
mod search;
mod spread;
mod statistics;
pub mod trace;
mod truth;
pub mod units;
mod visits;
mod walks;
mod world;

/// A history is many small allocations. They were a seventh of its time with the allocator of the C library.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
