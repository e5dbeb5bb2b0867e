//! The HTTP API without connections and without tokens: a request of a caller who is known, answered by the same routes
//! and events as over HTTP. The simulated world calls it.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Map, Value};

use super::{Api, Front, INTEGRATION_TIMEOUT, read, response::message, route::Routes};
use crate::{invoke::Invoke, template::model::Function};

/// An HTTP API that takes the caller's word for who calls.
pub struct DirectApi<I>(Arc<Api<I>>);

impl<I> Clone for DirectApi<I> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<I: Invoke> DirectApi<I> {
    /// The API with the routes of `functions`.
    ///
    /// # Errors
    /// If the routes contradict each other.
    pub fn new(functions: &[Function], invoker: I) -> anyhow::Result<Self> {
        let routes = Routes::new(functions)?;
        let integration_timeout = INTEGRATION_TIMEOUT;
        Ok(Self(Arc::new(Api {
            front: Front::HttpApi(String::new()),
            routes,
            cors: None,
            authorizer: None,
            invoker,
            integration_timeout,
            rate: None,
        })))
    }

    /// The key of the route of a request, if there is one.
    pub fn route_key(&self, request: &Request<Bytes>) -> Option<&str> {
        let route = self.0.routes.find(request.method().as_str(), request.uri().path());
        route.ok().flatten().map(|route| route.key)
    }

    /// Answers a request of the user whose id is `subject`, as a token's `sub` claim.
    pub async fn answer(&self, subject: &str, request_id: &str, request: Request<Bytes>) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        let claims = Map::from_iter([("sub".to_owned(), Value::from(subject))]);
        let peer = SocketAddr::from(([127, 0, 0, 1], 0));
        let response = match self.0.route(&parts) {
            Ok(route) => self.0.forward(&parts, &body, &route, Some(&claims), peer, request_id).await,
            Err((status, text)) => message(status, text),
        };
        let (parts, body) = response.into_parts();
        // The body is in memory and within limits, or the function's answer would have been refused.
        let body = read(body).await.ok().flatten().unwrap_or_default();
        Response::from_parts(parts, body)
    }
}
