//! A walk through a list: what its pages have in common. The first request of a walk has no cursor. Every further
//! request brings the cursor that the page before returned.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Call, Response,
    view::{PeopleView, Person, PostView, PostsView},
};
use crate::{
    error::Error,
    model::{Clock, Timestamp},
    query::{
        FeedPost, Newest, Page, ReadRequest,
        cursor::{CursorKeys, Place, Scope},
    },
    store::cards::UserCard,
};

/// One request of a walk, with its `limit` and `cursor` read and checked.
#[derive(Debug)]
pub struct PageWalk<'a> {
    /// Who reads. The answer is at least as fresh as this request and all requests of the walk before asked for.
    pub request: ReadRequest<'a>,
    /// How many entries the page may have.
    pub limit: usize,
    /// What the first page of a walk through a home said was newest. The handler of the first page sets it.
    pub newest: Option<Newest>,
    keys: &'a CursorKeys,
    scope: Scope<'a>,
    now: Timestamp,
}

impl<'a> PageWalk<'a> {
    /// The walk of this request, and the position that its cursor holds. `route` names the route together with what
    /// its path names, such as `followers of ada`: a cursor is valid for one caller, one route and one order.
    ///
    /// # Errors
    /// [`crate::error::Rejection::InvalidLimit`], `InvalidVersion`, `InvalidCursor` or `CursorExpired`.
    pub fn new<Position: DeserializeOwned>(
        keys: &'a CursorKeys,
        clock: &Clock,
        call: &'a Call,
        route: &'a str,
        order: &'a str,
    ) -> Result<(Self, Option<Position>), Error> {
        let (limit, request, now) = (call.limit()?, call.read_request()?, clock.now());
        let scope = Scope { caller: &call.caller, route, order };
        let place: Option<Place<Position>> =
            call.query("cursor").map(|cursor| keys.open(scope, &cursor, now)).transpose()?;
        let Some(Place { position, min_version, newest }) = place else {
            return Ok((Self { request, limit, newest: None, keys, scope, now }, None));
        };
        let request = request.at_least(min_version);
        Ok((Self { request, limit, newest, keys, scope, now }, Some(position)))
    }

    /// The cursor of the next page, which begins at this position; none after the last page.
    ///
    /// # Errors
    /// [`Error::Poison`] if the position cannot be written as JSON.
    pub fn next_cursor<Position: Serialize>(&self, next: Option<Position>) -> Result<Option<String>, Error> {
        let (min_version, newest) = (self.request.min_version, self.newest.clone());
        next.map(|position| self.keys.seal(self.scope, Place { position, min_version, newest }, self.now)).transpose()
    }

    /// A page of posts, with explanations if the caller asked for them.
    ///
    /// # Errors
    /// As [`Self::next_cursor`].
    pub fn posts<'b, Position: Serialize>(
        &self,
        page: &'b Page<FeedPost, Position>,
        explain: bool,
    ) -> Result<PostsView<'b>, Error> {
        let post = |post| if explain { PostView::from(post) } else { PostView::from(post).unexplained() };
        let posts = page.entries.iter().map(post).collect();
        Ok(PostsView { posts, next_cursor: self.next_cursor(page.next.as_ref())?, freshness: None, newest: None })
    }

    /// The answer that is this page of people.
    ///
    /// # Errors
    /// As [`Self::next_cursor`].
    pub fn people<Position: Serialize>(&self, page: &Page<UserCard, Position>) -> Result<Response, Error> {
        let users = page.entries.iter().map(Person::from).collect();
        Ok(Response::json(200, &PeopleView { users, next_cursor: self.next_cursor(page.next.as_ref())? }))
    }
}

#[cfg(test)]
mod tests {
    use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
    use serde_json::{Value, json};

    use super::*;
    use crate::{error::Rejection, samples::version};

    fn keys() -> CursorKeys {
        CursorKeys::parse("0123456789abcdef0123456789abcdef").unwrap()
    }

    fn call(query: Value, headers: Value) -> Call {
        let request: ApiGatewayV2httpRequest = serde_json::from_value(json!({
            "queryStringParameters": query,
            "headers": headers,
            "requestContext": {
                "http": {"method": "GET", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
                "authorizer": {"jwt": {"claims": {"sub": "ada"}}},
            },
        }))
        .unwrap();
        Call::new(request).unwrap()
    }

    fn walk<'a>(call: &'a Call, keys: &'a CursorKeys) -> Result<(PageWalk<'a>, Option<u32>), Error> {
        PageWalk::new(keys, &Clock::system(), call, "numbers", "ascending")
    }

    #[test]
    fn a_walk_begins_without_a_position() {
        let (call, keys) = (call(json!({"limit": "7"}), json!({})), keys());
        let (walk, position) = walk(&call, &keys).unwrap();
        assert_eq!((position, walk.limit, walk.request.min_version), (None, 7, None));
        assert_eq!(walk.next_cursor(None::<u32>).unwrap(), None, "the last page has no cursor");
    }

    #[test]
    fn the_next_page_begins_where_the_page_before_ended_and_is_as_fresh() {
        let (first, keys) = (call(json!({}), json!({"tidings-min-version": "5"})), keys());
        let cursor = walk(&first, &keys).unwrap().0.next_cursor(Some(42)).unwrap();
        for (header, fresh) in [(json!({}), 5), (json!({"tidings-min-version": "9"}), 9)] {
            let second = call(json!({"cursor": cursor}), header);
            let (walk, position) = walk(&second, &keys).unwrap();
            assert_eq!((position, walk.request.min_version), (Some(42), Some(version(fresh))));
        }
    }

    #[test]
    fn a_limit_and_a_cursor_are_checked() {
        let rejection = |query: Value| match walk(&call(query, json!({})), &keys()) {
            Err(Error::Rejected(rejection)) => Some(rejection),
            _ => None,
        };
        assert_eq!(rejection(json!({"limit": "0"})), Some(Rejection::InvalidLimit));
        assert_eq!(rejection(json!({"cursor": "made-up"})), Some(Rejection::InvalidCursor));
        let first = call(json!({}), json!({}));
        let keys = keys();
        let cursor = walk(&first, &keys).unwrap().0.next_cursor(Some(42)).unwrap().unwrap();
        for repeated in [format!("{cursor},{cursor}"), format!("{cursor},x"), format!("{cursor},")] {
            assert_eq!(rejection(json!({"cursor": repeated})), Some(Rejection::InvalidCursor));
        }
    }
}
