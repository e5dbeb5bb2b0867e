//! Authors with their followers, and how long a post of one takes to one of them.

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

/// An author and those who follow.
#[derive(Debug, Clone)]
pub struct Circle {
    /// Who posts.
    pub author: User,
    /// Who follows the author and nobody else.
    pub followers: Vec<User>,
}

/// How long a post took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// From being sent to being accepted.
    pub answer: Duration,
    /// From being accepted to standing in a follower's home; none if it never did.
    pub lag: Option<Duration>,
}

/// Makes so many authors with so many followers each.
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
    ensure!(circles.len() == authors, "not every author was made");
    Ok(circles)
}

/// Sends `count` posts at this rate, by one author after the other, each when it is due, whether or not earlier ones were
/// answered: a slow stack cannot slow the measurement down and look better for it. Returns the measurements, which may
/// still be under way, until `over` is set at the latest. No two calls may share a `name` that the posts are made from.
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
    /// Sends a post, and waits until a random follower sees it; not for longer than until `over` is set. `key` makes the
    /// post one post however often it is sent.
    async fn measure(&self, text: &str, key: &str, over: &AtomicBool) -> Result<Times> {
        // Whoever nobody follows reads the post at home, too.
        let reader = self.followers.choose(&mut rand::rng()).unwrap_or(&self.author);
        let sent = Instant::now();
        let post = persist(PATIENCE, |_| {}, || self.author.post(text, Some(key))).await?.value;
        let accepted = Instant::now();
        let lag = time_to_home(reader, &post.id, accepted, over).await?;
        Ok(Times { answer: accepted - sent, lag })
    }
}
