//! One call on its way through the API: who asks, with which parameters, and what is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::api::error::{ApiError, ApiResult};
use crate::site::Site;

/// A parameter as it arrived: text from a form, or whatever JSON held.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arg {
    Null,
    Text(String),
    List(Vec<Arg>),
    Object,
}

impl Arg {
    /// Reads a JSON value the way Perl would see it: everything scalar is text.
    pub(crate) fn from_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Text(if *b { "1" } else { "0" }.to_owned()),
            Value::Number(n) => Self::Text(n.to_string()),
            Value::String(s) => Self::Text(s.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            Value::Object(_) => Self::Object,
        }
    }

    /// The text, when it is a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(t) => Some(t),
            _ => None,
        }
    }
}

/// All parameters of a call, those from the path included.
#[derive(Debug, Clone, Default)]
pub(crate) struct Args(pub(crate) BTreeMap<String, Arg>);

impl Args {
    /// A scalar parameter; null counts as empty text, as Perl has it.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name)? {
            Arg::Text(t) => Some(t),
            Arg::Null => Some(""),
            _ => None,
        }
    }

    /// A parameter that the endpoint's table says is there.
    pub(crate) fn must(&self, name: &str) -> &str {
        self.text(name).unwrap_or("")
    }

    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        self.text(name)?.trim().parse().ok()
    }

    /// A boolean; missing and null are `None`.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        match self.0.get(name)? {
            Arg::Text(t) => Some(t == "1"),
            _ => None,
        }
    }

    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.flag(name) == Some(true)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `user@realm`.
    pub(crate) user: String,
    /// The token's name when a token was used.
    pub(crate) token: Option<String>,
}

impl Identity {
    /// `user@realm` or `user@realm!token`, the name that checks and task ids use.
    pub(crate) fn authuser(&self) -> String {
        match &self.token {
            Some(token) => format!("{}!{token}", self.user),
            None => self.user.clone(),
        }
    }

    /// Several checks want root@pam itself: a token of root does not count.
    pub(crate) fn is_root(&self) -> bool {
        self.user == "root@pam" && self.token.is_none()
    }

    /// The identity in a name with or without a token.
    pub(crate) fn parse(authuser: &str) -> Self {
        match authuser.split_once('!') {
            Some((user, token)) => Self { user: user.to_owned(), token: Some(token.to_owned()) },
            None => Self { user: authuser.to_owned(), token: None },
        }
    }
}

/// A call that has passed authentication, permission and parameter checks.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) site: Arc<Site>,
    pub(crate) who: Identity,
    pub(crate) args: Args,
    /// The node whose listener took the request.
    pub(crate) local: String,
    /// A fault for the task that this call starts.
    pub(crate) task_fault: Option<crate::faults::Action>,
}

impl Call {
    /// The node the call is about: the path's, or the one that was asked.
    pub(crate) fn node(&self) -> &str {
        match self.args.text("node") {
            Some("localhost") | None => &self.local,
            Some(node) => node,
        }
    }

    /// The guest number in the path.
    pub(crate) fn vmid(&self) -> u32 {
        self.args.int("vmid").and_then(|v| u32::try_from(v).ok()).unwrap_or(0)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.args.text(name)
    }

    /// Checks privileges of the caller on a path; all of them must be held.
    pub(crate) fn check(&self, path: &str, privs: &[&str]) -> ApiResult<()> {
        let world = self.site.world();
        world.access.check(&self.who, path, privs, false)
    }

    /// True when the caller holds all of these privileges on a path.
    pub(crate) fn may(&self, path: &str, privs: &[&str]) -> bool {
        self.check(path, privs).is_ok()
    }
}

/// What an endpoint answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) data: Value,
    /// Written beside `data` when it is not 0.
    pub(crate) total: Option<u64>,
    /// Pending changes of network interfaces, beside `data`.
    pub(crate) changes: Option<String>,
    /// A body that is no JSON: content type and bytes.
    pub(crate) raw: Option<(String, Vec<u8>)>,
}

impl From<Value> for Reply {
    fn from(data: Value) -> Self {
        Self { data, ..Self::default() }
    }
}

impl Reply {
    /// `{"data":null}`.
    pub(crate) fn null() -> Self {
        Self::default()
    }
}

pub(crate) type ReplyResult = Result<Reply, ApiError>;
