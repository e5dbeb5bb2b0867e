//! What functions read from a request. Each part is checked when it is read.

use std::{borrow::Cow, collections::HashSet, fmt::Display, hash::Hash, str::FromStr};

use super::{MIN_VERSION_HEADER, members::Members};
use crate::{
    error::Rejection,
    model::{
        CommentId, DayRange, IdempotencyKey, NotificationKind, PostId, StatisticsPolicy, Tag, Timestamp, UserId,
        UserRef, Version,
        limits::{BODY_BYTES_MAX, IDS_MAX, PAGE_DEFAULT, PAGE_MAX},
    },
    query::ReadRequest,
};
use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

/// A request of an authenticated caller.
#[derive(Debug, Clone)]
pub struct Call {
    /// The caller: the `sub` of the token that API Gateway has checked, or the holder of a ticket.
    pub caller: UserId,
    request: ApiGatewayV2httpRequest,
}

impl Call {
    /// A request that has passed API Gateway's authorizer.
    ///
    /// # Errors
    /// [`Rejection::InvalidUserId`] if the token has no `sub`, or if that is not a valid user id.
    pub fn new(request: ApiGatewayV2httpRequest) -> Result<Self, Rejection> {
        let jwt = request.request_context.authorizer.as_ref().and_then(|authorizer| authorizer.jwt.as_ref());
        let subject = jwt.and_then(|jwt| jwt.claims.get("sub")).map_or("", String::as_str);
        Ok(Self { caller: subject.parse()?, request })
    }

    /// A request of a caller who is known otherwise.
    pub(super) fn of(caller: UserId, request: ApiGatewayV2httpRequest) -> Self {
        Self { caller, request }
    }

    /// The key of the request's route, such as `GET /v1/users/{user}`.
    pub fn route(&self) -> &str {
        self.request.route_key.as_deref().unwrap_or_default()
    }

    /// The method of the request, in upper case.
    pub fn method(&self) -> &str {
        self.request.request_context.http.method.as_str()
    }

    /// The user that the path names.
    ///
    /// # Errors
    /// [`Rejection::InvalidUserRef`] if the path has neither a valid id nor a valid `@handle`.
    pub fn user(&self) -> Result<UserRef, Rejection> {
        Ok(self.path("user").parse()?)
    }

    /// The post that the path names.
    ///
    /// # Errors
    /// [`Rejection::PostNotFound`] if the path has no valid post id: such a post cannot exist.
    pub fn post(&self) -> Result<PostId, Rejection> {
        self.path("post").parse().map_err(|_| Rejection::PostNotFound)
    }

    /// The comment that the path names.
    ///
    /// # Errors
    /// [`Rejection::CommentNotFound`] if the path has no valid comment id: such a comment cannot exist.
    pub fn comment(&self) -> Result<CommentId, Rejection> {
        self.path("comment").parse().map_err(|_| Rejection::CommentNotFound)
    }

    /// The tag that the path names.
    ///
    /// # Errors
    /// [`Rejection::InvalidTag`] if the path has no valid tag.
    pub fn tag(&self) -> Result<Tag, Rejection> {
        Ok(self.path("tag").parse()?)
    }

    /// The kind of notifications that the path names.
    ///
    /// # Errors
    /// [`Rejection::UnknownKind`] if there is no such kind.
    pub fn notification_kind(&self) -> Result<NotificationKind, Rejection> {
        Ok(self.path("kind").parse()?)
    }

    fn path(&self, name: &str) -> &str {
        self.request.path_parameters.get(name).map_or("", String::as_str)
    }

