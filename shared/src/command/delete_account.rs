//! `DeleteAccount`: the caller deletes the account, for good. The transaction removes the profile and gives the handle
//! up. From then on, every other command of the caller is refused. A walk erases the rest: see
//! [`crate::projection::walks`].

use super::decision::{Command, Decision, Turn};
use crate::{
    error::{Error, Rejection},
    model::{Profile, Standing, Totals, UserEvent, UserId, limits::FORMER_HANDLE_KEPT},
    store::{command_table::CommandTable, transaction::Change},
};

/// The caller deletes the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteAccount;

impl Command for DeleteAccount {
    type State = Option<Profile>;
    type Output = ();

    /// A suspended user may delete the account, and a second deletion changes nothing.
    fn admit(&self, _standing: Standing) -> Result<(), Rejection> {
        Ok(())
    }

    async fn read(&self, caller: &UserId, commands: &CommandTable) -> Result<Option<Profile>, Error> {
        commands.profile(caller).await
    }

    fn decide(&self, caller: &UserId, state: &Option<Profile>, turn: Turn) -> Result<Decision<()>, Rejection> {
        if turn.standing.is_deleted() {
            return Ok(Decision::Unchanged(()));
        }
        let profile = state.as_ref().ok_or(Rejection::ProfileRequired)?;
        let changes = vec![
            Change::RemoveProfile { user: caller.clone(), replaces: profile.version },
            Change::ReleaseHandle {
                handle: profile.public.handle.clone(),
                user: caller.clone(),
                free_at: turn.at.after(FORMER_HANDLE_KEPT),
            },
        ];
        Ok(Decision::Append { event: UserEvent::AccountDeleted, totals: Totals::default(), changes, output: () })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{profile, turn, user};

    fn decide(standing: Standing, state: Option<Profile>) -> Result<Decision<()>, Rejection> {
        DeleteAccount.decide(&user("ada"), &state, Turn { standing, ..turn() })
    }

    #[test]
    fn the_profile_is_removed_and_the_handle_is_kept_for_thirty_days() {
        for standing in [Standing::Active, Standing::Suspended] {
            assert_eq!(DeleteAccount.admit(standing), Ok(()));
            let Ok(Decision::Append { event, totals, changes, .. }) = decide(standing, Some(profile("ada"))) else {
                panic!("not appended")
            };
            assert_eq!((event.standing_after(standing), totals), (Standing::Deleted, Totals::default()));
            let free_at = turn().at.after(std::time::Duration::from_secs(30 * 24 * 60 * 60));
            assert_eq!(
                changes,
                [
                    Change::RemoveProfile { user: user("ada"), replaces: profile("ada").version },
                    Change::ReleaseHandle { handle: "ada".parse().unwrap(), user: user("ada"), free_at },
                ]
            );
        }
    }

    #[test]
    fn a_second_deletion_changes_nothing() {
        assert_eq!(decide(Standing::Deleted, None), Ok(Decision::Unchanged(())));
    }
}
