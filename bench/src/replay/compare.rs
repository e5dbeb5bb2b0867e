//! Compares everything at rest with the reference model.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use harness::{
    client::{ApiError, AuthorDay, User},
    model::{Difference, Judge, Member, Mentions, Window},
    wait::persist,
};

use super::{Posted, Replay};
use crate::target::{PATIENCE, progress_bar};

/// How long a process may show cached data. Asking again does not refresh the cache earlier.
const CACHED_FOR: Duration = Duration::from_secs(3);

/// Of so many words, one is searched for.
const SEARCHED_EACH: usize = 3;
/// Searches at most.
const SEARCHES_MAX: usize = 300;

impl Replay {
    /// INV-2: reads every home to its end and compares it. Returns the number of posts and the differences.
    pub async fn compare_homes(&self) -> Result<(usize, Vec<Difference>)> {
        let model = self.shared.accepted().model.clone();
        let judge = Judge::new(&model);
        let bar = progress_bar("homes", self.shared.users.len())?;
        let compare = async |user: &User| {
            let shown = persist(PATIENCE, |_| {}, || user.walk_home(100)).await?;
            bar.inc(1);
            Ok::<_, ApiError>((shown.len(), judge.compare_home(&user.id, &shown)))
        };
        let results: Vec<_> =
            stream::iter(&self.shared.users).map(compare).buffered(self.concurrency).try_collect().await?;
        bar.finish();
        let seen = results.iter().map(|(seen, _)| seen).sum();
        Ok((seen, results.into_iter().flat_map(|(_, differences)| differences).collect()))
    }

    /// Compares the feeds of all tags. The users take turns as readers. Returns the number of tags and the differences.
    pub async fn compare_tags(&self) -> Result<(usize, Vec<Difference>)> {
        let model = self.shared.accepted().model.clone();
        let judge = Judge::new(&model);
        let tags = judge.tags();
        let compare = async |(tag, user): (&String, &User)| {
            let shown = persist(PATIENCE, |_| {}, || user.walk_posts_with(tag, 100)).await?;
            // Posts of other runs may have the tag, too.
            let ours: Vec<_> = shown.into_iter().filter(|post| model.members.contains_key(&post.author.id)).collect();
            Ok::<_, ApiError>(judge.compare_tag(&user.id, tag, &ours))
        };
        let pairs = stream::iter(tags.iter().zip(self.shared.users.iter().cycle()));
        let found: Vec<_> = pairs.map(compare).buffered(self.concurrency).try_collect().await?;
        Ok((tags.len(), found.concat()))
    }

    /// Searches for words of the texts. Each search has to find all posts in which the word stands between spaces, and
    /// none whose text does not have it at all. The users take turns as readers. Returns the number of searches, which
    /// is 0 where search is off, and the differences.
    pub async fn compare_searches(&self) -> Result<(usize, Vec<Difference>)> {
        if let Some(reader) = self.shared.users.first()
            && let Err(ApiError::Status { code: Some(code), .. }) = reader.search("word", "newest", 1, None).await
            && code == "search_off"
        {
            return Ok((0, Vec::new()));
        }
        let model = self.shared.accepted().model.clone();
        let judge = Judge::new(&model);
        let texts = model.members.values().flat_map(|member| member.posts.values().map(|said| said.text.as_str()));
        let plain = |word: &&str| word.len() >= 4 && word.bytes().all(|c| c.is_ascii_lowercase());
        let words: BTreeSet<_> = texts.flat_map(|text| text.split(' ').filter(plain)).collect();
        let words = words.into_iter().step_by(SEARCHED_EACH).take(SEARCHES_MAX).collect::<Vec<_>>();
        let compare = async |(word, user): (&&str, &User)| {
            let shown = persist(PATIENCE, |_| {}, || user.walk_search(word, "newest", 100)).await?;
            // Posts of other runs may have the word, too.
            let ours: Vec<_> = shown.into_iter().filter(|post| model.members.contains_key(&post.author.id)).collect();
            Ok::<_, ApiError>(judge.compare_word(&user.id, word, &ours))
        };
        let pairs = stream::iter(words.iter().zip(self.shared.users.iter().cycle()));
        let found: Vec<_> = pairs.map(compare).buffered(self.concurrency).try_collect().await?;
        Ok((words.len(), found.concat()))
    }

    /// Compares the comments on all posts. The users take turns as readers. Whoever a block cuts off from the author
    /// must not see the post, and nobody may see a deleted one. Returns the number of comments, the number of posts
    /// that must not be seen, and the differences.
    pub async fn compare_comments(&self) -> Result<(usize, usize, Vec<Difference>)> {
        let model = self.shared.accepted().model.clone();
        let judge = Judge::new(&model);
        let posts: Vec<_> = self.shared.accepted().posts.values().cloned().collect();
        let readers = self.shared.users.iter().cycle();
        let (seen, hidden): (Vec<_>, Vec<_>) = posts.iter().zip(readers).partition(|(Posted { id, author }, user)| {
            let exists = model.members.get(author).is_some_and(|member: &Member| member.posts.contains_key(id));
            exists && !judge.has_block(&user.id, author)
        });
        let compare = async |(post, user): (&Posted, &User)| {
            let shown = persist(PATIENCE, |_| {}, || user.walk_comments(&post.id, "oldest", 100)).await?;
            Ok::<_, ApiError>((shown.len(), judge.compare_comments(&user.id, &post.id, &shown)))
        };
        let comments: Vec<_> = stream::iter(seen).map(compare).buffered(self.concurrency).try_collect().await?;
        let shown = comments.iter().map(|(seen, _)| seen).sum();
        let mut found: Vec<_> = comments.into_iter().flat_map(|(_, differences)| differences).collect();
        let ask = async |(post, user): (&Posted, &User)| {
            let problem = match persist(PATIENCE, |_| {}, || user.get_post(&post.id)).await {
                Err(ApiError::Status { code: Some(code), .. }) if code == "post_not_found" => return None,
                Err(error) => error.to_string(),
                Ok(shown) => format!("expected post_not_found, got {shown:?}"),
            };
            Some(Difference { viewer: user.id.clone(), place: format!("hidden post {}", post.id), problem })
        };
        let count = hidden.len();
        let problems: Vec<_> = stream::iter(hidden).map(ask).buffered(self.concurrency).collect().await;
        found.extend(problems.into_iter().flatten());
        Ok((shown, count, found))
    }

