//! A request as a value: built by [`crate::api`], compared in tests, sent by the client.

mod kinds;

use std::fmt;
use std::marker::PhantomData;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rl_model::{NodeName, SecretValue};
use serde::de::DeserializeOwned;

use crate::PveError;
use crate::error::{Refusal, classify};

pub use kinds::{CallClass, Method, Param, ParamValue, Safety};

/// Characters left as they are in a path segment (RFC 3986, unreserved); Proxmox decodes the rest.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// One call of the API, whose answer is an `A`. Pure data; nothing happens before it is sent.
pub struct Request<A> {
    method: Method,
    template: &'static str,
    args: Vec<(&'static str, String)>,
    params: Vec<Param>,
    node: Option<NodeName>,
    safety: Safety,
    class: CallClass,
    envelope: bool,
    answer: PhantomData<fn() -> A>,
}

impl<A: DeserializeOwned> Request<A> {
    /// Reads the body of a 200 answer.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`](crate::ErrorKind::Decode) with the place in the answer that is not as expected.
    pub fn decode(&self, body: &[u8]) -> Result<A, PveError> {
        crate::client::decode(&self.call(), body)
    }
}

impl<A> Request<A> {
    /// What a refusal of this request means, from HTTP status, reason phrase and body.
    pub fn refused(&self, status: u16, reason: &str, body: &[u8]) -> PveError {
        let (kind, text) = classify(&Refusal { status, reason, body }, self.safety == Safety::Read);
        PveError::new(&self.call(), kind, &text).with_status(status)
    }

    fn new(method: Method, template: &'static str, safety: Safety, class: CallClass) -> Self {
        Self {
            method,
            template,
            args: Vec::new(),
            params: Vec::new(),
            node: None,
            safety,
            class,
            envelope: false,
            answer: PhantomData,
        }
    }

    /// A read.
    pub(crate) fn get(template: &'static str) -> Self {
        Self::new(Method::Get, template, Safety::Read, CallClass::Read)
    }

    /// An act that is not repeated on its own, unless [`Self::repeatable`] says otherwise.
    pub(crate) fn post(template: &'static str) -> Self {
        Self::new(Method::Post, template, Safety::Once, CallClass::Write)
    }

    /// A change that is not repeated on its own, unless [`Self::repeatable`] says otherwise.
    pub(crate) fn put(template: &'static str) -> Self {
        Self::new(Method::Put, template, Safety::Once, CallClass::Write)
    }

    /// A removal that is not repeated on its own, unless [`Self::repeatable`] says otherwise.
    pub(crate) fn delete(template: &'static str) -> Self {
        Self::new(Method::Delete, template, Safety::Once, CallClass::Write)
    }

    /// Fills the `{node}` of the path; the node's API limit then applies.
    pub(crate) fn on(mut self, node: &NodeName) -> Self {
        self.node = Some(node.clone());
        self.arg("node", node)
    }

    /// Fills a placeholder of the path.
    pub(crate) fn arg(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.args.push((name, value.to_string()));
        self
    }

    /// Adds a parameter.
    pub(crate) fn param(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.params.push(Param { name: name.into(), value: ParamValue::Plain(value.to_string()) });
        self
    }

    /// Adds a parameter where there is one.
    pub(crate) fn maybe(self, name: &'static str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.param(name, value),
            None => self,
        }
    }

    /// Adds a boolean, which Proxmox takes as 0 or 1 only.
    pub(crate) fn flag(self, name: &'static str, on: bool) -> Self {
        self.param(name, u8::from(on))
    }

    /// Adds a value that may not be shown.
    pub(crate) fn secret(mut self, name: &'static str, value: SecretValue) -> Self {
        self.params.push(Param { name: name.to_owned(), value: ParamValue::Secret(value) });
        self
    }

    pub(crate) fn repeatable(mut self) -> Self {
        self.safety = Safety::Repeatable;
        self
    }

