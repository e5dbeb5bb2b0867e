//! `PatchProfile`: the caller changes some parts of the profile and keeps the others.

use super::{
    decision::{Command, Decision, Turn},
    update_profile::{State, UpdateProfile},
};
use crate::{
    error::{Error, Rejection},
    model::{AvatarUrl, DisplayName, Handle, Profile, PublicProfile, UserId},
    store::command_table::CommandTable,
};

/// The caller changes some parts of the profile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PatchProfile {
    /// The new handle, if it is to change.
    pub handle: Option<Handle>,
    /// The new display name, if it is to change.
    pub display_name: Option<DisplayName>,
    /// The new URL of the avatar, or its removal, if it is to change.
    pub avatar_url: Option<Option<AvatarUrl>>,
    /// Whether the new handle is reserved.
    pub is_reserved: bool,
}

impl PatchProfile {
    fn patched(&self, before: &PublicProfile) -> PublicProfile {
        let before = before.clone();
        PublicProfile {
            handle: self.handle.clone().unwrap_or(before.handle),
            display_name: self.display_name.clone().unwrap_or(before.display_name),
            avatar_url: self.avatar_url.clone().unwrap_or(before.avatar_url),
        }
    }
}

impl Command for PatchProfile {
    type State = State;
    type Output = Profile;

    async fn read(&self, caller: &UserId, commands: &CommandTable) -> Result<State, Error> {
        State::read(caller, self.handle.as_ref(), commands).await
    }

    fn decide(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<Profile>, Rejection> {
        let before = state.profile.as_ref().ok_or(Rejection::ProfileRequired)?;
        let profile = self.patched(&before.public);
        UpdateProfile { profile, is_reserved: self.is_reserved }.decide(caller, state, turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        samples::{profile, turn, user},
        store::{command_table::Claim, transaction::Change},
    };

    fn decide(patch: &PatchProfile, claim: Option<&str>) -> Result<Decision<Profile>, Rejection> {
        let state = State {
            profile: Some(pictured()),
            claim: claim.map(|owner| Claim { user: user(owner), expires_at: None }),
        };
        patch.decide(&user("ada"), &state, turn())
    }

    /// The profile of ada, with a picture.
    fn pictured() -> Profile {
        let mut profile = profile("ada");
        profile.public.avatar_url = Some(url("https://example.org/old.png"));
        profile
    }

    fn url(url: &str) -> AvatarUrl {
        url.to_owned().try_into().unwrap()
    }

    fn after(patch: &PatchProfile) -> (PublicProfile, Vec<Change>) {
        match decide(patch, None) {
            Ok(Decision::Append { output, changes, .. }) => (output.public, changes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_left_out_stays() {
        let before = pictured().public;
        let name: DisplayName = "Ada Lovelace".to_owned().try_into().unwrap();
        let (renamed, changes) = after(&PatchProfile { display_name: Some(name.clone()), ..PatchProfile::default() });
        assert_eq!(renamed, PublicProfile { display_name: name, ..before.clone() });
        assert_eq!(changes.len(), 1, "the handle is neither claimed nor released: {changes:?}");
        let new = url("https://example.org/new.png");
        let (pictured, _) = after(&PatchProfile { avatar_url: Some(Some(new.clone())), ..PatchProfile::default() });
        assert_eq!(pictured, PublicProfile { avatar_url: Some(new), ..before });
    }

    #[test]
    fn null_removes_the_picture() {
        let (without, _) = after(&PatchProfile { avatar_url: Some(None), ..PatchProfile::default() });
        assert_eq!(without, PublicProfile { avatar_url: None, ..pictured().public });
    }

    #[test]
    fn a_new_handle_is_claimed_unless_somebody_has_it() {
        let patch = PatchProfile { handle: Some("lovelace".parse().unwrap()), ..PatchProfile::default() };
        let (renamed, changes) = after(&patch);
        assert_eq!(renamed.handle.as_str(), "lovelace");
        assert!(matches!(&changes[1..], [Change::ClaimHandle { .. }, Change::ReleaseHandle { .. }]), "{changes:?}");
        assert_eq!(decide(&patch, Some("bob")), Err(Rejection::HandleTaken { handle: "lovelace".parse().unwrap() }));
        let patch = PatchProfile { is_reserved: true, ..patch };
        assert_eq!(decide(&patch, None), Err(Rejection::HandleReserved { handle: "lovelace".parse().unwrap() }));
    }

    #[test]
    fn nothing_or_the_same_changes_nothing() {
        let same = PatchProfile { handle: Some("ada".parse().unwrap()), ..PatchProfile::default() };
        for (patch, owner) in [(PatchProfile::default(), None), (same, Some("ada"))] {
            assert_eq!(decide(&patch, owner), Ok(Decision::Unchanged(pictured())));
        }
    }

    #[test]
    fn there_has_to_be_a_profile() {
        let state = State { profile: None, claim: None };
        let decision = PatchProfile::default().decide(&user("ada"), &state, turn());
        assert_eq!(decision, Err(Rejection::ProfileRequired));
    }
}
