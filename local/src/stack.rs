//! Starts all parts of the local stack, from a template and a data directory, and stops them again. The order matters.
//! The addresses of the servers must be known before the template is resolved, because references in the template
//! contain them. At the end, each part must stop before the parts that it reads from.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{Ipv4Addr, TcpListener},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use aws_limits::{Limits, sqs::InFlightRules};
use axum::Router;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::{
    aws,
    cache_server::{CacheServer, Mode},
    cargo,
    data_dir::DataDir,
    demo::Demo,
    dev_routes::DevRoutes,
    gateway::{self, Gateway, LocalIssuer},
    lambda::{FunctionSpec, Lambda, invoke_api},
    limited::{Limited, RequestRate},
    metric_routes,
    metrics::Metrics,
    observe::{Observed, Observer},
    servers::{
        Endpoints, Ports, Servers, conflicts::Conflicts, guard::Guard, limits::LimitingServers, provision, queues_file,
    },
    sources::{Chaos, Clients, Pace, Sources},
    template::{
        self, Addresses, Values,
        model::{Function, KeySchema, System},
    },
};

/// The most processes of one function at the same time, unless the template reserves another concurrency. This is
/// enough for every lane of a stream with four shards, and few enough for one machine.
const CONCURRENCY_MAX: u32 = 16;
/// How long the requests in progress may take when the stack stops.
const GATEWAY_GRACE: Duration = Duration::from_secs(2);

/// The settings of a stack.
#[derive(Debug, Clone)]
pub struct Options {
    /// The template's file. Its directory is the cargo workspace of the functions.
    pub template: PathBuf,
    /// The port of the HTTP API on 127.0.0.1, or 0 for any free port.
    pub port: u16,
    /// The data directory, or `None` for a temporary one.
    pub data: Option<PathBuf>,
    /// Values of template parameters.
    pub parameters: BTreeMap<String, String>,
    /// The value of the parameter `LogLevel` if `parameters` has none.
    pub function_log_level: &'static str,
    /// Whether functions may do only what their policies allow.
    pub check_access: bool,
    /// Faults of the event source mappings, for tests.
    pub chaos: Chaos,
    /// How long each transaction of a function takes, at random. During this time it conflicts with others on the same
    /// items. If the longest time is 0, transactions do not conflict.
    pub transaction_time: RangeInclusive<Duration>,
    /// AWS's limits, if requests beyond them are refused. Mappings then also poll as on AWS.
    pub limits: Option<Limits>,
    /// The timeout of every function, instead of the template's.
    pub function_timeout: Option<Duration>,
    /// Whether a shared cache is started.
    pub cache: bool,
}

/// A running stack. [`Stack::shutdown`] stops it in order. When this value is dropped or this process dies, the
/// processes of the functions die, too.
pub struct Stack {
    url: String,
    warnings: Vec<String>,
    observer: Observer,
    demo: Demo,
    stop_gateway: watch::Sender<bool>,
    gateway: JoinHandle<()>,
    sources: Arc<Sources>,
    lambda: Lambda,
    servers: Servers,
    _between: Between,
    queue_watch: JoinHandle<()>,
    _cache: Option<CacheServer>,
    /// The last field, so that it is dropped last: the directory may be a temporary one.
    _data: DataDir,
}

impl Stack {
    /// Builds the functions and starts everything. The stack serves requests when this function returns.
    ///
    /// # Errors
    /// If the port or the data directory cannot be used, the template is wrong, or the functions cannot be built. The
    /// message is for a person.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let data = DataDir::open(options.data.as_deref())?;
        let (listener, url) = bind(options.port)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (ports, endpoints) = Ports::open()?;
        let cache = match options.cache {
            true => Some(CacheServer::start(&directory_of(&options.template), Mode::Single).await?),
            false => None,
        };
        let cache_url = cache.as_ref().map(CacheServer::url);
        let (url_listener, function_url) = bind(0)?;
        let addresses = Addresses { sqs: endpoints.sqs.clone(), api: url.clone(), function_url };
        let (system, directory) = load(&options, &data, addresses, cache_url)?;
        let enhanced_fan_out = system.has_enhanced_fan_out();
        let limits = options.limits.as_ref().map(|limits| Limits { enhanced_fan_out, ..limits.clone() });

        let observer = Observer::default();
        let rules = limits.as_ref().map(InFlightRules::new).unwrap_or_default();
        let mut servers = Servers::start(ports, data.path(), observer.clone(), rules)?;
        let binaries: BTreeSet<_> = system.functions.iter().map(|function| function.binary.clone()).collect();
        let clients = Clients {
            dynamodb: aws::dynamodb(&endpoints.dynamodb),
            streams: aws::dynamodbstreams(&endpoints.dynamodb),
            kinesis: aws::kinesis(&endpoints.kinesis),
            sqs: aws::sqs(&endpoints.sqs),
            writes: None,
        };
        let provisioned = provision::provision(&system, &clients);
        let built = async { tokio::try_join!(cargo::build(&directory, &binaries), provisioned) };
        let (programs, keys) = tokio::select! {
            built = built => built?,
            error = servers.failure() => return Err(error),
        };

