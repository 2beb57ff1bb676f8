//! Findings that another process tells: the same as they were found, as long as their codes are known here.

use rl_model::manifest::Location;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::{Diagnostic, Related, Severity, codes};

/// A finding as it is written.
#[derive(Deserialize)]
struct Told {
    code: String,
    severity: Severity,
    #[serde(flatten)]
    location: Option<Location>,
    message: String,
    label: String,
    help: Option<String>,
    related: Vec<Related>,
}

impl<'de> Deserialize<'de> for Diagnostic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Told { code, severity, location, message, label, help, related } = Told::deserialize(deserializer)?;
        let mut known = codes::ALL.iter().chain(crate::resolve::codes::ALL).map(|(code, _)| *code);
        let known = known.find(|known| *known == code);
        let code = known.ok_or_else(|| D::Error::custom(format!("the code {code} is not known to this release")))?;
        Ok(Self { code, severity, location, message, label, help, related })
    }
}
