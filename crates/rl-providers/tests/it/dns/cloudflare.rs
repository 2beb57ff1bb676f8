//! The suite against a small server that holds to Cloudflare's published contract (API v4: zones, DNS records, batch).

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rl_model::SecretValue;
use rl_model::dns::ZoneUrl;
use rl_providers::dns::{Cloudflare, DnsError, DnsProvider};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::conformance::{conforms, lists_a_large_zone};
use super::lab::zone;

const TOKEN: &str = "token-of-the-test";
const ZONE_ID: &str = "023e105f4ecef8ad9ca31a8372d0c353";
/// Most records on a page of this server, so that pages are really turned.
const PAGE_MAX: usize = 500;

/// What the server keeps.
#[derive(Default)]
struct State {
    records: Vec<Value>,
    made: u64,
}

type Shared = Arc<Mutex<State>>;

fn answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let builder = Response::builder().status(status).header("content-type", "application/json");
    builder.body(Full::new(Bytes::from(body.to_string()))).unwrap()
}

fn refusal(status: StatusCode, code: u32, message: &str) -> Response<Full<Bytes>> {
    let errors = json!([{ "code": code, "message": message }]);
    answer(status, &json!({ "success": false, "errors": errors, "messages": [], "result": null }))
}

fn success(result: &Value, info: &Value) -> Response<Full<Bytes>> {
    let body = json!({ "success": true, "errors": [], "messages": [], "result": result, "result_info": info });
    answer(StatusCode::OK, &body)
}

async fn serve(state: Shared, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let bearer = head.headers.get("authorization").and_then(|value| value.to_str().ok());
    if bearer != Some(&format!("Bearer {TOKEN}")) {
        return Ok(refusal(StatusCode::FORBIDDEN, 9109, "Invalid access token"));
    }
    let query: Vec<(String, String)> = head
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
        .collect();
    let get = |key: &str| query.iter().find(|(found, _)| found == key).map(|(_, value)| value.as_str());
    let records = format!("/client/v4/zones/{ZONE_ID}/dns_records");
    let path = head.uri.path();
    Ok(if head.method == Method::GET && path == "/client/v4/zones" {
        let known = get("name") == Some("example.org");
        let found = json!({ "id": ZONE_ID, "name": "example.org", "status": "active", "name_servers": ["ada.ns.cloudflare.com", "bob.ns.cloudflare.com"] });
        success(&if known { json!([found]) } else { json!([]) }, &json!({ "page": 1, "total_pages": 1 }))
    } else if head.method == Method::GET && path == records {
        list(&state, get("page").unwrap().parse().unwrap(), get("per_page").unwrap().parse().unwrap())
    } else if head.method == Method::POST && path == format!("{records}/batch") {
        batch(&state, &serde_json::from_slice(&body).unwrap())
    } else {
        refusal(StatusCode::NOT_FOUND, 7003, "Could not route to the path")
    })
}

fn list(state: &Shared, page: usize, per_page: usize) -> Response<Full<Bytes>> {
    let state = state.lock().unwrap();
    let size = per_page.min(PAGE_MAX);
    let some: Vec<&Value> = state.records.iter().skip((page - 1) * size).take(size).collect();
    let pages = state.records.len().div_ceil(size).max(1);
    success(
        &json!(some),
        &json!({ "page": page, "per_page": size, "count": some.len(), "total_count": state.records.len(), "total_pages": pages }),
    )
}

