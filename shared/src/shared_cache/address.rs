//! The URL of the server (`CacheUrl` of the template).

use std::{fmt, str::FromStr};

use url::Url;

/// Where the server is, and how to speak to it: `redis://host:6379`, or `rediss://…` with TLS, with user and password
/// if it wants them. `?cluster=true` says that it is a cluster. `?iam=<name of the cache>` says that the password is a
/// token that IAM confirms.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Without its query.
    pub(super) url: Url,
    /// Whether the server is a cluster.
    pub(super) is_cluster: bool,
    /// The name of the ElastiCache cache, if IAM authenticates.
    pub(super) iam: Option<String>,
}

/// A text is no URL of a cache.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// It is no URL.
    #[error("it is no URL, such as rediss://host:6379?cluster=true: {0}")]
    NoUrl(#[from] url::ParseError),
    /// It has another scheme, or no host.
    #[error("it has to begin with redis:// or rediss:// and a host")]
    Scheme,
    /// It has a path other than a number of a database, or a fragment.
    #[error("there is nothing to name behind the host and port but `?cluster=true` and `?iam=`")]
    Path,
    /// It has an unknown member of the query.
    #[error("`{0}` is neither `cluster=true`, `cluster=false` nor `iam=` with the name of a cache")]
    Query(String),
    /// IAM needs TLS and a user.
    #[error("with `iam`, it has to begin with rediss:// and a user")]
    Iam,
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let mut url = Url::parse(text)?;
        if !["redis", "rediss"].contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
            return Err(InvalidAddress::Scheme);
        }
        if !["", "/"].contains(&url.path()) || url.fragment().is_some() {
            return Err(InvalidAddress::Path);
        }
        let (mut is_cluster, mut iam) = (false, None);
        for (name, value) in url.query_pairs() {
            match (name.as_ref(), value.as_ref()) {
                ("cluster", "true") => is_cluster = true,
                ("cluster", "false") => is_cluster = false,
                ("iam", cache) if !cache.is_empty() => iam = Some(cache.to_owned()),
                (name, value) => return Err(InvalidAddress::Query(format!("{name}={value}"))),
            }
        }
        if iam.is_some() && (url.scheme() != "rediss" || url.username().is_empty()) {
            return Err(InvalidAddress::Iam);
        }
        url.set_query(None);
        Ok(Self { url, is_cluster, iam })
    }
}

/// Without the password.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (self.url.host_str().unwrap_or_default(), self.url.port().unwrap_or_default());
        write!(f, "Address({}://{host}:{port})", self.url.scheme())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_how_to_speak_to_the_server() {
        let address: Address =
            "rediss://default.iam-user@cache.example:6379/?cluster=true&iam=tidings".parse().unwrap();
        assert!(address.is_cluster && address.iam.as_deref() == Some("tidings"));
        assert_eq!(address.url.as_str(), "rediss://default.iam-user@cache.example:6379/");
        let plain: Address = "redis://127.0.0.1:6379".parse().unwrap();
        assert!(!plain.is_cluster && plain.iam.is_none());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "localhost:6379",
            "http://localhost",
            "redis://",
            "redis://localhost/0/1",
            "redis://localhost#x",
            "redis://localhost?cluster=yes",
            "redis://localhost?iam=",
            "redis://user@localhost?iam=tidings",
            "rediss://localhost?iam=tidings",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn logs_do_not_show_the_password() {
        let address: Address = "redis://user:secret@localhost:6379".parse().unwrap();
        assert!(!format!("{address:?}").contains("secret"));
    }
}
