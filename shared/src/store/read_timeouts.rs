//! How long a read waits for its answer. DynamoDB answers within some milliseconds. A read that takes longer than half
//! a second has nearly always met a lost packet or a slow host, and a second attempt is quick. So the first attempts
//! are short. The last one is as long as that of a write, so that a process that is itself slow, for example while it
//! opens its first connections, still gets its answer.
//!
//! A write has one length of attempt: an attempt that takes effect late conflicts with the next one.

use std::time::Duration;

use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{BeforeSerializationInterceptorContextMut, FinalizerInterceptorContextRef},
        timeout::TimeoutConfig,
    },
    error::BoxError,
    operation::{batch_get_item::BatchGetItemInput, get_item::GetItemInput, query::QueryInput},
};

use crate::retry::ATTEMPT_MAX;

/// The lengths of the attempts of a read. Scans are not among these reads: a page of them may be a megabyte.
const ATTEMPTS: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), ATTEMPT_MAX];

/// Sets the lengths of the attempts.
#[derive(Debug)]
pub(super) struct ReadTimeouts;

impl Intercept for ReadTimeouts {
    fn name(&self) -> &'static str {
        "ReadTimeouts"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let input = context.input();
        if input.downcast_ref::<GetItemInput>().is_some()
            || input.downcast_ref::<QueryInput>().is_some()
            || input.downcast_ref::<BatchGetItemInput>().is_some()
        {
            set(config, ATTEMPTS[0]);
        }
        Ok(())
    }

    /// The SDK does not keep the request, so the length of the attempt that has ended tells which one it was.
    fn read_after_attempt(
        &self,
        _context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let ended = config.load::<TimeoutConfig>().and_then(TimeoutConfig::operation_attempt_timeout);
        let next = ATTEMPTS.windows(2).find(|attempts| Some(attempts[0]) == ended).map(|attempts| attempts[1]);
        if let Some(next) = next {
            set(config, next);
        }
        Ok(())
    }
}

fn set(config: &mut ConfigBag, attempt: Duration) {
    let before = config.load::<TimeoutConfig>().cloned().unwrap_or_else(TimeoutConfig::disabled);
    config.interceptor_state().store_put(before.to_builder().operation_attempt_timeout(attempt).build());
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::{
        samples::user,
        test_world::{Calls, World},
    };

    /// How often these calls are tried during the work, and how long it takes, while each of them takes so long.
    async fn time_of(calls: Calls, call_takes: Duration, work: impl AsyncFn(&World)) -> (usize, Duration) {
        let world = World::new();
        world.other.join(&["ada", "bob"]).await;
        world.network.slow_down(calls, call_takes);
        let (before, begun) = (world.network.count(calls), Instant::now());
        work(&world).await;
        (world.network.count(calls) - before, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_read_is_tried_again_after_half_a_second_and_after_another_one() {
        let read = async |world: &World| {
            world.tested.commands.profile(&user("ada")).await.unwrap();
        };
        let calls = Calls("GetItem", "");
        let (tries, time) = time_of(calls, Duration::from_millis(400), read).await;
        assert_eq!((tries, time), (1, Duration::from_millis(400)));
        let (tries, time) = time_of(calls, Duration::from_millis(700), read).await;
        assert_eq!(tries, 2);
        assert!((1200..1400).contains(&time.as_millis()), "{time:?}");
        let (tries, time) = time_of(calls, Duration::from_secs(2), read).await;
        assert_eq!(tries, 3);
        assert!((3500..4000).contains(&time.as_millis()), "{time:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_has_three_seconds() {
        let calls = Calls("TransactWriteItems", "");
        let write = async |world: &World| {
            world.tested.follow("bob", "ada").await;
        };
        let (tries, time) = time_of(calls, Duration::from_millis(2900), write).await;
        assert_eq!((tries, time), (1, Duration::from_millis(2900)));
    }
}