/// Deletes first, then posts, in one transaction, as documented.
fn batch(state: &Shared, body: &Value) -> Response<Full<Bytes>> {
    let mut state = state.lock().unwrap();
    let mut after = state.records.clone();
    for delete in body["deletes"].as_array().unwrap() {
        let Some(at) = after.iter().position(|record| record["id"] == delete["id"]) else {
            return refusal(StatusCode::NOT_FOUND, 81044, "Record does not exist.");
        };
        after.remove(at);
    }
    let mut made = state.made;
    for post in body["posts"].as_array().unwrap() {
        if let Err(why) = check(post, &after) {
            return refusal(StatusCode::BAD_REQUEST, 9000, &why);
        }
        made += 1;
        let mut record = post.clone();
        record["id"] = json!(format!("{made:032x}"));
        if record["type"] == "SRV" {
            let data = &record["data"];
            let content = format!("{} {} {}", data["weight"], data["port"], data["target"].as_str().unwrap());
            record["content"] = json!(content);
        }
        after.push(record);
    }
    (state.records, state.made) = (after, made);
    success(&json!({ "deletes": [], "posts": [] }), &Value::Null)
}

fn check(post: &Value, records: &[Value]) -> Result<(), String> {
    let name = post["name"].as_str().ok_or("no name")?;
    let kind = post["type"].as_str().ok_or("no type")?;
    if !(name == "example.org" || name.ends_with(".example.org")) {
        return Err(format!("{name} is outside of the zone"));
    }
    if post["proxied"] != false || !matches!(post["ttl"].as_u64(), Some(1 | 60..=86400)) {
        return Err("TTL must be between 60 and 86400 seconds, or 1 for Automatic.".to_owned());
    }
    let content = post["content"].as_str();
    let good = match kind {
        "A" => content.is_some_and(|text| text.parse::<std::net::Ipv4Addr>().is_ok()),
        "AAAA" => content.is_some_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok()),
        "CNAME" | "PTR" => content.is_some_and(|text| !text.is_empty() && !text.contains(' ')),
        "TXT" => content.is_some_and(|text| text.starts_with('"') && text.ends_with('"')),
        "SRV" => content.is_none() && ["priority", "weight", "port"].iter().all(|key| post["data"][key].is_u64()),
        _ => false,
    };
    let same = |record: &&Value| record["name"] == name && record["type"] == kind;
    if records.iter().filter(same).any(|record| record["content"] == post["content"] && kind != "SRV") {
        return Err("An identical record already exists.".to_owned());
    }
    if good { Ok(()) } else { Err(format!("content of {kind} record is invalid: {post}")) }
}

/// Starts the server; answers its address.
async fn start() -> ZoneUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let records = vec![
        json!({ "id": "a1", "name": "mail.example.org", "type": "A", "content": "192.0.2.77", "ttl": 1, "proxied": false }),
        json!({ "id": "a2", "name": "example.org", "type": "MX", "content": "mail.example.org", "ttl": 1, "priority": 10 }),
        json!({ "id": "a3", "name": "old.example.org", "type": "TXT", "content": "without quotes", "ttl": 300 }),
    ];
    let state: Shared = Arc::new(Mutex::new(State { records, made: 0 }));
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                let service = service_fn(move |request| serve(Arc::clone(&state), request));
                _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    format!("http://{address}/client/v4").parse().unwrap()
}

fn provider(url: &ZoneUrl, zone: &str, token: &str) -> Cloudflare {
    Cloudflare::new(&zone.parse().unwrap(), Some(url), SecretValue::new(token), Vec::new()).unwrap()
}

#[tokio::test]
async fn the_contract() {
    let url = start().await;
    let cloudflare = provider(&url, zone().as_str(), TOKEN);
    conforms(&cloudflare, None).await;
    lists_a_large_zone(&cloudflare).await;
    let servers: Vec<String> = cloudflare.servers().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["ada.ns.cloudflare.com:53", "bob.ns.cloudflare.com:53"]);
}

#[tokio::test]
async fn refusals_say_what_the_token_needs() {
    let url = start().await;
    for (zone, token) in [("example.org", "another-token"), ("example.net", TOKEN)] {
        let error = provider(&url, zone, token).list().await.unwrap_err();
        assert!(matches!(&error, DnsError::Refused { hint, .. } if hint.contains("DNS:Edit")), "{error:?}");
        assert!(!format!("{error:?} {error}").contains(token));
    }
}
