// A text for every error code of openapi.yaml, and for what happens before a request reaches Tidings.

const TEXTS = {
  account_deleted: "This account is deleted. It cannot come back.",
  account_suspended: "Your account is suspended. You can read, and delete the account.",
  avatar_url_invalid: "A picture needs an https address with a host name.",
  block_limit_reached: "You block as many people as is possible. Unblock somebody first.",
  blocked: "This is not possible, because one of you blocks the other.",
  body_too_large: "This is too long to be sent.",
  busy: "Many people are changing this at the moment. Try again in a second.",
  cannot_block_self: "You cannot block yourself.",
  cannot_follow_self: "You cannot follow yourself.",
  cannot_mute_self: "You cannot mute yourself.",
  comment_not_found: "This comment does not exist any more.",
  cursor_expired: "You stayed here for more than a day. Start again from the top.",
  days_reversed: "The first day is after the last one.",
  display_name_invalid: "This name cannot be shown. It needs 1 to 50 visible characters.",
  duplicate_ids: "The console has sent a wrong request.",
  edit_limit_reached: "This post has been edited 50 times, which is the limit.",
  following_limit_reached: "You follow 5000 people, which is the limit. Unfollow somebody first.",
  handle_invalid: "A handle has 3 to 30 characters: a to z, digits and _.",
  handle_reserved: "This handle is reserved. Choose another one.",
  handle_taken: "This handle is taken. Choose another one.",
  idempotency_key_reused: "This was sent before with another text. Send it again.",
  internal: "Tidings has made an error. It was logged. Try again later.",
  invalid_cursor: "This list cannot go on from here. Start again from the top.",
  invalid_day: "There is no such day.",
  invalid_explain: "The console has sent a wrong request.",
  invalid_idempotency_key: "The console has sent a wrong request.",
  invalid_ids: "The console has sent a wrong request.",
  invalid_include_hidden: "The console has sent a wrong request.",
  invalid_limit: "The console has sent a wrong request.",
  invalid_newer_than: "The console has sent a wrong request.",
  invalid_query: "This search has an open quotation mark, or names nobody after “from:”.",
  invalid_tag: "A tag has at most 64 characters.",
  invalid_ticket: "The console has sent a wrong request.",
  invalid_user_id: "There can be no user with this name.",
  invalid_version: "The console has sent a wrong request.",
  malformed_body: "The console has sent a wrong request.",
  mute_limit_reached: "You mute as many people as is possible. Unmute somebody first.",
  no_feed_url: "The console has sent a wrong request.",
  not_author: "Only the author can do this.",
  post_not_found: "This post does not exist any more, or you cannot see it.",
  post_taken_down: "A moderator has taken this post down, so it cannot be changed.",
  profile_not_found: "You have no profile yet.",
  profile_required: "You need a profile first. Your text is kept.",
  query_missing: "Type a word to search for.",
  query_only_negative: "Type a word that you want to find, too.",
  query_too_long: "This search is too long.",
  rate_limited: "You have done this very often in a short time.",
  search_off: "There is no search here.",
  statistics_not_kept: "Numbers are not kept for so long.",
  statistics_off: "There are no statistics here.",
  tag_not_found: "No post of the last 30 days has this tag.",
  text_invalid: "A post has 1 to 300 characters, and a comment 1 to 1000.",
  too_many_days: "These are more than 92 days.",
  too_many_ids: "The console has sent a wrong request.",
  unavailable: "A part of the system does not answer. Your text is kept. Try again in a second.",
  unknown_kind: "The console has sent a wrong request.",
  unknown_operator: "This search has a word with a colon that means nothing here.",
  unknown_order: "The console has sent a wrong request.",
  up_to_in_future: "The console has sent a wrong request.",
  up_to_invalid: "The console has sent a wrong request.",
  user_not_found: "Nobody has this name.",
  version_unknown: "The system has lost what you did last, as if it had been set up anew.",
};

const STATUS_TEXTS = {
  401: "You have to sign in again.",
  404: "This does not exist.",
  413: TEXTS.body_too_large,
  429: "The system receives more requests than it allows. Try again in a second.",
  500: TEXTS.internal,
  503: "A part of the system does not answer, or is throttled. Your text is kept. Try again in a second.",
};

/** What a request has failed with. `code` is null for errors of the gateway, and "offline" without an answer. */
export class ApiError extends Error {
  constructor(status, code, detail, retryAfter) {
    super(ApiError.text(status, code, detail, retryAfter));
    Object.assign(this, { status, code, detail, retryAfter });
  }

  /** Whether the same request may succeed later. */
  get passes() { return this.status === 0 || this.status === 429 || this.status >= 500; }

  static text(status, code, detail, retryAfter) {
    if (code === "offline") return "The server cannot be reached. Your text is kept.";
    const text = TEXTS[code] ?? STATUS_TEXTS[status] ?? `The request has failed (${status}). ${detail ?? ""}`;
    return status === 429 && retryAfter ? `${text} Wait for ${wait(retryAfter)}.` : text;
  }
}

function wait(seconds) {
  if (seconds < 90) return seconds === 1 ? "a second" : `${seconds} seconds`;
  return `${Math.ceil(seconds / 60)} minutes`;
}
