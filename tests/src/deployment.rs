//! Where the tests run: a local stack that all tests of a process share, or the deployment that `TIDINGS_URL` names.
//! Tests share it and so must not meet: each makes its own users, with ids and handles that nobody else has.

use std::{env, process::Stdio, sync::LazyLock, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use rand::{Rng, distr::Alphanumeric};
use tokio::process::Command;

use crate::{
    client::{ProfileInput, User},
    dev_client::DevClient,
    stack::{Options, Stack},
    wait::{DEADLINE, persist},
};

/// No single request takes longer than this, however busy the machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// An API to send requests to. Made anew for each test, because connections live in the test's own runtime.
#[derive(Debug, Clone)]
pub struct Deployment {
    http: reqwest::Client,
    url: String,
    local: bool,
}

impl Deployment {
    /// The deployment that `TIDINGS_URL` names, else the stack that all tests of this process share.
    pub fn shared() -> Result<Self> {
        static STACK: LazyLock<Result<Stack, String>> =
            LazyLock::new(|| Stack::start(Options::shared()).map_err(|error| format!("{error:#}")));
        match env::var("TIDINGS_URL") {
            Ok(url) => Ok(Self { local: false, ..Self::at(&url)? }),
            Err(_) => Self::at(STACK.as_ref().map_err(|error| anyhow!("{error}"))?.url()),
        }
    }

    /// The shared stack; or none, having said so, where the tests run against a deployment without control routes.
    pub fn shared_local(test: &str) -> Result<Option<Self>> {
        let deployment = Self::shared()?;
        if !deployment.local {
            eprintln!("skipped: {test} needs a local stack, and TIDINGS_URL is set");
            return Ok(None);
        }
        Ok(Some(deployment))
    }

    /// Whether tests may start stacks of their own; if not, says that `test` is skipped.
    pub fn starts_stacks(test: &str) -> bool {
        let local = env::var("TIDINGS_URL").is_err();
        if !local {
            eprintln!("skipped: {test} needs a local stack of its own, and TIDINGS_URL is set");
        }
        local
    }

    /// The local stack at `url`.
    pub fn at(url: &str) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).build()?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), local: true })
    }

    /// Its control routes.
    pub fn dev(&self) -> DevClient {
        DevClient::new(self.http.clone(), &self.url)
    }

    /// The user with this id. The token comes from the command in `TIDINGS_TOKEN_COMMAND`, which gets the id as its
    /// argument and prints a token; without one, from `/dev/token`.
    pub async fn user(&self, id: &str) -> Result<User> {
        let token = match env::var("TIDINGS_TOKEN_COMMAND") {
            Ok(command) if !self.local => run_token_command(&command, id).await?,
            _ => self.dev().token(id).await?,
        };
        Ok(User::new(self.http.clone(), &self.url, id, &token))
    }

    /// A user nobody has met, without a profile; `name` makes failures readable.
    pub async fn newcomer(&self, name: &str) -> Result<User> {
        self.user(&format!("{name}-{}", unique())).await
    }

    /// A new user with a profile.
    pub async fn member(&self, name: &str) -> Result<User> {
        let user = self.newcomer(name).await?;
        let profile = ProfileInput { handle: unique_handle(), display_name: name.to_owned(), avatar_url: None };
        persist(DEADLINE, |_| {}, || user.put_profile(&profile)).await?;
        Ok(user)
    }
}

async fn run_token_command(command: &str, user: &str) -> Result<String> {
    let shell = ["-c", &format!("{command} \"$1\""), "sh", user];
    let output = Command::new("sh").args(shell).stderr(Stdio::inherit()).output().await?;
    ensure!(output.status.success(), "TIDINGS_TOKEN_COMMAND: {}", output.status);
    Ok(String::from_utf8(output.stdout).context("the token")?.trim().to_owned())
}

/// Letters and digits that no other call ever gave.
pub fn unique() -> String {
    rand::rng().sample_iter(&Alphanumeric).take(12).map(char::from).collect::<String>().to_ascii_lowercase()
}

/// A valid handle that nobody has.
pub fn unique_handle() -> String {
    format!("h_{}", unique())
}
