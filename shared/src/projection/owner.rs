//! The user whose log is applied.

use tokio::sync::OnceCell;

use crate::{
    error::Error,
    model::{Profile, UserId},
    store::command_table::CommandTable,
};

/// The user whose log is applied. Effects that need the profile after a page of the log was read share one read.
#[derive(Debug)]
pub(super) struct LogOwner<'a> {
    /// The user.
    pub(super) user: &'a UserId,
    commands: &'a CommandTable,
    profile: OnceCell<Profile>,
}

impl<'a> LogOwner<'a> {
    /// The owner of this user's log. Nothing is read yet.
    pub(super) fn new(user: &'a UserId, commands: &'a CommandTable) -> Self {
        Self { user, commands, profile: OnceCell::new() }
    }

    /// The profile as the truth has it.
    ///
    /// # Errors
    /// [`Error::Poison`] if the user has no profile; otherwise as the store's.
    pub(super) async fn profile(&self) -> Result<&Profile, Error> {
        self.profile.get_or_try_init(|| self.read_profile()).await
    }

    /// The profile as the truth has it at this moment.
    ///
    /// # Errors
    /// As [`LogOwner::profile`].
    pub(super) async fn read_profile(&self) -> Result<Profile, Error> {
        let profile = self.commands.profile(self.user).await?;
        profile.ok_or_else(|| Error::poison(format!("user {}", self.user), "the user has no profile"))
    }
}
