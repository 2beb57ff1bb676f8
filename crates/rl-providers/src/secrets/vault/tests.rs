#![allow(clippy::unwrap_used)]
//! Against a server that checks every request and speaks TLS with a certificate of its own.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as StdMutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;

use super::*;

/// What was asked, and what the next answers are by path.
#[derive(Default)]
struct Script {
    asked: Vec<String>,
    answers: BTreeMap<String, Vec<(u16, String)>>,
}

struct Mock {
    address: String,
    ca: Vec<u8>,
    script: Arc<StdMutex<Script>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Mock {
    async fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        let script = Arc::new(StdMutex::new(Script::default()));
        let shared = Arc::clone(&script);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, script) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let answer = service_fn(|request| answer(Arc::clone(&script), request));
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        Self { address, ca: made.cert.pem().into_bytes(), script, server }
    }

    fn says(&self, path: &str, status: u16, body: serde_json::Value) {
        let mut script = self.script.lock().unwrap();
        script.answers.entry(path.to_owned()).or_default().push((status, body.to_string()));
    }

    fn asked(&self) -> Vec<String> {
        self.script.lock().unwrap().asked.clone()
    }

    fn vault(&self, login: VaultLogin) -> Vault {
        let (address, ca) = (self.address.clone(), Some(self.ca.clone()));
        Vault::new(VaultSettings { address, mount: "kv".to_owned(), namespace: Some("team".to_owned()), ca, login })
            .unwrap()
    }
}