        let metrics = Metrics::default();
        let between = Between::start(&options, limits.as_ref(), &system, &keys, &endpoints, &metrics).await?;
        let of_sources = Clients { kinesis: aws::kinesis(&between.kinesis_of_sources), ..clients.clone() };
        let specs = function_specs(&system, &programs, &between.endpoints)?;
        let lambda = Lambda::start(specs, metrics.clone()).await?;
        let checkpoints = data.path().join("checkpoints.sqlite");
        let limited = Limited::new(lambda.clone(), &system.functions, limits.as_ref());
        let observed = Observed::new(limited, observer.clone());
        // A shutdown waits for a long poll, so even within AWS's limits it is short.
        let limited = |limits| Pace { long_poll: Pace::LOCAL.long_poll, ..Pace::limited(limits) };
        let pace = limits.as_ref().map_or(Pace::LOCAL, limited);
        let (functions, chaos) = (&system.functions, options.chaos);
        let started = Sources::start(functions, &of_sources, Some(&checkpoints), chaos, pace, observed.clone());
        let sources = Arc::new(started.await?);

        let queues_file = queues_file(data.path());
        let queue_watch =
            metric_routes::watch_queues(&system, metrics.clone(), endpoints.clone(), clients.sqs.clone(), queues_file);
        let demo = Demo::new(url.clone());
        let dev_routes = DevRoutes::new(
            &system,
            lambda.clone(),
            sources.clone(),
            endpoints,
            clients.sqs,
            observer.clone(),
            demo.clone(),
        );
        let own_routes = dev_routes
            .router()
            .merge(invoke_api::router(&system.functions, lambda.clone()))
            .merge(gateway::docs::router(&directory)?)
            .merge(metric_routes::router(&system, metrics))
            .merge(gateway::console::router(&directory))
            .merge(between.guard.as_ref().map_or_else(Router::new, Guard::router));
        let issuer = LocalIssuer::open(Some(&data.path().join("issuer-key.pk8")), &url)?;
        let api = system
            .api
            .as_ref()
            .context("the template has no AWS::Serverless::HttpApi, so there is nothing to serve")?;
        let rate = limits.as_ref().map(|limits| RequestRate::new(limits, api.throttle));
        let function_url = match system.function_urls.as_slice() {
            [] => None,
            [url] => Some(Gateway::of_function(url, &system.functions, observed.clone())?),
            _ => bail!("the local stack serves one AWS::Lambda::Url only"),
        };
        let gateway = Gateway::new(api, &system.functions, issuer, observed, own_routes, rate)?;
        let url_listener = tokio::net::TcpListener::from_std(url_listener)?;
        let (stop_gateway, gateway) = serve((gateway, listener), (function_url, url_listener));
        Ok(Self {
            url,
            warnings: system.warnings,
            observer,
            demo,
            stop_gateway,
            gateway,
            sources,
            lambda,
            servers,
            _between: between,
            queue_watch,
            _cache: cache,
            _data: data,
        })
    }

    /// The URL of the HTTP API, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the template contains that has no meaning on one machine.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The users of the demo, who do nothing until they are started.
    pub fn demo(&self) -> &Demo {
        &self.demo
    }

    /// Waits until a part fails that the stack cannot do without. Returns the failure.
    pub async fn failure(&mut self) -> anyhow::Error {
        tokio::select! {
            error = self.servers.failure() => error,
            served = &mut self.gateway => match served {
                Ok(()) => anyhow::anyhow!("the gateway has stopped"),
                Err(error) => error.into(),
            },
        }
    }

    /// Stops everything: first the gateway, then the event sources, then the functions, then the servers.
    pub async fn shutdown(mut self) {
        self.demo.stop();
        self.observer.close();
        self.stop_gateway.send_replace(true);
        if timeout(GATEWAY_GRACE, &mut self.gateway).await.is_err() {
            self.gateway.abort();
        }
        tracing::debug!("the gateway has stopped");
        self.queue_watch.abort();
        self.sources.shutdown().await;
        tracing::debug!("the event sources have stopped");
        self.lambda.shutdown().await;
        tracing::debug!("the functions have stopped");
        self.servers.shutdown().await;
        tracing::debug!("the servers have stopped");
    }
}

/// The servers that stand between the functions and the embedded ones. Each of them refuses what AWS would refuse.
struct Between {
    _conflicts: Option<Conflicts>,
    _limiting: Option<LimitingServers>,
    guard: Option<Guard>,
    /// Where the functions find AWS's services.
    endpoints: Endpoints,
    /// Where event sources find Kinesis. They have no policies.
    kinesis_of_sources: String,
}

