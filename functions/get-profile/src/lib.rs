//! Serves `GET /v1/users/{user}`, `/v1/users/{user}/followers` and `/following`, `GET /v1/me`, `/v1/me/mutes` and
//! `/v1/me/blocks`: profiles, and lists of people.

use tidings::{
    error::Error,
    http::{
        Call, Response, Walk,
        view::{CountedProfile, OtherProfile, PeopleView, Person},
    },
    model::{Clock, UserId},
    query::{self, People, cursor::CursorKeys, people::Side},
};

/// The only order of lists of people.
const BY_ID: &str = "id";

/// Answers a request.
///
/// # Errors
/// Those of the request and of [`People`].
pub async fn handle(people: &People, keys: &CursorKeys, clock: &Clock, call: Call) -> Result<Response, Error> {
    people.read_models.reading(async || answer(people, keys, clock, call.clone()).await).await
}

async fn answer(people: &People, keys: &CursorKeys, clock: &Clock, call: Call) -> Result<Response, Error> {
    if call.route() == "GET /v1/me" {
        return Ok(Response::json(200, &CountedProfile::from(&people.own_profile(&call.caller).await?)));
    }
    let own_list = match call.route() {
        "GET /v1/me/mutes" => Some(Side::Muted),
        "GET /v1/me/blocks" => Some(Side::Blocked),
        _ => None,
    };
    if let Some(side) = own_list {
        let caller = call.caller.clone();
        return list(people, keys, clock, call, side, caller).await;
    }
    let user = query::resolve(&people.commands, &call.user()?).await?;
    match call.route() {
        "GET /v1/users/{user}/followers" => list(people, keys, clock, call, Side::Followers, user).await,
        "GET /v1/users/{user}/following" => list(people, keys, clock, call, Side::Following, user).await,
        _ => {
            let view = people.profile(call.read_request()?, &user).await?;
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
    let route = format!("{side:?} of {user}");
    let (walk, after) = Walk::new(keys, clock, &call, &route, BY_ID)?;
    let page = people.people(walk.request, side, &user, after, walk.limit).await?;
    let body = PeopleView {
        users: page.entries.iter().map(Person::from).collect(),
        next_cursor: walk.next_cursor(page.next)?,
    };
    Ok(Response::json(200, &body))
}
