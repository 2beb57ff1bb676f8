//! What a browser gets.

use axum::body::to_bytes;

use super::*;

/// Largest page that is accepted, all files compressed each for itself.
const GZIP_BYTES_MAX: usize = 300 * 1024;

fn none() -> HeaderMap {
    HeaderMap::new()
}

#[test]
fn the_document_and_all_it_names_are_there() {
    let html = String::from_utf8(Files::get("index.html").unwrap().data.into_owned()).unwrap();
    let named: Vec<&str> = html.split('"').filter(|word| word.starts_with('/')).collect();
    assert!(named.len() >= 3, "{html}");
    for path in named {
        assert_eq!(answer(&path[1..], &none()).status(), StatusCode::OK, "{path}");
    }
}

#[test]
fn it_brings_a_strict_policy_and_fits_it() {
    let answered = answer("index.html", &none());
    assert_eq!(answered.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
    assert!(!POLICY.contains("unsafe"));
    let html = String::from_utf8(Files::get("index.html").unwrap().data.into_owned()).unwrap();
    for inline in ["style=", "onclick=", "<style", "javascript:", "http://", "https://"] {
        assert!(!html.contains(inline), "{inline} in {html}");
    }
    assert!(html.split("<script").skip(1).all(|tag| tag.contains("src=\"/assets/")), "{html}");
}

#[test]
fn a_browser_that_has_it_is_not_sent_it_again() {
    let first = answer("assets/page.js", &none());
    assert_eq!(first.headers()[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
    let mut asked = none();
    asked.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
    assert_eq!(answer("assets/page.js", &asked).status(), StatusCode::NOT_MODIFIED);
    asked.insert(header::IF_NONE_MATCH, HeaderValue::from_static("W/\"another\""));
    assert_eq!(answer("assets/page.js", &asked).status(), StatusCode::OK);
}

#[test]
fn what_is_not_there_is_a_problem() {
    for name in ["assets/none.js", "assets/../index.html", "../Cargo.toml", ""] {
        assert_eq!(answer(name, &none()).status(), StatusCode::NOT_FOUND, "{name}");
    }
}

#[tokio::test]
async fn all_of_it_is_small() {
    use tower::ServiceExt as _;
    let mut all = 0;
    for name in Files::iter() {
        let name = name.into_owned();
        let plain = Files::get(&name).unwrap().data.len();
        let app: Router = Router::new()
            .route("/", get(move |headers: HeaderMap| async move { answer(&name, &headers) }))
            .layer(CompressionLayer::new());
        let request = axum::http::Request::get("/")
            .header(header::ACCEPT_ENCODING, "gzip")
            .body(axum::body::Body::empty())
            .unwrap();
        let answered = app.oneshot(request).await.unwrap();
        let packed = to_bytes(answered.into_body(), usize::MAX).await.unwrap().len();
        assert!(packed <= plain, "{packed} of {plain}");
        all += packed;
    }
    assert!(all <= GZIP_BYTES_MAX, "{all} bytes");
}
