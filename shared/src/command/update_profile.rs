//! `UpdateProfile`: the caller creates or changes the profile. The claim item of a handle makes the handle unique. The
//! same transaction releases the old handle.

use super::decision::{Command, Decision, Turn};
use crate::{
    error::{Error, Rejection},
    model::{Handle, Profile, PublicProfile, UserEvent, UserId},
    store::{command_table::CommandTable, transaction::Change},
};

/// The caller creates or changes the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateProfile {
    /// The whole new profile.
    pub profile: PublicProfile,
}

/// What the decision rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub(super) profile: Option<Profile>,
    pub(super) handle_owner: Option<UserId>,
}

impl State {
    /// Reads the caller's profile and, if there is a new handle, its owner.
    pub(super) async fn read(
        caller: &UserId,
        new_handle: Option<&Handle>,
        commands: &CommandTable,
    ) -> Result<Self, Error> {
        let owner = async {
            match new_handle {
                Some(handle) => commands.handle_owner(handle).await,
                None => Ok(None),
            }
        };
        let (profile, handle_owner) = tokio::try_join!(commands.profile(caller), owner)?;
        Ok(Self { profile, handle_owner })
    }
}

impl Command for UpdateProfile {
    type State = State;
    type Output = Profile;

    const NEEDS_PROFILE: bool = false;

    async fn read(&self, caller: &UserId, commands: &CommandTable) -> Result<State, Error> {
        State::read(caller, Some(&self.profile.handle), commands).await
    }

    fn decide(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<Profile>, Rejection> {
        if let Some(profile) = state.profile.as_ref().filter(|profile| profile.public == self.profile) {
            return Ok(Decision::Unchanged(profile.clone()));
        }
        if state.handle_owner.as_ref().is_some_and(|owner| owner != caller) {
            return Err(Rejection::HandleTaken);
        }
        let before = state.profile.as_ref();
        let profile = Profile {
            user: caller.clone(),
            public: self.profile.clone(),
            created_at: before.map_or(turn.at, |before| before.created_at),
            version: turn.version,
        };
        let mut changes = vec![Change::PutProfile { profile: profile.clone(), replaces: before.map(|p| p.version) }];
        let old_handle = before.map(|before| &before.public.handle);
        if old_handle != Some(&self.profile.handle) {
            changes.push(Change::ClaimHandle { handle: self.profile.handle.clone(), user: caller.clone() });
            changes.extend(
                old_handle.map(|handle| Change::ReleaseHandle { handle: handle.clone(), user: caller.clone() }),
            );
        }
        Ok(Decision::Append {
            event: UserEvent::ProfileChanged(self.profile.clone()),
            totals: turn.totals,
            changes,
            output: profile,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{profile, shown, turn, user};

    fn ada() -> UserId {
        user("ada")
    }

    #[test]
    fn a_first_profile_claims_its_handle() {
        let state = State { profile: None, handle_owner: None };
        let decision = UpdateProfile { profile: shown("ada") }.decide(&ada(), &state, turn()).unwrap();
        let Decision::Append { changes, output, totals, .. } = decision else { panic!("{decision:?}") };
        assert_eq!(output.created_at, turn().at);
        assert_eq!(totals, turn().totals);
        assert_eq!(
            changes,
            [
                Change::PutProfile { profile: output, replaces: None },
                Change::ClaimHandle { handle: "ada".parse().unwrap(), user: ada() },
            ]
        );
    }

    #[test]
    fn a_new_handle_releases_the_old_one() {
        let state = State { profile: Some(profile("ada")), handle_owner: None };
        let decision = UpdateProfile { profile: shown("lovelace") }.decide(&ada(), &state, turn()).unwrap();
        let Decision::Append { changes, output, .. } = decision else { panic!("{decision:?}") };
        assert_eq!(output.created_at, profile("ada").created_at, "an update keeps the creation time");
        assert_eq!(
            changes[1..],
            [
                Change::ClaimHandle { handle: "lovelace".parse().unwrap(), user: ada() },
                Change::ReleaseHandle { handle: "ada".parse().unwrap(), user: ada() },
            ]
        );
    }

    #[test]
    fn the_same_profile_changes_nothing() {
        let state = State { profile: Some(profile("ada")), handle_owner: Some(ada()) };
        let decision = UpdateProfile { profile: shown("ada") }.decide(&ada(), &state, turn()).unwrap();
        assert_eq!(decision, Decision::Unchanged(profile("ada")));
    }

    #[test]
    fn somebody_elses_handle_is_taken() {
        let state = State { profile: None, handle_owner: Some(user("bob")) };
        let decision = UpdateProfile { profile: shown("ada") }.decide(&ada(), &state, turn());
        assert_eq!(decision, Err(Rejection::HandleTaken));
    }
}
