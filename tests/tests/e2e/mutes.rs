//! Mute and block (INV-7). A mute keeps everything of a user away from the one who mutes. A block hides two users from
//! each other, and it removes follows in both directions.

use anyhow::{Result, ensure};
use harness::{
    client::{Post, Relation, User},
    deployment::{Deployment, unique},
    wait::eventually,
};

use crate::{applied, home_becomes, refusal};

fn ids(posts: &[Post]) -> Vec<&str> {
    posts.iter().map(|post| post.id.as_str()).collect()
}

async fn members(deployment: &Deployment) -> Result<[User; 3]> {
    Ok([deployment.member("ada").await?, deployment.member("bob").await?, deployment.member("eve").await?])
}

#[tokio::test]
async fn nothing_of_the_muted_or_blocked_is_in_any_feed() -> Result<()> {
    let deployment = Deployment::shared()?;
    let [ada, bob, eve] = members(&deployment).await?;
    let tag = unique();
    for author in [&bob, &eve] {
        ada.follow(&author.id).await?;
    }
    let hidden = bob.post(&format!("of bob #{tag}"), None).await?.value.id;
    let shown = eve.post(&format!("of eve #{tag}"), None).await?.value.id;
    bob.comment(&shown, "of bob", None).await?;
    let comment = eve.comment(&shown, "of eve", None).await?.value.id;
    eve.like(&hidden).await?;
    home_becomes(&ada, &[&shown, &hidden]).await?;

    for block in [false, true] {
        let hide = if block { ada.block(&bob.id).await? } else { ada.mute(&bob.id).await? };
        applied(&ada, hide.version).await?;
        assert_eq!(ids(&ada.walk_home(1).await?), [&shown], "block: {block}");
        for order in ["ranked", "personalized"] {
            assert_eq!(ids(&ada.walk_home_by(order, 1).await?), [&shown], "block: {block}");
        }
        assert_eq!(ids(&ada.walk_posts_with(&tag, 1).await?), [&shown]);
        let looked_up = if block { vec![] } else { vec![hidden.as_str()] };
        assert_eq!(ids(&ada.walk_posts_of(&bob.id, 10).await?), looked_up, "a muted user can be looked up");
        assert!(!ids(&ada.walk_trending(100).await?).contains(&hidden.as_str()));
        let comments: Vec<_> = ada.walk_comments(&shown, "oldest", 1).await?.into_iter().map(|one| one.id).collect();
        assert_eq!(comments, std::slice::from_ref(&comment));
        // The other users see what they saw before.
        assert_eq!(ids(&eve.walk_posts_with(&tag, 10).await?), [&shown, &hidden]);
        assert_eq!(eve.walk_comments(&shown, "oldest", 10).await?.len(), 2);
        if !block {
            let unmuted = ada.unmute(&bob.id).await?;
            applied(&ada, unmuted.version).await?;
            home_becomes(&ada, &[&shown, &hidden]).await?;
        }
    }
    let unblocked = ada.unblock(&bob.id).await?;
    applied(&ada, unblocked.version).await?;
    assert_eq!(ids(&ada.walk_home(10).await?), [&shown], "the follow ended with the block");
    assert_eq!(ids(&ada.walk_posts_of(&bob.id, 10).await?), [&hidden]);
    Ok(())
}

#[tokio::test]
async fn a_block_ends_follows_and_stops_new_ones_and_comments_in_both_directions() -> Result<()> {
    let deployment = Deployment::shared()?;
    let [ada, bob, eve] = members(&deployment).await?;
    ada.follow(&bob.id).await?;
    bob.follow(&ada.id).await?;
    let of_ada = ada.post("of ada", None).await?.value.id;
    let of_bob = bob.post("of bob", None).await?.value.id;
    home_becomes(&bob, &[&of_bob, &of_ada]).await?;

    let blocked = ada.block(&bob.id).await?;
    assert_eq!(ada.block(&bob.id).await?.version, blocked.version, "a second time changes nothing");
    assert_eq!(ada.user(&bob.id).await?.relation, Relation { blocked: true, ..Relation::default() });
    assert_eq!(bob.user(&ada.id).await?.relation, Relation { blocked_by: true, ..Relation::default() });
    // The end of bob's follow is in bob's own log.
    applied(&bob, 4).await?;
    home_becomes(&bob, &[&of_bob]).await?;
    home_becomes(&ada, &[&of_ada]).await?;

    let refused = (403, "blocked".to_owned());
    assert_eq!(refusal(bob.follow(&ada.id).await)?, refused);
    assert_eq!(refusal(ada.follow(&bob.id).await)?, refused);
    assert_eq!(refusal(bob.comment(&of_ada, "hello?", None).await)?, refused);
    assert_eq!(refusal(ada.comment(&of_bob, "bye", None).await)?, refused);
    assert_eq!(refusal(bob.like(&of_ada).await)?, refused);
    assert_eq!(refusal(ada.like(&of_bob).await)?, refused);
    eve.comment(&of_ada, "hello!", None).await?;
    eventually("neither counts the other any more", async || {
        for (user, other) in [(&ada, &bob), (&bob, &ada)] {
            let shown = eve.user(&user.id).await?;
            ensure!((shown.following, shown.followers) == (0, 0), "{shown:?} of {}", other.id);
        }
        Ok(())
    })
    .await?;

    ada.unblock(&bob.id).await?;
    bob.follow(&ada.id).await?;
    bob.comment(&of_ada, "hello again", None).await?;
    bob.like(&of_ada).await?;
    home_becomes(&bob, &[&of_bob, &of_ada]).await?;
    Ok(())
}

