//! The arithmetic against small cases that are calculated by hand, and laws of the model.

use aws_limits::prices::Prices;
use proptest::prelude::*;

use super::{Bill, ITEMS, Load, Settings, Units, of_parameters, of_several};

fn files() -> (Units, Prices) {
    (Units::load().unwrap(), Prices::load().unwrap())
}

/// The defaults.
fn load() -> Load {
    #[derive(clap::Parser)]
    struct Given {
        #[command(flatten)]
        load: Load,
    }
    <Given as clap::Parser>::parse_from(["plan"]).load
}

fn bill(load: &Load, settings: &Settings) -> Bill {
    let (units, prices) = files();
    Bill::of(load, settings, &units, &prices).unwrap()
}

fn total(load: &Load) -> f64 {
    bill(load, &Settings::default()).total()
}

fn without(parameters: &[&str]) -> Settings {
    parameters.iter().try_fold(Settings::default(), |settings, given| settings.with(given)).unwrap()
}

#[track_caller]
fn close(is: f64, expected: f64) {
    assert!((is - expected).abs() <= expected.abs() * 1e-9 + 1e-9, "{is} is not {expected}");
}

#[test]
fn a_million_pages_a_day_cost_what_they_read() {
    let load = Load { posts_per_day: 0.0, reads_per_day: 1e6, ..load() };
    let bill = bill(&load, &Settings::default());
    // 30 million pages with 12.5 read units at $0.125 a million.
    close(bill.item("feed reads"), 30.0 * 12.5 * 0.125);
    // Less than the first tier: $1 a million.
    close(bill.item("HTTP API"), 30.0);
    close(bill.item("Lambda requests"), 30.0 * 0.2);
    // 13 kB each, a third of it when compressed, at $0.09 for 2^30 bytes.
    close(bill.item("data out"), 30e6 * 13_000.0 * 0.33 / 1_073_741_824.0 * 0.09);
    // Five calls of 0.39 ms of a processor, of which 512 MB are 512/1769, and two round trips of 3 ms, of half a GB.
    let ms = 5.0 * 0.39 * 1769.0 / 512.0 + 2.0 * 3.0;
    close(bill.item("Lambda GB-seconds"), 30e6 * ms / 1000.0 * 0.5 * 0.000_013_333_4);
    for item in ["posts", "likes: transactions", "statistics", "storage and backups", "rows of home timelines"] {
        close(bill.item(item), 0.0);
    }
}

#[test]
fn pages_with_cached_cards_read_the_rest_only() {
    let load = Load { posts_per_day: 0.0, reads_per_day: 1e6, cards_cached: 100.0, ..load() };
    let costs = |settings: &Settings| bill(&load, settings).item("feed reads");
    close(costs(&Settings::default()), 30.0 * 1.5 * 0.125);
    // A shared cache saves nothing that a process has already, and otherwise its share of the cards.
    close(costs(&without(&["CacheUrl=redis://c"])), 30.0 * 1.5 * 0.125);
    let load = Load { cards_cached: 50.0, shared_cache_hits: 80.0, ..load };
    let reads = bill(&load, &without(&["CacheUrl=redis://c"])).item("feed reads");
    close(reads, 30.0 * (1.5 + 0.5 * 0.2 * 11.0) * 0.125);
}

#[test]
fn a_row_in_each_home_is_one_write_unit() {
    let load = Load { reads_per_day: 0.0, posts_per_day: 1000.0, followers: 1e6, ..load() };
    let rows = |settings: &Settings| bill(&load, settings).item("rows of home timelines");
    // 30 000 posts with a million rows at $0.625 a million, and what is read of the list of followers.
    let writes = 30_000.0 * 0.625;
    let all = rows(&without(&["DormantDays=0"]));
    assert!(all >= writes && all < writes * 1.01, "{all} instead of {writes}");
    // Of each home, half a unit is read; half of the homes are dormant, and one more unit is read of them.
    let reads = 30_000.0 * 0.125;
    let some = rows(&Settings::default());
    let expected = writes * 0.5 + reads * (0.5 + 0.5);
    assert!(some >= expected && some < expected * 1.01, "{some} instead of {expected}");
}

#[test]
fn a_process_writes_a_line_of_metrics_for_a_page_or_in_ten_seconds() {
    let lines = |reads_per_day: f64| {
        let load = Load { reads_per_day, posts_per_day: 0.0, ..load() };
        let bill = bill(&load, &Settings::default());
        bill.lines.iter().find(|line| line.what == "pages: metrics").unwrap().count
    };
    close(lines(100.0), 3000.0);
    // At most one process is busy.
    close(lines(1e5), 30.0 * 86_400.0 / 10.0);
    assert!(lines(1e8) > 10.0 * lines(1e5) && lines(1e8) < 0.01 * 3e9, "{}", lines(1e8));
}

