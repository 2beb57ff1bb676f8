//! An endpoint: method, path, who may call it, its parameters, what it returns and the function that does it.

use futures::future::BoxFuture;

use crate::api::call::{Call, ReplyResult};
use crate::api::perm::Perm;
use crate::api::schema::Schema;

/// What a handler is: most are quick, some wait for locks or files.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    Quick(fn(&Call) -> ReplyResult),
    Slow(fn(Call) -> BoxFuture<'static, ReplyResult>),
}

/// One entry of the API.
pub(crate) struct Endpoint {
    pub(crate) method: &'static str,
    /// The published path with `{names}`.
    pub(crate) path: &'static str,
    pub(crate) perm: Perm,
    pub(crate) schema: Schema,
    pub(crate) handler: Handler,
    /// Runs in pvedaemon, which has few workers.
    pub(crate) protected: bool,
    /// Forwarded to the node named in the path.
    pub(crate) proxied: bool,
    /// API tokens may call it.
    pub(crate) tokens: bool,
    /// The JSON type of `data`; the contract test compares it with the published one.
    pub(crate) returns: &'static str,
    /// The last path parameter takes the rest of the path, slashes included.
    pub(crate) rest: bool,
}

impl Endpoint {
    /// Starts an entry. `perm` and `params` are in the notations of [`Perm::parse`] and [`Schema::parse`].
    pub(crate) fn new(method: &'static str, path: &'static str, perm: &str, params: &[&str], handler: Handler) -> Self {
        let schema =
            Schema::parse(params).expect("the tables of this crate are written correctly: a test reads them all");
        Self {
            method,
            path,
            perm: Perm::parse(perm)
                .expect("the permissions of this crate are written correctly: a test reads them all"),
            schema,
            handler,
            protected: false,
            proxied: path.starts_with("/nodes/{node}/"),
            tokens: true,
            returns: "null",
            rest: false,
        }
    }

    pub(crate) fn protected(mut self) -> Self {
        self.protected = true;
        self
    }

    /// Answered by whichever node is asked, although the path names one.
    pub(crate) fn local(mut self) -> Self {
        self.proxied = false;
        self
    }

    pub(crate) fn no_tokens(mut self) -> Self {
        self.tokens = false;
        self
    }

    pub(crate) fn returns(mut self, kind: &'static str) -> Self {
        self.returns = kind;
        self
    }

    pub(crate) fn rest(mut self) -> Self {
        self.rest = true;
        self
    }
}

/// A GET entry with a quick handler.
pub(crate) fn get(path: &'static str, perm: &str, params: &[&str], run: fn(&Call) -> ReplyResult) -> Endpoint {
    Endpoint::new("GET", path, perm, params, Handler::Quick(run))
}

/// A POST entry with a quick handler; it runs in pvedaemon.
pub(crate) fn post(path: &'static str, perm: &str, params: &[&str], run: fn(&Call) -> ReplyResult) -> Endpoint {
    Endpoint::new("POST", path, perm, params, Handler::Quick(run)).protected()
}

/// A PUT entry with a quick handler; it runs in pvedaemon.
pub(crate) fn put(path: &'static str, perm: &str, params: &[&str], run: fn(&Call) -> ReplyResult) -> Endpoint {
    Endpoint::new("PUT", path, perm, params, Handler::Quick(run)).protected()
}

/// A DELETE entry with a quick handler; it runs in pvedaemon.
pub(crate) fn delete(path: &'static str, perm: &str, params: &[&str], run: fn(&Call) -> ReplyResult) -> Endpoint {
    Endpoint::new("DELETE", path, perm, params, Handler::Quick(run)).protected()
}

/// An entry whose handler waits: for a lock, a storage or another node.
pub(crate) fn slow(
    method: &'static str,
    path: &'static str,
    perm: &str,
    params: &[&str],
    run: fn(Call) -> BoxFuture<'static, ReplyResult>,
) -> Endpoint {
    Endpoint::new(method, path, perm, params, Handler::Slow(run)).protected()
}
