//! Where the tests run: a local stack that all tests of a process share, or the deployment in `TIDINGS_URL`. Tests
//! share it and must not disturb each other, so each test creates its own users with unique ids and handles.

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

/// No single request takes longer than this, even on a busy machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// An API to send requests to. Each test needs its own value, because connections belong to the test's runtime.
#[derive(Debug, Clone)]
pub struct Deployment {
    http: reqwest::Client,
    url: String,
    local: bool,
}

impl Deployment {
    /// The deployment in `TIDINGS_URL`, or else the stack that all tests of this process share.
    pub fn shared() -> Result<Self> {
        static STACK: LazyLock<Result<Stack, String>> =
            LazyLock::new(|| Stack::start(Options::shared()).map_err(|error| format!("{error:#}")));
        match env::var("TIDINGS_URL") {
            Ok(url) => Ok(Self { local: false, ..Self::at(&url)? }),
            Err(_) => Self::at(STACK.as_ref().map_err(|error| anyhow!("{error}"))?.url()),
        }
    }

    /// The shared local stack. With `TIDINGS_URL`, prints that `test` is skipped and returns `None`.
    pub fn shared_local(test: &str) -> Result<Option<Self>> {
        let deployment = Self::shared()?;
        if !deployment.local {
            eprintln!("skipped: {test} needs a local stack, and TIDINGS_URL is set");
            return Ok(None);
        }
        Ok(Some(deployment))
    }

    /// Whether tests may start their own stacks. If not, prints that `test` is skipped.
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

    /// A client of the routes that only a local stack has.
    pub fn dev(&self) -> DevClient {
        DevClient::new(self.http.clone(), &self.url)
    }

    /// The user with this id. The command in `TIDINGS_TOKEN_COMMAND` gets the id as its argument and prints the token.
    /// Without the command, the token comes from `/dev/token`.
    pub async fn user(&self, id: &str) -> Result<User> {
        let token = match env::var("TIDINGS_TOKEN_COMMAND") {
            Ok(command) if !self.local => run_token_command(&command, id).await?,
            _ => self.dev().token(id).await?,
        };
        Ok(User::new(self.http.clone(), &self.url, id, &token))
    }

    /// A new user without a profile. `name` is part of the id, so that failures are readable.
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
    Ok(String::from_utf8(output.stdout).context("the token is not UTF-8")?.trim().to_owned())
}

/// Letters and digits that no other call returns.
pub fn unique() -> String {
    rand::rng().sample_iter(&Alphanumeric).take(12).map(char::from).collect::<String>().to_ascii_lowercase()
}

/// A valid handle that nobody has.
pub fn unique_handle() -> String {
    format!("h_{}", unique())
}
