//! `/version`.

use serde::Deserialize;

use crate::Request;

/// What the API is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Version {
    /// Full version, such as `9.1.6`.
    pub version: String,
    /// Release it belongs to, such as `9.1`.
    #[serde(default)]
    pub release: String,
}

impl Version {
    /// The version as comparable numbers; missing parts count as zero. `None` when it does not begin with a number.
    pub fn semver(&self) -> Option<semver::Version> {
        let mut parts = self.version.split(['.', '-', '~', '+']).map(str::parse::<u64>);
        let major = parts.next()?.ok()?;
        let mut next = || parts.next().and_then(Result::ok).unwrap_or(0);
        Some(semver::Version::new(major, next(), next()))
    }
}

/// `GET /version`: the cheapest call that needs valid credentials.
pub fn get() -> Request<Version> {
    Request::get("/version")
}
