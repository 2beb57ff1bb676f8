//! Problems: what is answered instead of what was asked for (RFC 9457), each with a stable code that has a page.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rl_engine::JournalError;
use rl_store::{Conflict, PlanRefusal, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use super::observe;
use crate::access::{AccessError, GOOD_PASSWORD};
use crate::error::{CommandError, ErrorKind};

/// What went wrong, for machines. The texts behind are pages in `docs/errors`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code {
    /// The code, such as `RL0503`.
    pub(crate) code: &'static str,
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// A few words that are the same each time.
    pub(crate) title: &'static str,
}

/// Makes the codes with a list of them all.
macro_rules! codes {
    ($($name:ident = $code:literal, $status:ident, $title:literal;)*) => {
        impl Code {
            $(#[doc = $title] pub(crate) const $name: Code = Code { code: $code, status: StatusCode::$status, title: $title };)*
            /// Every code of the API.
            #[cfg_attr(not(test), allow(dead_code))]
            pub(crate) const ALL: &'static [Code] = &[$(Code::$name),*];
        }
    };
}

codes! {
    UNAUTHENTICATED = "RL0501", UNAUTHORIZED, "Not signed in";
    FORBIDDEN = "RL0502", FORBIDDEN, "Not allowed";
    NOT_FOUND = "RL0503", NOT_FOUND, "Not found";
    METHOD = "RL0504", METHOD_NOT_ALLOWED, "Method not allowed";
    MALFORMED = "RL0505", BAD_REQUEST, "Malformed request";
    INPUT = "RL0506", UNPROCESSABLE_ENTITY, "Input refused";
    CONFLICT = "RL0507", CONFLICT, "Conflict with the present state";
    ETAG = "RL0508", PRECONDITION_FAILED, "It was changed meanwhile";
    ETAG_MISSING = "RL0509", PRECONDITION_REQUIRED, "If-Match is missing";
    TOO_LARGE = "RL0510", PAYLOAD_TOO_LARGE, "Body too large";
    TOO_MANY = "RL0511", TOO_MANY_REQUESTS, "Too many requests";
    KEY_REUSED = "RL0512", UNPROCESSABLE_ENTITY, "Idempotency-Key used for another request";
    MEDIA_TYPE = "RL0513", UNSUPPORTED_MEDIA_TYPE, "Wrong content type";
    BLOCKED = "RL0514", CONFLICT, "A person must act";
    FAILED = "RL0515", INTERNAL_SERVER_ERROR, "The server failed";
    UNAVAILABLE = "RL0516", SERVICE_UNAVAILABLE, "Not available now";
    UNAPPROVED = "RL0517", CONFLICT, "The approval of another person is missing";
    PLAN_INVALID = "RL0518", CONFLICT, "The plan is no longer valid";
    UPSTREAM = "RL0519", BAD_GATEWAY, "A site or provider cannot be read";
    TARGET = "RL0540", URI_TOO_LONG, "Address too long";
    SLOW = "RL0524", REQUEST_TIMEOUT, "The request took too long to come";
    CSRF = "RL0520", FORBIDDEN, "CSRF token missing or wrong";
    LOCKED = "RL0523", TOO_MANY_REQUESTS, "Locked out for a while";
    QUOTA = "RL0522", CONFLICT, "A quota is exceeded";
    TIMEOUT = "RL0524", GATEWAY_TIMEOUT, "It took too long";
    SERVER_FILE = "RL0525", UNPROCESSABLE_ENTITY, "Files of the server may not be named";
    CODE_NEEDED = "RL0526", UNAUTHORIZED, "A second factor is needed";
}

/// Longest text of a brief problem in bytes: a cookie has 4 KiB (RFC 6265, 6.1), in which each byte may take three.
const BRIEF_BYTES_MAX: usize = 300;

/// A problem on its way out.
#[derive(Debug)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    // Both narrow, because every answer of a handler has room for a problem.
    causes: Box<[String]>,
    hints: Vec<String>,
    details: Option<Box<serde_json::Value>>,
    retry_after: Option<u32>,
}

/// A problem as it is answered (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemBody {
    /// Where the page of the code is.
    #[serde(rename = "type")]
    kind: String,
    /// A few words that are the same each time.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The stable code.
    code: &'static str,
    /// What happened, where, and why.
    detail: String,
    /// The causes at the end of `detail`, outermost first, each for itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    causes: Vec<String>,
    /// What to do next.
    hints: Vec<String>,
    /// The id of the request, as logs have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    /// More for machines: `diagnostics` of files, the blocked plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    details: Option<Box<serde_json::Value>>,
}