    pub(crate) fn slow(mut self) -> Self {
        self.class = CallClass::Create;
        self
    }

    /// The answer is the whole envelope (`data` and what stands beside it), not `data` alone.
    pub(crate) fn whole(mut self) -> Self {
        self.envelope = true;
        self
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The path as the API description spells it, such as `/nodes/{node}/lxc/{vmid}/config`.
    pub fn template(&self) -> &'static str {
        self.template
    }

    /// What fills the placeholders of the template.
    pub fn args(&self) -> &[(&'static str, String)] {
        &self.args
    }

    /// The value of one placeholder.
    pub fn arg_value(&self, name: &str) -> Option<&str> {
        self.args.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// The parameters, in the order they are sent.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// The value of a parameter that may be shown.
    pub fn param_value(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|param| param.name == name).and_then(|param| match &param.value {
            ParamValue::Plain(text) => Some(text.as_str()),
            ParamValue::Secret(_) => None,
        })
    }

    /// The node whose limit applies; `None` for calls that any node answers.
    pub fn node(&self) -> Option<&NodeName> {
        self.node.as_ref()
    }

    /// What a repetition can do.
    pub fn safety(&self) -> Safety {
        self.safety
    }

    /// How long the answer may take.
    pub fn class(&self) -> CallClass {
        self.class
    }

    /// The same call with an answer of another type.
    pub fn retyped<B>(self) -> Request<B> {
        Request {
            method: self.method,
            template: self.template,
            args: self.args,
            params: self.params,
            node: self.node,
            safety: self.safety,
            class: self.class,
            envelope: self.envelope,
            answer: PhantomData,
        }
    }

    /// What the client needs to know of it, without the type of its answer.
    pub(crate) fn call(&self) -> Call {
        Call {
            method: self.method,
            template: self.template,
            path: self.path(),
            form: SecretValue::new(self.form()),
            node: self.node.clone(),
            safety: self.safety,
            class: self.class,
            whole: self.envelope,
        }
    }

    /// The path below `/api2/json`, with every placeholder filled and encoded.
    pub fn path(&self) -> String {
        let mut out = String::with_capacity(self.template.len() + 32);
        for part in self.template.split('/').skip(1) {
            out.push('/');
            match part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(name) => {
                    let value = self.arg_value(name).unwrap_or_default();
                    out.extend(utf8_percent_encode(value, SEGMENT));
                }
                None => out.push_str(part),
            }
        }
        out
    }

    /// The parameters in `application/x-www-form-urlencoded` form, for the query or the body.
    fn form(&self) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for param in &self.params {
            form.append_pair(&param.name, param.value.expose());
        }
        form.finish()
    }
}

/// A request without the type of its answer.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) template: &'static str,
    pub(crate) path: String,
    /// Parameters, encoded; a password may be among them.
    pub(crate) form: SecretValue,
    pub(crate) node: Option<NodeName>,
    pub(crate) safety: Safety,
    pub(crate) class: CallClass,
    /// Whether the answer is the whole envelope.
    pub(crate) whole: bool,
}

impl<A> Clone for Request<A> {
    fn clone(&self) -> Self {
        Self {
            method: self.method,
            template: self.template,
            args: self.args.clone(),
            params: self.params.clone(),
            node: self.node.clone(),
            safety: self.safety,
            class: self.class,
            envelope: self.envelope,
            answer: PhantomData,
        }
    }
}

impl<A> PartialEq for Request<A> {
    fn eq(&self, other: &Self) -> bool {
        self.method == other.method
            && self.template == other.template
            && self.args == other.args
            && self.params == other.params
            && self.safety == other.safety
            && self.class == other.class
    }
}

impl<A> fmt::Debug for Request<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path())
            .field("params", &self.params)
            .field("safety", &self.safety)
            .field("class", &self.class)
            .finish()
    }
}

/// As a person reads it: `PUT /nodes/pve1/lxc/100/config`. Parameters are left out.
impl<A> fmt::Display for Request<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path())
    }
}
