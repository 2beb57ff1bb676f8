//! What a call can end with instead of an answer.

use std::collections::BTreeMap;

/// An API error: it becomes an HTTP status, a reason phrase and a JSON body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    /// The message without the newline that the body adds.
    pub(crate) message: String,
    /// Messages per parameter.
    pub(crate) errors: BTreeMap<String, String>,
}

pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// Perl's `die`: status 500 with the text.
    pub(crate) fn die(message: impl Into<String>) -> Self {
        Self { status: 500, message: message.into(), errors: BTreeMap::new() }
    }

    /// One parameter is wrong: status 400.
    pub(crate) fn param(name: &str, message: impl Into<String>) -> Self {
        Self::params(BTreeMap::from([(name.to_owned(), message.into())]))
    }

    /// Several parameters are wrong: status 400.
    pub(crate) fn params(errors: BTreeMap<String, String>) -> Self {
        Self { status: 400, message: "Parameter verification failed.".to_owned(), errors }
    }

    /// The caller lacks a privilege: status 403. An empty text gives the bare message.
    pub(crate) fn perm(what: impl AsRef<str>) -> Self {
        let what = what.as_ref();
        let message = if what.is_empty() {
            "Permission check failed".to_owned()
        } else {
            format!("Permission check failed ({what})")
        };
        Self { status: 403, message, errors: BTreeMap::new() }
    }

    /// Any other status.
    pub(crate) fn status(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), errors: BTreeMap::new() }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}
