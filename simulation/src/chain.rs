//! Chains of invocations. On Lambda, the trace header of an invocation is the environment variable `_X_AMZN_TRACE_ID`,
//! from which the SDKs take the header of their requests. Here, all invocations share one process, so each task has its
//! own.

use tidings_local::lineage::TraceHeader;

tokio::task_local! {
    /// The trace header of the invocation that runs.
    pub(crate) static TRACE: TraceHeader;
}

/// The trace header of the invocation that this code is part of.
pub(crate) fn trace_header() -> Option<TraceHeader> {
    TRACE.try_with(Clone::clone).ok()
}
