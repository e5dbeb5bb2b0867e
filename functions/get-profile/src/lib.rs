//! `GET /v1/users/{user}`, `/followers` and `/following`, `GET /v1/me/mutes` and `/blocks`: profiles, and who follows, mutes
//! and blocks whom.

use tidings::{
    error::Error,
    http::{
        Call, Response,
        view::{OtherProfile, PeopleView, Person},
    },
    model::{Clock, UserId},
    query::{
        self, People,
        cursor::{CursorKeys, Place, Scope},
        people::Side,
    },
};

/// Answers a request.
///
/// # Errors
/// Those of the request and of [`People`].
pub async fn handle(people: &People, keys: &CursorKeys, clock: &Clock, call: Call) -> Result<Response, Error> {
    let side = match call.route() {
        "GET /v1/me/mutes" => Some(Side::Muted),
        "GET /v1/me/blocks" => Some(Side::Blocked),
        _ => None,
    };
    if let Some(side) = side {
        let caller = call.caller.clone();
        return list(people, keys, clock, call, side, caller).await;
    }
    let user = query::resolve(&people.commands, &call.user()?).await?;
    match call.route() {
        "GET /v1/users/{user}/followers" => list(people, keys, clock, call, Side::Followers, user).await,
        "GET /v1/users/{user}/following" => list(people, keys, clock, call, Side::Following, user).await,
        _ => {
            let view = people.profile(call.reader()?, &user).await?;
            Ok(Response::json(200, &OtherProfile::from(&view)))
        }
    }
}

async fn list(
    people: &People,
    keys: &CursorKeys,
    clock: &Clock,
    call: Call,
    side: Side,
    user: UserId,
) -> Result<Response, Error> {
    let limit = call.limit()?;
    let route = format!("{side:?} of {user}");
    let scope = Scope { caller: &call.caller, route: &route, order: "id" };
    let place: Option<Place<_>> =
        call.query("cursor").map(|cursor| keys.open(scope, cursor, clock.now())).transpose()?;
    // Edges are read from the truth, as it is.
    let asked = call.reader()?.at_least(place.as_ref().and_then(|place| place.min_version));
    let page = people.people(asked, side, &user, place.map(|place| place.position), limit).await?;
    let seal = |position| keys.seal(scope, Place { position, min_version: asked.min_version }, clock.now());
    let body = PeopleView {
        users: page.entries.iter().map(Person::from).collect(),
        next_cursor: page.next.map(seal).transpose()?,
    };
    Ok(Response::json(200, &body))
}