#[test]
fn a_transaction_costs_what_the_document_says() {
    let load = Load { reads_per_day: 0.0, posts_per_day: 1e6, likes_per_post: 1.0, ..load() };
    let bill = bill(&load, &Settings::default());
    let of = |price: &str| {
        let lines = bill.lines.iter().filter(|line| line.item == "likes: transactions" && line.price == price);
        lines.filter(|line| line.what.starts_with("like: ")).map(|line| line.dollars).sum::<f64>()
    };
    // docs/costs.md: a like reads 3.5 units and writes 4. 30 million likes.
    close(of("dynamodb_read_units"), 30.0 * 3.5 * 0.125);
    close(of("dynamodb_write_units"), 30.0 * 4.0 * 0.625);
}

#[test]
fn provisioned_capacity_is_paid_by_the_hour() {
    let load = Load { posts_per_day: 0.0, reads_per_day: 1e6, cards_cached: 0.0, ..load() };
    let settings = without(&["ProvisionedUnits=25"]);
    let reads = bill(&load, &settings).item("feed reads");
    // 12.5 units, of which 70 % are used.
    close(reads, 30e6 * 12.5 / 3600.0 / 0.7 * 0.000_13);
    let idle = |settings| bill(&load, settings).item("cache, alarms, metrics, audit");
    // Three tables and an index.
    close(idle(&settings) - idle(&Settings::default()), 4.0 * 25.0 * 720.0 * (0.000_13 + 0.000_65));
}

#[test]
fn commands_have_capacity_of_their_own() {
    let likes = |given: &[&str]| bill(&load(), &without(given)).item("likes: transactions");
    let (on_demand, provisioned) = (likes(&[]), likes(&["CommandsProvisionedUnits=25"]));
    close(likes(&["ProvisionedUnits=25"]), on_demand);
    // Both prices have the same ratio: an hour of a unit a second, of which 70 % are used, and so many requests.
    close(provisioned / on_demand, 0.000_65 / 3600.0 / 0.7 / 0.625e-6);
}

#[test]
fn pages_of_a_feed_url_are_no_requests_of_the_api() {
    let load = Load { posts_per_day: 0.0, reads_per_day: 1e6, pages_per_ticket: 10.0, ..load() };
    let bill = |given: &[&str], load: &Load| bill(load, &without(given));
    let (api, url) = (bill(&[], &load), bill(&["FeedUrl=true"], &load));
    close(url.item("HTTP API"), api.item("HTTP API") / 10.0);
    close(api.item("HTTP API"), 30.0);
    // The functions that issue tickets are invoked, too.
    close(url.item("Lambda requests"), api.item("Lambda requests") * 1.1);
    assert!(url.item("data out") > api.item("data out") && url.item("logs") < api.item("logs"));
    let each = bill(&["FeedUrl=true"], &Load { pages_per_ticket: 1.0, ..load });
    assert!(each.total() > api.total(), "a ticket for each page saves nothing");
}

#[test]
fn the_cheapest_settings_reach_the_target() {
    let settings = without(&["ProvisionedUnits=25", "CommandsProvisionedUnits=25", "FeedUrl=true"]);
    assert!(bill(&load(), &settings).total() <= 11_000.0);
}

#[test]
fn statistics_and_search_cost_nothing_if_they_are_off() {
    let bill = bill(&load(), &Settings::default());
    close(bill.item("statistics"), 0.0);
    close(bill.item("search index"), 0.0);
    assert!(bill.lines.iter().all(|line| !line.what.starts_with("statistics")), "statistics are stored or logged");
}

#[test]
fn every_line_has_a_row_a_price_and_a_sign_that_makes_sense() {
    let settings = without(&["StatisticsDays=400", "SearchDays=30", "CacheUrl=redis://c", "FeedProvisioned=1"]);
    let bill = bill(&load(), &settings);
    for line in &bill.lines {
        assert!(ITEMS.contains(&line.item), "{line:?}");
        assert!(line.dollars.is_finite() && !line.what.is_empty() && !line.source.is_empty(), "{line:?}");
    }
    close(bill.total(), ITEMS.iter().map(|item| bill.item(item)).sum());
    assert!(ITEMS.iter().all(|item| bill.item(item) > 0.0), "a row costs nothing");
}

#[test]
fn changes_are_differences_of_the_same_bill() {
    let (units, prices) = files();
    let load = load();
    let before = total(&load);
    for change in of_parameters(&load, &Settings::default(), &units, &prices).unwrap() {
        close(change.total - change.more, before);
        assert!(change.more != 0.0, "{change:?}");
    }
    let on = without(&["StatisticsDays=400"]);
    let change = &of_parameters(&load, &on, &units, &prices).unwrap()[0];
    assert!(change.what == "StatisticsDays=400" && change.more == 0.0, "it is on already: {change:?}");
    let several = of_several(&load, &Settings::default(), &units, &prices).unwrap();
    assert!(several.iter().all(|change| change.more < 0.0), "{several:?}");
}

