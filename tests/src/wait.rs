//! Waiting for what happens soon, always with a deadline. A projection is behind by design, so a test never sleeps and
//! hopes: it asks again until the answer is there, and once more when no process can remember another one; it fails with what it
//! last saw.

use std::{fmt::Display, time::Duration};

use anyhow::{Result, bail};
use rand::Rng;
use tokio::time::{Instant, sleep};

use crate::client::ApiError;

/// How long a projection may take before a test calls it lost. Far above what it takes, even when the machine is busy
/// with compiling: a wrong result must fail the test, a slow machine must not.
pub const DEADLINE: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(25);

/// Longer than a process of a function keeps cards and what trends, which is 2 s (docs/decisions/0017): after this, what one
/// has answered, all do.
pub const ALL_AGREE_AFTER: Duration = Duration::from_millis(2100);

/// Asks until the answer is `Ok`, for at most [`DEADLINE`]; the last `Err` says what is still wrong. From then on, all
/// processes give such answers.
pub async fn eventually<T, E, F>(what: &str, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T, E>>,
    E: Display,
{
    within(DEADLINE, what, &mut ask).await?;
    sleep(ALL_AGREE_AFTER).await;
    within(DEADLINE, what, ask).await
}

/// Asks until the answer is `Ok`, for at most `patience`. However long an answer takes, the last question is asked when that is
/// over: one that was asked early tells nothing of the end.
pub async fn within<T, E, F>(patience: Duration, what: &str, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T, E>>,
    E: Display,
{
    let deadline = Instant::now() + patience;
    loop {
        let asked = Instant::now();
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if asked >= deadline => bail!("not within {patience:?}: {what}; at last: {error:#}"),
            Err(_) => sleep(POLL).await,
        }
    }
}

/// Sends until there is an answer that trying again would not change, for at most `patience`. `send` must be safe to
/// repeat: idempotent by nature, or with the same idempotency key each time. `retried` sees each error that is retried.
pub async fn persist<T, F>(
    patience: Duration,
    mut retried: impl FnMut(&ApiError),
    mut send: impl FnMut() -> F,
) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    let deadline = Instant::now() + patience;
    let mut pause_ms = 10;
    loop {
        match send().await {
            Err(error) if error.is_transient() && Instant::now() < deadline => retried(&error),
            answer => return answer,
        }
        let jittered_ms = rand::rng().random_range(pause_ms / 2..=pause_ms);
        sleep(Duration::from_millis(jittered_ms)).await;
        pause_ms = (pause_ms * 2).min(500);
    }
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
    async fn eventually_reports_what_it_last_saw() {
        let error = within(Duration::ZERO, "a miracle", async || Err::<(), _>("nothing yet")).await.unwrap_err();
        assert_eq!(error.to_string(), "not within 0ns: a miracle; at last: nothing yet");
    }

    #[tokio::test]
    async fn a_slow_answer_is_not_the_last() {
        let asked = Cell::new(0);
        let answer = within(Duration::from_millis(5), "the second answer", async || {
            asked.set(asked.get() + 1);
            sleep(Duration::from_millis(10)).await;
            if asked.get() == 2 { Ok(()) } else { Err("too early") }
        });
        answer.await.unwrap();
    }

    #[tokio::test]
    async fn persist_retries_what_may_pass_and_nothing_else() {
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
    async fn persist_gives_up_in_the_end() {
        let unavailable = async || Err::<(), _>(answered(StatusCode::SERVICE_UNAVAILABLE));
        let result = persist(Duration::ZERO, |_| {}, unavailable).await;
        assert!(matches!(result, Err(ApiError::Status { status: StatusCode::SERVICE_UNAVAILABLE, .. })));
    }
}
