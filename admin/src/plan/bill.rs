//! The lines of a month's bill: how many of what, how much of it each needs, and what that costs.

mod capacity;
mod requests;
mod trending;

use std::collections::BTreeMap;

use anyhow::Context;
use aws_limits::prices::{Price, Prices};

use super::{
    load::{Load, Settings},
    units::{Route, Units, Usage},
};

/// Days of a month.
pub(crate) const DAYS: f64 = 30.0;
const HOURS: f64 = DAYS * 24.0;
const GB: f64 = 1_073_741_824.0;
/// Days for which rows of homes, notices and keys are kept.
const ROW_DAYS: f64 = 30.0;
/// Read units for a home that is left out: half a unit as for each home, and one more to be sure.
const VISIT_UNITS: f64 = 1.5;

/// The rows of the table, in their order.
pub(crate) const ITEMS: [&str; 20] = [
    "feed reads",
    "rows of home timelines",
    "rows copied by follows",
    "posts",
    "likes: transactions",
    "likes: cards and trending index",
    "comments",
    "follows",
    "notifications, lists of likes",
    "statistics",
    "search index",
    "storage and backups",
    "HTTP API",
    "data out",
    "Lambda requests",
    "Lambda GB-seconds",
    "Kinesis",
    "SQS",
    "logs",
    "cache, alarms, metrics, audit",
];

/// What the document names the routes of which a plan is made.
mod routes {
    pub(super) const PAGE: &str = "`GET /v1/feeds/home`, 20 posts";
    pub(super) const CACHED_PAGE: &str = "the same, cards cached";
    pub(super) const POST: &str = "`POST /v1/posts` with a key";
    pub(super) const LIKE: &str = "`PUT`, `DELETE …/like`";
    pub(super) const COMMENT: &str = "`POST …/comments` with a key";
    pub(super) const FOLLOW: &str = "`PUT`, `DELETE /v1/users/{user}/follow`";
}

/// A line of the bill.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// The row of the table to which it belongs.
    pub(crate) item: &'static str,
    /// What there is `count` of.
    pub(crate) what: String,
    /// How many in a month.
    pub(crate) count: f64,
    /// How much of what is paid for each needs.
    pub(crate) each: f64,
    /// The price, by its name in the price file.
    pub(crate) price: &'static str,
    /// Dollars a month.
    pub(crate) dollars: f64,
    /// Where `each` comes from.
    pub(crate) source: String,
}

impl Line {
    /// How much is paid for.
    pub(crate) fn amount(&self) -> f64 {
        self.count * self.each
    }
}

/// The bill of a month.
#[derive(Debug, Clone)]
pub(crate) struct Bill {
    /// Its lines.
    pub(crate) lines: Vec<Line>,
}

impl Bill {
    /// Makes the bill.
    ///
    /// # Errors
    /// If figures or prices are missing, which a test excludes.
    pub(crate) fn of(load: &Load, settings: &Settings, units: &Units, prices: &Prices) -> anyhow::Result<Self> {
        let mut writer = Writer { load, settings, units, lines: Vec::new() };
        writer.pages()?;
        writer.rows()?;
        for kind in Kind::ALL {
            writer.command(kind)?;
        }
        writer.trending()?;
        writer.statistics()?;
        writer.search()?;
        writer.requests()?;
        writer.always()?;
        let mut bill = Self { lines: writer.lines };
        bill.price(prices)?;
        Ok(bill)
    }

    /// Dollars a month.
    pub(crate) fn total(&self) -> f64 {
        self.lines.iter().map(|line| line.dollars).sum()
    }

    /// Dollars a month of a row of the table.
    pub(crate) fn item(&self, item: &str) -> f64 {
        self.lines.iter().filter(|line| line.item == item).map(|line| line.dollars).sum()
    }

    /// Sets the dollars of all lines. What has tiers costs the average price of the month's amount.
    fn price(&mut self, prices: &Prices) -> anyhow::Result<()> {
        let mut amounts = BTreeMap::<_, f64>::new();
        for line in &self.lines {
            *amounts.entry(line.price).or_default() += line.amount();
        }
        for line in &mut self.lines {
            let price: &Price =
                prices.prices.get(line.price).with_context(|| format!("there is no price {}", line.price))?;
            let amount = amounts[line.price];
            let share = if amount > 0.0 { line.amount() / amount } else { 0.0 };
            line.dollars = price.dollars_a_month(amount) * share;
        }
        Ok(())
    }
}

