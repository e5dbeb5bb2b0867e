//! Measures the search index, and judges it: posts of a file, or generated ones, are written and indexed by the code of
//! the system on DynamoDB in memory. Then random searches are compared with a look at every text. It prints what
//! indexing a post costs and what a page of a search costs.
//!
//!     cargo run --release -p simulation --bin search-index -- --posts posts.jsonl.gz

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use aws_memory::{Answer, Aws, Refused, Request, Server, queue_url};
use clap::Parser;
use futures::future::BoxFuture;
use rand::{
    Rng, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, IteratorRandom},
};
use serde_json::Value;
use tidings::{
    command::{self, CreatePost, UpdateProfile},
    deadline::Deadline,
    model::{
        Clock, PostId, PublicProfile, Tag, Text, UserId,
        search::{PostQuery, Word, words},
    },
    query::{ReadRequest, search::Search},
    retry::{retry_config, timeout_config},
    runtime::Runtime,
    store::Cost,
};

/// Posts in a first page, as most clients ask for, and in all later ones.
const PAGE: usize = 20;
const LATER_PAGE: usize = 100;
/// How long a call takes.
const LATENCY: Duration = Duration::from_millis(5);
/// What search terms in generated posts are drawn from, beside those that the file has.
const WORDS: [&str; 16] = [
    "the",
    "a",
    "flight",
    "Crème",
    "creme",
    "東京都",
    "京都",
    "กินข้าว",
    "🎉",
    "don\u{2019}t",
    "STRASSE",
    "straße",
    "x-y",
    "#tag",
    "3.14",
    "e\u{301}t\u{e9}",
];

/// Measures and judges searches.
#[derive(Debug, Parser)]
#[command(about)]
struct Arguments {
    /// A file with lines `{"author": …, "text": …}`, compressed with gzip. Without it, posts are generated
    #[arg(long)]
    posts: Option<PathBuf>,
    /// Posts to write at most
    #[arg(long, default_value_t = 15_000)]
    count: usize,
    /// Searches
    #[arg(long, default_value_t = 1000)]
    searches: usize,
    /// Everything random follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A post that was written.
struct Written {
    author: UserId,
    text: Text,
    words: Vec<Word>,
    tags: Vec<Tag>,
}

/// AWS in memory, far enough away that calls which do not wait for each other are under way at the same time.
struct Distant(Arc<Aws>);

impl Server for Distant {
    fn call(self: Arc<Self>, request: Request) -> BoxFuture<'static, Result<Answer, Refused>> {
        Box::pin(async move {
            // Time is paused, so nobody waits.
            tokio::time::sleep(LATENCY).await;
            Arc::clone(&self.0).call(request).await
        })
    }
}

fn main() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(run())
}

async fn run() -> Result<()> {
    let arguments = Arguments::parse();
    let mut random = StdRng::seed_from_u64(arguments.seed);
    let drafts = match &arguments.posts {
        Some(path) => load(path, arguments.count)?,
        None => generate(arguments.count, &mut random),
    };
    let aws = Arc::new(Aws::new().map_err(|error| anyhow::anyhow!("no AWS in memory: {error}"))?);
    let runtime = runtime(&aws);
    let written = write(&runtime, drafts).await?;
    report_index(&aws, written.len());
    index_costs(&runtime, &written).await?;
    judge(&runtime, &written, &arguments, &mut random).await
}

/// Authors and texts of a file.
fn load(path: &Path, count: usize) -> Result<Vec<(String, String)>> {
    let file = std::fs::File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines().take(count);
    lines
        .map(|line| {
            let line: Value = serde_json::from_str(&line?)?;
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            Ok((text("author"), text("text")))
        })
        .collect()
}

/// Texts of few words, so that searches find many combinations.
fn generate(count: usize, random: &mut StdRng) -> Vec<(String, String)> {
    let mut text = || {
        let length = random.random_range(1..12);
        let words: Vec<_> = (0..length).filter_map(|_| WORDS.choose(random)).copied().collect();
        (format!("author{}", random.random_range(0..50)), words.join(" "))
    };
    (0..count).map(|_| text()).collect()
}

fn runtime(aws: &Arc<Aws>) -> Runtime {
    let mut environment = BTreeMap::new();
    let mut set = |name: &str, value: &str| drop(environment.insert(name.to_owned(), value.to_owned()));
    for (name, has_sort_key) in
        [("COMMANDS", true), ("TIMELINES", true), ("VIEWERS", false), ("CARDS", false), ("SEARCH", true)]
    {
        for suffix in ["", "_B"] {
            let table = format!("{}{}", name.to_lowercase(), suffix.to_lowercase());
            aws.create_table(&table, has_sort_key);
            set(&format!("{name}_TABLE{suffix}"), &table);
        }
    }
    aws.create_queue("deliveries");
    set("DELIVERIES_QUEUE", &queue_url("deliveries"));
    for (name, value) in [
        ("SHOW_COSTS", "true"),
        ("SEARCH_DAYS", "30"),
        ("STATISTICS_DAYS", "0"),
        ("CELEBRITY_FOLLOWERS", "1000000"),
        ("CELEBRITY_LIST_SECONDS", "60"),
        ("ERASURE_DELAY_SECONDS", "60"),
        ("DORMANT_DAYS", "0"),
        ("WALK_STEP_ROWS", "500"),
    ] {
        set(name, value);
    }
    let limits = ["POSTS_PER_HOUR", "COMMENTS_PER_HOUR", "FOLLOWS_PER_DAY", "PROFILE_CHANGES_PER_DAY"];
    for name in limits.into_iter().chain(["BLOCKS_PER_HOUR", "LIKES_PER_HOUR"]) {
        set(name, "1000000000");
    }
    let config = aws_memory::config(Arc::new(Distant(Arc::clone(aws))), "memory").into_builder();
    let config = config.retry_config(retry_config()).timeout_config(timeout_config()).build();
    Runtime::new(config, environment, Clock::system())
}

