//! `CommentOnPost`: the caller comments on a post, once for each idempotency key (INV-6).

use serde::{Deserialize, Serialize};

use super::{
    decision::{Command, Decision, Turn, require_shown},
    mentions::mentioned,
    once::Once,
};
use crate::{
    error::{Error, Rejection},
    model::{
        Comment, CommentId, CommentText, Commenter, Counts, EdgeKey, EdgeKind, IdempotencyKey, Mentioned,
        PartitionShard, PostId, Profile, ReactedPost, Standing, TallySubject, Timestamp, UserEvent, UserId, Version,
        ranking,
    },
    store::{
        command_table::{CommandTable, Remembered},
        edges::Edges,
        transaction::Change,
    },
};

/// The caller comments on a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommentOnPost {
    /// The post.
    pub post: PostId,
    /// Id of the comment. It is the same in every attempt.
    pub comment: CommentId,
    /// The text.
    pub text: CommentText,
    /// Key under which the response is stored, if the client sent one.
    pub key: Option<IdempotencyKey>,
}

/// A comment with the profile that its author had then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commented {
    /// The comment.
    pub comment: Comment,
    /// The author's profile.
    pub author: Profile,
}

/// What the decision rests on. The transaction does not require that the post is not deleted: with that condition, all
/// comments on one post would conflict. If a deletion comes in between, nobody sees the comment.
///
/// If very many users comment on a post at this moment, their transactions do not require either that the author of the
/// post does not block them: all those conditions are in one partition. So a comment may be accepted some seconds after
/// the block. It stays, as those from before the block do, and the two do not see each other's comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    author: Option<Profile>,
    post: Option<ReactedPost>,
    /// The blocks between the caller and the author of the post.
    edges: Edges,
    /// What the caller's comments on the post add up to.
    commenter: Option<Commenter>,
    /// The users whom the text mentions.
    mentions: Vec<UserId>,
    remembered: Option<Remembered>,
    /// Whether this rests on what the process read a moment ago: that the post was there, and that its author was not
    /// suspended and did not block the caller.
    is_recalled: bool,
}

/// The part of a response that the request does not carry.
#[derive(Serialize, Deserialize)]
struct Response {
    comment: CommentId,
    author: Profile,
}

impl CommentOnPost {
    fn once<'a>(&'a self, caller: &'a UserId) -> Once<'a> {
        let request = format!("POST /v1/posts/{}/comments\n{}", self.post, self.text.as_str());
        Once { user: caller, key: self.key(), request }
    }

    fn commented(
        &self,
        Response { comment, author }: Response,
        version: Version,
        mentioned: Vec<Mentioned>,
    ) -> Commented {
        let comment = Comment {
            comment,
            post: self.post,
            author: author.user.clone(),
            text: Some(self.text.clone()),
            heat: 0,
            event_version: version,
            mentioned,
            shard: PartitionShard::default(),
            deleted_at: None,
        };
        Commented { comment, author }
    }
}

impl Command for CommentOnPost {
    type State = State;
    type Output = Commented;

    fn key(&self) -> Option<&IdempotencyKey> {
        self.key.as_ref()
    }

    fn counter(&self) -> Option<TallySubject> {
        Some(TallySubject::Post(self.post))
    }

    async fn read(&self, caller: &UserId, commands: &CommandTable) -> Result<State, Error> {
        let remembered = Once::read(commands, caller, self.key());
        let post = async {
            let post = commands.post(self.post).await?;
            Ok(match post {
                Some(post) if post.author != *caller => {
                    let blocks = EdgeKey::blocks(caller, &post.author);
                    let others = commands.profile_and_edges(&post.author, &blocks);
                    let ((profile, edges), commenter) =
                        tokio::try_join!(others, commands.commenter(caller, self.post))?;
                    // Nobody sees posts of suspended users.
                    let is_suspended = profile.is_none_or(|profile| profile.suspended);
                    ((!is_suspended).then_some(post), edges, commenter)
                }
                post => (post, Edges::default(), None),
            })
        };
        let text = self.text.entities();
        let (author, (post, edges, commenter), mentions, remembered) =
            tokio::try_join!(commands.profile(caller), post, mentioned(commands, &text, caller), remembered)?;
        let post = post.as_ref().map(ReactedPost::from);
        Ok(State { author, post, edges, commenter, mentions, remembered, is_recalled: false })
    }

