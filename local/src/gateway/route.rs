//! Finds the function that serves a request, by the routes of the template and the precedence rules of HTTP APIs. A
//! route that matches the whole path comes before a route with a greedy parameter, and this one before `$default`.
//! Among equal routes, the one whose path is fixed for longer comes first, and then a named method before `ANY`. A
//! trailing slash is part of the path, as on AWS: `/v1/me/` is not `/v1/me`.

use std::borrow::Cow;

use anyhow::{bail, ensure};
use percent_encoding::percent_decode_str;

use crate::template::model::Function;

/// The key of the route for requests that match no other route.
const DEFAULT: &str = "$default";

/// The routes of an API.
#[derive(Debug)]
pub(super) struct Routes(Vec<Route>);

#[derive(Debug)]
struct Route {
    method: String,
    segments: Vec<Segment>,
    key: String,
    function: String,
}

/// In order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    Parameter(String),
    Greedy(String),
}

/// The route of a request, with its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Match<'a> {
    /// The function to invoke.
    pub(super) function: &'a str,
    /// The key of the route, for example `GET /v1/users/{user}`.
    pub(super) key: &'a str,
    /// The path parameters, percent-decoded.
    pub(super) parameters: Vec<(&'a str, String)>,
}

/// The path has percent-encoded bytes that are not UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotUtf8;

impl Routes {
    /// The routes of all functions.
    ///
    /// # Errors
    /// If a path is malformed, or if two routes are the same.
    pub(super) fn new(functions: &[Function]) -> anyhow::Result<Self> {
        let mut routes: Vec<Route> = Vec::new();
        for function in functions {
            for route in &function.routes {
                let new = Route::new(&route.method, &route.path, &function.name)?;
                if let Some(old) = routes.iter().find(|old| old.method == new.method && old.shape() == new.shape()) {
                    bail!(
                        "the routes {} of {} and {} of {} are the same",
                        old.key,
                        old.function,
                        new.key,
                        new.function
                    );
                }
                routes.push(new);
            }
        }
        routes.sort_by(|a, b| a.precedence().cmp(&b.precedence()));
        Ok(Self(routes))
    }

    /// Everything to the function with this logical id.
    pub(super) fn all_to(function: &str) -> Self {
        let (method, key) = ("ANY".to_owned(), DEFAULT.to_owned());
        Self(vec![Route { method, segments: Vec::new(), key, function: function.to_owned() }])
    }

    /// The route for `method` and the path as the client sent it.
    pub(super) fn find(&self, method: &str, raw_path: &str) -> Result<Option<Match<'_>>, NotUtf8> {
        // Split before decoding, because an encoded slash belongs to its segment.
        let segments: Vec<&str> = raw_path.trim_start_matches('/').split('/').collect();
        for segment in &segments {
            decode(segment)?;
        }
        Ok(self.0.iter().filter(|route| route.method == method || route.method == "ANY").find_map(|route| {
            let parameters = route.parameters(&segments)?;
            Some(Match { function: &route.function, key: &route.key, parameters })
        }))
    }
}

impl Route {
    fn new(method: &str, path: &str, function: &str) -> anyhow::Result<Self> {
        if path == DEFAULT {
            return Ok(Self {
                method: "ANY".to_owned(),
                segments: Vec::new(),
                key: DEFAULT.to_owned(),
                function: function.to_owned(),
            });
        }
        let key = format!("{method} {path}");
        let Some(relative) = path.strip_prefix('/') else { bail!("the path of the route {key} does not begin with /") };
        let mut segments = Vec::new();
        for part in relative.split('/') {
            segments.push(match part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) => match name.strip_suffix('+') {
                    Some(name) => Segment::Greedy(name.to_owned()),
                    None => Segment::Parameter(name.to_owned()),
                },
                None => Segment::Literal(part.to_owned()),
            });
        }
        let (last, others) = segments.split_last().unzip();
        let greedy = |segment: &Segment| matches!(segment, Segment::Greedy(_));
        ensure!(
            !others.is_some_and(|others| others.iter().any(greedy)),
            "in {key}, a greedy parameter is not the last"
        );
        let empty = |segment: &Segment| match segment {
            Segment::Literal(text) | Segment::Parameter(text) | Segment::Greedy(text) => text.is_empty(),
        };
        let is_root = segments.len() == 1 && last == Some(&Segment::Literal(String::new()));
        ensure!(is_root || !segments.iter().any(empty), "the path of the route {key} has an empty segment");
        Ok(Self { method: method.to_owned(), segments, key, function: function.to_owned() })
    }

    /// The path parameters if this route matches.
    fn parameters(&self, path: &[&str]) -> Option<Vec<(&str, String)>> {
        if self.key == DEFAULT {
            return Some(Vec::new());
        }
        let mut parameters = Vec::new();
        let mut rest = path.iter();
        for segment in &self.segments {
            let part = rest.next()?;
            match segment {
                Segment::Literal(text) if *decode(part).ok()? == **text => {}
                Segment::Parameter(name) if !part.is_empty() => {
                    parameters.push((name.as_str(), decode(part).ok()?.into_owned()));
                }
                Segment::Greedy(name) => {
                    let parts: Vec<&str> = std::iter::once(part).chain(rest.by_ref()).copied().collect();
                    parameters.push((name.as_str(), decode(&parts.join("/")).ok()?.into_owned()));
                }
                Segment::Literal(_) | Segment::Parameter(_) => return None,
            }
        }
        rest.next().is_none().then_some(parameters)
    }

    /// The precedence. Routes with a smaller value are tried first.
    fn precedence(&self) -> impl Ord {
        let greedy = matches!(self.segments.last(), Some(Segment::Greedy(_)));
        (self.key == DEFAULT, greedy, self.segments.clone(), self.method == "ANY")
    }

    /// The path without the names of its parameters. Two routes with the same value match the same paths.
    fn shape(&self) -> Vec<Segment> {
        let blank = |segment: &Segment| match segment {
            Segment::Literal(text) => Segment::Literal(text.clone()),
            Segment::Parameter(_) => Segment::Parameter(String::new()),
            Segment::Greedy(_) => Segment::Greedy(String::new()),
        };
        // This also tells `$default` from `/`, which has one empty segment.
        self.segments.iter().map(blank).collect()
    }
}