/// Writes the posts and projects them. What is no text of a post is left out.
async fn write(runtime: &Runtime, drafts: Vec<(String, String)>) -> Result<BTreeMap<PostId, Written>> {
    let (commands, projectors, clock) = (runtime.commands()?, runtime.projectors()?, &runtime.clock);
    let mut users = BTreeMap::<String, UserId>::new();
    let mut written = BTreeMap::new();
    for (author, text) in drafts {
        let Ok(text) = Text::try_from(text) else { continue };
        let number = users.len();
        let known = users.get(&author).cloned();
        let user = match known {
            Some(user) => user,
            None => {
                let user: UserId = format!("user{number}").parse()?;
                let profile = PublicProfile {
                    handle: format!("user{number}").parse()?,
                    display_name: author.clone().try_into()?,
                    avatar_url: None,
                };
                command::run(&UpdateProfile { profile, is_reserved: false }, &user, &commands, clock).await?;
                users.insert(author, user.clone());
                user
            }
        };
        let post = PostId::new(clock.now());
        command::run(&CreatePost { post, text: text.clone(), key: None }, &user, &commands, clock).await?;
        let (words, tags) = (words(text.as_str()), text.tags());
        written.insert(post, Written { author: user, text, words, tags });
    }
    for user in users.values() {
        for projector in projectors.maintained().await? {
            projector.catch_up.user(user, None, Deadline::none()).await?;
        }
    }
    println!("{} posts by {} users", written.len(), users.len());
    Ok(written)
}

/// What the index takes.
fn report_index(aws: &Aws, posts: usize) {
    let (mut rows, mut entries, mut bytes) = (0, 0, 0);
    for item in aws.items("search") {
        if item["PK"]["S"].as_str().is_some_and(|list| list.starts_with("NAME#") || list.starts_with("USER#")) {
            continue;
        }
        if item["SK"]["S"] == "ENTRY" {
            entries += 1;
        } else {
            rows += 1;
        }
        // DynamoDB stores 100 bytes more for each item (its documentation, "DynamoDB item sizes").
        bytes += size(&item) + 100;
    }
    let each = |total: usize| total as f64 / posts.max(1) as f64;
    println!(
        "{rows} rows of words and tags, {entries} entries: {:.1} rows and {:.0} bytes a post",
        each(rows),
        each(bytes)
    );
}

/// The size of an item as DynamoDB counts it: the bytes of names and values, three for each list and one for each
/// member, and about one for each two digits.
fn size(item: &Value) -> usize {
    let value = |value: &Value| -> usize {
        match value.as_object().and_then(|value| value.iter().next()) {
            Some((kind, text)) if kind == "S" => text.as_str().map_or(0, str::len),
            Some((kind, digits)) if kind == "N" => digits.as_str().map_or(0, |digits| digits.len().div_ceil(2) + 1),
            Some((kind, list)) if kind == "L" => {
                let members = list.as_array().into_iter().flatten();
                3 + members.map(|member| 1 + member["S"].as_str().map_or(0, str::len)).sum::<usize>()
            }
            _ => 1,
        }
    };
    item.as_object().into_iter().flatten().map(|(name, it)| name.len() + value(it)).sum()
}

/// What it costs to index posts: of a sample, everything is removed and written again.
async fn index_costs(runtime: &Runtime, written: &BTreeMap<PostId, Written>) -> Result<()> {
    let meter = runtime.meter.clone().context("nothing is measured")?;
    let (index, projectors) = (runtime.search_index()?, runtime.projectors()?.maintained().await?);
    let mut costs = Vec::new();
    for post in written.keys().step_by(written.len().div_ceil(500).max(1)) {
        let subject = tidings::model::TallySubject::Post(*post);
        index.remove(&subject).await?;
        for projector in &projectors {
            meter.reset();
            projector.indexer.settle(tidings::store::search::Unsettled::post(*post)).await?;
            costs.push(meter.cost());
        }
    }
    print_costs("indexing a post", &costs);
    Ok(())
}

