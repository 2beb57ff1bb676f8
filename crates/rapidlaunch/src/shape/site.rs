//! Sites.

use rl_ops::{CheckItem, SiteCheck};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether a site can be worked with.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct CheckShape {
    /// Whether every point holds.
    pub(crate) ok: bool,
    /// The points.
    pub(crate) items: Vec<PointShape>,
}

/// One point of a check.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct PointShape {
    /// What was looked at.
    pub(crate) name: String,
    /// Whether it holds.
    pub(crate) ok: bool,
    /// What was found.
    pub(crate) found: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl CheckShape {
    /// The shape of what was found.
    pub(crate) fn of(check: SiteCheck) -> Self {
        let point = |item: CheckItem| PointShape { name: item.name, ok: item.ok, found: item.found, hint: item.hint };
        Self { ok: check.ok(), items: check.items.into_iter().map(point).collect() }
    }
}

/// A site that was removed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SiteRemoved {
    /// Its name.
    pub(crate) name: String,
    /// What became of the secret `sites/NAME` with its token; null where there was none.
    pub(crate) secret: Option<SiteSecret>,
}

/// What became of the token of a site that was removed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SiteSecret {
    /// The secret.
    pub(crate) name: String,
    /// Whether it was removed and its values wiped.
    pub(crate) removed: bool,
    /// Who else needs it, so that it stays.
    pub(crate) used_by: Option<String>,
}