/// A kind of command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Post,
    Like,
    Comment,
    Follow,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Post, Self::Like, Self::Comment, Self::Follow];

    /// Its name among the figures.
    fn name(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Like => "like",
            Self::Comment => "comment",
            Self::Follow => "follow",
        }
    }

    fn route(self) -> &'static str {
        match self {
            Self::Post => routes::POST,
            Self::Like => routes::LIKE,
            Self::Comment => routes::COMMENT,
            Self::Follow => routes::FOLLOW,
        }
    }

    /// The row of the table for its transaction, and what else belongs to no other row.
    fn item(self) -> &'static str {
        match self {
            Self::Post => "posts",
            Self::Like => "likes: transactions",
            Self::Comment => "comments",
            Self::Follow => "follows",
        }
    }
}

/// Writes lines.
struct Writer<'a> {
    load: &'a Load,
    settings: &'a Settings,
    units: &'a Units,
    lines: Vec<Line>,
}

impl Writer<'_> {
    fn add(&mut self, item: &'static str, what: &str, [count, each]: [f64; 2], price: &'static str, source: &str) {
        if count * each != 0.0 {
            let (what, source) = (what.to_owned(), source.to_owned());
            self.lines.push(Line { item, what, count, each, price, dollars: 0.0, source });
        }
    }

    /// Adds a figure of `units.json`.
    fn figure(
        &mut self,
        item: &'static str,
        what: &str,
        count: f64,
        figure: &str,
        price: &'static str,
    ) -> anyhow::Result<()> {
        let figure = self.units.figure(figure)?;
        self.add(item, what, [count, figure.value], price, &figure.source);
        Ok(())
    }

    /// Adds a figure of `units.json` in bytes, where gigabytes are paid for.
    fn bytes(
        &mut self,
        item: &'static str,
        what: &str,
        count: f64,
        figure: &str,
        price: &'static str,
    ) -> anyhow::Result<()> {
        let figure = self.units.figure(figure)?;
        let source = format!("{} bytes: {}", figure.value, figure.source);
        self.add(item, what, [count, figure.value / GB], price, &source);
        Ok(())
    }

    fn count(&self, kind: Kind) -> f64 {
        let for_each = match kind {
            Kind::Post => 1.0,
            Kind::Like => self.load.likes_per_post,
            Kind::Comment => self.load.comments_per_post,
            Kind::Follow => self.load.follows_per_post,
        };
        self.load.posts_per_day * DAYS * for_each
    }

    fn page_count(&self) -> f64 {
        self.load.reads_per_day * DAYS
    }

    /// Rows that are pushed, and rows that dormant homes do without.
    fn row_counts(&self) -> [f64; 2] {
        let dormant = if self.settings.dormant_days > 0.0 { self.load.dormant / 100.0 } else { 0.0 };
        let all = self.count(Kind::Post) * self.load.followers;
        [all * (1.0 - dormant), all * dormant]
    }

    fn copied_count(&self) -> f64 {
        self.count(Kind::Follow) * self.load.posts_copied
    }

    /// What a page reads. What a page with cached cards does not read is its cards and likes.
    fn pages(&mut self) -> anyhow::Result<()> {
        let (page, cached) = (self.units.route(routes::PAGE)?, self.units.route(routes::CACHED_PAGE)?);
        let pages = self.page_count();
        let read = pages * (1.0 - self.load.cards_cached / 100.0);
        let missed = if self.settings.has_shared_cache { 1.0 - self.load.shared_cache_hits / 100.0 } else { 1.0 };
        let (rest, cards) = (cached.read_units, page.read_units - cached.read_units);
        let source = "docs/costs.md: a page with cards cached";
        self.units_of("feed reads", ("pages", pages), capacity::TABLES_OF_HOMES, [rest, 0.0], source);
        let source = "docs/costs.md: a page, less one with cards cached";
        self.units_of("feed reads", ("pages without cards", read * missed), "Cards", [cards, 0.0], source);
        Ok(())
    }

    /// Rows that are pushed and copied.
    fn rows(&mut self) -> anyhow::Result<()> {
        const HOMES: &str = "rows of home timelines";
        let [pushed, left_out] = self.row_counts();
        let looks_at_visits = self.settings.dormant_days > 0.0;
        let source = "decision 0086: a visit, which is read again before a home is left out";
        self.units_of(HOMES, ("rows left out", left_out), "Timelines", [VISIT_UNITS, 0.0], source);
        for (kind, item, count) in
            [("row", HOMES, pushed), ("copied row", "rows copied by follows", self.copied_count())]
        {
            let usage = self.units.command(kind)?;
            let tables = tables_of(usage);
            for (table, [reads, writes]) in tables {
                let units = [if kind == "row" && !looks_at_visits { 0.0 } else { reads }, writes];
                self.units_of(item, (&format!("{kind}s"), count), table, units, "simulation --bin units");
            }
        }
        Ok(())
    }

    /// A command, and what follows from it.
    fn command(&mut self, kind: Kind) -> anyhow::Result<()> {
        let (count, usage, route) =
            (self.count(kind), self.units.command(kind.name())?, self.units.route(kind.route())?);
        let of = (kind.name(), count);
        let &Route { read_units, write_units, .. } = route;
        let source = format!("docs/costs.md: {}", route.route);
        self.units_of(kind.item(), of, "Commands", [read_units, write_units], &source);
        for (table, [reads, writes]) in tables_of(usage) {
            let item = match (table, kind) {
                ("Cards" | "Cards/hottest", Kind::Like) => "likes: cards and trending index",
                ("Timelines", Kind::Like | Kind::Comment | Kind::Follow) => "notifications, lists of likes",
                _ => kind.item(),
            };
            let units = match table {
                // All of the command's own units, but the question which tables are read, are of this table.
                "Commands" => [(reads - usage.command[0]).max(0.0), (writes - usage.command[1]).max(0.0)],
                _ => [reads, writes],
            };
            let what = format!("projected {}", kind.name());
            self.units_of(item, (&what, count), table, units, "simulation --bin units");
        }
        Ok(())
    }

    /// What statistics add to commands.
    fn statistics(&mut self) -> anyhow::Result<()> {
        if self.settings.statistics_days == 0.0 {
            return Ok(());
        }
        for kind in Kind::ALL {
            let usage = self.units.command(&format!("statistics {}", kind.name()))?;
            let count = self.count(kind) * self.load.counted / 100.0;
            for (table, units) in tables_of(usage) {
                let what = format!("counted {}", kind.name());
                self.units_of("statistics", (&what, count), table, units, "simulation --bin units");
            }
        }
        Ok(())
    }

    /// What the search index adds to posts. Another word is another row, which is written in a transaction.
    fn search(&mut self) -> anyhow::Result<()> {
        if self.settings.search_days == 0.0 {
            return Ok(());
        }
        let (usage, words) = (self.units.command("search post")?, self.units.figure("search_words")?.value);
        for (table, [reads, mut writes]) in tables_of(usage) {
            if table == "SearchIndex" {
                writes = (writes + 2.0 * (self.load.words - words)).max(0.0);
            }
            let source = format!("simulation --bin units for {words} words, and 2 for each further one");
            let of = ("indexed post", self.count(Kind::Post));
            self.units_of("search index", of, table, [reads, writes], &source);
        }
        Ok(())
    }

    /// The kinds of commands with their numbers, for how many months what expires is kept, and its share of the size
    /// that was measured.
    fn followed(&self) -> anyhow::Result<Vec<(String, f64, f64, f64)>> {
        let months = self.load.months;
        let expire = |days: f64| months.min(days / DAYS);
        let mut all: Vec<_> =
            Kind::ALL.map(|kind| (kind.name().to_owned(), self.count(kind), expire(ROW_DAYS), 1.0)).into();
        all.push(("row".to_owned(), self.row_counts()[0], expire(ROW_DAYS), 1.0));
        all.push(("copied row".to_owned(), self.copied_count(), expire(ROW_DAYS), 1.0));
        let statistics = self.settings.statistics_days;
        if statistics > 0.0 {
            let counted = self.load.counted / 100.0;
            let of = |kind: Kind| {
                (format!("statistics {}", kind.name()), self.count(kind) * counted, expire(statistics), 1.0)
            };
            all.extend(Kind::ALL.map(of));
        }
        let search = self.settings.search_days;
        if search > 0.0 {
            let share = self.load.words / self.units.figure("search_words")?.value;
            all.push(("search post".to_owned(), self.count(Kind::Post), expire(search), share));
        }
        Ok(all)
    }

    /// Storage, bus, queue, functions and their logs of this kind.
    fn after(&mut self, name: &str, count: f64, months: f64, share: f64) -> anyhow::Result<()> {
        let usage = self.units.command(name)?;
        let source = "simulation --bin units";
        for (bytes, months, kept) in
            [(&usage.bytes, self.load.months, "for good"), (&usage.expiring_bytes, months, "until they expire")]
        {
            for (table, bytes) in bytes {
                let (what, stored) = (format!("{name}: {table}, {kept}"), [count * months, bytes * share / GB]);
                self.add("storage and backups", &what, stored, "dynamodb_gb_months", source);
                if table == "Commands" {
                    let what = format!("{name}: backup");
                    self.add("storage and backups", &what, stored, "dynamodb_backup_gb_months", source);
                }
            }
        }
        self.add("Kinesis", &format!("{name}: written"), [count, usage.bus_bytes / GB], "kinesis_gb_in", source);
        let read = if self.settings.enhanced_fan_out { "kinesis_gb_fan_out" } else { "kinesis_gb_out" };
        self.add("Kinesis", &format!("{name}: read"), [count, usage.bus_read_bytes / GB], read, source);
        let invocations: f64 = usage.invocations.values().sum();
        self.add("Lambda requests", name, [count, invocations], "lambda_requests", source);
        let gb_seconds = usage.gb_ms.values().sum::<f64>() / 1000.0;
        self.add("Lambda GB-seconds", name, [count, gb_seconds], "lambda_gb_seconds", source);
        let tasks = usage.invocations.get("Deliver").copied().unwrap_or_default();
        self.figure("SQS", &format!("{name}: tasks"), count * tasks, "task_requests", "sqs_requests")?;
        let projections = ["PublishEvents", "Fanout", "Trending", "Deliver"];
        let lines: f64 = projections.iter().filter_map(|function| usage.invocations.get(*function)).sum();
        self.bytes("logs", &format!("{name}: metrics"), count * lines, "projection_metrics_bytes", "logs_gb")
    }

    /// What does not depend on the load, or on a parameter only.
    fn always(&mut self) -> anyhow::Result<()> {
        const REST: &str = "cache, alarms, metrics, audit";
        self.add("Kinesis", "the stream", [1.0, HOURS], "kinesis_hours", "hours of a month");
        self.figure("SQS", "idle pollers", 1.0, "idle_queue_requests", "sqs_requests")?;
        self.figure(REST, "metrics of alarms", 1.0, "alarm_metrics", "alarm_metrics")?;
        self.figure(REST, "metrics of functions", 1.0, "own_metrics", "own_metrics")?;
        let audit = self.settings.audit_units_per_hour;
        self.add(REST, "hours of the audit", [HOURS, audit], "dynamodb_read_units", "AuditUnitsPerHour");
        if self.settings.has_shared_cache {
            self.figure(REST, "pages: shared cache", self.page_count(), "page_cache_units", "cache_units")?;
            self.figure(REST, "hours of the shared cache", HOURS, "cache_gb", "cache_gb_hours")?;
        }
        self.processes_kept_ready()?;
        self.idle_capacity(REST);
        Ok(())
    }

    /// Processes that are kept ready cost all the time. What they work is cheaper than on demand.
    fn processes_kept_ready(&mut self) -> anyhow::Result<()> {
        const ITEM: &str = "Lambda GB-seconds";
        let &Settings { feed_provisioned, likes_provisioned, .. } = self.settings;
        let pages = self.lines.iter().filter(|line| line.item == ITEM && line.what.starts_with("pages "));
        let of_pages = pages.map(Line::amount).sum::<f64>();
        let of_like = self.units.command(Kind::Like.name())?.gb_ms.get("ReactToPost").copied().unwrap_or_default();
        let of_likes = self.count(Kind::Like) * of_like / 1000.0;
        for (function, processes, memory, worked, parameter) in [
            ("GetFeed", feed_provisioned, "feed_memory_mb", of_pages, "FeedProvisioned"),
            ("ReactToPost", likes_provisioned, "like_memory_mb", of_likes, "LikesProvisioned"),
        ] {
            let gb_seconds = self.units.figure(memory)?.value / 1024.0 * HOURS * 3600.0;
            let ready = worked.min(processes * gb_seconds);
            let what = format!("processes of {function} kept ready");
            self.add(ITEM, &what, [processes, gb_seconds], "lambda_provisioned_gb_seconds", parameter);
            let source = "as if load were even: what they work, up to all of their time";
            self.add(ITEM, &format!("work of {function} in these"), [ready, 1.0], "lambda_ready_gb_seconds", source);
            self.add(ITEM, &format!("which is not on demand, {function}"), [ready, -1.0], "lambda_gb_seconds", source);
        }
        Ok(())
    }
}

/// Read and write units by table.
fn tables_of(usage: &Usage) -> BTreeMap<&str, [f64; 2]> {
    let mut tables = BTreeMap::<&str, [f64; 2]>::new();
    for (at, units) in [&usage.reads, &usage.writes].into_iter().enumerate() {
        for (table, units) in units {
            tables.entry(table).or_default()[at] = *units;
        }
    }
    tables
}
