//! What requests are read with: every mistake in them becomes a problem that names the place.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::problem::{Code, Problem};
pub(crate) use crate::shape::operation::Accepted;

/// Largest body of a request: no value that is set, and no list that is sent, is as long.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// Largest body of a request that brings files.
pub(crate) const FILES_BYTES_MAX: usize = 4 << 20;
/// A body that is read whatever becomes of its request: most have no more, and even as many as there may be connections have room.
const SHORT_BODY_BYTES: u64 = 16 << 10;
/// Where files are brought.
const FILES: [&str; 3] = ["/v1/plans", "/v1/validate", "/v1/sites"];
/// How long a body may take to come.
const BODY_LIMIT: Duration = Duration::from_secs(30);
/// Most things of one page.
pub(crate) const LIMIT_MAX: usize = 200;
/// Things of a page where none was asked for.
pub(crate) const LIMIT_DEFAULT: usize = 50;

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(no_json());
        }
        read(&body(request).await?).map(Json)
    }
}

/// A JSON body, or none at all: then what it stands for by default.
pub(crate) struct Given<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for Given<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let declared = is_json(request.headers());
        let bytes = body(request).await?;
        match (bytes.is_empty(), declared) {
            (true, _) => Ok(Self(T::default())),
            (false, true) => read(&bytes).map(Self),
            (false, false) => Err(no_json()),
        }
    }
}

/// Reads a body that may be left out: it then has no field.
pub(crate) fn given<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, Problem> {
    match (bytes.is_empty(), is_json(headers)) {
        (true, _) => read(b"{}"),
        (false, true) => read(bytes),
        (false, false) => Err(no_json()),
    }
}

fn no_json() -> Problem {
    Problem::new(Code::MEDIA_TYPE, "the body is not declared as JSON").hint("send `Content-Type: application/json`")
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Reads a whole body, up to the limit of its path.
pub(crate) async fn body(request: Request) -> Result<Bytes, Problem> {
    let path = request.uri().path();
    let max = if FILES.iter().any(|files| path.starts_with(files)) { FILES_BYTES_MAX } else { BODY_BYTES_MAX };
    let too_large = || Problem::new(Code::TOO_LARGE, format!("the body has more than {max} bytes"));
    // One that says so itself is not waited for.
    if request.body().size_hint().lower() > max as u64 {
        return Err(too_large());
    }
    let read = axum::body::to_bytes(request.into_body(), max);
    let Ok(read) = tokio::time::timeout(BODY_LIMIT, read).await else {
        return Err(Problem::new(Code::SLOW, format!("the body did not come within {} s", BODY_LIMIT.as_secs())));
    };
    read.map_err(|error| {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            if error.is::<http_body_util::LengthLimitError>() {
                return too_large();
            }
            cause = error.source();
        }
        Problem::new(Code::MALFORMED, "the body could not be read to its end")
    })
}

/// Reads a short body before anything is made of its request: where a request is refused while its body is still under way, the
/// connection ends, and whoever sends may never read why.
pub(super) async fn gathered(request: Request, next: Next) -> Result<Response, Problem> {
    let length = request.body().size_hint().exact().unwrap_or(u64::MAX);
    if !(1..=SHORT_BODY_BYTES).contains(&length) {
        return Ok(next.run(request).await);
    }
    let (parts, whole) = request.into_parts();
    let (head, _) = Request::new(()).into_parts();
    let bytes = body(Request::from_parts(head, whole)).await?;
    Ok(next.run(Request::from_parts(parts, Body::from(bytes))).await)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let at = error.path().to_string();
        let place = if at == "." { "the body".to_owned() } else { format!("`{at}` of the body") };
        Problem::new(Code::MALFORMED, format!("{place} is not as it must be: {}", error.inner()))
    })?;
    reader.end().map_err(|error| Problem::new(Code::MALFORMED, format!("the body goes on after its end: {error}")))?;
    Ok(value)
}

/// The query of a request.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(value)| Self(value)).map_err(|error| {
            Problem::new(Code::MALFORMED, format!("the query is not as it must be: {}", error.body_text()))
        })
    }
}

/// The variable parts of a path.
pub(crate) struct At<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(value)| Self(value)).map_err(|error| {
            // What cannot be a name names nothing.
            Problem::new(Code::NOT_FOUND, format!("the path names nothing: {}", error.body_text()))
        })
    }
}

/// Which page of a list.
#[derive(Debug, Default, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Most things of the page, from 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    pub(crate) limit: Option<usize>,
    /// `next` of the page before.
    pub(crate) cursor: Option<String>,
}

impl PageQuery {
    /// The limit, checked.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(LIMIT_DEFAULT) {
            limit @ 1..=LIMIT_MAX => Ok(limit),
            _ => Err(Problem::new(Code::MALFORMED, format!("`limit` must be from 1 to {LIMIT_MAX}"))),
        }
    }

    /// What the page begins after: a key of the page before.
    pub(crate) fn after<T: std::str::FromStr>(&self) -> Result<Option<T>, Problem> {
        let wrong = |_| Problem::new(Code::MALFORMED, "`cursor` is none");
        self.cursor.as_deref().map(|cursor| cursor.parse().map_err(wrong)).transpose()
    }

    /// The page of things that are all at hand, sorted by their unique keys: the cursor is the last key of the page before.
    pub(crate) fn cut<T>(&self, all: Vec<T>, key: impl Fn(&T) -> String) -> Result<Page<T>, Problem> {
        let limit = self.limit()?;
        let after = self.cursor.as_deref();
        let mut items: Vec<T> =
            all.into_iter().filter(|item| after.is_none_or(|after| key(item).as_str() > after)).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(&key);
        Ok(Page { items, next })
    }
}

/// A page of a list.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Page<T> {
    /// The things.
    pub(crate) items: Vec<T>,
    /// The cursor of the next page; null on the last.
    pub(crate) next: Option<String>,
}

impl<T> Page<T> {
    /// The page of things that were read one beyond the limit, each shown by `show`; the cursor is the key of the last.
    pub(crate) fn of<R>(mut found: Vec<R>, limit: usize, key: impl Fn(&R) -> String, show: impl Fn(&R) -> T) -> Self {
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(key);
        Self { items: found.iter().map(show).collect(), next }
    }
}

impl<T: serde::Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        axum::Json(self).into_response()
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        let location = [(header::LOCATION, format!("/v1/operations/{}", self.operation))];
        (StatusCode::ACCEPTED, location, axum::Json(self)).into_response()
    }
}

/// Parses a name in a path or body, with the field's name in the problem.
pub(crate) fn parsed<T>(field: &str, text: &str) -> Result<T, Problem>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| Problem::new(Code::INPUT, format!("`{field}`: {error}")))
}

/// Parses a name in a path: what cannot be a name names nothing.
pub(crate) fn named<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::not_found(what, text))
}

/// A secret value in a body: it goes in, and is neither shown nor logged.
pub(crate) struct Secret(pub(crate) rl_model::SecretValue);

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A value of another kind must not come back in the error either.
        let text = String::deserialize(deserializer).map_err(|_| serde::de::Error::custom("it must be a text"))?;
        Ok(Self(rl_model::SecretValue::new(text)))
    }
}
