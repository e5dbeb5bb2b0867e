//! INV-4: a query with `Tidings-Min-Version` shows the effect of all commands up to this version, even if no projection
//! has run. After the projections have run, queries without the header show the same.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::{
    client::{Comment, Person, Post, ProfileInput, PublicProfile, User},
    deployment::{Deployment, unique_handle},
    stack::Stack,
};

use crate::home_becomes;

const SETTLE: Duration = Duration::from_secs(300);

/// Everything that a user's commands can change.
#[derive(Debug, PartialEq)]
struct Views {
    home: Vec<Post>,
    ranked: Vec<String>,
    own: Vec<Post>,
    tags: [Vec<Post>; 2],
    post: Post,
    comments: Vec<Comment>,
    me: PublicProfile,
    following: Vec<Person>,
    mutes: Vec<Person>,
}

/// Reads everything, page by page. Leaves out the counts of reactions, which are not part of INV-4.
async fn views(user: &User, post: &str) -> Result<Views> {
    let uncounted = |posts: Vec<Post>| -> Vec<Post> {
        posts.into_iter().map(|post| Post { likes: 0, comments: 0, explain: None, ..post }).collect()
    };
    let mut ranked: Vec<_> = user.walk_home_by("ranked", 2).await?.into_iter().map(|post| post.id).collect();
    ranked.sort();
    Ok(Views {
        home: uncounted(user.walk_home(2).await?),
        ranked,
        own: uncounted(user.walk_posts_of(&user.id, 2).await?),
        tags: [uncounted(user.walk_posts_with("before", 1).await?), uncounted(user.walk_posts_with("after", 1).await?)],
        post: uncounted(vec![user.get_post(post).await?]).remove(0),
        comments: user.walk_comments(post, "oldest", 1).await?,
        me: user.user(&user.id).await?,
        following: user.walk_followed_by(&user.id, 1).await?,
        mutes: user.walk_mutes(1).await?,
    })
}

fn ids(posts: &[Post]) -> Vec<&str> {
    posts.iter().map(|post| post.id.as_str()).collect()
}

#[tokio::test]
async fn every_command_shows_to_its_author_before_and_after_it_is_projected() -> Result<()> {
    if !Deployment::starts_stacks("every_command_shows_to_its_author_before_and_after_it_is_projected") {
        return Ok(());
    }
    let stack = tokio::task::spawn_blocking(|| Stack::start(Default::default())).await??;
    let deployment = Deployment::at(stack.url())?;
    let dev = deployment.dev();
    let (ada, bob, eve, mel) = (
        deployment.member("ada").await?,
        deployment.member("bob").await?,
        deployment.member("eve").await?,
        deployment.member("mel").await?,
    );
    let of_bob = bob.post("of bob", None).await?.value.id;
    let of_eve = eve.post("of eve", None).await?.value.id;
    let of_mel = mel.post("of mel", None).await?.value.id;
    ada.follow(&eve.id).await?;
    ada.follow(&mel.id).await?;
    let old = ada.post("an old one #before", None).await?.value.id;
    home_becomes(&ada, &[&old, &of_mel, &of_eve]).await?;
    dev.idle(SETTLE).await?;
    dev.pause_sources(true).await?;

    let exactly = async |version: u64, home: &[&str]| -> Result<()> {
        let walked = ada.at_least(version).walk_home(2).await?;
        ensure!(ids(&walked) == home, "at {version}: {:?}, not {home:?}", ids(&walked));
        Ok(())
    };
    let made = ada.post("a new one #before", None).await?;
    let new = made.value.id;
    exactly(made.version, &[&new, &old, &of_mel, &of_eve]).await?;
    exactly(ada.follow(&bob.id).await?.version, &[&new, &old, &of_mel, &of_eve, &of_bob]).await?;
    exactly(ada.mute(&eve.id).await?.version, &[&new, &old, &of_mel, &of_bob]).await?;
    exactly(ada.block(&mel.id).await?.version, &[&new, &old, &of_bob]).await?;
    exactly(ada.unfollow(&bob.id).await?.version, &[&new, &old]).await?;
    exactly(ada.follow(&bob.id).await?.version, &[&new, &old, &of_bob]).await?;
    let gone = ada.post("a third one", None).await?.value.id;
    exactly(ada.delete_post(&gone).await?.version, &[&new, &old, &of_bob]).await?;
    let edited = ada.edit_post(&old, "an older one #after").await?;
    let shown = ada.at_least(edited.version).get_post(&old).await?;
    assert_eq!((shown.text.as_str(), shown.version), ("an older one #after", 2));
    let profile = ProfileInput { handle: unique_handle(), display_name: "Ada now".to_owned(), avatar_url: None };
    let renamed = ada.put_profile(&profile).await?.version;
    let home = ada.at_least(renamed).home(10, None).await?;
    assert!(home.freshness.overlaid && home.freshness.version == renamed, "{:?}", home.freshness);
    assert!(home.posts.iter().filter(|post| post.author.id == ada.id).all(|post| post.author.handle == profile.handle));
    ada.like(&of_bob).await?;
    let last = ada.comment(&old, "a comment", None).await?.version;

    // None of this is projected, so queries without the header show nothing of it.
    assert_eq!(ids(&ada.walk_home(10).await?), [&old, &of_mel, &of_eve]);
    let asked = views(&ada.at_least(last), &old).await?;
    assert_eq!(ids(&asked.home), [&new, &old, &of_bob]);
    assert_eq!(asked.ranked.len(), 3);
    assert_eq!(asked.tags.each_ref().map(|posts| ids(posts).concat()), [new.clone(), old.clone()]);
    assert!(asked.home[2].liked && !asked.home[0].liked);
    assert_eq!((asked.comments.len(), asked.mutes.len()), (1, 1));
    assert_eq!(asked.me.following, 2, "eve and bob; mel is blocked");
    // A walk continues with the version of its first page.
    let first = ada.at_least(last).home(1, None).await?;
    let second = ada.home(10, first.next_cursor.as_deref()).await?;
    assert_eq!(ids(&second.posts), [&old, &of_bob]);

    dev.pause_sources(false).await?;
    dev.settle(SETTLE).await?;
    assert_eq!(views(&ada, &old).await?, asked, "without the header");
    assert_eq!(views(&ada.at_least(last), &old).await?, asked, "with the header");
    assert!(!ada.at_least(last).home(1, None).await?.freshness.overlaid);
    Ok(())
}
