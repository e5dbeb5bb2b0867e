//! Time and randomness of this process, from one seed: between [`enter`] and the end of the process the C library's
//! clocks tell virtual time, and its random bytes come from a generator. So everything above follows: `SystemTime`,
//! `Instant`, tokio's timers, random numbers, UUIDs and the keys of hash maps. Statics that a first run leaves behind
//! would change a second one, so a process runs one history.

#![expect(unsafe_code, reason = "functions of the C library are replaced, which Rust cannot do safely")]

use std::{
    cell::Cell,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Virtual time at the beginning, since 1970: 2027-01-15T23:58:30Z. So most histories go on after midnight.
const EPOCH: Duration = Duration::from_millis(1_800_057_510_000);
/// What monotonic clocks tell at the beginning. Not zero, because programs subtract from it.
const BOOTED: Duration = Duration::from_secs(1_000_000);

static ENTERED: AtomicBool = AtomicBool::new(false);
static RANDOM: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static STARTED: Cell<Option<tokio::time::Instant>> = const { Cell::new(None) };
}

/// Makes time stand still, and random bytes follow from `seed`. Is for good.
pub fn enter(seed: u64) {
    RANDOM.store(seed ^ 0x9E37_79B9_7F4A_7C15, Relaxed);
    ENTERED.store(true, Relaxed);
    fastrand::seed(seed);
}

/// Lets virtual time pass as tokio's paused clock does. Call it once, in the runtime.
pub fn start_clock() {
    STARTED.set(Some(tokio::time::Instant::now()));
}

/// Virtual time since the clock was started.
pub fn elapsed() -> Duration {
    match STARTED.get() {
        Some(started) if tokio::runtime::Handle::try_current().is_ok() => started.elapsed(),
        _ => Duration::ZERO,
    }
}

/// Processor time that this process has used, in milliseconds, whatever virtual time is.
pub fn processor_ms() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes a time to a valid place.
    unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    u64::try_from(time.tv_sec * 1000 + time.tv_nsec / 1_000_000).unwrap_or_default()
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
fn next_random() -> u64 {
    let mut z = RANDOM.fetch_add(0x9E37_79B9_7F4A_7C15, Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn virtual_time(clock: libc::clockid_t) -> Option<Duration> {
    if !ENTERED.load(Relaxed) {
        return None;
    }
    match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => Some(EPOCH + elapsed()),
        libc::CLOCK_MONOTONIC | libc::CLOCK_MONOTONIC_RAW | libc::CLOCK_MONOTONIC_COARSE | libc::CLOCK_BOOTTIME => {
            Some(BOOTED + elapsed())
        }
        _ => None,
    }
}

/// Replaces the C library's function of this name.
///
/// # Safety
/// As there: `time` points to a place for a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    match virtual_time(clock) {
        Some(now) => {
            let tv_sec = libc::time_t::try_from(now.as_secs()).unwrap_or(libc::time_t::MAX);
            // SAFETY: the caller gives a valid place.
            unsafe { time.write(libc::timespec { tv_sec, tv_nsec: now.subsec_nanos().into() }) };
            0
        }
        // SAFETY: the same call, straight to the kernel.
        None => unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) as libc::c_int },
    }
}

/// Replaces the C library's function of this name.
///
/// # Safety
/// As there: `time` points to a place for a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(time: *mut libc::timeval, zone: *mut libc::c_void) -> libc::c_int {
    match virtual_time(libc::CLOCK_REALTIME) {
        Some(now) => {
            let tv_sec = libc::time_t::try_from(now.as_secs()).unwrap_or(libc::time_t::MAX);
            // SAFETY: the caller gives a valid place.
            unsafe { time.write(libc::timeval { tv_sec, tv_usec: now.subsec_micros().into() }) };
            0
        }
        // SAFETY: the same call, straight to the kernel.
        None => unsafe { libc::syscall(libc::SYS_gettimeofday, time, zone) as libc::c_int },
    }
}

/// Replaces the C library's function of this name.
///
/// # Safety
/// As there: `buffer` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(
    buffer: *mut libc::c_void,
    length: libc::size_t,
    flags: libc::c_uint,
) -> libc::ssize_t {
    if !ENTERED.load(Relaxed) {
        // SAFETY: the same call, straight to the kernel.
        return unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) as libc::ssize_t };
    }
    // SAFETY: the caller gives so many bytes.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    for chunk in bytes.chunks_mut(8) {
        let random = next_random().to_le_bytes();
        chunk.copy_from_slice(&random[..chunk.len()]);
    }
    libc::ssize_t::try_from(length).unwrap_or(libc::ssize_t::MAX)
}