impl Problem {
    /// A problem with what happened and where.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            causes: Box::default(),
            hints: Vec::new(),
            details: None,
            retry_after: None,
        }
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds data for machines.
    pub(crate) fn details(mut self, details: serde_json::Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// Says after how many seconds to try again.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
        self
    }

    /// The findings about files, where it has some.
    pub(crate) fn diagnostics(&self) -> Option<serde_json::Value> {
        self.details.as_ref()?.get("diagnostics").cloned()
    }

    /// What a person needs of it, as JSON that fits into a cookie.
    pub(crate) fn brief(&self) -> String {
        let cut = |text: &String| text[..text.floor_char_boundary(BRIEF_BYTES_MAX)].to_owned();
        let hints: Vec<String> = self.hints.iter().take(2).map(cut).collect();
        let (code, title) = (self.code.code, self.code.title);
        serde_json::json!({ "code": code, "title": title, "detail": cut(&self.detail), "hints": hints }).to_string()
    }

    /// The present state is against it, in the words that a command has for it.
    pub(crate) fn conflict(error: CommandError) -> Self {
        Self { code: Code::CONFLICT, ..error.into() }
    }

    /// There is no such thing, or none that the caller may see.
    pub(crate) fn not_found(what: &str, name: impl std::fmt::Display) -> Self {
        Self::new(Code::NOT_FOUND, format!("there is no {what} `{name}`, or you may not see it"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if self.code.status.is_server_error() {
            tracing::warn!(code = self.code.code, detail = self.detail, "a request could not be answered");
        }
        let body = ProblemBody {
            kind: format!("/errors/{}", self.code.code),
            title: self.code.title,
            status: self.code.status.as_u16(),
            code: self.code.code,
            detail: self.detail,
            causes: self.causes.into(),
            hints: self.hints,
            request: observe::id(),
            details: self.details,
        };
        let mut response = (self.code.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.code == Code::UNAUTHENTICATED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"rapidlaunch\""));
        }
        response
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let code = match error.kind {
            ErrorKind::Input => Code::INPUT,
            ErrorKind::Blocked => Code::BLOCKED,
            ErrorKind::Interrupted => Code::UNAVAILABLE,
            ErrorKind::Failed | ErrorKind::Differences | ErrorKind::Inside(_) => failed(&error),
        };
        let causes = error.causes();
        let mut detail = error.message.clone();
        for cause in &causes {
            detail.push_str(": ");
            detail.push_str(cause);
        }
        let causes = causes.into();
        Self { code, detail, causes, hints: error.hints, details: error.details, retry_after: None }
    }
}

/// Whose failure it was: the store's, or that of what lies behind.
fn failed(error: &CommandError) -> Code {
    match error.source.as_deref() {
        Some(source) if source.is::<StoreError>() || source.is::<JournalError>() => Code::FAILED,
        Some(source) if source.is::<serde_json::Error>() => Code::FAILED,
        _ => Code::UPSTREAM,
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        let text = error.to_string();
        match error {
            AccessError::Wrong => Self::new(Code::UNAUTHENTICATED, text),
            AccessError::CodeNeeded => Self::new(Code::CODE_NEEDED, text).hint("send the same again with `code`"),
            AccessError::Wait(wait) => Self::new(Code::LOCKED, text).retry_after(wait.as_secs().max(1)),
            AccessError::Busy => Self::new(Code::TOO_MANY, text).retry_after(1),
            AccessError::Weak(_) => Self::new(Code::INPUT, text).hint(GOOD_PASSWORD),
            AccessError::NoLink => {
                Self::new(Code::UNAUTHENTICATED, text).hint("start the server again, and use the link that it prints")
            }
            AccessError::SetUpBefore | AccessError::Factor => Self::new(Code::CONFLICT, text),
            AccessError::Key(source) => Self::new(Code::UNAVAILABLE, format!("{text}: {source}")),
            AccessError::Hash(_) => Self::new(Code::FAILED, text),
            AccessError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(conflict) => {
                let problem = Self::new(of_conflict(&conflict), conflict.to_string());
                match conflict {
                    Conflict::Quota { owner, what, limit, used, wanted } => problem.details(serde_json::json!({
                        "owner": owner.as_str(), "what": what.as_str(), "used": used, "wanted": wanted, "allowed": limit,
                    })),
                    _ => problem,
                }
            }
            StoreError::Journal(error) => error.into(),
            other => crate::work::data::store_error(other).into(),
        }
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::NotFound { what, id } => Self::not_found(what, id),
            JournalError::WrongState { .. } | JournalError::Busy { .. } => Self::new(Code::CONFLICT, error.to_string()),
            JournalError::Invalid(ref why) => Self::new(Code::INPUT, format!("{error}: {why}")),
            JournalError::Schedule { .. } => Self::new(Code::INPUT, error.to_string()),
            JournalError::Full { retry_after, .. } => {
                let seconds = retry_after.map_or(1, |wait| wait.as_secs().max(1));
                Self::new(Code::UNAVAILABLE, error.to_string()).retry_after(seconds)
            }
            JournalError::Unavailable { .. } => Self::new(Code::UNAVAILABLE, error.to_string()).retry_after(1),
            other => crate::work::runner::journal_error(other).into(),
        }
    }
}

/// What kind of conflict it is.
fn of_conflict(conflict: &Conflict) -> Code {
    match conflict {
        Conflict::Plan { why: PlanRefusal::Unknown, .. } => Code::NOT_FOUND,
        Conflict::Plan { why: PlanRefusal::OwnPlan | PlanRefusal::Unapproved, .. } => Code::UNAPPROVED,
        Conflict::Plan { .. } | Conflict::Revision { .. } => Code::PLAN_INVALID,
        Conflict::NoWebhook { .. } => Code::NOT_FOUND,
        Conflict::Quota { .. } => Code::QUOTA,
        Conflict::Version { .. } => Code::ETAG,
        _ => Code::CONFLICT,
    }
}
