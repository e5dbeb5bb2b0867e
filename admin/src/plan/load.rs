//! The load that a plan is made for, and what the deployment is set to.

use anyhow::{bail, ensure};
use clap::Args;
use serde_json::{Value, json};

/// Most of anything in a day. It is far beyond what the largest networks have.
const A_DAY_MAX: f64 = 1e12;

/// The load. The defaults are those of the issue that set the target for costs.
#[derive(Debug, Clone, Args)]
pub(crate) struct Load {
    /// Posts a day
    #[arg(long, default_value_t = 1e6, value_name = "COUNT")]
    pub(crate) posts_per_day: f64,
    /// Pages of 20 posts of home feeds that are read in a day
    #[arg(long, default_value_t = 1e8, value_name = "COUNT")]
    pub(crate) reads_per_day: f64,
    /// Followers to whom a post is pushed, on average; celebrities' posts are not pushed
    #[arg(long, default_value_t = 200.0, value_name = "COUNT")]
    pub(crate) followers: f64,
    /// Likes for each post
    #[arg(long, default_value_t = 20.0, value_name = "COUNT")]
    pub(crate) likes_per_post: f64,
    /// Comments for each post
    #[arg(long, default_value_t = 2.0, value_name = "COUNT")]
    pub(crate) comments_per_post: f64,
    /// New follows for each post
    #[arg(long, default_value_t = 1.0, value_name = "COUNT")]
    pub(crate) follows_per_post: f64,
    /// Posts of the last 30 days that a followed author has, which a follow copies
    #[arg(long, default_value_t = 30.0, value_name = "COUNT")]
    pub(crate) posts_copied: f64,
    /// Pages that are read with one ticket, with FeedUrl
    #[arg(long, default_value_t = 10.0, value_name = "COUNT")]
    pub(crate) pages_per_ticket: f64,
    /// Size of a page in kB
    #[arg(long, default_value_t = 13.0, value_name = "KB")]
    pub(crate) page_kb: f64,
    /// Share of the cards of a page that the process has in its cache, in percent
    #[arg(long, default_value_t = 0.0, value_name = "PERCENT")]
    pub(crate) cards_cached: f64,
    /// Share of the cards of a page that a shared cache has, in percent, with CacheUrl
    #[arg(long, default_value_t = 80.0, value_name = "PERCENT")]
    pub(crate) shared_cache_hits: f64,
    /// Share of events and likes that statistics count: a second like of the same post counts no more, in percent
    #[arg(long, default_value_t = 100.0, value_name = "PERCENT")]
    pub(crate) counted: f64,
    /// Different words and tags in a post, which the search index has
    #[arg(long, default_value_t = 17.0, value_name = "COUNT")]
    pub(crate) words: f64,
    /// Share of followers who have not read for 30 days, in percent; for what skipping them would save
    #[arg(long, default_value_t = 50.0, value_name = "PERCENT")]
    pub(crate) dormant: f64,
    /// Months of this load that are stored: tables grow
    #[arg(long, default_value_t = 12.0, value_name = "COUNT")]
    pub(crate) months: f64,
}

impl Load {
    /// # Errors
    /// If a number makes no sense: one line that names the option.
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        for (option, value, most) in [
            ("posts-per-day", self.posts_per_day, A_DAY_MAX),
            ("reads-per-day", self.reads_per_day, A_DAY_MAX),
            ("followers", self.followers, 1e9),
            ("likes-per-post", self.likes_per_post, 1e6),
            ("comments-per-post", self.comments_per_post, 1e6),
            ("follows-per-post", self.follows_per_post, 1e6),
            ("posts-copied", self.posts_copied, 1e6),
            // An answer of Lambda has at most 6 MB.
            ("page-kb", self.page_kb, 6e3),
            ("cards-cached", self.cards_cached, 100.0),
            ("shared-cache-hits", self.shared_cache_hits, 100.0),
            ("counted", self.counted, 100.0),
            // As many as are indexed (docs/search.md).
            ("words", self.words, 512.0),
            ("dormant", self.dormant, 100.0),
            ("months", self.months, 120.0),
        ] {
            ensure!((0.0..=most).contains(&value), "--{option} must be between 0 and {most}");
        }
        // Nobody asks for a ticket and then reads nothing with it.
        ensure!((1.0..=1e6).contains(&self.pages_per_ticket), "--pages-per-ticket must be between 1 and 1000000");
        Ok(())
    }

    /// The load as JSON.
    pub(crate) fn json(&self) -> Value {
        json!({
            "posts_per_day": self.posts_per_day, "reads_per_day": self.reads_per_day, "followers": self.followers,
            "likes_per_post": self.likes_per_post, "comments_per_post": self.comments_per_post,
            "follows_per_post": self.follows_per_post, "posts_copied": self.posts_copied,
            "pages_per_ticket": self.pages_per_ticket, "page_kb": self.page_kb,
            "cards_cached": self.cards_cached, "shared_cache_hits": self.shared_cache_hits, "counted": self.counted,
            "words": self.words, "dormant": self.dormant, "months": self.months,
        })
    }
}