/// Compares random searches with a look at every text.
async fn judge(
    runtime: &Runtime,
    written: &BTreeMap<PostId, Written>,
    arguments: &Arguments,
    random: &mut StdRng,
) -> Result<()> {
    let meter = runtime.meter.clone().context("nothing is measured")?;
    let viewer: UserId = "reader".parse()?;
    let looked_at: BTreeMap<_, _> = written.iter().collect();
    let (mut first, mut later, mut wrong, mut found_all) = (BTreeMap::<&str, Vec<Cost>>::new(), Vec::new(), 0, 0);
    let (mut done, mut kinds) = (0, BTreeSet::new());
    while done < arguments.searches {
        let Some((_, sample)) = looked_at.iter().choose(random) else { break };
        let (kind, spelling) = spell(sample, random);
        let Ok(query) = PostQuery::parse(&spelling) else { continue };
        done += 1;
        kinds.insert(kind);
        let matches = |it: &Written| {
            let is_of = |handle: &tidings::model::Handle| it.author.as_str() == handle.as_str();
            let by_author = query.from.iter().all(is_of) && !query.not_from.iter().any(is_of);
            by_author && query.matches_words(&it.words, &it.tags)
        };
        let expected: Vec<PostId> = written.iter().rev().filter(|(_, it)| matches(it)).map(|(post, _)| *post).collect();
        // A process of its own, without cached cards.
        let search = runtime.search()?;
        let found = walk(
            &search,
            &viewer,
            &query,
            |page, cost| match page {
                0 => first.entry(kind).or_default().push(cost),
                _ => later.push(cost),
            },
            &meter,
        )
        .await?;
        found_all += found.len();
        if found != expected {
            wrong += 1;
            println!("WRONG: {spelling} finds {} posts instead of {}", found.len(), expected.len());
        }
    }
    println!("{done} searches found {found_all} posts; {wrong} differ from a look at all {} texts", written.len());
    let all: Vec<_> = first.values().flatten().copied().collect();
    print_costs("the first page of a search", &all);
    for (kind, costs) in &first {
        print_costs(kind, costs);
    }
    print_costs("a later page of 100", &later);
    ensure!(wrong == 0, "{wrong} searches are wrong");
    Ok(())
}

async fn walk(
    search: &Search,
    viewer: &UserId,
    query: &PostQuery,
    mut measured: impl FnMut(usize, Cost),
    meter: &tidings::store::Meter,
) -> Result<Vec<PostId>> {
    let request = ReadRequest { viewer, min_version: None };
    let (mut found, mut before) = (Vec::new(), None);
    for page in 0.. {
        meter.reset();
        let answer = search.newest(request, query, before, if page == 0 { PAGE } else { LATER_PAGE }).await?;
        measured(page, meter.cost());
        found.extend(answer.entries.iter().map(|post| post.card.post));
        let Some(next) = answer.next else { break };
        ensure!(before.is_none_or(|before| next < before), "a walk stands still");
        before = Some(next);
    }
    Ok(found)
}

/// A random search for something of a post, with the kind of the search.
fn spell(sample: &Written, random: &mut StdRng) -> (&'static str, String) {
    let known = &sample.words;
    let mut any = || known.choose(random).map(|word| word.as_str().to_owned()).unwrap_or_default();
    let [one, two, three] = [any(), any(), any()];
    let parts: Vec<_> = sample.text.as_str().split_whitespace().filter(|part| !part.contains('"')).collect();
    let from = random.random_range(0..parts.len().max(1));
    let phrase = parts.iter().skip(from).take(random.random_range(2..5)).copied().collect::<Vec<_>>().join(" ");
    let tag = sample.tags.iter().choose(random);
    match (random.random_range(0..7), tag) {
        (0, _) => ("one word", one),
        (1, _) => ("two words", format!("{one} {two}")),
        (2, _) => ("three words", format!("{one} {two} {three}")),
        (3, _) => ("a phrase", format!("\"{phrase}\"")),
        (4, _) => ("a word and an author", format!("{one} from:@{}", sample.author)),
        (5, _) => ("a word without another", format!("{one} -{two}")),
        (_, Some(tag)) => ("a tag and a word", format!("#{tag} {one}")),
        (_, None) => ("one word", two),
    }
}

fn print_costs(what: &str, costs: &[Cost]) {
    let percentile = |of: fn(&Cost) -> f64, share: f64| {
        let mut all: Vec<_> = costs.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        let at = ((all.len() as f64 * share).ceil() as usize).saturating_sub(1);
        all.get(at).copied().unwrap_or_default()
    };
    let mean = |of: fn(&Cost) -> f64| costs.iter().map(of).sum::<f64>() / costs.len().max(1) as f64;
    let show = |name: &str, of: fn(&Cost) -> f64| {
        format!("{name} {:.1} (p50 {:.1}, p99 {:.1})", mean(of), percentile(of, 0.5), percentile(of, 0.99))
    };
    println!(
        "{what} ({}): {}; {}; {}; {}",
        costs.len(),
        show("round trips", |cost| f64::from(cost.round_trips)),
        show("calls", |cost| f64::from(cost.calls)),
        show("read units", |cost| cost.read_units),
        show("write units", |cost| cost.write_units)
    );
}
