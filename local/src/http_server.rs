//! Serves HTTP/1.1 on a loopback port. A client that stalls does not hold a connection for ever: it has to send the
//! head of a request in time, and then some bytes of the body in time, again and again.

use std::{convert::Infallible, future::Future, net::SocketAddr, pin::pin, time::Duration};

use axum::{
    BoxError, Extension, Router,
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
};
use futures::{StreamExt as _, stream};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tower::{Service, ServiceExt as _};

/// How long a server waits after an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How long a server waits for its clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For the whole head of a request. A connection without a request is closed after this time, too.
    pub(crate) head: Duration,
    /// For the next bytes of a body.
    pub(crate) body: Duration,
    /// For requests in progress, when the server stops.
    pub(crate) shutdown: Duration,
}

impl Patience {
    /// The patience of the local stack. Clients give up an idle connection after 90 s at the latest.
    pub(crate) const LOCAL: Self =
        Self { head: Duration::from_secs(120), body: Duration::from_secs(20), shutdown: Duration::from_secs(10) };
}

/// Serves `router` on `listener` until `shutdown` completes and the requests in progress are answered. Handlers can
/// extract `ConnectInfo<SocketAddr>`.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    patience: Patience,
    shutdown: impl Future<Output = ()>,
) {
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        connections.spawn(serve_connection(stream, service(&router, peer, patience), patience, stopped.clone()));
    }
    drop(listener);
    stop.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(patience.shutdown, all).await.is_err() {
        tracing::debug!("requests in progress were not answered before the server stopped");
    }
}

/// Serves one connection until the client closes it, or until the server stops.
async fn serve_connection<S>(stream: TcpStream, service: S, patience: Patience, mut stopped: watch::Receiver<bool>)
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone,
{
    // Otherwise a small answer may wait until the client acknowledges the answer before it.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { stopped.wait_for(|stop| *stop).await.map(drop).unwrap_or_default() } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// What answers the requests of a client.
fn service(
    router: &Router,
    peer: SocketAddr,
    patience: Patience,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static {
    let body = move |request: Request<Incoming>| request.map(|body| timed(body, patience.body));
    router.clone().layer(Extension(ConnectInfo(peer))).map_request(body)
}

/// The same body, which fails if the client sends nothing for this time.
fn timed(body: Incoming, patience: Duration) -> Body {
    let chunks = stream::unfold(Body::new(body).into_data_stream(), move |mut chunks| async move {
        match timeout(patience, chunks.next()).await {
            Ok(chunk) => chunk.map(|chunk| (chunk.map_err(BoxError::from), chunks)),
            Err(_) => Some((Err("the client has stalled".into()), chunks)),
        }
    });
    Body::from_stream(chunks)
}

#[cfg(test)]
mod tests {
    use axum::{body::Bytes, routing::post};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
        sync::oneshot,
        task::JoinHandle,
    };

    use super::*;

    const QUICK: Patience = Patience {
        head: Duration::from_millis(300),
        body: Duration::from_millis(300),
        shutdown: Duration::from_millis(300),
    };

    /// A server that answers with the body of the request.
    async fn echo() -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", post(async |body: Bytes| body));
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serve(listener, router, QUICK, async move {
            stopped.await.ok();
        }));
        (address, stop, served)
    }

    /// What the server answers until it closes the connection.
    async fn answer(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await;
        read.expect("the server closes the connection").unwrap();
        answer
    }

    #[tokio::test]
    async fn a_request_is_answered() {
        let (address, _stop, _) = echo().await;
        let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
        let answer = answer(address, request).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nhi"), "{answer}");
    }

    #[tokio::test]
    async fn a_request_that_stalls_in_its_head_or_in_its_body_is_ended() {
        let (address, _stop, _) = echo().await;
        for stalled in ["", "POST / HT", "POST / HTTP/1.1\r\nHost: a\r\n"] {
            let answer = answer(address, stalled).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{stalled:?}: {answer}");
        }
        let answer = answer(address, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhi").await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }

    #[tokio::test]
    async fn a_client_that_stalls_does_not_hold_up_the_end_of_the_server() {
        let (address, stop, served) = echo().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhi").await.unwrap();
        stop.send(()).unwrap();
        timeout(Duration::from_secs(20), served).await.expect("the server stops").unwrap();
    }
}