impl Between {
    async fn start(
        options: &Options,
        limits: Option<&Limits>,
        system: &System,
        keys: &HashMap<String, KeySchema>,
        servers: &Endpoints,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let mut endpoints = servers.clone();
        let time = &options.transaction_time;
        let conflicts = match *time.end() {
            Duration::ZERO => None,
            _ => Some(Conflicts::start(&endpoints.dynamodb, keys.clone(), time.clone()).await?),
        };
        if let Some(conflicts) = &conflicts {
            endpoints.dynamodb.clone_from(&conflicts.url);
        }
        let limiting = match limits {
            Some(limits) => Some(LimitingServers::start(&endpoints, system, limits, metrics.clone()).await?),
            None => None,
        };
        if let Some(limiting) = &limiting {
            endpoints = limiting.endpoints.clone();
        }
        let kinesis_of_sources = endpoints.kinesis.clone();
        let guard = match options.check_access {
            true => Some(Guard::start(&endpoints, system, keys).await?),
            false => None,
        };
        if let Some(guard) = &guard {
            endpoints = guard.endpoints.clone();
        }
        Ok(Self { _conflicts: conflicts, _limiting: limiting, guard, endpoints, kinesis_of_sources })
    }
}

/// Serves the API and the function's URL until told to stop, or until the stack is dropped.
fn serve(
    (gateway, listener): (Gateway, tokio::net::TcpListener),
    (function_url, url_listener): (Option<Gateway>, tokio::net::TcpListener),
) -> (watch::Sender<bool>, JoinHandle<()>) {
    let stop = watch::Sender::new(false);
    let stopped = || {
        let mut stopped = stop.subscribe();
        // An error means that the stack was dropped.
        async move { drop(stopped.wait_for(|stop| *stop).await) }
    };
    let (of_api, of_url) = (stopped(), stopped());
    let serving = tokio::spawn(async move {
        let function_url = async {
            match function_url {
                Some(function_url) => function_url.serve(url_listener, of_url).await,
                None => of_url.await,
            }
        };
        tokio::join!(gateway.serve(listener, of_api), function_url);
    });
    (stop, serving)
}

/// Opens `port` on loopback, or any free port if it is 0. Returns the listener and its URL.
///
/// # Errors
/// If the port cannot be opened.
pub fn bind(port: u16) -> anyhow::Result<(TcpListener, String)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .with_context(|| format!("cannot listen on 127.0.0.1:{port}; try another --port"))?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

/// Reads the template. Returns the system and the directory of the template.
fn load(
    options: &Options,
    data: &DataDir,
    addresses: Addresses,
    cache_url: Option<String>,
) -> anyhow::Result<(System, PathBuf)> {
    let mut supplied = BTreeMap::from([
        ("JwtIssuer".to_owned(), addresses.api.clone()),
        ("CursorKey".to_owned(), data.cursor_key()?),
        ("LogLevel".to_owned(), options.function_log_level.to_owned()),
        // The console shows what each request cost.
        ("ShowCosts".to_owned(), "true".to_owned()),
        // Search and statistics are part of what is tried out.
        ("SearchDays".to_owned(), "30".to_owned()),
        ("StatisticsDays".to_owned(), "400".to_owned()),
    ]);
    supplied.extend(cache_url.map(|url| ("CacheUrl".to_owned(), url)));
    let values = Values { given: options.parameters.clone(), supplied };
    let mut system = template::load(&options.template, values, addresses)?;
    if let Some(timeout) = options.function_timeout {
        system.functions.iter_mut().for_each(|function| function.timeout = timeout);
    }
    Ok((system, directory_of(&options.template)))
}

/// The directory that contains a template.
pub(crate) fn directory_of(template: &Path) -> PathBuf {
    match template.parent() {
        Some(directory) if directory != Path::new("") => directory.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn function_specs(
    system: &System,
    programs: &BTreeMap<String, PathBuf>,
    endpoints: &Endpoints,
) -> anyhow::Result<Vec<FunctionSpec>> {
    let spec = |function: &Function| {
        let Some(program) = programs.get(&function.binary) else {
            bail!("the binary {} of the function {} was not built", function.binary, function.name);
        };
        let mut environment = function.environment.clone();
        let own = [
            // The servers accept any access key id. The access guard recognizes the function by it.
            ("AWS_ACCESS_KEY_ID", function.name.as_str()),
            ("AWS_SECRET_ACCESS_KEY", aws::TEST_CREDENTIAL),
            ("AWS_REGION", aws::REGION),
            ("AWS_DEFAULT_REGION", aws::REGION),
            ("AWS_ENDPOINT_URL_DYNAMODB", &endpoints.dynamodb),
            ("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", &endpoints.dynamodb),
            ("AWS_ENDPOINT_URL_KINESIS", &endpoints.kinesis),
            ("AWS_ENDPOINT_URL_SQS", &endpoints.sqs),
        ];
        environment.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Ok(FunctionSpec {
            name: function.name.clone(),
            program: program.clone(),
            environment,
            timeout: function.timeout,
            memory_mib: function.memory_mib,
            max_concurrency: function.max_concurrency.unwrap_or(CONCURRENCY_MAX),
            allows_recursion: function.allows_recursion,
        })
    };
    system.functions.iter().map(spec).collect()
}
