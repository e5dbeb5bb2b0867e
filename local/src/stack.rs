//! Puts the parts together: from a template and a data directory to a system that serves HTTP, and back to nothing. Order
//! matters twice: addresses must be known before the template is resolved, as its references contain them; and what
//! reads must end before what it reads from.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use axum::Router;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::{
    aws, cargo,
    control::Control,
    data_dir::DataDir,
    gateway::{self, Gateway, LocalIssuer},
    lambda::{FunctionSpec, Lambda, invoke_api},
    servers::{Endpoints, Ports, Servers, conflicts::Conflicts, guard::Guard, provision},
    sources::{Chaos, Clients, Pace, Sources},
    template::{
        self, Addresses, Values,
        model::{Function, System},
    },
};

/// Processes of one function at the same time, unless the template reserves another concurrency: enough for every lane
/// of a stream with four shards, few enough for one machine.
const CONCURRENCY_MAX: u32 = 16;
/// How long requests under way may go on when the stack ends.
const GATEWAY_GRACE: Duration = Duration::from_secs(2);

/// How a stack is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The template's file. Its directory is the cargo workspace of the functions.
    pub template: PathBuf,
    /// Port of the HTTP API on 127.0.0.1; 0 for any free one.
    pub port: u16,
    /// Where data is kept; none for a temporary directory.
    pub data: Option<PathBuf>,
    /// Template parameters.
    pub parameters: BTreeMap<String, String>,
    /// What `LogLevel` is if the parameters do not say.
    pub function_log_level: &'static str,
    /// Whether functions may only do what their policies allow.
    pub check_access: bool,
    /// Misfortunes for tests.
    pub chaos: Chaos,
    /// How long functions' transactions take, and conflict; not at all if this is nothing.
    pub transaction_time: Duration,
}

/// A running stack. It ends in order with [`Stack::shutdown`]; when it is dropped, or the process dies, its functions'
/// processes die with it.
pub struct Stack {
    url: String,
    warnings: Vec<String>,
    stop_gateway: watch::Sender<bool>,
    gateway: JoinHandle<std::io::Result<()>>,
    sources: Arc<Sources>,
    lambda: Lambda,
    servers: Servers,
    _conflicts: Option<Conflicts>,
    _guard: Option<Guard>,
    /// Last: the directory may be a temporary one.
    _data: DataDir,
}

impl Stack {
    /// Builds the functions and starts everything. When this returns, requests are served.
    ///
    /// # Errors
    /// If anything cannot be had: the port, the data directory, a correct template, the functions' binaries. The message is
    /// for a person.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let data = DataDir::open(options.data.as_deref())?;
        let (listener, url) = bind(options.port)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (ports, endpoints) = Ports::open()?;
        let (system, directory) = load(&options, &data, &url, &endpoints)?;

        let mut servers = Servers::start(ports, data.path())?;
        let binaries: BTreeSet<_> = system.functions.iter().map(|function| function.binary.clone()).collect();
        let clients = Clients {
            dynamodb: aws::dynamodb(&endpoints.dynamodb),
            streams: aws::dynamodbstreams(&endpoints.dynamodb),
            kinesis: aws::kinesis(&endpoints.kinesis),
            sqs: aws::sqs(&endpoints.sqs),
        };
        let provisioned = provision::provision(&system, &clients);
        let built = async { tokio::try_join!(cargo::build(&directory, &binaries), provisioned) };
        let (programs, ()) = tokio::select! {
            built = built => built?,
            error = servers.failure() => return Err(error),
        };

        let conflicts = match options.transaction_time {
            Duration::ZERO => None,
            time => {
                let keys = system.tables.iter().map(|table| (table.name.clone(), table.key.clone())).collect();
                Some(Conflicts::start(&endpoints.dynamodb, keys, time).await?)
            }
        };
        let dynamodb = conflicts.as_ref().map_or(&endpoints.dynamodb, |conflicts| &conflicts.url).clone();
        let of_functions = Endpoints { dynamodb, ..endpoints.clone() };
        let guard = match options.check_access {
            true => Some(Guard::start(&of_functions, &system).await?),
            false => None,
        };
        let of_functions = guard.as_ref().map_or(of_functions, |guard| guard.endpoints.clone());
        let lambda = Lambda::start(function_specs(&system, &programs, &of_functions)?).await?;
        let checkpoints = data.path().join("checkpoints.sqlite");
        let sources =
            Sources::start(&system.functions, &clients, Some(&checkpoints), options.chaos, Pace::LOCAL, lambda.clone())
                .await?;
        let sources = Arc::new(sources);

