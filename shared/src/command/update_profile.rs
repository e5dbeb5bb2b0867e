//! `UpdateProfile`: the caller creates or changes the profile. The claim item of a handle makes the handle unique. The
//! same transaction gives the old handle up. For 30 days, it leads to nobody, and only its former owner can claim it
//! again: links and mentions must not lead to somebody else.

use super::decision::{Command, Decision, Turn};
use crate::{
    error::{Error, Rejection},
    model::{Handle, Profile, PublicProfile, UserEvent, UserId, limits::FORMER_HANDLE_KEPT},
    store::{
        command_table::{Claim, CommandTable},
        transaction::Change,
    },
};

/// The caller creates or changes the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateProfile {
    /// The whole new profile.
    pub profile: PublicProfile,
    /// Whether the handle is reserved.
    pub is_reserved: bool,
}

/// What the decision rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub(super) profile: Option<Profile>,
    /// Who has the wanted handle, or had it last.
    pub(super) claim: Option<Claim>,
}

impl State {
    /// Reads the caller's profile and, if there is a new handle, who has that.
    pub(super) async fn read(
        caller: &UserId,
        new_handle: Option<&Handle>,
        commands: &CommandTable,
    ) -> Result<Self, Error> {
        let claim = async {
            match new_handle {
                Some(handle) => commands.claim(handle).await,
                None => Ok(None),
            }
        };
        let (profile, claim) = tokio::try_join!(commands.profile(caller), claim)?;
        Ok(Self { profile, claim })
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
        let before = state.profile.as_ref();
        let handle = self.profile.handle.clone();
        let old_handle = before.map(|before| &before.public.handle).filter(|old| **old != handle);
        let claims = before.is_none() || old_handle.is_some();
        if claims && self.is_reserved {
            return Err(Rejection::HandleReserved { handle });
        }
        if state.claim.as_ref().is_some_and(|claim| !claim.admits(caller, turn.at)) {
            return Err(Rejection::HandleTaken { handle });
        }
        let profile = Profile {
            user: caller.clone(),
            public: self.profile.clone(),
            created_at: before.map_or(turn.at, |before| before.created_at),
            suspended: before.is_some_and(|before| before.suspended),
            version: turn.version,
        };
        let mut changes = vec![Change::PutProfile { profile: profile.clone(), replaces: before.map(|p| p.version) }];
        if claims {
            changes.push(Change::ClaimHandle { handle, user: caller.clone(), at: turn.at });
        }
        changes.extend(old_handle.map(|old| Change::ReleaseHandle {
            handle: old.clone(),
            user: caller.clone(),
            free_at: turn.at.after(FORMER_HANDLE_KEPT),
        }));
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

    fn claim(owner: &str, expires_at: Option<u64>) -> Option<Claim> {
        Some(Claim { user: user(owner), expires_at })
    }

    fn decide(handle: &str, profile: Option<Profile>, claim: Option<Claim>) -> Result<Decision<Profile>, Rejection> {
        let command = UpdateProfile { profile: shown(handle), is_reserved: handle == "admin" };
        command.decide(&ada(), &State { profile, claim }, turn())
    }

    #[test]
    fn a_first_profile_claims_its_handle() {
        let decision = decide("ada", None, None).unwrap();
        let Decision::Append { changes, output, totals, .. } = decision else { panic!("{decision:?}") };
        assert_eq!(output.created_at, turn().at);
        assert_eq!(totals, turn().totals);
        assert_eq!(
            changes,
            [
                Change::PutProfile { profile: output, replaces: None },
                Change::ClaimHandle { handle: "ada".parse().unwrap(), user: ada(), at: turn().at },
            ]
        );
    }

    #[test]
    fn a_new_handle_gives_the_old_one_up_for_thirty_days() {
        let decision = decide("lovelace", Some(profile("ada")), None).unwrap();
        let Decision::Append { changes, output, .. } = decision else { panic!("{decision:?}") };
        assert_eq!(output.created_at, profile("ada").created_at, "an update keeps the creation time");
        let free_at = turn().at.after(std::time::Duration::from_secs(30 * 24 * 60 * 60));
        assert_eq!(
            changes[1..],
            [
                Change::ClaimHandle { handle: "lovelace".parse().unwrap(), user: ada(), at: turn().at },
                Change::ReleaseHandle { handle: "ada".parse().unwrap(), user: ada(), free_at },
            ]
        );
    }

    #[test]
    fn the_same_profile_changes_nothing() {
        let decision = decide("ada", Some(profile("ada")), claim("ada", None)).unwrap();
        assert_eq!(decision, Decision::Unchanged(profile("ada")));
    }

    #[test]
    fn somebody_elses_handle_is_taken() {
        let handle = "ada".parse().unwrap();
        assert_eq!(decide("ada", None, claim("bob", None)), Err(Rejection::HandleTaken { handle }));
    }

    #[test]
    fn a_former_handle_is_its_former_owners_until_it_is_free() {
        let now = turn().at.as_secs();
        for (owner, free_at, may) in [("ada", now + 1, true), ("bob", now + 1, false), ("bob", now, true)] {
            assert_eq!(decide("lovelace", Some(profile("ada")), claim(owner, Some(free_at))).is_ok(), may, "{owner}");
        }
        assert_eq!(Claim { user: ada(), expires_at: Some(now + 1) }.owner(), None, "it leads to nobody");
    }

    #[test]
    fn a_reserved_handle_can_be_kept_but_not_claimed() {
        let reserved = Err(Rejection::HandleReserved { handle: "admin".parse().unwrap() });
        assert_eq!(decide("admin", None, None), reserved);
        assert_eq!(decide("admin", Some(profile("ada")), None), reserved);
        let mut own = profile("admin");
        own.public.display_name = "Another Name".to_owned().try_into().unwrap();
        assert!(matches!(decide("admin", Some(own), claim("ada", None)), Ok(Decision::Append { .. })));
    }
}
