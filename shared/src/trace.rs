//! The trace: one id for everything that follows from one request. API Gateway gives the request its id, the event in
//! the log keeps it, the CloudEvent carries it as `traceparent`, and so does the message of every task. Each line that
//! is logged on the way has it.
//!
//! Nothing but logs depends on a trace. Work without one goes on in the same way.

use std::{fmt, future::Future, str::FromStr};

use tracing::Instrument as _;

tokio::task_local! {
    static CURRENT: TraceId;
}

/// The id of a trace: 16 bytes that are not all zero (W3C Trace Context, "trace-id").
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u128);

/// The text is not the id of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a trace")]
pub struct NotATrace;

impl TraceId {
    /// The id in a tracing header of AWS, such as `Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1`. X-Ray writes
    /// the same 16 bytes with a version and hyphens.
    pub fn from_aws_header(header: &str) -> Option<Self> {
        let root = header.split(';').find_map(|field| field.trim().strip_prefix("Root="))?;
        let (seconds, rest) = root.strip_prefix("1-")?.split_once('-')?;
        if seconds.len() != 8 {
            return None;
        }
        format!("{seconds}{rest}").parse().ok()
    }

    /// The id in a `traceparent` of W3C Trace Context.
    pub fn from_traceparent(text: &str) -> Option<Self> {
        let mut fields = text.split('-');
        let (version, id, parent) = (fields.next()?, fields.next()?, fields.next()?);
        let is_valid = version.len() == 2 && version != "ff" && parent.len() == 16;
        if is_valid { id.parse().ok() } else { None }
    }

    /// The `traceparent` of W3C Trace Context. Tidings keeps no spans, so the parent is the second half of the id. The
    /// trace counts as not sampled.
    pub fn traceparent(self) -> String {
        let parent = (self.0 as u64).max(1);
        format!("00-{self}-{parent:016x}-00")
    }
}

impl FromStr for TraceId {
    type Err = NotATrace;

    fn from_str(text: &str) -> Result<Self, NotATrace> {
        let is_hex =
            text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        match u128::from_str_radix(text, 16) {
            Ok(id) if is_hex && id != 0 => Ok(Self(id)),
            _ => Err(NotATrace),
        }
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

/// The trace of the work under way.
pub fn current() -> Option<TraceId> {
    CURRENT.try_with(|trace| *trace).ok()
}

/// Does the work within this trace. Without one, the work stays in the trace that is under way, if there is one.
pub async fn within<F: Future>(trace: Option<TraceId>, work: F) -> F::Output {
    match trace {
        Some(trace) => CURRENT.scope(trace, work.instrument(tracing::info_span!("trace", id = %trace))).await,
        None => work.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "5759e988bd862e3fe1be46a994272793";

    #[test]
    fn aws_and_w3c_write_the_same_id() {
        let of_aws =
            TraceId::from_aws_header("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1");
        let trace = of_aws.unwrap();
        assert_eq!(trace.to_string(), HEX);
        assert_eq!(TraceId::from_traceparent(&trace.traceparent()), Some(trace));
        assert_eq!(trace.traceparent(), format!("00-{HEX}-e1be46a994272793-00"));
    }

    #[test]
    fn what_is_no_id_is_none() {
        for header in ["", "Root=", "Root=1-5759e988", "Root=1-5759e9-88bd862e3fe1be46a994272793xx", "Parent=1"] {
            assert_eq!(TraceId::from_aws_header(header), None, "{header}");
        }
        let zero = "0".repeat(32);
        for text in ["", HEX, &format!("ff-{HEX}-e1be46a994272793-00"), &format!("00-{zero}-e1be46a994272793-00")] {
            assert_eq!(TraceId::from_traceparent(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn work_knows_its_trace_and_no_other() {
        let (one, two) = (HEX.parse().unwrap(), "1".repeat(32).parse().unwrap());
        assert_eq!(current(), None);
        let inner = async {
            tokio::task::yield_now().await;
            current()
        };
        let seen = within(Some(one), async {
            (current(), within(Some(two), inner).await, within(None, async { current() }).await)
        });
        assert_eq!(tokio::join!(seen, async { current() }), ((Some(one), Some(two), Some(one)), None));
    }
}