        let control = Control::new(&system, lambda.clone(), sources.clone(), endpoints, clients.sqs);
        let issuer = LocalIssuer::open(Some(&data.path().join("issuer-key.pk8")), &url)?;
        let api = system
            .api
            .as_ref()
            .context("the template has no AWS::Serverless::HttpApi, so there is nothing to serve")?;
        let invoke_api = invoke_api::router(&system.functions, lambda.clone());
        let own_routes = control.router().merge(invoke_api).merge(gateway::docs::router(&directory)?);
        let own_routes = own_routes.merge(guard.as_ref().map_or_else(Router::new, Guard::router));
        let gateway = Gateway::new(api, &system.functions, issuer, lambda.clone(), own_routes)?;
        let stop_gateway = watch::Sender::new(false);
        let mut stopped = stop_gateway.subscribe();
        let gateway = tokio::spawn(gateway.serve(listener, async move {
            // An error means that the stack is gone.
            stopped.wait_for(|stop| *stop).await.ok();
        }));
        Ok(Self {
            url,
            warnings: system.warnings,
            stop_gateway,
            gateway,
            sources,
            lambda,
            servers,
            _conflicts: conflicts,
            _guard: guard,
            _data: data,
        })
    }

    /// Where the HTTP API is served, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the template says that has no meaning on one machine.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Waits until something fails without which the stack is of no use; gives what.
    pub async fn failure(&mut self) -> anyhow::Error {
        tokio::select! {
            error = self.servers.failure() => error,
            served = &mut self.gateway => match served {
                Ok(Err(error)) => error.into(),
                Ok(Ok(())) => anyhow::anyhow!("the gateway ended"),
                Err(error) => error.into(),
            },
        }
    }

    /// Ends everything: first what takes requests, then what reads, then what runs, then what is read from.
    pub async fn shutdown(mut self) {
        self.stop_gateway.send_replace(true);
        if timeout(GATEWAY_GRACE, &mut self.gateway).await.is_err() {
            self.gateway.abort();
        }
        tracing::debug!("the gateway ended");
        self.sources.shutdown().await;
        tracing::debug!("the event sources ended");
        self.lambda.shutdown().await;
        tracing::debug!("the functions ended");
        self.servers.shutdown().await;
        tracing::debug!("the servers ended");
    }
}

/// Opens `port` on loopback, or any free one if it is 0; gives it and its URL.
///
/// # Errors
/// If the port cannot be had.
pub fn bind(port: u16) -> anyhow::Result<(TcpListener, String)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .with_context(|| format!("cannot listen on 127.0.0.1:{port}; another --port may be free"))?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

/// Reads the template; gives the system and the directory of the template.
fn load(options: &Options, data: &DataDir, url: &str, endpoints: &Endpoints) -> anyhow::Result<(System, PathBuf)> {
    let supplied = BTreeMap::from([
        ("JwtIssuer".to_owned(), url.to_owned()),
        ("CursorKey".to_owned(), data.cursor_key()?),
        ("LogLevel".to_owned(), options.function_log_level.to_owned()),
    ]);
    let values = Values { given: options.parameters.clone(), supplied };
    let addresses = Addresses { sqs: endpoints.sqs.clone(), api: url.to_owned() };
    let system = template::load(&options.template, values, addresses)?;
    Ok((system, directory_of(&options.template)))
}

/// The directory that a template lies in.
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
            bail!("function {} has no binary {}", function.name, function.binary);
        };
        let mut environment = function.environment.clone();
        let own = [
            // The servers take any; the guard knows functions by it.
            ("AWS_ACCESS_KEY_ID", function.name.as_str()),
            ("AWS_SECRET_ACCESS_KEY", aws::TEST_CREDENTIAL),
            ("AWS_REGION", aws::REGION),
            ("AWS_DEFAULT_REGION", aws::REGION),
            ("AWS_ENDPOINT_URL_DYNAMODB", &endpoints.dynamodb),
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
        })
    };
    system.functions.iter().map(spec).collect()
}
