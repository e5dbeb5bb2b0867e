//! What administrators decide about a user's posts and account. Each decision is an event in the log of that user, as
//! if the user had caused it: so it is ordered among the user's own commands, and reaches every projection.

use super::decision::{Command, Decision, Turn};
use crate::{
    error::{Error, Rejection},
    model::{Post, PostId, Profile, Standing, UserEvent, UserId},
    store::{command_table::CommandTable, transaction::Change},
};

/// What becomes of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moderation {
    /// It is hidden, or may do nothing.
    Withdrawn,
    /// It is as before.
    Restored,
}

/// An administrator takes down a post of the user, or restores it. The text stays, and only the author can see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModeratePost {
    /// The post.
    pub post: PostId,
    /// What becomes of it.
    pub wanted: Moderation,
}

/// An administrator suspends the user, or ends the suspension. Meanwhile, others see nothing by the user, and the
/// user's commands are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModerateUser {
    /// What becomes of the user.
    pub wanted: Moderation,
}

/// Administrators may decide about suspended users, too.
fn admit(standing: Standing) -> Result<(), Rejection> {
    if standing.is_deleted() { Err(Rejection::AccountDeleted) } else { Ok(()) }
}

impl Command for ModeratePost {
    type State = Option<Post>;
    type Output = ();

    fn admit(&self, standing: Standing) -> Result<(), Rejection> {
        admit(standing)
    }

    async fn read(&self, _author: &UserId, commands: &CommandTable) -> Result<Option<Post>, Error> {
        commands.post(self.post).await
    }

    fn decide(&self, author: &UserId, state: &Option<Post>, turn: Turn) -> Result<Decision<()>, Rejection> {
        let post = state.as_ref().filter(|post| post.author == *author && !post.is_deleted());
        let post = post.ok_or(Rejection::PostNotFound)?;
        let (at, event) = match self.wanted {
            Moderation::Withdrawn => (Some(turn.at), UserEvent::PostTakenDown { post: self.post }),
            Moderation::Restored => (None, UserEvent::PostRestored { post: self.post }),
        };
        if post.is_taken_down() == at.is_some() {
            return Ok(Decision::Unchanged(()));
        }
        let changes = vec![Change::ReplacePost(post.taken_down(at))];
        Ok(Decision::Append { event, totals: turn.totals, changes, output: () })
    }
}

impl Command for ModerateUser {
    type State = Option<Profile>;
    type Output = ();

    fn admit(&self, standing: Standing) -> Result<(), Rejection> {
        admit(standing)
    }

    async fn read(&self, user: &UserId, commands: &CommandTable) -> Result<Option<Profile>, Error> {
        commands.profile(user).await
    }

    fn decide(&self, _user: &UserId, state: &Option<Profile>, turn: Turn) -> Result<Decision<()>, Rejection> {
        let before = state.as_ref().ok_or(Rejection::UserNotFound)?;
        let (suspended, event) = match self.wanted {
            Moderation::Withdrawn => (true, UserEvent::UserSuspended),
            Moderation::Restored => (false, UserEvent::UserReinstated),
        };
        if suspended != turn.standing.is_active() {
            return Ok(Decision::Unchanged(()));
        }
        let profile = Profile { suspended, version: turn.version, ..before.clone() };
        let changes = vec![Change::PutProfile { profile, replaces: Some(before.version) }];
        Ok(Decision::Append { event, totals: turn.totals, changes, output: () })
    }
}

#[cfg(test)]
mod tests {
    use Moderation::{Restored, Withdrawn};

    use super::*;
    use crate::samples::{NOW, post, profile, turn, user};

    fn of_post(wanted: Moderation, state: Option<Post>) -> Result<Decision<()>, Rejection> {
        ModeratePost { post: post().post, wanted }.decide(&user("ada"), &state, turn())
    }

    #[test]
    fn a_take_down_keeps_the_text_and_can_be_undone() {
        let Ok(Decision::Append { event, changes, .. }) = of_post(Withdrawn, Some(post())) else { panic!() };
        let [Change::ReplacePost(down)] = &changes[..] else { panic!("{changes:?}") };
        assert!(matches!(event, UserEvent::PostTakenDown { .. }) && down.is_taken_down());
        assert_eq!((&down.text, down.version), (&post().text, 2));
        assert_eq!(of_post(Withdrawn, Some(down.clone())), Ok(Decision::Unchanged(())));

        let Ok(Decision::Append { event, changes, .. }) = of_post(Restored, Some(down.clone())) else { panic!() };
        let [Change::ReplacePost(restored)] = &changes[..] else { panic!("{changes:?}") };
        assert!(matches!(event, UserEvent::PostRestored { .. }) && !restored.is_taken_down());
        assert_eq!(of_post(Restored, Some(post())), Ok(Decision::Unchanged(())));
    }

    #[test]
    fn only_a_post_of_the_user_that_exists_is_moderated() {
        assert_eq!(of_post(Withdrawn, None), Err(Rejection::PostNotFound));
        assert_eq!(of_post(Withdrawn, Some(post().scrubbed(NOW))), Err(Rejection::PostNotFound));
        let of_bob = Post { author: user("bob"), ..post() };
        assert_eq!(of_post(Withdrawn, Some(of_bob)), Err(Rejection::PostNotFound));
    }

    #[test]
    fn a_suspension_is_in_the_profile_and_in_the_standing() {
        let of_user = |wanted, standing, profile| {
            ModerateUser { wanted }.decide(&user("ada"), &profile, Turn { standing, ..turn() })
        };
        let ada = || Some(profile("ada"));
        let Ok(Decision::Append { event, changes, .. }) = of_user(Withdrawn, Standing::Active, ada()) else { panic!() };
        assert_eq!(event.standing_after(Standing::Active), Standing::Suspended);
        assert!(matches!(&changes[..], [Change::PutProfile { profile, .. }] if profile.suspended));
        assert_eq!(of_user(Withdrawn, Standing::Suspended, ada()), Ok(Decision::Unchanged(())));
        assert_eq!(of_user(Restored, Standing::Active, ada()), Ok(Decision::Unchanged(())));
        let Ok(Decision::Append { event, .. }) = of_user(Restored, Standing::Suspended, ada()) else { panic!() };
        assert_eq!(event.standing_after(Standing::Suspended), Standing::Active);
        assert_eq!(of_user(Withdrawn, Standing::Active, None), Err(Rejection::UserNotFound));
    }
}
