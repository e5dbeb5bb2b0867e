//! How long callers wait for the server. A page has an allowance for all of its calls together, so that it is never
//! late by more, whatever the server does. Calls that run at once are counted as if they ran one after the other, which
//! only ends the allowance earlier.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// What all calls of a page may take together.
const PAGE: Duration = Duration::from_millis(20);
/// What one of them may take, so that another one is made, too.
const CALL_OF_PAGE: Duration = Duration::from_millis(15);
/// What a call of a projection may take. Nobody waits for it.
const WRITE: Duration = Duration::from_millis(100);

tokio::task_local! {
    static LEFT: Arc<Mutex<Duration>>;
}

/// Runs a future within which calls of the shared cache wait for 20 ms at most, all of them together.
pub async fn within_page<F: Future>(page: F) -> F::Output {
    LEFT.scope(Arc::new(Mutex::new(PAGE)), page).await
}

/// A wait for the server.
pub(super) struct Wait {
    began: Instant,
    at_most: Duration,
    left: Option<Arc<Mutex<Duration>>>,
}

/// Begins to wait. None if the page has waited long enough.
pub(super) fn begin() -> Option<Wait> {
    let began = Instant::now();
    let Ok(left) = LEFT.try_with(Arc::clone) else { return Some(Wait { began, at_most: WRITE, left: None }) };
    let at_most = (*left.lock().unwrap_or_else(PoisonError::into_inner)).min(CALL_OF_PAGE);
    (!at_most.is_zero()).then_some(Wait { began, at_most, left: Some(left) })
}

impl Wait {
    /// How long.
    pub(super) fn at_most(&self) -> Duration {
        self.at_most
    }

    /// Ends it. The page has so much less left.
    pub(super) fn end(&mut self) {
        if let Some(left) = self.left.take() {
            let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
            *left = left.saturating_sub(self.began.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_of_a_page_wait_for_20_ms_together() {
        let began = Instant::now();
        let calls = within_page(async {
            let mut calls = 0;
            while let Some(mut wait) = begin() {
                tokio::time::sleep(wait.at_most()).await;
                wait.end();
                calls += 1;
            }
            calls
        });
        assert_eq!((calls.await, began.elapsed()), (2, PAGE));
    }

    #[tokio::test(start_paused = true)]
    async fn fast_calls_leave_the_rest_to_others() {
        within_page(async {
            for _ in 0..19 {
                let mut wait = begin().unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
                wait.end();
            }
            assert_eq!(begin().unwrap().at_most(), Duration::from_millis(1));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn outside_of_a_page_calls_are_those_of_projections() {
        assert_eq!(begin().unwrap().at_most(), WRITE);
    }
}