#[test]
fn the_defaults_are_those_of_the_template() {
    let template = include_str!("../../../template.yaml");
    let default = |parameter: &str| {
        let (_, rest) = template.split_once(&format!("\n  {parameter}:")).unwrap();
        let (_, value) = rest.split_once("Default: ").unwrap();
        let end = value.find(['\n', ',', '}']).unwrap();
        value[..end].trim().trim_matches('"').to_owned()
    };
    let settings = super::load::PARAMETERS.iter().try_fold(Settings::default(), |settings, parameter| {
        settings.with(&format!("{parameter}={}", default(parameter)))
    });
    assert_eq!(settings.unwrap(), Settings::default());
    let (_, retention) = template.split_once("\n  LogRetentionDays:").unwrap();
    let (_, allowed) = retention.split_once("AllowedValues: ").unwrap();
    assert!(allowed.starts_with(&format!("{:?}\n", super::load::LOG_RETENTION_DAYS)), "{}", &allowed[..60]);
    let (units, _) = files();
    let (_, feed) = template.split_once("\n  GetFeed:\n").unwrap();
    let memory = feed.lines().find_map(|line| line.trim().strip_prefix("MemorySize: ")).unwrap();
    close(units.figure("feed_memory_mb").unwrap().value, memory.parse().unwrap());
    let (_, like) = template.split_once("\n  ReactToPost:\n").unwrap();
    let (like, _) = like.split_once("\n\n").unwrap();
    assert!(!like.contains("MemorySize"), "the default applies");
    let (_, globals) = template.split_once("\nGlobals:\n").unwrap();
    let memory = globals.lines().find_map(|line| line.trim().strip_prefix("MemorySize: ")).unwrap();
    close(units.figure("like_memory_mb").unwrap().value, memory.parse().unwrap());
}

#[test]
fn the_document_has_the_figures_of_the_program() {
    let document = include_str!("../../../docs/costs.md");
    let (units, _) = files();
    let rows: String = units
        .routes
        .iter()
        .map(|it| {
            format!("| {} | {} | {} | {} | {} |\n", it.route, it.round_trips, it.calls, it.read_units, it.write_units)
        })
        .collect();
    let head = "| route | round trips | calls | read units | write units |\n|---|--:|--:|--:|--:|\n";
    assert!(document.contains(&format!("{head}{rows}\n")), "docs/costs.md has other routes than:\n{head}{rows}");

    let tables = ["Commands", "Timelines", "Viewers", "Cards", "Cards/hottest", "SearchIndex"];
    let cell = |units: Option<&f64>| units.map_or_else(String::new, |units| format!("{units}"));
    let row = |(kind, usage): (&String, &super::units::Usage)| {
        let cells = tables.map(|table| match [&usage.reads, &usage.writes].map(|units| cell(units.get(table))) {
            [reads, writes] if reads.is_empty() && writes.is_empty() => String::new(),
            [reads, writes] if reads.is_empty() => format!("– / {writes}"),
            [reads, writes] if writes.is_empty() => format!("{reads} / –"),
            [reads, writes] => format!("{reads} / {writes}"),
        });
        format!("| {kind} | {} |\n", cells.join(" | "))
    };
    let rows: String = units.commands.iter().map(row).collect();
    let head =
        format!("| command | {} |\n|---|{}\n", tables.map(|table| format!("`{table}`")).join(" | "), "--:|".repeat(6));
    assert!(document.contains(&format!("{head}{rows}\n")), "docs/costs.md has other commands than:\n{head}{rows}");
}

proptest! {
    #[test]
    fn more_load_never_costs_less(
        posts in 0.0..1e7_f64, reads in 0.0..1e10_f64, followers in 0.0..1e4_f64, likes in 0.0..100.0_f64,
        comments in 0.0..10.0_f64, more in 1.0..3.0_f64,
    ) {
        let small = Load {
            posts_per_day: posts, reads_per_day: reads, followers, likes_per_post: likes, comments_per_post: comments,
            ..load()
        };
        let before = total(&small);
        let larger = [
            Load { posts_per_day: posts * more, ..small.clone() },
            Load { reads_per_day: reads * more, ..small.clone() },
            Load { followers: followers * more, ..small.clone() },
            Load { likes_per_post: likes * more, ..small.clone() },
            Load { comments_per_post: comments * more, ..small.clone() },
            Load { follows_per_post: small.follows_per_post * more, ..small.clone() },
            Load { page_kb: small.page_kb * more, ..small.clone() },
            Load { months: small.months * more, ..small.clone() },
            Load { posts_copied: small.posts_copied * more, ..small.clone() },
        ];
        for load in larger {
            prop_assert!(total(&load) >= before * (1.0 - 1e-9), "{load:?}");
        }
        for share in [10.0, 50.0, 100.0] {
            let cached = Load { cards_cached: share, ..small.clone() };
            prop_assert!(total(&cached) <= before * (1.0 + 1e-9), "{share} %");
        }
    }

    #[test]
    fn twice_the_load_costs_at_most_twice_as_much(posts in 0.0..1e7_f64, reads in 0.0..1e10_f64) {
        let small = Load { posts_per_day: posts, reads_per_day: reads, ..load() };
        let twice = Load { posts_per_day: posts * 2.0, reads_per_day: reads * 2.0, ..load() };
        prop_assert!(total(&twice) <= 2.0 * total(&small) * (1.0 + 1e-9));
    }
}
