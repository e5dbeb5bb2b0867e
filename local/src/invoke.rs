//! How anything here calls a function: gateway and event source mappings know this trait and not what is behind it, so
//! the same gateway serves functions that run as processes of this machine and functions that another endpoint runs.

use std::future::Future;

use bytes::Bytes;

/// Something that can run functions by name.
pub trait Invoke: Clone + Send + Sync + 'static {
    /// Runs `function` on a JSON `payload` and gives the JSON that it answered.
    fn invoke(&self, function: &str, payload: Bytes) -> impl Future<Output = Result<Bytes, InvokeError>> + Send;
}

/// Why an invocation gave no answer. Every variant is one that Lambda reports, too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// The function's code returned an error; this is its error document.
    #[error("function error: {0}")]
    Function(String),
    /// The process ended before it answered.
    #[error("the function's process ended before it answered")]
    Crashed,
    /// The invocation took longer than the function's timeout; the process was killed.
    #[error("the function did not answer within {0:?}")]
    TimedOut(std::time::Duration),
    /// Concurrency is used up. Nothing ran.
    #[error("too many concurrent invocations")]
    Throttled,
    /// There is no such function, its binary cannot be started, or the endpoint cannot be reached. Nothing ran.
    #[error("cannot invoke: {0}")]
    Unavailable(String),
}
