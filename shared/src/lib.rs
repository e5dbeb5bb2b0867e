//! Tidings: everything that is not the plumbing of one Lambda function.
//!
//! Commands are decided and committed in [`command`]; [`projection`] keeps the read models behind them; [`query`] reads
//! pages from the read models. All three speak in the plain values of [`model`] and reach DynamoDB through [`store`]
//! only. [`stream`] is what passes between functions: the bus, the queue and partial batch responses. [`http`] turns API
//! Gateway's requests into calls and results into responses. [`runtime`] is what every `main` shares.
//!
//! One idea decides most questions: a message is a hint, the command table is the truth.

mod cache;
pub mod celebrities;
pub mod command;
pub mod error;
pub mod http;
pub mod model;
pub mod projection;
pub mod query;
mod retry;
pub mod runtime;
#[cfg(test)]
mod samples;
pub mod store;
pub mod stream;
