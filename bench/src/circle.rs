//! Authors with their followers, and how long a post takes from an author to a follower.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use harness::{client::User, wait::persist};
use rand::seq::IndexedRandom;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    lag::time_to_home,
    target::{PATIENCE, Target, progress_bar},
};

/// An author with followers.
#[derive(Debug, Clone)]
pub struct Circle {
    /// The author of the posts.
    pub author: User,
    /// The followers. They follow nobody else.
    pub followers: Vec<User>,
}

/// How long a post took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The time from sending to acceptance.
    pub answer: Duration,
    /// The time from acceptance until the post was in a follower's home. `None` if it never was.
    pub lag: Option<Duration>,
}

/// Creates so many authors with so many followers each.
pub async fn circles(target: &Target, authors: usize, followers: usize) -> Result<Vec<Circle>> {
    let people: Vec<User> =
        target.register(authors * (followers + 1)).await?.into_iter().map(|(user, _)| user).collect();
    let bar = progress_bar("follows", authors * followers)?;
    let circles: Vec<Circle> = people
        .chunks_exact(followers + 1)
        .filter_map(|people| people.split_first())
        .map(|(author, followers)| Circle { author: author.clone(), followers: followers.to_vec() })
        .collect();
    let edges = circles.iter().flat_map(|circle| circle.followers.iter().map(|follower| (follower, &circle.author)));
    let follow = async |(follower, author): (&User, &User)| {
        persist(PATIENCE, |_| {}, || follower.follow(&author.id)).await?;
        bar.inc(1);
        anyhow::Ok(())
    };
    stream::iter(edges).map(follow).buffer_unordered(target.concurrency).try_collect::<()>().await?;
    bar.finish();
    ensure!(circles.len() == authors, "some authors were not created");
    Ok(circles)
}

/// Sends `count` posts at this rate, with the authors taking turns. Each post is sent when it is due, whether or not
/// earlier posts were answered. So a slow stack cannot slow the measurement down and get a better result. Returns the
/// measurements, which may be in progress until `over` is set. Posts are made from `name`, so each call needs its own.
pub async fn post_steadily(
    circles: &[Circle],
    name: &str,
    rate: u32,
    count: u32,
    over: &Arc<AtomicBool>,
) -> Result<JoinSet<Result<Times>>> {
    let bar = progress_bar("posts", usize::try_from(count)?)?;
    let mut measuring = JoinSet::new();
    let start = Instant::now();
    for (number, circle) in (0..count).zip(circles.iter().cycle()) {
        sleep_until(start + Duration::from_secs(1) * number / rate).await;
        let (circle, over) = (circle.clone(), Arc::clone(over));
        let (text, key) = (format!("post {number} of a measurement"), format!("{name}-{number}"));
        measuring.spawn(async move { circle.measure(&text, &key, &over).await });
        bar.inc(1);
    }
    bar.finish();
    Ok(measuring)
}

impl Circle {
    /// Sends a post, and waits until a random follower sees it or until `over` is set. With the same `key`, repeated
    /// sending makes only one post.
    async fn measure(&self, text: &str, key: &str, over: &AtomicBool) -> Result<Times> {
        // If nobody follows the author, the author reads the post in their own home.
        let reader = self.followers.choose(&mut rand::rng()).unwrap_or(&self.author);
        let sent = Instant::now();
        let post = persist(PATIENCE, |_| {}, || self.author.post(text, Some(key))).await?.value;
        let accepted = Instant::now();
        let lag = time_to_home(reader, &post.id, accepted, over).await?;
        Ok(Times { answer: accepted - sent, lag })
    }
}