    /// Compares the notifications of all users, their liked posts, and who likes the posts. Call this at rest. Returns
    /// the number of notifications and the differences.
    pub async fn compare_notifications(&self) -> Result<(usize, Vec<Difference>)> {
        let model = self.shared.accepted().model.clone();
        let judge = Judge::new(&model);
        let bar = progress_bar("notifications", self.shared.users.len())?;
        let compare = async |user: &User| {
            let shown = persist(PATIENCE, |_| {}, || user.walk_notifications(100)).await?;
            // The texts of a plan mention nobody.
            let mut found = judge.compare_notifications(&user.id, &Mentions::new(), &shown);
            let liked = persist(PATIENCE, |_| {}, || user.walk_liked(100)).await?;
            found.extend(judge.compare_liked(&user.id, &liked));
            if let Some(post) = model.members.get(&user.id).and_then(|member| member.posts.keys().next_back()) {
                let likers = persist(PATIENCE, |_| {}, || user.walk_likers_of(post, 100)).await?;
                found.extend(judge.compare_likers(&user.id, post, &likers));
            }
            bar.inc(1);
            Ok::<_, ApiError>((shown.len(), found))
        };
        let results: Vec<_> =
            stream::iter(&self.shared.users).map(compare).buffered(self.concurrency).try_collect().await?;
        bar.finish();
        let seen = results.iter().map(|(seen, _)| seen).sum();
        Ok((seen, results.into_iter().flat_map(|(_, differences)| differences).collect()))
    }

    /// Compares what authors are shown of their days with what was accepted: posts, also deleted ones, exactly, and
    /// followers gained without those lost. Of likes and comments, those that stand must be counted; others may have
    /// ended. Call this at rest. Returns the number of posts and the differences.
    pub async fn compare_statistics(&self) -> Result<(i64, Vec<Difference>)> {
        let (model, posts) = {
            let accepted = self.shared.accepted();
            (accepted.model.clone(), accepted.posts.values().cloned().collect::<Vec<_>>())
        };
        let author_of: std::collections::BTreeMap<_, _> =
            posts.iter().map(|Posted { id, author }| (id.as_str(), author.as_str())).collect();
        let count = |found: usize| i64::try_from(found).unwrap_or(i64::MAX);
        let compare = async |user: &User| {
            let days = persist(PATIENCE, |_| {}, || user.stats(None, None)).await?.days;
            let sum = |number: fn(&AuthorDay) -> i64| days.iter().map(number).sum::<i64>();
            let own = |post: &str| author_of.get(post).is_some_and(|author| *author == user.id);
            let others = || model.members.values();
            let written = count(posts.iter().filter(|post| post.author == user.id).count());
            let followers = count(others().filter(|other| other.follows.contains(&user.id)).count());
            let likes = count(others().flat_map(|other| other.likes.keys()).filter(|post| own(post)).count());
            let comments = others().flat_map(|other| other.comments.values());
            let comments = count(comments.filter(|remark| own(&remark.post)).count());
            let same = sum(|it| it.posts) == written
                && sum(|it| it.followers_gained - it.followers_lost) == followers
                && sum(|it| it.likes_received) >= likes
                && sum(|it| it.comments_received) >= comments;
            let problem =
                format!("{written} posts, {followers} followers, {likes} likes, {comments} comments; shown {days:?}");
            let place = "statistics".to_owned();
            let difference = (!same).then(|| Difference { viewer: user.id.clone(), place, problem });
            Ok::<_, ApiError>((written, difference))
        };
        let results: Vec<_> =
            stream::iter(&self.shared.users).map(compare).buffered(self.concurrency).try_collect().await?;
        let seen = results.iter().map(|(seen, _)| seen).sum();
        Ok((seen, results.into_iter().filter_map(|(_, difference)| difference).collect()))
    }

    /// Compares the trending feed with a computation over all likes and comments, for the user who hides the most
    /// authors and for another one. Call this at rest. Returns the number of posts and the differences.
    pub async fn compare_trending(&self) -> Result<(usize, Vec<Difference>)> {
        tokio::time::sleep(CACHED_FOR).await;
        let model = self.shared.accepted().model.clone();
        let judge = Judge::new(&model);
        let hides = |user: &&User| model.members.get(&user.id).map_or(0, |own| own.mutes.len() + own.blocks.len());
        let viewers = [self.shared.users.iter().max_by_key(hides), self.shared.users.iter().min_by_key(hides)];
        let (mut seen, mut found) = (0, Vec::new());
        for viewer in viewers.into_iter().flatten() {
            let asked = Window::open();
            let shown = persist(PATIENCE, |_| {}, || viewer.walk_trending(100)).await?;
            seen += shown.len();
            found.extend(judge.compare_trending(&viewer.id, &shown, asked.closed()));
        }
        Ok((seen, found))
    }
}
