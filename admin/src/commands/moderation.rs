//! Decisions about posts and users: each invokes a function that puts the decision into the user's log.

use clap::Args;
use serde_json::json;

use super::post_id;
use crate::{deployment::Deployment, output::Output};

/// A post.
#[derive(Debug, Args)]
pub(crate) struct PostArguments {
    /// The id of the post
    post: String,
}

/// A user.
#[derive(Debug, Args)]
pub(crate) struct UserArguments {
    /// The id of the user, or @handle
    user: String,
}

/// Takes down or restores a post.
pub(crate) async fn post(
    deployment: &Deployment,
    output: Output,
    action: &str,
    PostArguments { post }: &PostArguments,
) -> anyhow::Result<()> {
    let answer = deployment.invoke("Moderate", &json!({ action: { "post": post_id(post)? } })).await?;
    output.object(&answer);
    Ok(())
}

/// Suspends or reinstates a user.
pub(crate) async fn user(
    deployment: &Deployment,
    output: Output,
    action: &str,
    UserArguments { user }: &UserArguments,
) -> anyhow::Result<()> {
    let answer = deployment.invoke("Moderate", &json!({ action: { "user": user } })).await?;
    output.object(&answer);
    Ok(())
}

/// Ends an author's celebrity status.
pub(crate) async fn demote(
    deployment: &Deployment,
    output: Output,
    UserArguments { user }: &UserArguments,
) -> anyhow::Result<()> {
    let answer = deployment.invoke("DemoteAuthor", &json!({ "user": user })).await?;
    output.object(&answer);
    Ok(())
}
