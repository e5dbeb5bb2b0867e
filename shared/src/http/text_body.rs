//! The body `{"text": "…"}` of posts, edits and comments.

use serde::Deserialize;

use super::request::Call;
use crate::error::Rejection;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TextBody {
    text: String,
}

/// The text in the body of a request.
///
/// # Errors
/// Those of [`Call::json`], and that of a text which is not valid.
pub fn text_body<Text>(call: &Call) -> Result<Text, Rejection>
where
    Text: TryFrom<String>,
    Rejection: From<Text::Error>,
{
    let TextBody { text } = call.json()?;
    Ok(Text::try_from(text)?)
}