/// The template's parameters that change what a deployment costs with the same load, with their defaults.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// `StatisticsDays`.
    pub(crate) statistics_days: f64,
    /// `SearchDays`.
    pub(crate) search_days: f64,
    /// Whether there is a `CacheUrl`.
    pub(crate) has_shared_cache: bool,
    /// `FeedProvisioned`.
    pub(crate) feed_provisioned: f64,
    /// `LikesProvisioned`.
    pub(crate) likes_provisioned: f64,
    /// `AuditUnitsPerHour`.
    pub(crate) audit_units_per_hour: f64,
    /// `LogRetentionDays`.
    pub(crate) log_retention_days: f64,
    /// `ProvisionedUnits`. With 0, the read models are on demand.
    pub(crate) provisioned_units: f64,
    /// `CommandsProvisionedUnits`. With 0, `Commands` is on demand.
    pub(crate) commands_provisioned_units: f64,
    /// `EnhancedFanOut`.
    pub(crate) enhanced_fan_out: bool,
    /// `DormantDays`. With 0, all homes get rows.
    pub(crate) dormant_days: f64,
    /// `FeedUrl`.
    pub(crate) feed_url: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            statistics_days: 0.0,
            search_days: 0.0,
            has_shared_cache: false,
            feed_provisioned: 0.0,
            likes_provisioned: 0.0,
            audit_units_per_hour: 10_000.0,
            log_retention_days: 30.0,
            provisioned_units: 0.0,
            commands_provisioned_units: 0.0,
            enhanced_fan_out: false,
            dormant_days: 30.0,
            feed_url: false,
        }
    }
}

/// Names of the parameters that a plan knows.
pub(crate) const PARAMETERS: [&str; 12] = [
    "StatisticsDays",
    "SearchDays",
    "CacheUrl",
    "FeedProvisioned",
    "LikesProvisioned",
    "AuditUnitsPerHour",
    "LogRetentionDays",
    "ProvisionedUnits",
    "CommandsProvisionedUnits",
    "EnhancedFanOut",
    "DormantDays",
    "FeedUrl",
];

/// The values of `LogRetentionDays` that the template allows.
pub(crate) const LOG_RETENTION_DAYS: [u32; 12] = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365];

impl Settings {
    /// The settings with another value of a parameter, given as `Name=value`.
    ///
    /// # Errors
    /// If the plan does not know the parameter, or the value is none: one line that says what to do.
    pub(crate) fn with(mut self, parameter: &str) -> anyhow::Result<Self> {
        let Some((name, value)) = parameter.split_once('=') else {
            bail!("--parameter {parameter}: give a parameter as Name=value");
        };
        let number = || match value.parse::<u32>() {
            Ok(number) if number <= 10_000_000 => Ok(f64::from(number)),
            _ => bail!("--parameter {name}: {value:?} is not a whole number up to 10 million"),
        };
        let flag = || match value {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => bail!("--parameter {name}: {value:?} is neither true nor false"),
        };
        let retention = || match LOG_RETENTION_DAYS.iter().find(|days| days.to_string() == value) {
            Some(days) => Ok(f64::from(*days)),
            None => bail!("--parameter {name}: {value:?} is none of {LOG_RETENTION_DAYS:?}"),
        };
        match name {
            "StatisticsDays" => self.statistics_days = number()?,
            "SearchDays" => self.search_days = number()?,
            "CacheUrl" => self.has_shared_cache = !value.is_empty(),
            "FeedProvisioned" => self.feed_provisioned = number()?,
            "LikesProvisioned" => self.likes_provisioned = number()?,
            "AuditUnitsPerHour" => self.audit_units_per_hour = number()?,
            "LogRetentionDays" => self.log_retention_days = retention()?,
            "ProvisionedUnits" => self.provisioned_units = number()?,
            "CommandsProvisionedUnits" => self.commands_provisioned_units = number()?,
            "EnhancedFanOut" => self.enhanced_fan_out = flag()?,
            "DormantDays" => self.dormant_days = number()?,
            "FeedUrl" => self.feed_url = flag()?,
            _ => bail!("--parameter {name}: costs depend on {}", PARAMETERS.join(", ")),
        }
        Ok(self)
    }
}

impl Settings {
    /// The settings as JSON, by the names of their parameters.
    pub(crate) fn json(&self) -> Value {
        json!({
            "StatisticsDays": self.statistics_days, "SearchDays": self.search_days, "CacheUrl": self.has_shared_cache,
            "FeedProvisioned": self.feed_provisioned, "LikesProvisioned": self.likes_provisioned,
            "AuditUnitsPerHour": self.audit_units_per_hour, "LogRetentionDays": self.log_retention_days,
            "ProvisionedUnits": self.provisioned_units, "CommandsProvisionedUnits": self.commands_provisioned_units,
            "EnhancedFanOut": self.enhanced_fan_out, "DormantDays": self.dormant_days,
            "FeedUrl": self.feed_url,
        })
    }
}
