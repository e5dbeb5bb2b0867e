//! The HTTP contract for people: `/openapi.yaml`, which is next to the template, and `/docs`, a page that shows it. The
//! page needs no other machine. Both need no token, and both exist only here, not on AWS.

use std::path::Path;

use anyhow::{Context, anyhow};
use axum::{
    Router,
    response::{Html, IntoResponse},
    routing::get,
};
use http::header;
use swagger_ui_redist::{SwaggerUi, SwaggerUiStaticFile};

/// The name of the document, and its path.
const DOCUMENT: &str = "openapi.yaml";
/// The path of the page that shows the document.
const VIEWER: &str = "/docs";

/// The routes for the document in `directory` and the page. There are no routes if there is no document.
///
/// # Errors
/// If the document cannot be read.
pub fn router(directory: &Path) -> anyhow::Result<Router> {
    let path = directory.join(DOCUMENT);
    if !path.is_file() {
        return Ok(Router::new());
    }
    let document = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let page = page().map_err(|error| anyhow!("cannot make the page of {VIEWER}: {error}"))?;
    let yaml = [(header::CONTENT_TYPE, "application/yaml")];
    let mut router = Router::new()
        .route(&format!("/{DOCUMENT}"), get(async move || (yaml, document).into_response()))
        .route(VIEWER, get(async move || Html(page)));
    for &(file, bytes) in SwaggerUi::static_files() {
        let kind = [(header::CONTENT_TYPE, media_type(file))];
        router = router.route(&served_at(file), get(async move || (kind, bytes).into_response()));
    }
    Ok(router)
}

fn page() -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let mut viewer = SwaggerUi::new();
    viewer.title("Tidings");
    for file in SwaggerUiStaticFile::all() {
        viewer.override_file_path(*file, served_at(*file));
    }
    viewer
        .config()
        .urls([format!("/{DOCUMENT}")])
        .persist_authorization(true)
        .default_models_expand_depth(0)
        // Otherwise the page sends the document to a validator on the internet.
        .validator_url("none");
    viewer.serve()
}

fn served_at(file: SwaggerUiStaticFile) -> String {
    format!("{VIEWER}/{}", file.file_name())
}

fn media_type(file: SwaggerUiStaticFile) -> &'static str {
    match file.file_name().rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        _ => "image/png",
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn get(router: Router, path: &str) -> (u16, String) {
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn the_docs_page_loads_only_files_that_are_served() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(DOCUMENT), "openapi: 3.1.1\n").unwrap();
        let router = router(directory.path()).unwrap();
        assert_eq!(get(router.clone(), "/openapi.yaml").await, (200, "openapi: 3.1.1\n".to_owned()));
        let (status, page) = get(router.clone(), VIEWER).await;
        assert!(status == 200 && page.contains("/openapi.yaml"), "{page}");
        let named = page.split('"').filter(|text| text.starts_with('/') && text.contains('.'));
        let named: Vec<_> = named.filter(|path| *path != "/openapi.yaml").collect();
        assert_eq!(named.len(), SwaggerUi::static_files().len(), "{page}");
        for path in named {
            assert_eq!(get(router.clone(), path).await.0, 200, "{path}");
        }
        assert!(!page.contains("//"), "the page names another machine: {page}");
    }

    #[tokio::test]
    async fn without_a_document_there_are_no_routes() {
        let router = router(tempfile::tempdir().unwrap().path()).unwrap();
        assert_eq!(get(router.clone(), "/docs").await.0, 404);
        assert_eq!(get(router, "/openapi.yaml").await.0, 404);
    }
}