    /// The body: a JSON object with no other members than `known`.
    ///
    /// # Errors
    /// [`Rejection::BodyTooLarge`] above 16 KiB, [`Rejection::MalformedBody`] if the body is not such an object.
    pub fn body(&self, known: &[&str]) -> Result<Members, Rejection> {
        let body = self.request.body.as_deref().unwrap_or_default();
        let bytes: Cow<'_, [u8]> = if self.request.is_base64_encoded {
            let decoded = BASE64.decode(body);
            decoded.map_err(|_| Rejection::MalformedBody("the body is not valid base64".to_owned()))?.into()
        } else {
            body.as_bytes().into()
        };
        if bytes.len() > BODY_BYTES_MAX {
            return Err(Rejection::BodyTooLarge);
        }
        Members::parse(&bytes, known)
    }

    /// The `Idempotency-Key` header.
    ///
    /// # Errors
    /// [`Rejection::InvalidIdempotencyKey`] if the header is not a valid key.
    pub fn idempotency_key(&self) -> Result<Option<IdempotencyKey>, Rejection> {
        let Some(value) = self.request.headers.get("idempotency-key") else { return Ok(None) };
        Ok(Some(String::from_utf8_lossy(value.as_bytes()).parse()?))
    }

    /// The `Tidings-Min-Version` header: the answer has to show the effects of the caller's commands up to this
    /// version.
    ///
    /// # Errors
    /// [`Rejection::InvalidVersion`] if the header is not a version.
    pub fn min_version(&self) -> Result<Option<Version>, Rejection> {
        let Some(value) = self.request.headers.get(MIN_VERSION_HEADER) else { return Ok(None) };
        let number = value.to_str().ok().and_then(number);
        number.and_then(Version::new).map(Some).ok_or(Rejection::InvalidVersion)
    }

    /// Who reads, and how fresh the answer has to be.
    ///
    /// # Errors
    /// As [`Call::min_version`].
    pub fn read_request(&self) -> Result<ReadRequest<'_>, Rejection> {
        Ok(ReadRequest { viewer: &self.caller, min_version: self.min_version()? })
    }

    /// The number of entries that a page may have: the parameter `limit`, or 20.
    ///
    /// # Errors
    /// [`Rejection::InvalidLimit`] if `limit` is not a number from 1 to 100.
    pub fn limit(&self) -> Result<usize, Rejection> {
        let Some(limit) = self.query("limit") else { return Ok(PAGE_DEFAULT) };
        number(&limit).filter(|limit| (1..=PAGE_MAX).contains(limit)).ok_or(Rejection::InvalidLimit)
    }

    /// The order that the parameter `order` names, with that name. Without the parameter, the first known order.
    ///
    /// # Errors
    /// [`Rejection::UnknownOrder`] if `order` names none of the known orders.
    pub fn order<Order: Copy>(&self, known: &[(&'static str, Order)]) -> Result<(&'static str, Order), Rejection> {
        let asked = self.query("order");
        let found = known.iter().find(|(name, _)| asked.as_deref().is_none_or(|asked| asked == *name)).copied();
        found.ok_or_else(|| Rejection::UnknownOrder { known: known.iter().map(|(name, _)| *name).collect() })
    }

    /// The parameter `explain`: whether posts of ranked feeds come with the factors of their scores.
    ///
    /// # Errors
    /// [`Rejection::InvalidExplain`] if `explain` is neither `true` nor `false`.
    pub fn explain(&self) -> Result<bool, Rejection> {
        self.flag("explain").ok_or(Rejection::InvalidExplain)
    }

    /// The parameter `include_hidden`: whether the author of a post also gets the comments that are hidden from them.
    ///
    /// # Errors
    /// [`Rejection::InvalidIncludeHidden`] if `include_hidden` is neither `true` nor `false`.
    pub fn include_hidden(&self) -> Result<bool, Rejection> {
        self.flag("include_hidden").ok_or(Rejection::InvalidIncludeHidden)
    }

    /// The parameter `ids`: different ids with commas between them, in the order of the request.
    ///
    /// # Errors
    /// [`Rejection::TooManyIds`], [`Rejection::InvalidIds`] if there is none or one is not valid, and
    /// [`Rejection::DuplicateIds`].
    pub fn ids<Id: FromStr + Clone + Eq + Hash>(&self) -> Result<Vec<Id>, Rejection> {
        let text = self.query("ids").unwrap_or_default();
        if text.split(',').count() > IDS_MAX {
            return Err(Rejection::TooManyIds);
        }
        let mut known = HashSet::new();
        text.split(',')
            .map(|id| {
                let id: Id = id.parse().map_err(|_| Rejection::InvalidIds)?;
                if known.insert(id.clone()) { Ok(id) } else { Err(Rejection::DuplicateIds) }
            })
            .collect()
    }

    /// The parameter `newer_than`: the `newest` of an earlier page of the caller's home.
    ///
    /// # Errors
    /// [`Rejection::InvalidNewerThan`] if parameters stand beside it that make no sense with it.
    pub fn newer_than(&self) -> Result<Option<String>, Rejection> {
        let newer_than = self.query("newer_than");
        let is_alone = ["cursor", "order", "explain"].iter().all(|other| self.query(other).is_none());
        if newer_than.is_none() || is_alone { Ok(newer_than) } else { Err(Rejection::InvalidNewerThan) }
    }

    /// The parameters `from` and `to`: the days that are asked for.
    ///
    /// # Errors
    /// [`Rejection::InvalidDays`] if they are no days, or too many.
    pub fn days(&self, policy: StatisticsPolicy, now: Timestamp) -> Result<DayRange, Rejection> {
        Ok(DayRange::parse(self.query("from").as_deref(), self.query("to").as_deref(), policy, now)?)
    }

    /// The `If-None-Match` header: the entity tags of the answers that the client has.
    pub fn if_none_match(&self) -> Option<&str> {
        self.request.headers.get("if-none-match")?.to_str().ok()
    }

    /// A parameter that is `true` or `false`, and `false` by default. None for any other value.
    fn flag(&self, name: &str) -> Option<bool> {
        match self.query(name).as_deref() {
            None | Some("false") => Some(false),
            Some("true") => Some(true),
            Some(_) => None,
        }
    }

    /// A parameter of the query string. Of a repeated parameter, all values with commas between them: so the gateway
    /// passes them. No parameter but `ids` has a comma in a valid value, so a repeated parameter is refused like any
    /// other value that is not valid.
    pub fn query(&self, name: &str) -> Option<String> {
        self.request.query_string_parameters.all(name).map(|values| values.join(","))
    }
}

/// A number in its only spelling: no sign, no zeros in front.
fn number<Number: FromStr + Display>(text: &str) -> Option<Number> {
    text.parse().ok().filter(|number: &Number| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn call(mut request: Value) -> Result<Call, Rejection> {
        let context = json!({
            "http": {"method": "GET", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "authorizer": {"jwt": {"claims": {"sub": "ada"}}},
        });
        request.as_object_mut().unwrap().entry("requestContext").or_insert(context);
        Call::new(serde_json::from_value(request).unwrap())
    }

    #[test]
    fn the_caller_is_the_tokens_subject() {
        assert_eq!(call(json!({})).unwrap().caller.as_str(), "ada");
        let context = |claims| {
            json!({"requestContext": {
                "http": {"method": "GET"}, "authorizer": {"jwt": {"claims": claims}},
            }})
        };
        for claims in [json!({"sub": "@ada"}), json!({"sub": ""}), json!({})] {
            assert!(matches!(call(context(claims)), Err(Rejection::InvalidUserId(_))));
        }
    }

    #[test]
    fn a_limit_is_a_number_from_1_to_100() {
        let limit = |limit: &str| call(json!({"queryStringParameters": {"limit": limit}})).unwrap().limit();
        assert_eq!(call(json!({})).unwrap().limit(), Ok(20));
        assert_eq!((limit("1"), limit("100")), (Ok(1), Ok(100)));
        for bad in ["0", "101", "-1", "+1", "007", "ten", "", "1.5", "1,2", "1,", ",1", "1,1"] {
            assert_eq!(limit(bad), Err(Rejection::InvalidLimit), "{bad}");
        }
    }

    #[test]
    fn an_order_is_one_of_the_known_orders_and_the_first_by_default() {
        let order = |query: Value| call(json!({"queryStringParameters": query})).unwrap().order(&[("a", 1), ("b", 2)]);
        assert_eq!((order(json!({})), order(json!({"order": "b"}))), (Ok(("a", 1)), Ok(("b", 2))));
        for bad in ["c", "", "a,b", "a,a", "a,"] {
            let unknown = Err(Rejection::UnknownOrder { known: vec!["a", "b"] });
            assert_eq!(order(json!({"order": bad})), unknown, "{bad}");
        }
    }

    #[test]
    fn include_hidden_is_true_or_false() {
        let flag = |query: Value| call(json!({"queryStringParameters": query})).unwrap().include_hidden();
        assert_eq!((flag(json!({})), flag(json!({"include_hidden": "true"}))), (Ok(false), Ok(true)));
        assert_eq!(flag(json!({"include_hidden": "1"})), Err(Rejection::InvalidIncludeHidden));
    }

    #[test]
    fn ids_are_different_and_not_too_many() {
        let ids = |query: Value| call(json!({"queryStringParameters": query})).unwrap().ids::<UserId>();
        let [ada, bob] = ["ada", "bob"].map(|id| id.parse::<UserId>().unwrap());
        assert_eq!(ids(json!({"ids": "bob,ada"})), Ok(vec![bob, ada.clone()]));
        assert_eq!(ids(json!({"ids": "ada"})), Ok(vec![ada]));
        for invalid in [json!({}), json!({"ids": ""}), json!({"ids": "ada,"}), json!({"ids": "@ada"})] {
            assert_eq!(ids(invalid), Err(Rejection::InvalidIds));
        }
        assert_eq!(ids(json!({"ids": "ada,bob,ada"})), Err(Rejection::DuplicateIds));
        let many = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        assert_eq!(ids(json!({"ids": many(IDS_MAX)})).map(|ids| ids.len()), Ok(IDS_MAX));
        assert_eq!(ids(json!({"ids": many(IDS_MAX + 1)})), Err(Rejection::TooManyIds));
        let posts = call(json!({"queryStringParameters": {"ids": "x"}})).unwrap().ids::<PostId>();
        assert_eq!(posts, Err(Rejection::InvalidIds));
    }

    #[test]
    fn newer_than_stands_alone() {
        let newer_than = |query: Value| call(json!({"queryStringParameters": query})).unwrap().newer_than();
        assert_eq!(newer_than(json!({"newer_than": "x", "limit": "3"})), Ok(Some("x".to_owned())));
        assert_eq!(newer_than(json!({"cursor": "x"})), Ok(None));
        for other in ["cursor", "order", "explain"] {
            assert_eq!(newer_than(json!({"newer_than": "x", other: "y"})), Err(Rejection::InvalidNewerThan));
        }
    }

    #[test]
    fn explain_is_true_or_false() {
        let explain = |query: Value| call(json!({"queryStringParameters": query})).unwrap().explain();
        assert_eq!((explain(json!({})), explain(json!({"explain": "true"}))), (Ok(false), Ok(true)));
        for bad in ["yes", "", "true,false", "true,true"] {
            assert_eq!(explain(json!({"explain": bad})), Err(Rejection::InvalidExplain), "{bad}");
        }
    }

    #[test]
    fn a_version_is_one_number_in_its_only_spelling() {
        let version = |text: &str| call(json!({"headers": {"tidings-min-version": text}})).unwrap().min_version();
        assert_eq!(version("7"), Ok(Version::new(7)));
        for bad in ["", "+7", "07", "7,7", "7, 8", "-1", "x"] {
            assert_eq!(version(bad), Err(Rejection::InvalidVersion), "{bad}");
        }
    }

    #[test]
    fn a_body_is_a_json_object_within_its_limit() {
        let text = |request: Value| call(request).unwrap().body(&["a"]).and_then(|mut members| members.text("a"));
        let body = |body: &str| text(json!({"body": body}));
        assert_eq!(body(r#"{"a":"x"}"#), Ok("x".to_owned()));
        assert!(matches!(body("{"), Err(Rejection::MalformedBody(_))));
        assert!(matches!(body(r#"["x"]"#), Err(Rejection::MalformedBody(_))));
        assert!(matches!(text(json!({})), Err(Rejection::MalformedBody(_))));
        assert_eq!(body(&format!("\"{}\"", "x".repeat(BODY_BYTES_MAX))), Err(Rejection::BodyTooLarge));
        let encoded = |json: &str| json!({"body": BASE64.encode(json), "isBase64Encoded": true});
        assert_eq!(text(encoded(r#"{"a":"x"}"#)), Ok("x".to_owned()));
        assert!(matches!(text(encoded(r#"["x"]"#)), Err(Rejection::MalformedBody(_))));
    }
}
