use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use futures::{FutureExt, future::BoxFuture};
use tokio::time::Instant;

use super::*;
use crate::samples::NOW;

/// A server in memory that takes so long for each call, and notes the calls.
#[derive(Default)]
struct Slow {
    memory: Memory,
    takes_ms: AtomicU64,
    is_full: std::sync::atomic::AtomicBool,
    calls: Mutex<Vec<Call>>,
}

impl Server for Slow {
    fn call(&self, calls: Vec<Call>) -> BoxFuture<'_, Result<Vec<Result<Reply, Failure>>, Failure>> {
        async move {
            self.calls.lock().unwrap().extend(calls.clone());
            tokio::time::sleep(Duration::from_millis(self.takes_ms.load(Ordering::SeqCst))).await;
            let full = |call: &Call| self.is_full.load(Ordering::SeqCst) && matches!(call, Call::Replace { .. });
            let answer = |call| if full(call) { Err(Failure("full".to_owned())) } else { Ok(self.memory.answer(call)) };
            Ok(calls.iter().map(answer).collect())
        }
        .boxed()
    }

    fn connect(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }

    fn reset(&self) {}
}

/// A cache, its server and its clock.
struct Set {
    cache: SharedCache,
    server: Arc<Slow>,
    now_ms: Arc<AtomicU64>,
}

fn set() -> Set {
    let (server, now_ms) = (Arc::new(Slow::default()), Arc::new(AtomicU64::new(NOW.as_ms())));
    let cache = SharedCache::new(server.clone(), Clock::set_by(Arc::clone(&now_ms)));
    Set { cache, server, now_ms }
}

impl Set {
    async fn find(&self, kind: &'static Kind) -> Found<u64> {
        self.cache.find(kind, &["k".to_owned()], None, Leases::Wanted).await.remove(0)
    }

    async fn lease(&self, kind: &'static Kind) -> Lease {
        match self.find(kind).await {
            Found::Lease(lease) => lease,
            found => panic!("{found:?}"),
        }
    }

    /// A reader fills the entry with this.
    async fn filled(&self, kind: &'static Kind, version: u64, value: u64) {
        let lease = self.lease(kind).await;
        self.cache.fill(vec![(lease, version, value)]).await;
    }

    async fn value(&self, kind: &'static Kind) -> Option<u64> {
        match self.find(kind).await {
            Found::Value(read) => Some(read.value),
            _ => None,
        }
    }

