//! The client of the shared cache, against a real server. On a machine without one, these tests say that they are
//! skipped; `.ci/run` installs one.

use std::{sync::Arc, time::Duration};

use aws_config::SdkConfig;
use tidings::{
    model::Clock,
    shared_cache::{Call, Memory, Redis, Reply, Server},
};
use tidings_local::cache_server::{CacheServer, Mode, find};

use crate::support::workspace;

/// A server of this kind. None if this machine has no such program.
async fn server(mode: Mode) -> Option<CacheServer> {
    if find(workspace()).is_none() {
        eprintln!("skipped: there is neither valkey-server nor redis-server");
        return None;
    }
    Some(CacheServer::start(workspace(), mode).await.unwrap())
}

fn client(server: &CacheServer) -> Redis {
    let config = SdkConfig::builder().build();
    Redis::new(server.url().parse().unwrap(), config, Clock::system())
}

/// An entry of this version and with this token, as far as scripts look at it.
fn entry(token: &str, version: u64) -> Vec<u8> {
    format!("V{token}{version:020}{}", "the rest").into_bytes()
}

fn token(number: u32) -> String {
    format!("{number:016x}")
}

/// Calls that follow from a seed, about a few keys and tokens.
fn calls(random: &mut fastrand::Rng, count: usize) -> Vec<Call> {
    let kept = Duration::from_secs(600);
    let mut call = || {
        let (key, number) = (format!("tidings:1:test:{}", random.u32(..3)), random.u32(..3));
        let (entry, fence) = (entry(&token(number), random.u64(..4)), random.bool().then_some(kept));
        let seen = if random.bool() { token(random.u32(..3)).into_bytes() } else { Vec::new() };
        match random.u32(..20) {
            0..6 => Call::Get { key },
            6..11 => {
                let (token, at_once, is_useless) = (token(number), random.bool(), random.bool());
                Call::Take { key, token, seen, at_once, is_useless }
            }
            11..15 => Call::Fill { key, token: token(number), entry, kept },
            15..17 => Call::Replace { key, entry, kept, fence },
            17..18 => Call::Forget { key, fence },
            18 if random.u32(..4) == 0 => Call::Block { key },
            _ => Call::Delete { key },
        }
    };
    (0..count).map(|_| call()).collect()
}

async fn replies(server: &dyn Server, calls: Vec<Call>) -> Vec<Reply> {
    server.call(calls).await.unwrap().into_iter().map(|reply| reply.unwrap()).collect()
}

#[tokio::test]
async fn a_real_server_replies_as_the_one_in_memory_does() {
    for mode in [Mode::Single, Mode::Cluster] {
        let Some(server) = server(mode).await else { return };
        let (real, memory) = (client(&server), Memory::default());
        let mut granted = 0;
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            for call in calls(&mut random, 20) {
                let expected = memory.answer(&call);
                granted += usize::from(matches!(expected, Reply::Granted { .. }));
                let reply = replies(&real, vec![call.clone()]).await;
                assert_eq!(reply, [expected], "{mode:?}, seed {seed}: {call:?}");
            }
        }
        assert!(granted > 500, "{granted}");
    }
}

#[tokio::test]
async fn calls_are_sent_at_once_and_answered_in_their_order() {
    for mode in [Mode::Single, Mode::Cluster] {
        let Some(server) = server(mode).await else { return };
        let client = client(&server);
        let key = |number: u32| format!("tidings:1:test:many{number}");
        let take = |number| Call::Take {
            key: key(number),
            token: token(number),
            seen: Vec::new(),
            at_once: true,
            is_useless: true,
        };
        replies(&client, (0..100).map(take).collect()).await;
        let kept = Duration::from_secs(60);
        let fill =
            |number: u32| Call::Fill { key: key(number), token: token(number), entry: entry(&token(number), 1), kept };
        replies(&client, (0..100).map(fill).collect()).await;
        let found = replies(&client, (0..100).map(|number| Call::Get { key: key(number) }).collect()).await;
        let expected: Vec<_> = (0..100).map(|number| Reply::Content(Some(entry(&token(number), 1)))).collect();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn entries_expire() {
    let Some(server) = server(Mode::Single).await else { return };
    let client = client(&server);
    let key = "tidings:1:test:expires".to_owned();
    let take = Call::Take { key: key.clone(), token: token(1), seen: Vec::new(), at_once: true, is_useless: true };
    let fill =
        Call::Fill { key: key.clone(), token: token(1), entry: entry(&token(1), 1), kept: Duration::from_millis(200) };
    replies(&client, vec![take]).await;
    replies(&client, vec![fill]).await;
    let get = || vec![Call::Get { key: key.clone() }];
    assert!(matches!(replies(&client, get()).await[0], Reply::Content(Some(_))));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(replies(&client, get()).await, [Reply::Content(None)]);
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let Some(server) = server(Mode::Single).await else { return };
    let (client, port) = (Arc::new(client(&server)), server.port());
    let get = || vec![Call::Get { key: "tidings:1:test:k".to_owned() }];
    replies(client.as_ref(), get()).await;
    drop(server);
    // The process ends a moment after it was told to.
    let mut failed = 0;
    for _ in 0..100 {
        failed += usize::from(client.call(get()).await.is_err());
        if failed == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(failed, 3, "nobody is there");
    let program = find(workspace()).unwrap();
    let again = CacheServer::start_program(&program, Mode::Single, port).await.unwrap();
    assert_eq!(replies(client.as_ref(), get()).await, [Reply::Content(None)]);
    drop(again);
}

#[tokio::test]
async fn an_address_at_which_nobody_answers_is_an_error_within_a_second() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let client = Redis::new(url.parse().unwrap(), SdkConfig::builder().build(), Clock::system());
    let began = std::time::Instant::now();
    let get = vec![Call::Get { key: "k".to_owned() }];
    assert!(client.call(get).await.is_err());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
