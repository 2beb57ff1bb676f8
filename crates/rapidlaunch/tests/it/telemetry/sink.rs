//! A collector that keeps what it is sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use tokio::runtime::Runtime;

/// A span as it was sent.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) trace: Vec<u8>,
    pub(super) id: Vec<u8>,
    pub(super) parent: Vec<u8>,
    pub(super) name: String,
    /// `step`, `proxmox` and so on, told by what it knows.
    pub(super) kind: &'static str,
    pub(super) attributes: BTreeMap<String, String>,
}

type Kept = Arc<Mutex<Vec<Seen>>>;

/// See the module.
pub(super) struct Sink {
    address: SocketAddr,
    kept: Kept,
}

impl Sink {
    pub(super) fn start(runtime: &Runtime) -> Self {
        let kept = Kept::default();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/v1/traces", post(keep)).with_state(Arc::clone(&kept));
        runtime.spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let service = hyper_util::service::TowerToHyperService::new(app.clone());
                tokio::spawn(async move {
                    let builder = hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new());
                    let _ = builder.serve_connection(hyper_util::rt::TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, kept }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn spans(&self) -> Vec<Seen> {
        self.kept.lock().unwrap().clone()
    }
}

async fn keep(State(kept): State<Kept>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    for span in scopes.flat_map(|scope| scope.spans) {
        let text = |value: Value| match value {
            Value::StringValue(text) => text,
            Value::IntValue(number) => number.to_string(),
            other => format!("{other:?}"),
        };
        let attributes: BTreeMap<String, String> =
            span.attributes.into_iter().filter_map(|pair| Some((pair.key, text(pair.value?.value?)))).collect();
        let kinds = [("template", "proxmox"), ("direction", "step"), ("route", "request"), ("job", "job")];
        let kind = kinds.iter().find(|(name, _)| attributes.contains_key(*name)).map_or("", |(_, kind)| kind);
        let (trace, id, parent, name) = (span.trace_id, span.span_id, span.parent_span_id, span.name);
        kept.lock().unwrap().push(Seen { trace, id, parent, name, kind, attributes });
    }
}
