//! Waits for what happens soon, always with a deadline. A projection is behind by design. So a test never sleeps for a
//! fixed time: it asks again until the answer is right, and fails with the last wrong answer.

use std::{fmt::Display, time::Duration};

use anyhow::{Result, anyhow};
use backon::{ExponentialBuilder, Retryable};
use tokio::time::{Instant, sleep};

use crate::client::ApiError;

/// How long a projection may take before a test fails. This is far more than a projection takes, even while the machine
/// also compiles: a wrong result must fail the test, a slow machine must not.
pub const DEADLINE: Duration = Duration::from_secs(150);

/// Longer than a process of a function keeps cards and trending posts, which is 2 s (docs/decisions/0017). After this
/// time, all processes give an answer that one process has given.
pub const ALL_AGREE_AFTER: Duration = Duration::from_millis(2100);

/// How often to ask again: soon at first, and then less and less often. Some forty questions a second kept LocalStack
/// too busy to get to what they asked about. A deadline ends the asking.
const POLLS: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(25))
    .with_factor(1.5)
    .with_max_delay(Duration::from_secs(1))
    .without_max_times();

/// How long to wait before sending again. A deadline ends the sending.
const RETRIES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(5))
    .with_max_delay(Duration::from_millis(250))
    .with_jitter()
    .without_max_times();

/// Asks until the answer is `Ok`, for at most [`DEADLINE`]. After this, all processes give such answers. If the answer
/// stays `Err`, the error contains the last one.
pub async fn eventually<T, E, F>(what: &str, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T, E>>,
    E: Display,
{
    within(DEADLINE, what, &mut ask).await?;
    sleep(ALL_AGREE_AFTER).await;
    within(DEADLINE, what, ask).await
}

/// Asks until the answer is `Ok`, for at most `patience`. The last question is always asked after `patience` is over,
/// however long an answer takes, because an earlier question says nothing about the end.
pub async fn within<T, E, F>(patience: Duration, what: &str, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T, E>>,
    E: Display,
{
    let deadline = Instant::now() + patience;
    let attempt = || {
        let (asked, answer) = (Instant::now(), ask());
        async move { answer.await.map_err(|error| (asked, error)) }
    };
    let answer = attempt.retry(POLLS).when(|(asked, _)| *asked < deadline).await;
    answer.map_err(|(_, error)| anyhow!("not within {patience:?}: {what}; the last answer was: {error:#}"))
}

/// Sends until the answer is final, for at most `patience`. An answer is final if sending again would not change it.
/// `send` must be safe to repeat: it is idempotent, or has the same idempotency key each time. `retried` is called with
/// each error that leads to a retry.
pub async fn persist<T, F>(
    patience: Duration,
    mut retried: impl FnMut(&ApiError),
    send: impl FnMut() -> F,
) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    let deadline = Instant::now() + patience;
    let retry = |error: &ApiError| error.is_transient() && Instant::now() < deadline;
    send.retry(RETRIES).when(retry).notify(|error, _pause| retried(error)).await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use reqwest::StatusCode;

    use super::*;

    fn answered(status: StatusCode) -> ApiError {
        ApiError::Status { request: "GET /".to_owned(), status, code: None, body: String::new() }
    }

    #[tokio::test]
    async fn the_error_contains_the_last_answer() {
        let error = within(Duration::ZERO, "a miracle", async || Err::<(), _>("nothing yet")).await.unwrap_err();
        assert_eq!(error.to_string(), "not within 0ns: a miracle; the last answer was: nothing yet");
    }

    #[tokio::test]
    async fn a_question_is_asked_after_the_deadline_even_if_answers_are_slow() {
        let asked = Cell::new(0);
        let answer = within(Duration::from_millis(5), "the second answer", async || {
            asked.set(asked.get() + 1);
            sleep(Duration::from_millis(10)).await;
            if asked.get() == 2 { Ok(()) } else { Err("too early") }
        });
        answer.await.unwrap();
    }

    #[tokio::test]
    async fn persist_retries_transient_errors_and_no_others() {
        let sent = Cell::new(0);
        let mut retried = 0;
        let result = persist(
            DEADLINE,
            |_| retried += 1,
            async || {
                sent.set(sent.get() + 1);
                match sent.get() {
                    1..=3 => Err(answered(StatusCode::SERVICE_UNAVAILABLE)),
                    _ => Err::<(), _>(answered(StatusCode::CONFLICT)),
                }
            },
        )
        .await;
        assert!(matches!(result, Err(ApiError::Status { status: StatusCode::CONFLICT, .. })));
        assert_eq!((sent.get(), retried), (4, 3));
    }

    #[tokio::test]
    async fn persist_gives_up_after_its_patience() {
        let unavailable = async || Err::<(), _>(answered(StatusCode::SERVICE_UNAVAILABLE));
        let result = persist(Duration::ZERO, |_| {}, unavailable).await;
        assert!(matches!(result, Err(ApiError::Status { status: StatusCode::SERVICE_UNAVAILABLE, .. })));
    }
}
