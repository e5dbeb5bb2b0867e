//! Serves `GET /v1/users`, `/v1/users/{user}`, `/v1/users/{user}/followers` and `/following`, `GET /v1/me`,
//! `/v1/me/mutes` and `/v1/me/blocks`: profiles, and lists of people. It also serves the caller's notifications:
//! `GET /v1/me/notifications` and `/v1/me/notifications/off`.

use tidings::{
    error::Error,
    http::{
        Call, PageWalk, Response,
        view::{CountedProfile, KindsView, NotificationView, NotificationsView, OtherProfile, PeopleByIdView, Person},
    },
    model::{Clock, UserId},
    query::{self, Notifications, NotificationsPage, People, ReadRequest, cursor::CursorKeys, people::Side},
};

/// The only order of lists of people.
const BY_ID: &str = "id";
/// The only order of notifications.
const BY_TIME: &str = "time";

/// Answers a request.
///
/// # Errors
/// Those of the request, of [`People`] and of [`Notifications`].
pub async fn handle(
    people: &People,
    notifications: &Notifications,
    keys: &CursorKeys,
    clock: &Clock,
    call: Call,
) -> Result<Response, Error> {
    let answer = async || answer(people, notifications, keys, clock, call.clone()).await;
    people.read_models.reading(answer).await
}

async fn answer(
    people: &People,
    notifications: &Notifications,
    keys: &CursorKeys,
    clock: &Clock,
    call: Call,
) -> Result<Response, Error> {
    match call.route() {
        "GET /v1/me" => return own_profile(people, notifications, &call.caller).await,
        "GET /v1/me/notifications" => return listed_notifications(notifications, keys, clock, &call).await,
        "GET /v1/me/notifications/off" => {
            let kinds = notifications.turned_off(call.read_request()?).await?;
            return Ok(Response::json(200, &KindsView { kinds: kinds.into_iter().collect() }));
        }
        _ => {}
    }
    if call.route() == "GET /v1/users" {
        let users = people.users(call.read_request()?, &call.ids()?).await?;
        return Ok(Response::json(200, &PeopleByIdView { users: users.iter().map(Person::from).collect() }));
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

async fn own_profile(people: &People, notifications: &Notifications, caller: &UserId) -> Result<Response, Error> {
    let request = ReadRequest { viewer: caller, min_version: None };
    let (profile, unread) = tokio::try_join!(people.own_profile(caller), notifications.unread(request))?;
    Ok(Response::json(200, &CountedProfile::new(&profile, unread)))
}

async fn listed_notifications(
    notifications: &Notifications,
    keys: &CursorKeys,
    clock: &Clock,
    call: &Call,
) -> Result<Response, Error> {
    let (walk, after) = PageWalk::new(keys, clock, call, "notifications", BY_TIME)?;
    let NotificationsPage { page, unread } = notifications.list(walk.request, after, walk.limit).await?;
    let body = NotificationsView {
        notifications: page.entries.iter().map(NotificationView::from).collect(),
        unread,
        next_cursor: walk.next_cursor(page.next)?,
    };
    Ok(Response::json(200, &body))
}

async fn list(
    people: &People,
    keys: &CursorKeys,
    clock: &Clock,
    call: Call,
    side: Side,
    user: UserId,
) -> Result<Response, Error> {
    let route = format!("{} of {user}", side.name());
    let (walk, after) = PageWalk::new(keys, clock, &call, &route, BY_ID)?;
    let page = people.people(walk.request, side, &user, after, walk.limit).await?;
    walk.people(&page)
}
