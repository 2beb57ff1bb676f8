//! Versions of what two people may change: `ETag` says which one was read, `If-Match` which one is meant.

use axum::http::{HeaderMap, HeaderName, header};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ObjectBuilder, Required, Type};

use super::problem::{Code, Problem};

/// The field that names a version.
pub(crate) fn etag(version: u64) -> [(HeaderName, String); 1] {
    [(header::ETAG, format!("\"{version}\""))]
}

/// The version that a request means.
pub(crate) struct IfMatch;

impl IfMatch {
    /// The version; none where any is meant. One must be named.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
        let value = headers.get(header::IF_MATCH).ok_or_else(|| {
            Problem::new(Code::ETAG_MISSING, "the request names no version")
                .hint("send `If-Match` with the ETag that was read, or with `*` for any")
        })?;
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(None);
        }
        let version = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(|text| text.parse().ok());
        // A tag that was never given matches nothing.
        version.map(Some).ok_or_else(|| Problem::new(Code::ETAG, "`If-Match` names no version that there was"))
    }
}

impl IfMatch {
    /// The version, where one is named: for what nobody changes by what they have read.
    pub(crate) fn if_named(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
        if headers.contains_key(header::IF_MATCH) { Self::of(headers) } else { Ok(None) }
    }
}

impl utoipa::IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new().schema_type(Type::String).build();
        let description = "The ETag that was read, or `*` for any";
        let built = ParameterBuilder::new()
            .name("If-Match")
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(description))
            .schema(Some(schema));
        vec![built.build()]
    }
}
