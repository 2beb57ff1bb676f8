//! HTTP/1 as pveproxy speaks it.
//!
//! The server is written here and not taken from a library because clients depend on its oddities: the error text in the
//! reason phrase, connections closed after 5 idle seconds, after 100 requests and after every error, bodies refused on
//! DELETE, headers that are too long answered by silence.

pub(crate) mod body;
pub(crate) mod conn;
pub(crate) mod wire;

use futures::future::BoxFuture;

/// A request with its body.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path as sent, without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The first header of a name given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What to do with the connection once a request is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum After {
    /// Keep it, unless the status or the request says otherwise.
    #[default]
    Keep,
    /// Send nothing and hang up.
    Drop,
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The first line of the error, or the standard phrase.
    pub(crate) reason: String,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) after: After,
}

impl Response {
    /// An error of the HTTP layer: no content type, the text as body.
    pub(crate) fn plain(status: u16, text: &str) -> Self {
        let reason = text.lines().next().unwrap_or("").to_owned();
        Self { status, reason, body: text.as_bytes().to_vec(), ..Self::default() }
    }

    /// An error of the HTTP layer without a body.
    pub(crate) fn bare(status: u16, reason: &str) -> Self {
        Self { status, reason: reason.to_owned(), ..Self::default() }
    }

    pub(crate) fn json(status: u16, reason: &str, body: Vec<u8>) -> Self {
        let content_type = Some("application/json;charset=UTF-8".to_owned());
        Self { status, reason: reason.to_owned(), content_type, body, ..Self::default() }
    }

    /// No answer at all: the connection is closed.
    pub(crate) fn hang_up() -> Self {
        Self { after: After::Drop, ..Self::default() }
    }
}

/// Looks at the head of a request before its body is read; an answer there ends the request.
/// `handle` then gets the whole request.
pub(crate) trait Service: Send + Sync + 'static {
    fn admit<'a>(&'a self, head: &'a Request) -> BoxFuture<'a, Option<Response>>;
    fn handle(&self, request: Request) -> BoxFuture<'_, Response>;
}
