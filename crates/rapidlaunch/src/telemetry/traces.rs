//! Traces over OTLP/HTTP: from a request to the calls to Proxmox it led to, across restarts.
//!
//! An operation carries the trace of the request that started it beside its payload; whoever runs its jobs goes on with that
//! trace, on whatever server and however much later. One that was started without a request has a trace of its own, whose id is
//! the operation's.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use opentelemetry_sdk::trace::{BatchConfigBuilder, Sampler, SdkTracer, SdkTracerProvider};
use opentelemetry_sdk::{Resource, runtime};
use rl_engine::{Envelope, OperationId, OperationInfo};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use url::Url;

use crate::error::CommandError;

/// The field of a payload, and the header of a request, that carries a trace (W3C Trace Context).
pub(crate) const CARRIER: &str = "traceparent";
/// Spans that wait to be sent; what comes beyond is dropped and counted by the library: traces never hold up work.
const QUEUE_MAX: usize = 8_192;
/// Spans of one message: a few hundred kilobytes.
const BATCH_MAX: usize = 512;
/// Time between messages.
const SEND_EVERY: Duration = Duration::from_secs(2);
/// Longest time one message may take.
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// How long the last spans may take to leave when the process ends.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Where spans go. They are sent until it is ended.
pub(crate) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Prepares to send to a collector. Nothing is contacted yet. Must be called within the runtime: messages are sent by a task.
    pub(super) fn start(endpoint: &Url) -> Result<Self, CommandError> {
        let unusable = |error: Box<dyn std::error::Error + Send + Sync>| {
            CommandError::input(format!("traces cannot be sent to {endpoint}")).because(CouldNot(error))
        };
        // The library's own client would look names up by other means than ours, and fail where a system has no roots.
        let client = rl_providers::web::client().map_err(|error| unusable(error.into()))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(target(endpoint).as_str())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(SEND_LIMIT)
            .build()
            .map_err(|error| unusable(error.into()))?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_MAX)
            .with_max_export_batch_size(BATCH_MAX)
            .with_scheduled_delay(SEND_EVERY)
            .with_max_export_timeout(SEND_LIMIT)
            .build();
        let processor = BatchSpanProcessor::builder(exporter, runtime::Tokio).with_batch_config(batches).build();
        let resource = Resource::builder()
            .with_service_name("rapidlaunch")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource)
            .build();
        Ok(Self { provider })
    }

    /// Makes spans.
    pub(super) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("rapidlaunch")
    }

    /// Sends what is left. Apart from the runtime's own threads, whose task does the sending.
    pub(super) async fn end(self) {
        let ended = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(END_LIMIT)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Why a collector cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct CouldNot(Box<dyn std::error::Error + Send + Sync>);

/// The address that spans are sent to: what was given, with the path of the protocol where it has none of its own.
fn target(endpoint: &Url) -> Url {
    let mut target = endpoint.clone();
    if matches!(endpoint.path(), "" | "/") {
        target.set_path("/v1/traces");
    }
    target
}

/// The trace that a text of the form of [`CARRIER`] names, if it is one.
pub(crate) fn carried(text: &str) -> Option<Context> {
    let carrier = HashMap::from([(CARRIER.to_owned(), text.to_owned())]);
    let context = TraceContextPropagator::new().extract(&carrier);
    context.span().span_context().is_valid().then_some(context)
}

/// Lets an operation that is about to be started carry the trace of the request that starts it.
pub(crate) fn stamp(payload: &mut Envelope) {
    let context = Span::current().context();
    if !context.span().span_context().is_valid() {
        return;
    }
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    if let Some(text) = carrier.remove(CARRIER) {
        payload.rest.insert(CARRIER.to_owned(), text.into());
    }
}

/// Puts a span into the trace of its operation.
pub(super) fn continue_operation(span: &Span, operation: &OperationInfo) {
    if span.is_disabled() {
        return;
    }
    let carried = operation.payload.rest.get(CARRIER).and_then(|value| carried(value.as_str()?));
    // Fails where no traces are sent, which is as well.
    let _ = span.set_parent(carried.unwrap_or_else(|| own(operation.id)));
}

/// The trace of an operation that was started without a request: the same on every server.
fn own(id: OperationId) -> Context {
    let bytes = ulid::Ulid::from_string(&id.to_string()).unwrap_or_default().to_bytes();
    let mut last = [0; 8];
    last.copy_from_slice(&bytes[8..]);
    let flags = TraceFlags::SAMPLED;
    let span =
        SpanContext::new(TraceId::from_bytes(bytes), SpanId::from_bytes(last), flags, true, TraceState::default());
    Context::new().with_remote_span_context(span)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_collector_is_named_by_its_address_alone() {
        let of = |text: &str| target(&text.parse().unwrap()).to_string();
        assert_eq!(of("http://127.0.0.1:4318"), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(of("https://otel.example/tenant/v1/traces"), "https://otel.example/tenant/v1/traces");
    }

    #[test]
    fn only_a_well_formed_trace_is_carried() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(carried(good).unwrap().span().span_context().span_id().to_string(), "00f067aa0ba902b7");
        for bad in ["", "nonsense", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
            assert!(carried(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_operation_without_a_request_has_a_trace_by_its_id() {
        let id: OperationId = "01J9Z3M6Q8T4X2V7B5N1K0HCDE".parse().unwrap();
        let (first, again) = (own(id), own(id));
        let (first, again) = (first.span().span_context().clone(), again.span().span_context().clone());
        assert!(first.is_valid() && first.trace_id() == again.trace_id() && first.span_id() == again.span_id());
    }
}
