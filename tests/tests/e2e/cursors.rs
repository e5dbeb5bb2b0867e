//! Cursors are opaque and signed. A cursor from another user or another list is refused.

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use harness::{client::User, deployment::Deployment, wait::eventually};
use reqwest::{Method, RequestBuilder};
use tokio::try_join;

use crate::{home_becomes, refused};

struct Cursors {
    ada: User,
    bob: User,
    home: String,
    posts: String,
    followers: String,
    following: String,
}

/// Two users with two posts each. They follow each other and a third user, so each list has a second page.
async fn cursors(deployment: &Deployment) -> Result<Cursors> {
    let (ada, bob, cyd) =
        (deployment.member("ada").await?, deployment.member("bob").await?, deployment.member("cyd").await?);
    for (one, other) in [(&ada, &bob), (&ada, &cyd), (&bob, &ada), (&bob, &cyd), (&cyd, &ada), (&cyd, &bob)] {
        one.follow(&other.id).await?;
    }
    let mut ids = Vec::new();
    for author in [&ada, &ada, &bob, &bob] {
        ids.insert(0, author.post("x", None).await?.value.id);
    }
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let listed = eventually("all are in both lists", async || {
        let lists = [ada.walk_followers_of(&ada.id, 100).await?, ada.walk_followed_by(&ada.id, 100).await?];
        ensure!(lists.iter().all(|list| list.len() == 2), "{lists:?}");
        Ok(())
    });
    try_join!(home_becomes(&ada, &ids), home_becomes(&bob, &ids), listed)?;
    let none = "a list of two has no second page";
    Ok(Cursors {
        home: ada.home(1, None).await?.next_cursor.context(none)?,
        posts: ada.posts_of(&ada.id, 1, None).await?.next_cursor.context(none)?,
        followers: ada.followers_of(&ada.id, 1, None).await?.next_cursor.context(none)?,
        following: ada.followed_by(&ada.id, 1, None).await?.next_cursor.context(none)?,
        ada,
        bob,
    })
}

fn page(caller: &User, path: &str, cursor: &str) -> RequestBuilder {
    caller.request(Method::GET, path).query(&[("limit", "1"), ("cursor", cursor)])
}

#[tokio::test]
async fn a_cursor_changed_anywhere_is_refused() -> Result<()> {
    let Cursors { ada, home, followers, .. } = cursors(&Deployment::shared()?).await?;
    for (path, cursor) in [("/v1/feeds/home".to_owned(), home), (format!("/v1/users/{}/followers", ada.id), followers)]
    {
        let tampered = (0..cursor.len()).flat_map(|at| {
            let other = |c: char| format!("{}{c}{}", &cursor[..at], &cursor[at + 1..]);
            let original = cursor.as_bytes()[at];
            // The last character is changed in its lowest bits, which a careless decoder ignores.
            let neighbour = if original == b'A' { 'B' } else { char::from(original - 1) };
            let neighbour = if neighbour.is_ascii_alphanumeric() { neighbour } else { 'x' };
            [other(neighbour), other('_'), format!("{}{}", &cursor[..at], &cursor[at + 1..])]
        });
        let tampered = tampered.filter(|tampered| *tampered != cursor);
        let more = ["", "x", "null", "é", "====", &cursor.repeat(2), &"A".repeat(2000), &format!("{cursor}A")];
        let all: Vec<_> = tampered.chain(more.map(str::to_owned)).collect();
        let refuse = |cursor: String| refused(page(&ada, &path, &cursor), 400, "invalid_cursor");
        stream::iter(all).map(refuse).buffer_unordered(8).try_collect::<()>().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_cursor_works_only_for_its_user_and_its_list() -> Result<()> {
    let Cursors { ada, bob, home, posts, followers, following } = cursors(&Deployment::shared()?).await?;
    let own = |list: &str| format!("/v1/users/{}/{list}", ada.id);
    let lists = [
        ("/v1/feeds/home".to_owned(), &home),
        (own("posts"), &posts),
        (own("followers"), &followers),
        (own("following"), &following),
    ];
    for (at, (path, cursor)) in lists.iter().enumerate() {
        let good = harness::client::Answer::to(page(&ada, path, cursor)).await?;
        assert_eq!(good.status, 200, "{path}: {}", good.body);
        refused(page(&bob, path, cursor), 400, "invalid_cursor").await?;
        for (_, foreign) in lists.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, list)| list) {
            refused(page(&ada, path, foreign), 400, "invalid_cursor").await?;
        }
        let of_bob = path.replace(&ada.id, &bob.id);
        if of_bob != *path {
            refused(page(&ada, &of_bob, cursor), 400, "invalid_cursor").await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_cursor_can_be_used_again_and_with_another_limit() -> Result<()> {
    let Cursors { ada, home, .. } = cursors(&Deployment::shared()?).await?;
    let first = ada.home(2, Some(&home)).await?;
    assert_eq!(first.posts.len(), 2);
    assert_eq!(ada.home(2, Some(&home)).await?.posts, first.posts);
    assert_eq!(ada.home(1, Some(&home)).await?.posts, first.posts[..1]);
    Ok(())
}