#[tokio::test]
async fn a_block_hides_each_from_the_other_and_leaves_what_can_be_undone() -> Result<()> {
    let deployment = Deployment::shared()?;
    let [ada, bob, eve] = members(&deployment).await?;
    let tag = unique();
    let of_ada = ada.post(&format!("of ada #{tag}"), None).await?.value.id;
    let of_bob = bob.post(&format!("of bob #{tag}"), None).await?.value.id;
    let of_eve = eve.post("of eve", None).await?.value.id;
    for user in [&ada, &bob] {
        user.follow(&eve.id).await?;
        user.comment(&of_eve, &format!("of {}", user.id), None).await?;
    }
    bob.like(&of_ada).await?;
    let remark = bob.comment(&of_ada, "of bob", None).await?.value.id;

    ada.block(&bob.id).await?;
    eventually("neither sees the other", async || {
        for (user, other, own, of_other) in [(&ada, &bob, &of_ada, &of_bob), (&bob, &ada, &of_bob, &of_ada)] {
            let not_found = (404, "post_not_found".to_owned());
            ensure!(user.get_post(of_other).await.is_err(), "{} reads the post of {}", user.id, other.id);
            ensure!(refusal(user.get_post(of_other).await)? == not_found);
            ensure!(refusal(user.walk_comments(of_other, "oldest", 10).await)? == not_found);
            ensure!(ids(&user.walk_posts_of(&other.id, 10).await?).is_empty());
            ensure!(ids(&user.walk_posts_with(&tag, 10).await?) == [own.as_str()]);
            let comments = user.walk_comments(&of_eve, "oldest", 10).await?;
            ensure!(comments.iter().all(|comment| comment.author.id == user.id) && comments.len() == 1, "{comments:?}");
            let followers = user.walk_followers_of(&eve.id, 10).await?;
            ensure!(followers.iter().all(|person| person.id == user.id) && followers.len() == 1, "{followers:?}");
            ensure!(user.walk_followed_by(&other.id, 10).await?.is_empty());
        }
        Ok(())
    })
    .await?;
    let shown = bob.user(&ada.id).await?;
    assert_eq!((shown.id, shown.display_name, shown.followers), (ada.id.clone(), String::new(), 0));

    // Ada lists what bob wrote on her post, and bob takes back what he did.
    let all = ada.walk_all_comments(&of_ada, 1).await?;
    assert_eq!(all.iter().map(|one| (one.id.as_str(), one.hidden)).collect::<Vec<_>>(), [(&*remark, Some(true))]);
    assert_eq!(refusal(eve.walk_all_comments(&of_ada, 1).await)?, (403, "not_author".to_owned()));
    bob.unlike(&of_ada).await?;
    bob.unfollow(&ada.id).await?;
    bob.delete_comment(&of_ada, &remark).await?;
    assert_eq!(ada.walk_all_comments(&of_ada, 10).await?, []);
    Ok(())
}

#[tokio::test]
async fn mutes_and_blocks_are_listed_to_their_owner() -> Result<()> {
    let deployment = Deployment::shared()?;
    let [ada, bob, eve] = members(&deployment).await?;
    for user in [&bob, &eve] {
        ada.mute(&user.id).await?;
        assert!(ada.user(&user.id).await?.relation.muted);
    }
    ada.block(&eve.id).await?;
    let names = |people: Vec<harness::client::Person>| people.into_iter().map(|person| person.id).collect::<Vec<_>>();
    eventually("the muted are listed", async || {
        let mutes = names(ada.walk_mutes(1).await?);
        ensure!(mutes == [bob.id.clone(), eve.id.clone()], "{mutes:?}");
        Ok(())
    })
    .await?;
    assert_eq!(names(ada.walk_blocks(10).await?).concat(), eve.id);
    ada.unmute(&bob.id).await?;
    ada.unblock(&eve.id).await?;
    assert_eq!(names(ada.walk_mutes(10).await?).concat(), eve.id);
    assert_eq!(names(ada.walk_blocks(10).await?), [""; 0]);
    assert_eq!(names(bob.walk_mutes(10).await?), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn mutes_and_blocks_of_oneself_and_of_unknown_users_are_refused() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, ghost) = (deployment.member("ada").await?, deployment.newcomer("ghost").await?);
    assert_eq!(refusal(ada.mute(&ada.id).await)?, (422, "cannot_mute_self".to_owned()));
    assert_eq!(refusal(ada.block(&ada.id).await)?, (422, "cannot_block_self".to_owned()));
    assert_eq!(refusal(ada.unmute(&ada.id).await)?, (422, "cannot_mute_self".to_owned()));
    assert_eq!(refusal(ada.unblock(&ada.id).await)?, (422, "cannot_block_self".to_owned()));
    for answer in [
        ghost.mute(&ada.id).await,
        ghost.unmute(&ada.id).await,
        ghost.block(&ada.id).await,
        ghost.unblock(&ada.id).await,
    ] {
        assert_eq!(refusal(answer)?, (409, "profile_required".to_owned()));
    }
    for id in [ghost.id.as_str(), "@nobody_has_this_one"] {
        let nobody = (404, "user_not_found".to_owned());
        assert_eq!(refusal(ada.mute(id).await)?, nobody);
        assert_eq!(refusal(ada.unmute(id).await)?, nobody);
        assert_eq!(refusal(ada.block(id).await)?, nobody);
        assert_eq!(refusal(ada.unblock(id).await)?, nobody);
    }
    Ok(())
}