    /// Time passes for the clock and for the server.
    async fn pass(&self, time: Duration) {
        self.now_ms.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
        tokio::time::advance(time).await;
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn one_reader_fills_an_entry_and_the_others_read_the_table_meanwhile() {
    let set = set();
    let lease = set.lease(&CARD).await;
    assert!(matches!(set.find(&CARD).await, Found::Nothing));
    set.cache.fill(vec![(lease, 1, 7)]).await;
    assert_eq!(set.value(&CARD).await, Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_fill_leaves_it_to_another_one_after_three_seconds() {
    let set = set();
    let late = set.lease(&CARD).await;
    set.pass(3 * SECOND).await;
    let other = set.lease(&CARD).await;
    set.cache.fill(vec![(late, 9, 9)]).await;
    set.cache.fill(vec![(other, 1, 7)]).await;
    assert_eq!(set.value(&CARD).await, Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_fill_does_not_overtake_a_write_that_came_after_its_lease() {
    for kind in [&CARD, &VIEWER, &HOME] {
        let set = set();
        if !kind.at_once {
            assert!(matches!(set.find(kind).await, Found::Nothing), "the first reader leaves a mark");
        }
        let lease = set.lease(kind).await;
        set.cache.replace(kind, "k", 2, &8).await;
        set.cache.fill(vec![(lease, 1, 7)]).await;
        assert_eq!(set.value(kind).await, None, "{}", kind.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fill_after_an_eviction_is_refused() {
    let set = set();
    let lease = set.lease(&CARD).await;
    set.server.memory.flush();
    set.cache.replace(&CARD, "k", 2, &8).await;
    set.server.memory.flush();
    set.cache.fill(vec![(lease, 1, 7)]).await;
    assert_eq!(set.value(&CARD).await, None);
}

#[tokio::test(start_paused = true)]
async fn an_older_value_never_replaces_a_newer_one() {
    let set = set();
    set.filled(&CARD, 5, 50).await;
    for (version, value, expected) in [(4, 40, 50), (5, 51, 51), (6, 60, 60), (5, 52, 60), (10, 100, 100)] {
        set.cache.replace(&CARD, "k", version, &value).await;
        assert_eq!(set.value(&CARD).await, Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_refresh_is_older_than_a_write_in_between() {
    let set = set();
    set.filled(&CARD, 5, 50).await;
    set.pass(CARD.refreshed).await;
    let lease = set.lease(&CARD).await;
    set.cache.replace(&CARD, "k", 6, &60).await;
    set.cache.fill(vec![(lease, 5, 50)]).await;
    assert_eq!(set.value(&CARD).await, Some(60));
}

#[tokio::test(start_paused = true)]
async fn one_reader_refreshes_an_entry_while_the_others_use_it() {
    let set = set();
    set.filled(&CARD, 1, 7).await;
    set.pass(CARD.refreshed).await;
    let lease = set.lease(&CARD).await;
    assert_eq!(set.value(&CARD).await, Some(7));
    set.cache.fill(vec![(lease, 2, 8)]).await;
    set.pass(CARD.refreshed - SECOND).await;
    assert_eq!(set.value(&CARD).await, Some(8));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_used_that_is_a_minute_old_even_if_the_server_still_has_it() {
    let set = set();
    set.filled(&CARD, 1, 7).await;
    set.now_ms.fetch_add(55_000, Ordering::SeqCst);
    assert_eq!(set.value(&CARD).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_write_of_a_moment_ago_makes_whoever_fills_read_strongly() {
    let set = set();
    assert!(!set.lease(&CARD).await.reads_strongly);
    set.cache.replace(&CARD, "k", 1, &7).await;
    let lease = set.lease(&CARD).await;
    assert!(lease.reads_strongly);
    set.cache.fill(vec![(lease, 1, 7)]).await;
    assert_eq!(set.value(&CARD).await, Some(7), "a value that is written again and again is kept, too");
}

#[tokio::test(start_paused = true)]
async fn what_few_read_is_kept_from_the_second_reader_of_a_minute_on() {
    let set = set();
    assert!(matches!(set.find(&VIEWER).await, Found::Nothing));
    set.pass(59 * SECOND).await;
    set.filled(&VIEWER, 1, 7).await;
    set.cache.forget(&VIEWER, ["k".to_owned()]).await;
    set.filled(&VIEWER, 2, 8).await;
    assert_eq!(set.value(&VIEWER).await, Some(8), "a write does not make it cold");
}

#[tokio::test(start_paused = true)]
async fn writes_make_no_entries_of_what_nobody_reads() {
    let set = set();
    set.cache.replace(&VIEWER, "k", 1, &7).await;
    set.cache.forget(&HOME, ["k".to_owned()]).await;
    assert_eq!(set.server.memory.keys(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_is_not_filled_for_a_minute() {
    let set = set();
    set.filled(&CARD, 7, 7).await;
    set.cache.block(&CARD, "k").await;
    set.cache.replace(&CARD, "k", 8, &8).await;
    set.pass(59 * SECOND).await;
    assert!(matches!(set.find(&CARD).await, Found::Nothing));
    set.pass(SECOND).await;
    set.filled(&CARD, 1, 1).await;
}

#[tokio::test(start_paused = true)]
async fn garbage_is_a_miss_and_is_filled_anew() {
    for at in [0, 1, 20, 40, 60, 66] {
        let set = set();
        set.filled(&CARD, 1, 7).await;
        let key = set.server.memory.keys().remove(0);
        set.server.memory.damage(&key, at, 0x11);
        let is_value = set.value(&CARD).await.is_some();
        assert_eq!(is_value, at == 1, "only the token is not sealed: byte {at}");
        if is_value {
            continue;
        }
        set.pass(3 * SECOND).await;
        set.filled(&CARD, 1, 8).await;
        assert_eq!(set.value(&CARD).await, Some(8), "byte {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_server_forgets_what_it_cannot_replace() {
    let set = set();
    set.filled(&CARD, 1, 7).await;
    set.server.is_full.store(true, Ordering::SeqCst);
    set.cache.replace(&CARD, "k", 2, &8).await;
    assert_eq!(set.value(&CARD).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_large_value_is_forgotten_instead_of_replaced() {
    let set = set();
    let key = ["k".to_owned()];
    let text = |length| "x".repeat(length);
    let lease = set.lease(&CARD).await;
    set.cache.fill(vec![(lease, 1, text(5))]).await;
    set.cache.replace(&CARD, "k", 2, &text(REPLACEMENT_BYTES_MAX)).await;
    let found = set.cache.find::<String>(&CARD, &key, None, Leases::Unwanted).await;
    assert_eq!(found, [Found::Nothing]);
}

#[tokio::test(start_paused = true)]
async fn a_value_from_before_a_moment_is_refused_for_whoever_asks_for_a_later_one() {
    let set = set();
    set.filled(&TRENDING, 0, 7).await;
    let after = NOW.after(Duration::from_millis(1));
    for (not_before, is_found) in [(NOW, true), (after, false)] {
        let found = set.cache.find::<u64>(&TRENDING, &["k".to_owned()], Some(not_before), Leases::Unwanted).await;
        assert_eq!(matches!(found[0], Found::Value(_)), is_found);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_waits_for_a_slow_server_for_20_ms_at_most_and_soon_no_page_does() {
    let set = set();
    set.server.takes_ms.store(1000, Ordering::SeqCst);
    let page = async || {
        let began = Instant::now();
        within_page(async {
            for _ in 0..20 {
                assert!(matches!(set.find(&CARD).await, Found::Nothing));
            }
        })
        .await;
        began.elapsed()
    };
    let (first, second, third) = (page().await, page().await, page().await);
    let most = Duration::from_millis(20);
    assert!(first <= most && second <= most && third.is_zero(), "{first:?}, {second:?}, {third:?}");
    assert_eq!(set.server.calls.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_only_just_in_time_takes_no_more_of_a_page() {
    let set = set();
    set.server.takes_ms.store(14, Ordering::SeqCst);
    let began = Instant::now();
    within_page(async {
        for _ in 0..20 {
            set.find(&CARD).await;
        }
    })
    .await;
    assert!(began.elapsed() <= Duration::from_millis(20), "{:?}", began.elapsed());
}
