//! Users, tokens and grants as they are shown.

use rl_engine::UnixMs;
use rl_model::Grant;
use rl_store::{GrantRecord, NewToken, TokenRecord, TotpState, UserRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Token;

/// A role on a path.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantShape {
    /// `viewer`, `operator`, `deployer`, `approver` or `admin`.
    pub(crate) role: String,
    /// `/`, `/sites`, `/sites/NAME`, `/stacks` or `/stacks/NAME`.
    pub(crate) path: String,
}

impl GrantShape {
    /// Shows one.
    pub(crate) fn of(grant: &Grant) -> Self {
        Self { role: grant.role.to_string(), path: grant.path.to_string() }
    }
}

/// A user.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct UserShape {
    /// The name.
    pub(crate) name: String,
    /// Whether there is a password.
    pub(crate) password: bool,
    /// The second factor: `off`, `pending` or `on`.
    pub(crate) totp: String,
    /// Whether the user comes from a provider of identities.
    pub(crate) oidc: bool,
    /// The groups that the provider named last.
    pub(crate) groups: Vec<String>,
    /// When the user was added.
    pub(crate) created_at_ms: u64,
    /// Who added them.
    pub(crate) created_by: String,
    /// When they signed in last.
    pub(crate) signed_in_at_ms: Option<u64>,
    /// Whether they are shut out.
    pub(crate) disabled: bool,
    /// Goes up with each change that somebody makes of them.
    pub(crate) version: u64,
}

impl UserShape {
    /// Shows one.
    pub(crate) fn of(user: &UserRecord) -> Self {
        Self {
            name: user.name.to_string(),
            password: user.password_at.is_some(),
            totp: match user.totp {
                TotpState::Off => "off",
                TotpState::Pending => "pending",
                TotpState::On(_) => "on",
            }
            .to_owned(),
            oidc: user.subject.is_some(),
            groups: user.groups.iter().map(ToString::to_string).collect(),
            created_at_ms: user.created_at.0,
            created_by: user.created_by.clone(),
            signed_in_at_ms: user.signed_in_at.map(|at| at.0),
            disabled: user.disabled_at.is_some(),
            version: user.version,
        }
    }
}

/// An API token, without its text.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct TokenShape {
    /// The part that may be shown.
    pub(crate) id: String,
    /// Whose it is.
    pub(crate) owner: String,
    /// What it is for.
    pub(crate) label: String,
    /// What it allows at most; never more than its owner may do.
    pub(crate) scopes: Vec<GrantShape>,
    /// When it was made.
    pub(crate) created_at_ms: u64,
    /// Who made it.
    pub(crate) created_by: String,
    /// When it ends; null when it does not end by itself.
    pub(crate) expires_at_ms: Option<u64>,
    /// When it was used last, to the minute.
    pub(crate) used_at_ms: Option<u64>,
    /// When it was revoked.
    pub(crate) revoked_at_ms: Option<u64>,
    /// `in_force`, `ended` or `revoked`.
    pub(crate) state: String,
}

impl TokenShape {
    /// Shows one as it is now.
    pub(crate) fn of(token: &TokenRecord, now: UnixMs) -> Self {
        Self {
            id: token.id.to_string(),
            owner: token.owner.to_string(),
            label: token.label.clone(),
            scopes: token.scopes.iter().map(GrantShape::of).collect(),
            created_at_ms: token.created_at.0,
            created_by: token.created_by.clone(),
            expires_at_ms: token.expires_at.map(|at| at.0),
            used_at_ms: token.used_at.map(|at| at.0),
            revoked_at_ms: token.revoked_at.map(|at| at.0),
            state: match (token.revoked_at, token.is_live(now)) {
                (Some(_), _) => "revoked",
                (None, true) => "in_force",
                (None, false) => "ended",
            }
            .to_owned(),
        }
    }
}

/// A new token with its text, which is not shown again.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct MadeToken {
    /// The text: what programs send as `Authorization: Bearer TOKEN`. Null where the same request is answered again.
    token: Option<String>,
    /// Why it is null.
    note: Option<String>,
    /// All else.
    #[serde(flatten)]
    record: TokenShape,
}

impl MadeToken {
    /// A new one with its text.
    pub(crate) fn shown(new: &NewToken, token: &Token, now: UnixMs) -> Self {
        Self { token: Some(token.expose().to_owned()), note: None, record: TokenShape::of(&new.record(now), now) }
    }

    /// The same without its text, as it is kept for repeated requests.
    pub(crate) fn kept(new: &NewToken, now: UnixMs) -> Self {
        let note = "it was shown once, in the first answer to this request, and is not kept";
        Self { token: None, note: Some(note.to_owned()), record: TokenShape::of(&new.record(now), now) }
    }

    /// The part that may be shown.
    pub(crate) fn id(&self) -> &str {
        &self.record.id
    }

    /// The text, where it is still known.
    pub(crate) fn text(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

/// A grant that was given.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct GivenShape {
    /// What it is called where it is taken back.
    pub(crate) id: String,
    /// Who has it: `user:NAME` or `group:NAME`.
    pub(crate) to: String,
    /// The role.
    pub(crate) role: String,
    /// The path.
    pub(crate) path: String,
    /// When it was given.
    pub(crate) created_at_ms: u64,
    /// Who gave it.
    pub(crate) created_by: String,
}

impl GivenShape {
    /// Shows one.
    pub(crate) fn of(record: &GrantRecord) -> Self {
        Self {
            id: record.id.to_string(),
            to: record.grantee.to_string(),
            role: record.grant.role.to_string(),
            path: record.grant.path.to_string(),
            created_at_ms: record.created_at.0,
            created_by: record.created_by.clone(),
        }
    }
}
