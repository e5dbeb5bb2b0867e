//! What clients ask every minute: whether something is new in the home. Entity tags.

use anyhow::{Context, Result, ensure};
use harness::{
    client::{Answer, HomePage, Post, User},
    costs::Cost,
    deployment::Deployment,
    wait::{DEADLINE, within},
};
use reqwest::{Method, RequestBuilder};

use crate::{costs::WHICH_TABLES, home_becomes, refused};

fn ids(posts: &[Post]) -> Vec<&str> {
    posts.iter().map(|post| post.id.as_str()).collect()
}

fn home(user: &User) -> RequestBuilder {
    user.request(Method::GET, "/v1/feeds/home")
}

/// All new posts, oldest first, asked for so many at a time; and the last mark.
async fn all_new(user: &User, mark: &str, limit: u32) -> Result<(Vec<String>, String)> {
    let (mut all, mut mark) = (Vec::new(), mark.to_owned());
    loop {
        let found = user.newer(&mark, Some(limit)).await?;
        ensure!(found.posts.len() == found.new.min(limit as usize), "{found:?}");
        if found.new == 0 {
            return Ok((all, mark));
        }
        all.extend(found.posts.iter().rev().map(|post| post.id.clone()));
        mark = found.newest;
    }
}

#[tokio::test]
async fn asking_for_what_is_new_shows_every_post_once() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (reader, ada, bob) =
        (deployment.member("reader").await?, deployment.member("ada").await?, deployment.member("bob").await?);
    reader.follow(&ada.id).await?;
    reader.follow(&bob.id).await?;
    let old = ada.post("old", None).await?.value.id;
    home_becomes(&reader, &[&old]).await?;
    let mark = reader.home(20, None).await?.newest;
    let nothing = reader.newer(&mark, Some(20)).await?;
    assert_eq!((nothing.new, nothing.posts.len()), (0, 0));

    let mut written = Vec::new();
    for number in 0..7 {
        let author = if number % 2 == 0 { &ada } else { &bob };
        written.push(author.post(&format!("number {number}"), None).await?.value.id);
    }
    let gone = ada.post("soon gone", None).await?.value.id;
    ada.delete_post(&gone).await?;
    let all: Vec<&str> = [old.as_str()].into_iter().chain(written.iter().map(String::as_str)).rev().collect();
    home_becomes(&reader, &all).await?;

    let count = reader.newer(&mark, None).await?;
    assert_eq!((count.new, count.posts.len()), (7, 0), "the deleted post does not count");
    assert_eq!(reader.newer(&count.newest, None).await?.new, 7, "without a limit, they stay new");
    let first = reader.newer(&mark, Some(3)).await?;
    assert_eq!((first.new, ids(&first.posts)), (7, vec![written[2].as_str(), &written[1], &written[0]]));
    for limit in [1, 3, 100] {
        let (shown, last) = all_new(&reader, &mark, limit).await?;
        assert_eq!(shown, written, "{limit} at a time");
        assert_eq!(reader.newer(&last, None).await?.new, 0);
    }
    // Every page of a walk says what was newest at its beginning.
    let page = reader.home(2, None).await?;
    let second = reader.home(2, page.next_cursor.as_deref()).await?;
    assert_eq!(second.newest, page.newest);
    let ranked = reader.home_by("ranked", 2, None).await?;
    assert_eq!(reader.newer(&ranked.newest, None).await?.new, 0);

    // What the reader hides is not new; own posts show at once with their version.
    let (from_bob, own) = (bob.post("hidden", None).await?.value.id, reader.post("own", None).await?);
    let muted = reader.mute(&bob.id).await?.version;
    let exact = reader.at_least(muted).newer(&page.newest, Some(100)).await?;
    assert_eq!(ids(&exact.posts), [own.value.id.as_str()], "{from_bob} is hidden");
    Ok(())
}

#[tokio::test]
async fn when_nothing_is_new_asking_costs_one_read_unit_at_most_and_the_client_has_the_answer() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (reader, ada) = (deployment.member("reader").await?, deployment.member("ada").await?);
    reader.follow(&ada.id).await?;
    let mut posts = Vec::new();
    for number in 0..30 {
        posts.push(ada.post(&format!("post number {number}: {}", "word ".repeat(16)), None).await?.value.id);
    }
    let all: Vec<&str> = posts.iter().rev().map(String::as_str).collect();
    home_becomes(&reader, &all).await?;
    let mark = reader.home(20, None).await?.newest;
    let answer = Answer::to(home(&reader).query(&[("newer_than", &mark)])).await?;
    if let Some(cost) = Cost::of(&answer)? {
        // A process reads the list of celebrities once a minute.
        assert!(cost.read_units <= 1.5 + WHICH_TABLES && cost.write_units == 0.0, "{cost:?}");
        assert!(cost.round_trips == 1 && cost.calls <= 4, "{cost:?}");
    }
    let same = async |request: fn(&User) -> RequestBuilder, query: &[(&str, &str)]| {
        within(DEADLINE, "the same answer has the same tag", async || {
            let first = Answer::to(request(&reader).query(query)).await?;
            let tag = first.header("etag").context("no tag")?.to_owned();
            let again = Answer::to(request(&reader).query(query).header("If-None-Match", &tag)).await?;
            ensure!(again.status == 304 && again.header("etag") == Some(&tag), "{} {:?}", again.status, again.headers);
            anyhow::Ok(tag)
        })
        .await
    };
    same(home, &[("newer_than", &mark)]).await?;
    let tag = same(home, &[("limit", "5")]).await?;
    // Something else on the page, even if it is only a like, is another answer.
    reader.like(&posts[29]).await?;
    let other = within(DEADLINE, "the page has changed", async || {
        let answer = Answer::to(home(&reader).query(&[("limit", "5")]).header("If-None-Match", &tag)).await?;
        ensure!(answer.status == 200, "still {}", answer.status);
        anyhow::Ok(answer)
    })
    .await?;
    assert!(other.json::<HomePage>()?.posts[0].liked);
    Ok(())
}

#[tokio::test]
async fn marks_of_others_and_what_does_not_go_with_them_are_refused() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let page = ada.home(20, None).await?;
    let mark = page.newest.as_str();
    // Bob's page shows the same nothing. Ada's cursor and mark would be of no use to bob.
    let tag = Answer::to(home(&ada)).await?.header("etag").context("no tag")?.to_owned();
    assert_eq!(Answer::to(home(&bob).header("If-None-Match", &tag)).await?.status, 200);
    let tampered = format!("{}A", &mark[..mark.len() - 1]);
    for other in ["", "x", "2026-11-24T09:31:00.000Z", &tampered, &format!("{mark},{mark}"), &"x".repeat(4097)] {
        refused(home(&ada).query(&[("newer_than", other)]), 400, "invalid_newer_than").await?;
    }
    refused(home(&bob).query(&[("newer_than", mark)]), 400, "invalid_newer_than").await?;
    for (name, value) in [("cursor", "x"), ("order", "chronological"), ("explain", "true")] {
        refused(home(&ada).query(&[("newer_than", mark), (name, value)]), 400, "invalid_newer_than").await?;
    }
    refused(home(&ada).query(&[("newer_than", mark), ("limit", "0")]), 400, "invalid_limit").await?;
    refused(home(&ada).query(&[("newer_than", mark)]).header("Tidings-Min-Version", "9"), 400, "version_unknown")
        .await?;
    Ok(())
}
