//! The console: the page at `/` with its files, in the directory `web` next to the template. The files are read for
//! every request, so an edit shows when the page is loaded again. They need no token, and exist only here: on AWS,
//! another template publishes them (`web/cloudfront.yaml`).

use std::path::{Path, PathBuf};

use axum::{
    Router,
    extract::Path as UrlPath,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use serde_json::Value;

use super::response::message;

/// The directory of the files, next to the template.
const DIRECTORY: &str = "web";
/// The file that tells the page which API it is for, and where users sign in.
const CONFIGURATION: &str = "config.json";
/// What the page may load: only what this server serves. There are neither inline scripts nor inline styles. The page
/// may call this server, and the origins that follow.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'; connect-src 'self'";

/// The routes of the files in `directory`. There are none if there is no console.
pub fn router(directory: &Path) -> Router {
    let files = directory.join(DIRECTORY);
    if !files.join("index.html").is_file() {
        return Router::new();
    }
    let one = |name: &'static str| {
        let files = files.clone();
        get(async move || served(&files, files.join(name)).await)
    };
    let of_console = files.clone();
    let in_console = async move |UrlPath(path): UrlPath<String>| match below(&of_console.join("console"), &path) {
        Some(path) => served(&of_console, path).await,
        None => not_found(),
    };
    Router::new()
        .route("/", one("index.html"))
        .route(&format!("/{CONFIGURATION}"), one(CONFIGURATION))
        .route("/console/{*path}", get(in_console))
}

/// The file at a relative path, which must not lead out of the directory.
fn below(directory: &Path, path: &str) -> Option<PathBuf> {
    let is_name = |name: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed)
    };
    path.split('/').all(is_name).then(|| directory.join(path))
}

async fn served(files: &Path, path: PathBuf) -> Response {
    let Some(kind) = media_type(&path) else {
        return not_found();
    };
    let Ok(content) = tokio::fs::read(&path).await else {
        return not_found();
    };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy(&files.join(CONFIGURATION)).await),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        // A browser asks each time, so an edit shows at once.
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    (headers, content).into_response()
}

/// The content security policy. The member `connect` of the configuration has more origins that the page may call:
/// those of another API and of an OpenID Connect provider.
async fn policy(configuration: &Path) -> String {
    let text = tokio::fs::read(configuration).await.unwrap_or_default();
    let configuration: Value = serde_json::from_slice(&text).unwrap_or_default();
    let named = configuration["connect"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let origins: String = named.filter(|text| is_origin(text)).map(|origin| format!(" {origin}")).collect();
    format!("{CONTENT_SECURITY_POLICY}{origins}")
}

/// Whether a text is an origin such as `https://example.org`, and nothing else that a policy could contain.
fn is_origin(text: &str) -> bool {
    let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    authority.is_some_and(|authority| {
        !authority.is_empty() && authority.chars().all(|c| c.is_ascii_alphanumeric() || "-.:[]".contains(c))
    })
}

fn media_type(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()? {
        "html" => Some("text/html; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "json" => Some("application/json"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

fn not_found() -> Response {
    message(StatusCode::NOT_FOUND, "Not Found")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn get(router: &Router, path: &str) -> Response {
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn the_files_are_read_anew_and_come_with_a_strict_policy() {
        let directory = tempfile::tempdir().unwrap();
        let web = directory.path().join("web");
        fs::create_dir_all(web.join("console/parts")).unwrap();
        fs::write(web.join("index.html"), "one").unwrap();
        fs::write(web.join("console/parts/a.js"), "two").unwrap();
        fs::write(web.join("console/notes.md"), "no").unwrap();
        fs::write(web.join("console/.hidden.js"), "no").unwrap();
        fs::write(directory.path().join("secret.js"), "no").unwrap();
        let router = router(directory.path());
        let body = async |path: &str| {
            let response = get(&router, path).await;
            let status = response.status().as_u16();
            (status, axum::body::to_bytes(response.into_body(), 1_000).await.unwrap().to_vec())
        };
        assert_eq!(body("/").await, (200, b"one".to_vec()));
        assert_eq!(body("/console/parts/a.js").await, (200, b"two".to_vec()));
        fs::write(web.join("console/parts/a.js"), "three").unwrap();
        assert_eq!(body("/console/parts/a.js").await, (200, b"three".to_vec()));
        for path in [
            "/console/notes.md",
            "/console/.hidden.js",
            "/console/none.js",
            "/console/parts",
            "/console/../../secret.js",
            "/console/%2e%2e/%2e%2e/secret.js",
            "/console/..%2f..%2fsecret.js",
            "/config.json",
        ] {
            assert_eq!(body(path).await.0, 404, "{path}");
        }
        let response = get(&router, "/").await;
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.ends_with("connect-src 'self'"), "{policy}");
    }

    #[tokio::test]
    async fn the_page_may_call_the_origins_that_its_configuration_names() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("web")).unwrap();
        fs::write(directory.path().join("web/index.html"), "").unwrap();
        let connect = r#"{"connect": ["https://a.example", "http://[::1]:80", "https://b; script-src *", "*", 1]}"#;
        fs::write(directory.path().join("web/config.json"), connect).unwrap();
        let response = get(&router(directory.path()), "/").await;
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.ends_with("connect-src 'self' https://a.example http://[::1]:80"), "{policy}");
    }

    #[tokio::test]
    async fn without_a_page_there_are_no_routes() {
        let router = router(tempfile::tempdir().unwrap().path());
        assert_eq!(get(&router, "/").await.status(), 404);
    }
}
