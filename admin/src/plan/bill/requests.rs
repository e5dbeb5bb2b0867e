//! Requests of clients in the bill: the HTTP API, its answers, and the functions that answer pages.

use aws_limits::numbers;

use super::{DAYS, GB, HOURS, Kind, Line, Route, Writer, routes};

/// The pause between two lines of metrics of a process that counts only pages (`shared/src/metrics.rs`).
const LINE_SECONDS: f64 = 10.0;

impl Writer<'_> {
    /// What follows from requests outside of DynamoDB.
    pub(super) fn requests(&mut self) -> anyhow::Result<()> {
        let commands: f64 = Kind::ALL.into_iter().map(|kind| self.count(kind)).sum();
        let pages = self.page_count();
        let (read, each) = match self.settings.feed_url {
            false => (("pages", pages), "one request each"),
            true => {
                (("tickets", pages / self.load.pages_per_ticket), "FeedUrl: one request for --pages-per-ticket pages")
            }
        };
        for ((what, count), source) in [(read, each), (("commands", commands), "one request each")] {
            self.add("HTTP API", what, [count, 1.0], "api_requests", source);
            self.bytes("logs", &format!("{what}: access log"), count, "access_line_bytes", "logs_gb")?;
        }
        if self.settings.feed_url {
            self.tickets(read.1)?;
        }
        let gzip = self.units.figure("gzip_share")?;
        let page_gb = self.load.page_kb * 1000.0 / GB * gzip.value;
        self.add(
            "data out",
            "pages",
            [pages, page_gb],
            "data_out_gb",
            &format!("--page-kb, compressed: {}", gzip.source),
        );
        self.bytes("data out", "commands", commands, "command_answer_bytes", "data_out_gb")?;
        self.lambda_of_pages()?;
        for (name, count, months, words) in self.followed()? {
            self.after(&name, count, months, words)?;
        }
        let written: f64 = self.lines.iter().filter(|line| line.price == "logs_gb").map(Line::amount).sum();
        let kept = self.settings.log_retention_days / DAYS;
        self.add("logs", "GB written, kept", [written, kept], "logs_gb_months", "LogRetentionDays, not compressed");
        Ok(())
    }

    /// What tickets cost besides their requests. The function that issues them calls nothing.
    fn tickets(&mut self, count: f64) -> anyhow::Result<()> {
        self.bytes("data out", "tickets", count, "command_answer_bytes", "data_out_gb")?;
        self.add("Lambda requests", "tickets", [count, 1.0], "lambda_requests", "one invocation each");
        let memory = self.units.figure("like_memory_mb")?.value;
        let (call, one_cpu) = (numbers::CALL_PROCESSOR.value, numbers::MEMORY_OF_ONE_CPU.value);
        let gb_seconds = call * one_cpu / memory / 1000.0 * memory / 1024.0;
        let source = format!("{call} ms × {one_cpu} / {memory} MB, as for a call of another function, × {memory} MB");
        self.add("Lambda GB-seconds", "tickets", [count, gb_seconds], "lambda_gb_seconds", &source);
        Ok(())
    }

    /// A page computes for each call, and waits for each round trip.
    fn lambda_of_pages(&mut self) -> anyhow::Result<()> {
        let pages = self.page_count();
        let cached = self.load.cards_cached / 100.0;
        let memory = self.units.figure("feed_memory_mb")?.value;
        self.add("Lambda requests", "pages", [pages, 1.0], "lambda_requests", "one invocation each");
        let mut busy = 0.0;
        for (what, count, route) in [
            ("pages without cards", pages * (1.0 - cached), routes::PAGE),
            ("pages with cards cached", pages * cached, routes::CACHED_PAGE),
        ] {
            let &Route { calls, round_trips, .. } = self.units.route(route)?;
            let (call, wait) = (numbers::CALL_PROCESSOR.value, numbers::READ_LATENCY.value);
            let slower = numbers::MEMORY_OF_ONE_CPU.value / memory;
            let gb_seconds = (calls * call * slower + round_trips * wait) / 1000.0 * memory / 1024.0;
            let source = format!(
                "({calls} calls × {call} ms × {} / {memory} MB + {round_trips} round trips × {wait} ms) × {memory} MB",
                numbers::MEMORY_OF_ONE_CPU.value
            );
            self.add("Lambda GB-seconds", what, [count, gb_seconds], "lambda_gb_seconds", &source);
            busy += count * gb_seconds / (memory / 1024.0);
        }
        // A process writes a line for each page, or one in ten seconds. As many run as pages do at once.
        let seconds = HOURS * 3600.0;
        let most_lines = (busy / seconds).max(1.0) * seconds / LINE_SECONDS;
        self.bytes("logs", "pages: metrics", pages.min(most_lines), "page_metrics_bytes", "logs_gb")
    }
}
