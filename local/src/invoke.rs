//! How the gateway and the event source mappings call a function. They know only this trait. So the same gateway works
//! with functions that are processes on this machine and with functions that another endpoint runs.

use std::future::Future;

use bytes::Bytes;

use crate::{lineage::TraceHeader, metrics::Metrics};

/// Runs functions by name.
pub trait Invoke: Clone + Send + Sync + 'static {
    /// Runs `function` with a JSON `payload`. Returns the function's JSON answer.
    fn invoke(&self, function: &str, payload: Bytes) -> impl Future<Output = Result<Bytes, InvokeError>> + Send;

    /// The same for an event that another function has sent. The trace header tells which functions have been invoked
    /// because of each other. Who counts these chains otherwise ignores the header, as Lambda at a remote endpoint
    /// does.
    fn invoke_in_chain(
        &self,
        function: &str,
        payload: Bytes,
        _trace: &TraceHeader,
    ) -> impl Future<Output = Result<Bytes, InvokeError>> + Send {
        self.invoke(function, payload)
    }

    /// Where metrics about invocations are recorded, if anywhere.
    fn metrics(&self) -> Option<&Metrics> {
        None
    }
}

/// Why an invocation has no answer. Lambda reports each of these errors, too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// The function's code returned an error. This is the error document.
    #[error("function error: {0}")]
    Function(String),
    /// The process ended before it answered.
    #[error("the function's process ended before it answered")]
    Crashed,
    /// The invocation took longer than the function's timeout, so the process was killed.
    #[error("the function did not answer within {0:?}")]
    TimedOut(std::time::Duration),
    /// The same chain of requests has invoked the function too often. No code ran.
    #[error("RecursiveInvocationException: the same chain of requests has invoked the function {0} times")]
    Recursive(u32),
    /// The function already runs as often as its concurrency allows. No code ran.
    #[error("too many concurrent invocations")]
    Throttled,
    /// The function does not exist, its binary cannot be started, or the endpoint cannot be reached. No code ran.
    #[error("cannot invoke: {0}")]
    Unavailable(String),
}
