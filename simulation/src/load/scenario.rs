//! Scenarios as data.

use std::collections::BTreeMap;

use aws_limits::Limits;
use aws_memory::Service;
use serde::{Deserialize, Serialize};

const FILE: &str = include_str!("../../scenarios.json");

/// A scenario. Rates and counts are those of the whole load, of which `fraction` is run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it is.
    pub title: String,
    /// Which fraction of the load runs, within this fraction of the limits.
    pub fraction: f64,
    /// How long requests are sent.
    pub seconds: u64,
    /// How long the system may then take to come to rest.
    #[serde(default = "fifteen_minutes")]
    pub rest_within_seconds: u64,
    /// Whether transactions last longer, by as much as there are fewer of them.
    #[serde(default)]
    pub stretch_transactions: bool,
    /// Who is there at the beginning.
    pub population: People,
    /// Requests a second, from the beginning on.
    pub rates: Rates,
    /// What is different from some second on.
    #[serde(default)]
    pub special: Option<Special>,
    /// A service that is unavailable.
    #[serde(default)]
    pub outage: Option<Unavailable>,
    /// What differs from a new account with the default quotas.
    #[serde(default)]
    pub limits: Limits,
    /// The template parameter `CelebrityFollowers` with the whole load. A fraction of the load has the same fraction of
    /// followers, and of this.
    pub celebrity_followers: Option<f64>,
    /// Other template parameters.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// What has to be.
    pub requires: Requirements,
}

/// Who is there at the beginning.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct People {
    /// Users who post.
    pub authors: f64,
    /// Posts of each author at the beginning. Their number does not depend on the fraction.
    pub posts_each: u32,
    /// Users who follow authors, read, like and comment.
    pub viewers: f64,
    /// Followers of an author on average, whatever the fraction. Their number has a heavy tail, up to all viewers.
    pub followers_mean: f64,
    /// Users who follow nobody, but like, comment and follow if the scenario says so.
    #[serde(default)]
    pub crowd: f64,
    /// Followers that one more author, the star, is said to have. The star is a celebrity from the threshold on.
    #[serde(default)]
    pub star_followers: Option<u64>,
    /// Likes that each of the posts on the trending list has at the beginning, as after hours of such a load. With 0,
    /// the list is empty, as in a new stack.
    #[serde(default)]
    pub trending_likes: usize,
}

/// Requests a second.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Posts.
    pub posts: f64,
    /// Pages of home feeds.
    pub reads: f64,
    /// Likes of any post.
    pub likes: f64,
    /// Comments on any post.
    pub comments: f64,
}

/// What is different from some second on.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Special {
    /// From this second on.
    pub from_second: u64,
    /// Likes of one post, a second.
    #[serde(default)]
    pub likes_of_one: f64,
    /// Further likes of any post, a second.
    #[serde(default)]
    pub likes_of_any: f64,
    /// Comments on the same post, a second.
    #[serde(default)]
    pub comments_on_one: f64,
    /// Follows of one author, a second.
    #[serde(default)]
    pub follows_of_one: f64,
    /// Whether the star posts, edits and deletes.
    #[serde(default)]
    pub star_posts: bool,
}

/// A service that is unavailable.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unavailable {
    /// Which service.
    pub service: Which,
    /// From this second on.
    pub from_second: u64,
    /// For so long.
    pub seconds: u64,
}

/// A service of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names of AWS's services")]
pub enum Which {
    DynamoDb,
    Kinesis,
    Sqs,
}

impl Which {
    /// The service in memory.
    pub(crate) fn service(self) -> Service {
        match self {
            Self::DynamoDb => Service::DynamoDb,
            Self::Kinesis => Service::Kinesis,
            Self::Sqs => Service::Sqs,
        }
    }
}

/// What has to be.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Requirements {
    /// No caller sees an error.
    pub no_errors: bool,
    /// p99 of the time from a post to its row in a home feed, in seconds.
    pub lag_p99_s: Option<f64>,
    /// p99 of the time of a page, in milliseconds.
    pub page_p99_ms: Option<f64>,
    /// How far the count of any post's likes or comments may be behind, in seconds.
    pub count_behind_s: Option<f64>,
    /// How much the p99 of the lag may grow once the special load begins.
    pub lag_growth: Option<f64>,
    /// How long it may take until everything is at rest after the last request, in seconds.
    pub rest_within_s: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    scenarios: Vec<Scenario>,
}

fn fifteen_minutes() -> u64 {
    900
}

impl Scenario {
    /// All scenarios.
    ///
    /// # Errors
    /// If the file is broken, which a test excludes.
    pub fn all() -> Result<Vec<Self>, serde_json::Error> {
        serde_json::from_str::<File>(FILE).map(|file| file.scenarios)
    }

    /// So much of a count.
    pub(crate) fn part(&self, count: f64) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most millions")]
        let part = (count * self.fraction).round().max(0.0) as usize;
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_scenarios_of_the_design_are_there() {
        let scenarios = Scenario::all().unwrap();
        let names: Vec<_> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
        let required =
            ["peak", "ten-times", "viral", "likes", "star", "outage-dynamodb", "outage-kinesis", "outage-sqs"];
        for name in required {
            assert!(names.contains(&name), "{name} is missing: {names:?}");
        }
        for scenario in &scenarios {
            assert!(scenario.fraction > 0.0 && scenario.fraction <= 1.0, "{}", scenario.name);
        }
    }
}
