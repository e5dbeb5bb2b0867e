//! Whom a text mentions. The command that writes a text looks up its handles and stores the users: a handle may lead to
//! somebody else later.

use crate::{
    error::Error,
    model::{
        Entities, Handle, Meaning, UserId,
        limits::{HANDLES_LOOKED_UP_MAX, MENTIONS_MAX},
    },
    store::command_table::CommandTable,
};

/// The first [`MENTIONS_MAX`] users whom the text mentions, without the author. Only the first
/// [`HANDLES_LOOKED_UP_MAX`] different handles are looked up. A text without mentions costs no read.
pub(super) async fn mentioned(commands: &CommandTable, text: &Entities, author: &UserId) -> Result<Vec<UserId>, Error> {
    let mut handles: Vec<&Handle> = Vec::new();
    for entity in &text.entities {
        if let Meaning::Mention { handle } = &entity.meaning
            && !handles.contains(&handle)
            && handles.len() < HANDLES_LOOKED_UP_MAX
        {
            handles.push(handle);
        }
    }
    let mut users = commands.owners(&handles).await?;
    users.retain(|user| user != author);
    users.truncate(MENTIONS_MAX);
    Ok(users)
}