    async fn recall(&self, caller: &UserId, commands: &CommandTable, at: Timestamp) -> Result<Option<State>, Error> {
        let Some(author_of_post) = commands.recent_author(self.post, at).await? else { return Ok(None) };
        let block = [EdgeKey::new(caller, EdgeKind::Blocks, &author_of_post)];
        let text = self.text.entities();
        let (author, standing, is_blocked, edges, commenter, mentions, remembered) = tokio::try_join!(
            commands.profile(caller),
            commands.recent_standing(&author_of_post, at),
            commands.blocked_lately(&author_of_post, caller, at),
            commands.edges(&block),
            commands.commenter(caller, self.post),
            mentioned(commands, &text, caller),
            Once::read(commands, caller, self.key())
        )?;
        let post = Some(ReactedPost { post: self.post, author: author_of_post, hidden: None });
        let state = State { author, post, edges, commenter, mentions, remembered, is_recalled: true };
        Ok((standing == Some(Standing::Active) && !is_blocked).then_some(state))
    }

    fn decide(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<Commented>, Rejection> {
        let once = self.once(caller);
        // Whom the text mentions, and where the comment stands, is no part of the answer.
        let again = |response, remembered: &Remembered| self.commented(response, remembered.version, Vec::new());
        if let Some(replay) = once.replay(state.remembered.as_ref(), turn.at, again)? {
            return Ok(replay);
        }
        let author = state.author.clone().ok_or(Rejection::ProfileRequired)?;
        let post = state.post.as_ref().ok_or(Rejection::PostNotFound)?;
        require_shown(post.hidden, &post.author, caller)?;
        if state.edges.block_between(caller, &post.author) {
            return Err(Rejection::Blocked);
        }
        let response = Response { comment: self.comment, author };
        let remember = once.remember(&response, turn);
        let mentioned = state.mentions.iter().map(|user| Mentioned { user: user.clone(), at: turn.at }).collect();
        let mut output = self.commented(response, turn.version, mentioned);
        output.comment.shard = PartitionShard::of_comment(self.comment, turn.shard);
        let mut more = Counts { comments: 1, ..Counts::default() };
        let mut changes = vec![Change::CreateComment(output.comment.clone())];
        // Authors do not count on their own posts, and others count once.
        if *caller != post.author {
            let heat = ranking::comment_heat(post.post.created_at(), turn.at);
            let (commenter, heat) = Commenter::with_one_more(state.commenter.as_ref(), heat);
            more.heat = heat;
            changes.push(Change::PutCommenter { user: caller.clone(), post: self.post, commenter });
            changes.push(Change::RequireNoBlock { by: caller.clone(), of: post.author.clone() });
            if !state.is_recalled {
                changes.push(Change::RequireNoBlock { by: post.author.clone(), of: caller.clone() });
            }
        }
        changes.push(Change::Count { subject: TallySubject::Post(self.post), shard: turn.shard, more });
        changes.extend(remember);
        Ok(Decision::Append {
            event: UserEvent::PostCommented { post: self.post, comment: self.comment, text: Some(self.text.clone()) },
            totals: turn.totals,
            changes,
            output,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::{DeleteComment, ModerateUser, Moderation},
        model::Post,
        samples::{NOW, post, profile, turn, user, version},
        test_world::{Calls, Process, World},
    };

    fn decide(command: &CommentOnPost, state: &State) -> Result<Decision<Commented>, Rejection> {
        command.decide(&profile("bob").user, state, turn())
    }

    fn command(post: &Post, text: &str) -> CommentOnPost {
        let text = text.to_owned().try_into().unwrap();
        CommentOnPost { post: post.post, comment: CommentId::new(NOW), text, key: Some("k".parse().unwrap()) }
    }

    fn state(post: &Post, commenter: Option<Commenter>) -> State {
        let author = Some(profile("bob"));
        State {
            author,
            post: Some(post.into()),
            edges: Edges::default(),
            commenter,
            mentions: Vec::new(),
            remembered: None,
            is_recalled: false,
        }
    }

    /// What the changes add to the counter of the post.
    fn counted(changes: &[Change]) -> Counts {
        let count = |change: &Change| match change {
            Change::Count { more, .. } => Some(*more),
            _ => None,
        };
        changes.iter().find_map(count).unwrap()
    }

    #[test]
    fn a_first_comment_is_counted_with_the_heat_of_three_likes() {
        let post = post();
        let Ok(Decision::Append { changes, output, .. }) = decide(&command(&post, "nice"), &state(&post, None)) else {
            panic!("not appended")
        };
        assert_eq!(changes[0], Change::CreateComment(output.comment.clone()));
        assert_eq!(counted(&changes), Counts { comments: 1, heat: 3000, ..Counts::default() });
        let commenter = Commenter { comments: 1, heat: 3000, version: 1 };
        assert_eq!(changes[1], Change::PutCommenter { user: profile("bob").user, post: post.post, commenter });
        assert_eq!(output.comment.heat, 0, "the commenter has the heat");
    }

    #[test]
    fn a_further_comment_is_counted_without_heat() {
        let post = post();
        let commenter = Commenter { comments: 1, heat: 3000, version: 4 };
        let decision = decide(&command(&post, "nice"), &state(&post, Some(commenter)));
        let Ok(Decision::Append { changes, .. }) = decision else { panic!("not appended") };
        assert_eq!(counted(&changes), Counts { comments: 1, ..Counts::default() });
        let after = Commenter { comments: 2, heat: 3000, version: 5 };
        assert!(matches!(&changes[1], Change::PutCommenter { commenter, .. } if *commenter == after));
    }

    #[test]
    fn a_comment_on_ones_own_post_is_counted_without_heat() {
        let own = Post { author: profile("bob").user, ..post() };
        let decision = decide(&command(&own, "nice"), &state(&own, None));
        let Ok(Decision::Append { changes, .. }) = decision else { panic!("not appended") };
        assert_eq!(counted(&changes), Counts { comments: 1, ..Counts::default() });
        assert!(!changes.iter().any(|change| matches!(change, Change::PutCommenter { .. })));
    }

    #[test]
    fn the_same_request_gets_the_same_response_and_another_one_none() {
        let post = post();
        let mut state = state(&post, None);
        let first = command(&post, "nice");
        let Ok(Decision::Append { mut changes, output, .. }) = decide(&first, &state) else { panic!("not appended") };
        let Some(Change::Remember { remembered, .. }) = changes.pop() else { panic!("nothing is stored") };
        assert!(!remembered.response.contains("nice"), "a deletion must leave no text behind");
        state.remembered = Some(remembered);
        let replay = Decision::Replay { version: version(9), output };
        assert_eq!(decide(&command(&post, "nice"), &state), Ok(replay));
        assert_eq!(decide(&command(&post, "other"), &state), Err(Rejection::IdempotencyKeyReused));
    }

    #[test]
    fn what_cannot_be_is_rejected() {
        let post = post();
        let command = command(&post, "nice");
        let state = |author, post: Option<Post>| State {
            author,
            post: post.as_ref().map(ReactedPost::from),
            ..state(&self::post(), None)
        };
        assert_eq!(decide(&command, &state(Some(profile("bob")), None)), Err(Rejection::PostNotFound));
        assert_eq!(
            decide(&command, &state(Some(profile("bob")), Some(post.scrubbed(NOW)))),
            Err(Rejection::PostNotFound)
        );
        assert_eq!(decide(&command, &state(None, Some(post))), Err(Rejection::ProfileRequired));
    }

    /// The user comments on a post.
    async fn comment(process: &Process, id: &str, post: PostId) -> CommentId {
        let text = "nice".to_owned().try_into().unwrap();
        let command = CommentOnPost { post, comment: CommentId::new(process.clock.now()), text, key: None };
        process.run(id, &command).await.unwrap().output.comment.comment
    }

    /// The comments and the heat that the counter of the only post has.
    fn count_of_post(world: &World) -> (i64, i64) {
        let number = |item: &serde_json::Value, name: &str| -> i64 {
            item[name]["N"].as_str().map_or(0, |digits| digits.parse().unwrap())
        };
        let items = world.items("commands");
        let shards = items.iter().filter(|item| item["PK"]["S"].as_str().unwrap().starts_with("TALLY#POST#"));
        shards.fold((0, 0), |(comments, heat), shard| {
            (comments + number(shard, "comments"), heat + number(shard, "heat"))
        })
    }

    async fn post_of_ada() -> (World, PostId) {
        let world = World::new();
        world.other.join(&["ada", "bob", "carol"]).await;
        let post = world.other.post("ada", "hello").await;
        (world, post)
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_counts_once_however_many_comments_there_are_and_authors_not_at_all() {
        let (world, post) = post_of_ada().await;
        for _ in 0..5 {
            comment(&world.tested, "ada", post).await;
        }
        assert_eq!(count_of_post(&world), (5, 0));
        let first = comment(&world.tested, "bob", post).await;
        let second = comment(&world.tested, "bob", post).await;
        let (_, once) = count_of_post(&world);
        assert!((3000..3010).contains(&once), "{once}");
        comment(&world.tested, "carol", post).await;
        assert_eq!(count_of_post(&world).0, 8);
        let (_, twice) = count_of_post(&world);
        assert!((6000..6020).contains(&twice), "{twice}");
        // The author of the post deletes one, and bob the other.
        world.tested.done("ada", &DeleteComment { post, comment: first }).await;
        assert_eq!(count_of_post(&world), (7, twice), "bob has a comment left");
        world.tested.done("bob", &DeleteComment { post, comment: second }).await;
        assert_eq!(count_of_post(&world), (6, twice - once));
        comment(&world.tested, "bob", post).await;
        assert!((6000..6020).contains(&count_of_post(&world).1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_comment_during_the_deletion_of_the_only_other_one_counts() {
        let (world, post) = post_of_ada().await;
        let first = comment(&world.other, "bob", post).await;
        let other = world.other.clone();
        world.network.before(Calls("TransactWriteItems", ""), async move || {
            other.done("ada", &DeleteComment { post, comment: first }).await;
        });

        comment(&world.tested, "bob", post).await;

        let (comments, heat) = count_of_post(&world);
        assert!(comments == 1 && (3000..3010).contains(&heat), "{comments} {heat}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_comment_whose_answer_was_lost_counts_once() {
        let (world, post) = post_of_ada().await;
        world.network.lose_answers(Calls("TransactWriteItems", ""), 3);

        comment(&world.tested, "bob", post).await;

        let commenter = world.other.commands.commenter(&user("bob"), post).await.unwrap().unwrap();
        assert_eq!((commenter.comments, commenter.version), (1, 1));
        assert_eq!(count_of_post(&world), (1, commenter.heat));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_comments_on_a_post_of_a_suspended_user() {
        for is_crowded in [false, true] {
            let (world, post) = post_of_ada().await;
            world.other.done("ada", &ModerateUser { wanted: Moderation::Withdrawn }).await;
            if is_crowded {
                world.tested.meets_a_crowd(&TallySubject::Post(post));
            }
            let text = "nice".to_owned().try_into().unwrap();
            let comment = CommentId::new(world.tested.clock.now());
            let command = CommentOnPost { post, comment, text, key: None };
            let refused = world.tested.run("bob", &command).await;
            assert!(matches!(refused, Err(Error::Rejected(Rejection::PostNotFound))), "{refused:?}");
        }
    }
}
