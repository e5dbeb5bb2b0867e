//! What a process is told about one invocation.

use bytes::Bytes;
use time::OffsetDateTime;

use crate::{
    lambda::{FunctionSpec, function_arn},
    lineage::TraceHeader,
};

/// One event for a process, and what Lambda says about it in headers.
pub(in crate::lambda) struct Invocation {
    pub(in crate::lambda) request_id: String,
    pub(in crate::lambda) trace_id: String,
    pub(in crate::lambda) function_arn: String,
    pub(in crate::lambda) deadline_epoch_ms: i64,
    pub(in crate::lambda) payload: Bytes,
}

impl Invocation {
    /// An invocation that begins now, because of the request with this trace header.
    pub(super) fn new(function: &FunctionSpec, payload: Bytes, trace: &TraceHeader) -> Self {
        let now = OffsetDateTime::now_utc();
        let deadline = now + function.timeout;
        let root = || format!("1-{:08x}-{:024x}", now.unix_timestamp(), rand::random::<u128>() >> 32);
        Self {
            request_id: uuid::Uuid::new_v4().to_string(),
            trace_id: trace.enter(&function.name, root).to_string(),
            function_arn: function_arn(&function.name),
            deadline_epoch_ms: i64::try_from(deadline.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX),
            payload,
        }
    }
}
