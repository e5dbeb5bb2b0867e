//! Errors as problems (RFC 9457). Programs use the `code`, which is stable. People read the `detail`, which may change.

use serde::Serialize;

use super::Response;
use crate::{
    error::{Error, Rejection},
    metrics,
    model::{InvalidDays, InvalidProfile, search::InvalidQuery},
};

#[derive(Serialize)]
struct Problem {
    /// Always `about:blank`: the title is that of the status, and `code` tells the kind of problem.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: String,
}

/// Seconds after which the caller should repeat the request.
const RETRY_AFTER_SECS: &str = "1";

/// The response that tells the caller about an error. An error that is not the caller's fault is logged here.
pub fn response(error: Error) -> Response {
    match error {
        Error::Rejected(rejection) => {
            let (status, code) = status_and_code(&rejection);
            let problem = problem(status, code, rejection.to_string());
            match rejection {
                Rejection::RateLimited(limited) => {
                    metrics::RATE_LIMITED.add(1);
                    problem.header("retry-after", limited.retry_after_secs().to_string())
                }
                // RFC 6750, section 3.
                Rejection::InvalidTicket => problem.header("www-authenticate", r#"Bearer error="invalid_token""#),
                _ => problem,
            }
        }
        Error::Conflict => {
            tracing::warn!("a request lost too many conflicts with concurrent writes");
            problem(503, "busy", "too many concurrent requests change the same data; repeat the request".to_owned())
                .header("retry-after", RETRY_AFTER_SECS)
        }
        Error::Transient { .. } | Error::Throttled { .. } | Error::NewerRelease { .. } => {
            tracing::warn!(%error, "a dependency failed");
            problem(503, "unavailable", "a service that Tidings needs is not available; repeat the request".to_owned())
                .header("retry-after", RETRY_AFTER_SECS)
        }
        Error::Poison { .. } => {
            tracing::error!(%error, "a request failed");
            problem(500, "internal", "the server has failed; the error has been logged".to_owned())
        }
    }
}

fn problem(status: u16, code: &'static str, detail: String) -> Response {
    let title = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
    let body = Problem { kind: "about:blank", title, status, code, detail };
    Response::document(status, "application/problem+json", &body)
}

fn status_and_code(rejection: &Rejection) -> (u16, &'static str) {
    match rejection {
        Rejection::MalformedBody(_) => (400, "malformed_body"),
        Rejection::BodyTooLarge => (413, "body_too_large"),
        Rejection::InvalidTicket => (401, "invalid_ticket"),
        Rejection::NoFeedUrl => (404, "no_feed_url"),
        Rejection::RouteNotFound => (404, "route_not_found"),
        Rejection::InvalidUserId(_) | Rejection::InvalidUserRef(_) => (400, "invalid_user_id"),
        Rejection::InvalidText(_) => (422, "text_invalid"),
        Rejection::InvalidHandle(_) => (422, "handle_invalid"),
        Rejection::InvalidProfile(InvalidProfile::DisplayName(_)) => (422, "display_name_invalid"),
        Rejection::InvalidProfile(InvalidProfile::AvatarUrl) => (422, "avatar_url_invalid"),
        Rejection::InvalidIdempotencyKey(_) => (400, "invalid_idempotency_key"),
        Rejection::InvalidLimit => (400, "invalid_limit"),
        Rejection::UnknownOrder { .. } => (400, "unknown_order"),
        Rejection::InvalidExplain => (400, "invalid_explain"),
        Rejection::InvalidIncludeHidden => (400, "invalid_include_hidden"),
        Rejection::InvalidIds => (400, "invalid_ids"),
        Rejection::DuplicateIds => (400, "duplicate_ids"),
        Rejection::TooManyIds => (400, "too_many_ids"),
        Rejection::InvalidNewerThan => (400, "invalid_newer_than"),
        Rejection::UnknownKind(_) => (400, "unknown_kind"),
        Rejection::InvalidDays(InvalidDays::NotADate(_)) => (400, "invalid_day"),
        Rejection::InvalidDays(InvalidDays::Reversed) => (400, "days_reversed"),
        Rejection::InvalidDays(InvalidDays::TooMany) => (400, "too_many_days"),
        Rejection::StatisticsNotKept { .. } => (400, "statistics_not_kept"),
        Rejection::StatisticsOff => (404, "statistics_off"),
        Rejection::InvalidUpTo => (422, "up_to_invalid"),
        Rejection::UpToInFuture => (422, "up_to_in_future"),
        Rejection::InvalidTag(_) => (400, "invalid_tag"),
        Rejection::InvalidQuery(InvalidQuery::Missing) => (400, "query_missing"),
        Rejection::InvalidQuery(InvalidQuery::TooLong) => (400, "query_too_long"),
        Rejection::InvalidQuery(InvalidQuery::OnlyNegative) => (400, "query_only_negative"),
        Rejection::InvalidQuery(InvalidQuery::UnknownOperator(_)) => (400, "unknown_operator"),
        Rejection::InvalidQuery(InvalidQuery::Syntax(_)) => (400, "invalid_query"),
        Rejection::SearchOff => (404, "search_off"),
        Rejection::InvalidVersion => (400, "invalid_version"),
        Rejection::VersionUnknown => (400, "version_unknown"),
        Rejection::InvalidCursor => (400, "invalid_cursor"),
        Rejection::CursorExpired => (400, "cursor_expired"),
        Rejection::AccountSuspended => (403, "account_suspended"),
        Rejection::AccountDeleted => (403, "account_deleted"),
        Rejection::PostTakenDown => (403, "post_taken_down"),
        Rejection::ProfileRequired => (409, "profile_required"),
        Rejection::ProfileNotFound => (404, "profile_not_found"),
        Rejection::HandleTaken { .. } => (409, "handle_taken"),
        Rejection::HandleReserved { .. } => (409, "handle_reserved"),
        Rejection::UserNotFound | Rejection::HandleNotFound { .. } => (404, "user_not_found"),
        Rejection::PostNotFound => (404, "post_not_found"),
        Rejection::CommentNotFound => (404, "comment_not_found"),
        Rejection::TagNotFound => (404, "tag_not_found"),
        Rejection::EditLimitReached => (409, "edit_limit_reached"),
        Rejection::NotAuthor => (403, "not_author"),
        Rejection::CannotFollowSelf => (422, "cannot_follow_self"),
        Rejection::CannotMuteSelf => (422, "cannot_mute_self"),
        Rejection::CannotBlockSelf => (422, "cannot_block_self"),
        Rejection::MuteLimitReached => (409, "mute_limit_reached"),
        Rejection::BlockLimitReached => (409, "block_limit_reached"),
        Rejection::Blocked => (403, "blocked"),
        Rejection::FollowingLimitReached => (409, "following_limit_reached"),
        Rejection::IdempotencyKeyReused => (422, "idempotency_key_reused"),
        Rejection::RateLimited(_) => (429, "rate_limited"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Limited, RateLimited};

    #[test]
    fn a_rejection_becomes_a_problem_with_its_code() {
        let taken = Rejection::HandleTaken { handle: "ada".parse().unwrap() };
        let response = serde_json::to_value(response(taken.into())).unwrap();
        assert_eq!(response["statusCode"], 409);
        assert_eq!(response["headers"]["content-type"], "application/problem+json");
        let body: serde_json::Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
        insta::assert_json_snapshot!(body, @r#"
        {
          "code": "handle_taken",
          "detail": "the handle `ada` is taken; choose another one",
          "status": 409,
          "title": "Conflict",
          "type": "about:blank"
        }
        "#);
    }

    #[test]
    fn a_rate_limit_tells_when_one_more_is_allowed() {
        let limited = RateLimited { kind: Limited::Likes, retry_after: Duration::from_millis(2001) };
        let answer = serde_json::to_value(response(Rejection::from(limited).into())).unwrap();
        assert_eq!((&answer["statusCode"], &answer["headers"]["retry-after"]), (&429.into(), &"3".into()));
        let body = answer["body"].as_str().unwrap();
        assert!(body.contains("\"rate_limited\"") && body.contains("too many likes"), "{body}");
    }

    #[test]
    fn a_temporary_failure_asks_to_repeat_the_request_and_hides_its_cause() {
        let answer = serde_json::to_value(response(Error::transient("reading", "timed out"))).unwrap();
        assert_eq!((&answer["statusCode"], &answer["headers"]["retry-after"]), (&503.into(), &"1".into()));
        assert!(!answer["body"].as_str().unwrap().contains("timed out"), "causes are for the log only");
    }
}
