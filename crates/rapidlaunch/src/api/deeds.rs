//! Requests that make something: read with their `Idempotency-Key`, carried out once, and answered the same when they come again.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rl_store::{Conflict, Deed, KeptAnswer, NewAudit, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::Api;
use super::caller::Caller;
use super::extract;
use super::problem::{Code, Problem};

/// The field that names a request.
const KEY: &str = "idempotency-key";
/// Longest key: room for any kind of id.
const KEY_LEN_MAX: usize = 128;
/// Says that an answer is one that was given before.
const REPLAYED: &str = "idempotency-replayed";

/// A request with its body, by whom it is made and under which key.
pub(crate) struct Keyed<T> {
    /// The body.
    pub(crate) body: T,
    /// Who makes it.
    pub(crate) asked: Asked,
}

/// Who makes a request, and under which key.
pub(crate) struct Asked {
    /// Who.
    pub(crate) caller: Caller,
    key: Option<String>,
    digest: String,
}

impl<T: DeserializeOwned> FromRequest<Api> for Keyed<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (body, asked) = asked(request, api, &[]).await?;
        Ok(Self { body, asked })
    }
}

/// A body some fields of which are secret.
pub(crate) trait Confidential: DeserializeOwned {
    /// The fields, of the body itself. They are left out of the digest that tells a repeated request from another: it is kept,
    /// and whoever reads the store must not be able to try passwords against it. Two requests under one key that differ in
    /// nothing else are therefore taken for the same.
    const SECRET: &'static [&'static str];
}

/// As [`Keyed`], for a body with secrets.
pub(crate) struct KeyedSecret<T> {
    /// The body.
    pub(crate) body: T,
    /// Who makes it.
    pub(crate) asked: Asked,
}

impl<T: Confidential> FromRequest<Api> for KeyedSecret<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (body, asked) = asked(request, api, T::SECRET).await?;
        Ok(Self { body, asked })
    }
}

/// Reads a request, of which the digest leaves the `secret` fields out.
async fn asked<T: DeserializeOwned>(request: Request, api: &Api, secret: &[&str]) -> Result<(T, Asked), Problem> {
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, api).await?;
    let kept = parts.clone();
    // The body before the key: whoever still sends it when the connection ends may never read why it was refused.
    let bytes = extract::body(Request::from_parts(parts, body)).await?;
    let key = key(&caller, &kept.headers)?;
    let body = extract::given(&kept.headers, &bytes)?;
    let digest = match secret {
        [] => digest(&kept, &bytes),
        _ => digest(&kept, &without(&bytes, secret)),
    };
    Ok((body, Asked { caller, key, digest }))
}

fn digest(parts: &Parts, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [parts.method.as_str().as_bytes(), parts.uri.to_string().as_bytes(), body] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A body that was read before, written anew without some of its fields.
fn without(bytes: &[u8], fields: &[&str]) -> Vec<u8> {
    let Ok(serde_json::Value::Object(mut body)) = serde_json::from_slice(bytes) else { return Vec::new() };
    for field in fields {
        body.remove(*field);
    }
    serde_json::Value::Object(body).to_string().into_bytes()
}

/// The key of a request. Programs must name one: they are the ones that send again without asking.
fn key(caller: &Caller, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(KEY) else {
        if caller.via.starts_with("token:") {
            return Err(Problem::new(Code::MALFORMED, "the request has no `Idempotency-Key`")
                .hint("send one that is new for each request, and the same when the request is sent again"));
        }
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    if text.is_empty() || text.len() > KEY_LEN_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
        let rule = format!("`Idempotency-Key` must have 1 to {KEY_LEN_MAX} printable characters without spaces");
        return Err(Problem::new(Code::MALFORMED, rule));
    }
    Ok(Some(text.to_owned()))
}

/// An answer that is kept and given again.
pub(crate) struct Answer {
    status: StatusCode,
    location: Option<String>,
    body: String,
    /// What is kept in place of a body that is shown once.
    kept: Option<String>,
}

impl Answer {
    /// An answer with a body.
    pub(crate) fn new(status: StatusCode, location: Option<String>, body: &impl Serialize) -> Result<Self, Problem> {
        Ok(Self { status, location, body: written(body)?, kept: None })
    }

    /// The same, of which something else is kept: the body holds what is shown once and must not lie in the store. Whoever asks
    /// again is given what is kept, which should say so.
    pub(crate) fn keeping(mut self, kept: &impl Serialize) -> Result<Self, Problem> {
        self.kept = Some(written(kept)?);
        Ok(self)
    }
}

fn written(body: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(body)
        .map_err(|error| Problem::new(Code::FAILED, format!("the answer cannot be written: {error}")))
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], self.body).into_response();
        if let Some(location) = self.location.and_then(|text| HeaderValue::from_str(&text).ok()) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

