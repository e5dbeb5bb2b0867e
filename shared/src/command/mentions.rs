//! Whom a text mentions. The command that writes a text looks up its handles and stores the users: a handle may lead to
//! somebody else later.

use crate::{
    error::Error,
    model::{Entities, Handle, Meaning, UserId, limits::MENTIONS_MAX},
    store::command_table::CommandTable,
};

/// The users who have the handles that are mentioned, without the author. Only the first [`MENTIONS_MAX`] different
/// handles count. A text without mentions costs no read.
pub(super) async fn mentioned(commands: &CommandTable, text: &Entities, author: &UserId) -> Result<Vec<UserId>, Error> {
    let mut handles: Vec<&Handle> = Vec::new();
    for entity in &text.entities {
        if let Meaning::Mention { handle } = &entity.meaning
            && !handles.contains(&handle)
            && handles.len() < MENTIONS_MAX
        {
            handles.push(handle);
        }
    }
    let mut users: Vec<_> = commands.owners(&handles).await?.into_iter().filter(|user| user != author).collect();
    users.sort_unstable();
    Ok(users)
}