async fn answer(
    script: Arc<StdMutex<Script>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let path = request.uri().path_and_query().unwrap().to_string();
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (token, namespace) = (header("x-vault-token"), header("x-vault-namespace"));
    let method = request.method().clone();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut script = script.lock().unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    script.asked.push(format!(
        "{method} {path} token={} namespace={} {body}",
        token.unwrap_or_default(),
        namespace.unwrap()
    ));
    let answers = script.answers.get_mut(&path).filter(|answers| !answers.is_empty());
    let (status, body) = match answers {
        Some(answers) if answers.len() == 1 => answers[0].clone(),
        Some(answers) => answers.remove(0),
        None => (404, r#"{"errors":[]}"#.to_owned()),
    };
    Ok(Response::builder().status(status).body(Full::new(Bytes::from(body))).unwrap())
}

fn token() -> VaultLogin {
    VaultLogin::Token(SecretValue::new("hvs.tok"))
}

fn from(text: &str) -> SecretSource {
    text.parse().unwrap()
}

#[tokio::test]
async fn newest_version_and_its_value_are_read() {
    let mock = Mock::start().await;
    let state =
        json!({ "1": { "deletion_time": "", "destroyed": true }, "4": { "deletion_time": "", "destroyed": false } });
    mock.says("/v1/kv/metadata/shop/d%20b", 200, json!({ "data": { "current_version": 4, "versions": state } }));
    let data = json!({ "password": "hunter2", "port": 5432, "more": { "a": 1 } });
    mock.says(
        "/v1/kv/data/shop/d%20b?version=4",
        200,
        json!({ "data": { "data": data, "metadata": { "version": 4 } } }),
    );
    let vault = mock.vault(token());
    let source = from("corp:shop/d b#password");
    assert_eq!(vault.newest(&source).await.unwrap(), 4);
    assert_eq!(vault.fetch(&source, 4).await.unwrap().expose(), "hunter2");
    assert_eq!(vault.fetch(&from("corp:shop/d b#port"), 4).await.unwrap().expose(), "5432");
    let missing = vault.fetch(&from("corp:shop/d b#nothing"), 4).await.unwrap_err();
    assert!(matches!(missing, SecretError::Missing(_)), "{missing}");
    let several = vault.fetch(&from("corp:shop/d b#more"), 4).await.unwrap_err();
    assert!(matches!(several, SecretError::Unusable { .. }), "{several}");
    let nowhere = vault.fetch(&from("corp:shop/d b"), 4).await.unwrap_err();
    assert!(matches!(nowhere, SecretError::Unusable { .. }), "{nowhere}");
    assert_eq!(
        mock.asked()[..2],
        [
            "GET /v1/kv/metadata/shop/d%20b token=hvs.tok namespace=team ",
            "GET /v1/kv/data/shop/d%20b?version=4 token=hvs.tok namespace=team ",
        ]
    );
}

#[tokio::test]
async fn what_is_gone_or_forbidden_is_said_and_not_asked_again() {
    let mock = Mock::start().await;
    let state = json!({ "2": { "deletion_time": "2026-01-01T00:00:00Z", "destroyed": false } });
    mock.says("/v1/kv/metadata/deleted", 200, json!({ "data": { "current_version": 2, "versions": state } }));
    mock.says("/v1/kv/data/deleted?version=2", 404, json!({ "data": { "data": null, "metadata": {} } }));
    mock.says("/v1/kv/metadata/forbidden", 403, json!({ "errors": ["1 error occurred:\n\t* permission denied"] }));
    mock.says("/v1/kv/metadata/sealed", 503, json!({ "errors": ["Vault is sealed"] }));
    mock.says("/v1/kv/metadata/odd", 200, json!({ "data": { "current_version": "hunter2" } }));
    let vault = mock.vault(token());
    let deleted = from("corp:deleted#a");
    assert!(matches!(vault.newest(&deleted).await.unwrap_err(), SecretError::Missing(_)));
    assert!(matches!(vault.fetch(&deleted, 2).await.unwrap_err(), SecretError::VersionGone { version: 2, .. }));
    assert!(matches!(vault.newest(&from("corp:nowhere#a")).await.unwrap_err(), SecretError::Missing(_)));
    let forbidden = vault.newest(&from("corp:forbidden#a")).await.unwrap_err();
    assert!(matches!(&forbidden, SecretError::Refused { .. }) && forbidden.again_after().is_none(), "{forbidden}");
    assert!(forbidden.to_string().contains("permission denied"), "{forbidden}");
    let sealed = vault.newest(&from("corp:sealed#a")).await.unwrap_err();
    assert!(sealed.again_after().is_some() && sealed.to_string().contains("sealed"), "{sealed}");
    let odd = vault.newest(&from("corp:odd#a")).await.unwrap_err();
    assert!(!format!("{odd} {odd:?}").contains("hunter2"), "{odd:?}");
    assert_eq!(mock.asked().len(), 6);
}

#[tokio::test]
async fn app_role_logs_in_once_and_again_when_its_token_is_not_taken() {
    let mock = Mock::start().await;
    let login = |token: &str| json!({ "auth": { "client_token": token, "lease_duration": 3600, "renewable": true } });
    mock.says("/v1/auth/approle/login", 200, login("first"));
    mock.says("/v1/auth/approle/login", 200, login("second"));
    let found = json!({ "data": { "current_version": 1, "versions": {} } });
    for (status, body) in [(200, &found), (200, &found), (403, &json!({ "errors": ["denied"] })), (200, &found)] {
        mock.says("/v1/kv/metadata/a", status, body.clone());
    }
    let (role_id, secret_id) = ("role".to_owned(), SecretValue::new("hunter2"));
    let vault = mock.vault(VaultLogin::AppRole { mount: "approle".to_owned(), role_id, secret_id });
    for _ in 0..3 {
        assert_eq!(vault.newest(&from("corp:a#b")).await.unwrap(), 1);
    }
    let asked = mock.asked();
    let of = |token: &str| asked.iter().filter(|line| line.contains(&format!("token={token} "))).count();
    assert_eq!((of("first"), of("second")), (3, 1), "{asked:#?}");
    assert!(asked[0].contains(r#""secret_id":"hunter2""#), "{asked:#?}");
}

#[tokio::test]
async fn certificate_of_somebody_else_is_refused() {
    let (mock, other) = (Mock::start().await, Mock::start().await);
    let settings = VaultSettings {
        address: mock.address.clone(),
        mount: "kv".to_owned(),
        namespace: None,
        ca: Some(other.ca.clone()),
        login: token(),
    };
    let error = Vault::new(settings).unwrap().newest(&from("corp:a#b")).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_eq!(mock.asked(), Vec::<String>::new());
}

#[test]
fn plain_http_to_elsewhere_is_refused() {
    for (address, good) in [
        ("https://vault.example:8200", true),
        ("http://127.0.0.1:8200", true),
        ("http://vault.example:8200", false),
        ("ftp://127.0.0.1", false),
        ("nonsense", false),
    ] {
        let mount = "kv".to_owned();
        let made =
            Vault::new(VaultSettings { address: address.to_owned(), mount, namespace: None, ca: None, login: token() });
        assert_eq!(made.is_ok(), good, "{address}");
    }
}
