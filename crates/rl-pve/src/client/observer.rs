//! What a client shows to whoever watches its calls. Nothing an observer does changes what is sent.

use std::time::Duration;

use rl_model::NodeName;
use tracing::Span;

use super::transport::Failure;
use crate::request::{Call, CallClass, Method};

/// Watches the calls of one site. Every method is called in the task that makes the call: it may count and make spans, and must
/// not wait.
pub trait CallObserver: Send + Sync + 'static {
    /// The span in which one try of a call lies.
    fn span(&self, _call: &CallInfo<'_>) -> Span {
        Span::none()
    }

    /// One try has ended after this long; its span ends after this.
    fn ended(&self, _call: &CallInfo<'_>, _end: CallEnd, _took: Duration, _span: &Span) {}
}

/// What may be told of a call: neither its parameters nor who makes it.
#[derive(Debug, Clone, Copy)]
pub struct CallInfo<'a> {
    /// Its method.
    pub method: Method,
    /// Its path as the API description spells it.
    pub template: &'static str,
    /// How long it may take.
    pub class: CallClass,
    /// The node it is about, where it is about one.
    pub node: Option<&'a NodeName>,
}

impl<'a> CallInfo<'a> {
    pub(super) fn of(call: &'a Call) -> Self {
        Self { method: call.method, template: call.template, class: call.class, node: call.node.as_ref() }
    }
}

/// How one try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEnd {
    /// With an answer of this HTTP status.
    Status(u16),
    /// Nothing was sent: there was no connection.
    NotSent,
    /// It was sent, and no whole answer came back.
    Lost,
}

impl CallEnd {
    pub(super) fn of(outcome: &Result<Vec<u8>, Failure>) -> Self {
        match outcome {
            Ok(_) => Self::Status(200),
            Err(Failure::NotSent(_)) => Self::NotSent,
            Err(Failure::Lost(error)) => error.status().map_or(Self::Lost, Self::Status),
            Err(Failure::Refused(error)) => error.status().map_or(Self::Lost, Self::Status),
        }
    }
}

/// Watches nothing.
pub(super) struct Unwatched;

impl CallObserver for Unwatched {}
