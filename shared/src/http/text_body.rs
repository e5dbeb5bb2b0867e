//! The body `{"text": "…"}` of posts, edits and comments.

use super::request::Call;
use crate::error::Rejection;

/// The text in the body of a request.
///
/// # Errors
/// Those of [`Call::body`], and that of a text which is not valid.
pub fn text_body<Text>(call: &Call) -> Result<Text, Rejection>
where
    Text: TryFrom<String>,
    Rejection: From<Text::Error>,
{
    let text = call.body(&["text"])?.text("text")?;
    Ok(Text::try_from(text)?)
}