/// Percent-decodes a path.
pub(super) fn decode(text: &str) -> Result<Cow<'_, str>, NotUtf8> {
    percent_decode_str(text).decode_utf8().map_err(|_| NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::{Function, NotUtf8, Routes};
    use crate::template::model;

    fn function(name: &str, routes: &[&str]) -> Function {
        let route = |route: &&str| {
            let (method, path) = route.split_once(' ').unwrap();
            model::Route { method: method.to_owned(), path: path.to_owned() }
        };
        Function { routes: routes.iter().map(route).collect(), ..Function::named(name) }
    }

    fn routes(routes: &[&str]) -> Routes {
        Routes::new(&[function("f", routes)]).unwrap()
    }

    fn key<'a>(routes: &'a Routes, method: &str, path: &str) -> Option<&'a str> {
        routes.find(method, path).unwrap().map(|found| found.key)
    }

    #[test]
    fn the_most_specific_route_wins_in_whatever_order_they_stand() {
        let mut all = vec![
            "ANY $default",
            "ANY /{proxy+}",
            "GET /pets/{proxy+}",
            "GET /pets/{kind}/{id}",
            "GET /pets/dog/{id}",
            "GET /pets/dog/1",
            "ANY /pets/dog/1",
            "GET /{a}/cat/1",
        ];
        for _ in 0..all.len() {
            all.rotate_left(1);
            let routes = routes(&all);
            for (method, path, expected) in [
                ("GET", "/pets/dog/1", "GET /pets/dog/1"),
                ("POST", "/pets/dog/1", "ANY /pets/dog/1"),
                ("GET", "/pets/dog/2", "GET /pets/dog/{id}"),
                ("GET", "/pets/cat/1", "GET /pets/{kind}/{id}"),
                ("GET", "/zoo/cat/1", "GET /{a}/cat/1"),
                ("GET", "/pets/dog/2/3", "GET /pets/{proxy+}"),
                ("GET", "/pets", "ANY /{proxy+}"),
                ("POST", "/pets/dog/2", "ANY /{proxy+}"),
            ] {
                assert_eq!(key(&routes, method, path), Some(expected), "{method} {path}");
            }
        }
    }

    #[test]
    fn the_default_route_takes_the_rest_and_without_it_nothing_does() {
        assert_eq!(key(&routes(&["GET /a", "ANY $default"]), "PUT", "/x/y"), Some("$default"));
        let routes = routes(&["GET /a", "PUT /b/{c}"]);
        for (method, path) in
            [("PUT", "/a"), ("GET", "/a/"), ("GET", "/a/b"), ("GET", "/"), ("PUT", "/b/"), ("PUT", "/b")]
        {
            assert_eq!(key(&routes, method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn the_root_can_have_a_route() {
        let routes = routes(&["GET /", "ANY $default"]);
        assert_eq!(key(&routes, "GET", "/"), Some("GET /"));
        assert_eq!(key(&routes, "GET", "/a"), Some("$default"));
    }

    #[test]
    fn parameters_are_decoded_each_for_itself() {
        let routes = routes(&["GET /v1/users/{user}/posts/{post}", "GET /files/{path+}"]);
        let found = routes.find("GET", "/v1/users/auth0%7Ca%2Fb%20%C3%BC/posts/%40x").unwrap().unwrap();
        assert_eq!(found.parameters, [("user", "auth0|a/b ü".to_owned()), ("post", "@x".to_owned())]);
        let found = routes.find("GET", "/files/a/b%20c/").unwrap().unwrap();
        assert_eq!(found.parameters, [("path", "a/b c/".to_owned())]);
        assert_eq!(routes.find("GET", "/v1/users/%FF/posts/1"), Err(NotUtf8));
    }

    #[test]
    fn malformed_and_doubled_routes_are_errors() {
        for bad in ["GET users", "GET /a//b", "GET /a/", "GET /{}", "GET /{a+}/b"] {
            assert!(Routes::new(&[function("f", &[bad])]).is_err(), "{bad}");
        }
        let error = Routes::new(&[function("f", &["GET /a/{b}"]), function("g", &["GET /a/{c}"])]).unwrap_err();
        assert_eq!(error.to_string(), "the routes GET /a/{b} of f and GET /a/{c} of g are the same");
        assert!(Routes::new(&[function("f", &["GET /a", "POST /a", "GET /", "ANY $default"])]).is_ok());
    }
}