impl Asked {
    /// The answer that was given before, where the request comes again.
    pub(crate) async fn before(&self, api: &Api) -> Result<Option<Response>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        let Some(kept) = api.data.store.kept_answer(&self.principal(), key).await? else { return Ok(None) };
        if kept.request_digest != self.digest {
            return Err(Problem::new(Code::KEY_REUSED, format!("the key `{key}` was used for another request")));
        }
        let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
        let mut response = Answer { status, location: kept.location, body: kept.body, kept: None }.into_response();
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(Some(response))
    }

    /// The same, asked for only where trying has failed: it saves a read where most requests come once. What a request that comes
    /// again finds may have changed in the meantime; its answer has not.
    pub(crate) async fn unless_answered(
        &self,
        api: &Api,
        tried: Result<Response, Problem>,
    ) -> Result<Response, Problem> {
        match tried {
            Ok(response) => Ok(response),
            Err(problem) => self.before(api).await?.ok_or(problem),
        }
    }

    /// What is written down with the change: who did what, and the answer that is given when the request comes again.
    pub(crate) fn deed(&self, action: &str, path: String, after: Option<serde_json::Value>, answer: &Answer) -> Deed {
        let answer = self.key.as_ref().map(|key| KeptAnswer {
            principal: self.principal(),
            key: key.clone(),
            request_digest: self.digest.clone(),
            status: answer.status.as_u16(),
            location: answer.location.clone(),
            body: answer.kept.as_ref().unwrap_or(&answer.body).clone(),
        });
        Deed { audit: audit(&self.caller, action, path, after), answer }
    }

    /// The answer to a change that was tried: where another request with the same key came first, that one's.
    pub(crate) async fn answered<T>(
        &self,
        api: &Api,
        tried: Result<T, StoreError>,
        answer: Answer,
    ) -> Result<Response, Problem> {
        match tried {
            Ok(_) => Ok(answer.into_response()),
            Err(StoreError::Conflict(Conflict::Answered { .. })) => match self.before(api).await? {
                Some(response) => Ok(response),
                None => Err(Problem::new(Code::UNAVAILABLE, "the same request is being carried out").retry_after(1)),
            },
            Err(error) => Err(error.into()),
        }
    }

    fn principal(&self) -> String {
        self.caller.user.as_ref().map_or_else(|| "local".to_owned(), |user| format!("user:{user}"))
    }
}

/// An entry of the audit about what a caller does.
pub(crate) fn audit(caller: &Caller, action: &str, path: String, after: Option<serde_json::Value>) -> NewAudit {
    NewAudit {
        actor: caller.name.clone(),
        via: caller.via.parse().unwrap_or(rl_store::Via::Local),
        remote: Some(caller.remote.to_string()),
        action: action.to_owned(),
        path,
        before: None,
        after,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_digest_tells_bodies_apart_by_what_is_not_secret() {
        let (parts, ()) = axum::http::Request::post("/v1/users").body(()).unwrap().into_parts();
        let of = |body: &str| digest(&parts, &without(body.as_bytes(), &["password"]));
        let one = of(r#"{"name": "jo", "password": "correct horse"}"#);
        assert_eq!(one, of(r#"{"password": "battery staple", "name": "jo"}"#));
        assert_eq!(one, digest(&parts, br#"{"name":"jo"}"#));
        assert_ne!(one, of(r#"{"name": "joe", "password": "correct horse"}"#));
        assert_ne!(one, of(r#"{"name": {"password": "jo"}}"#), "only fields of the body itself are left out");
        let (other, ()) = axum::http::Request::post("/v1/sites").body(()).unwrap().into_parts();
        assert_ne!(one, digest(&other, br#"{"name":"jo"}"#));
    }
}
