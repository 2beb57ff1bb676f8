//! Every stored value is read as whoever works with it would read it.
use std::error::Error;

use rl_engine::{
    Direction, Envelope, EnvelopeError, JobCounts, JobSpec, JobState, LockDomain, OperationInfo, OperationState,
};
use rl_model::{
    AccessPath, Drift, Grant, Grantee, GroupName, GuestPath, MacAddr, Proof, ResolvedGuest, ResolvedStack, Role,
    SealedValue, SecretRef, SecretSource, Site, UserName, Vmid,
};
use serde::de::DeserializeOwned;

use super::report::{Findings, Level};
use crate::copy::catalog::Table;
use crate::copy::chunks;
use crate::copy::sum::{Plain, is_text, plain};
use crate::domain::{
    DRIFT_PAYLOAD, Digest, GUEST_PAYLOAD, Generator, GuestState, Origin, Owner, PROOF_PAYLOAD, PasswordHash, PlanState,
    SITE_PAYLOAD, STACK_PAYLOAD, StackState, StoredPlanId, Via,
};
use crate::error::StoreError;
use crate::sql::{Cell, SqlRow};

type Wrong = Box<dyn Error + Send + Sync>;

/// Why a value is not read, and whether a newer release can.
type Unread = (Level, String);

/// Checks every row of a table; answers how many there are.
pub(super) fn check(db: &dyn crate::sql::Sql, table: &Table, findings: &mut Findings) -> Result<u64, StoreError> {
    let mut rows = 0;
    let places = |name: &str| table.columns.iter().position(|column| column.name == name);
    let key: Vec<usize> = table.key.iter().filter_map(|name| places(name)).collect();
    chunks::chunks(db, table, &mut |part| {
        rows += part.len() as u64;
        for row in &part {
            for (place, column) in table.columns.iter().enumerate() {
                let Some((level, why)) = row.0.get(place).and_then(|cell| unread(table, &column.name, cell, row))
                else {
                    continue;
                };
                findings.add(level, &table.name, key_of(row, &key), format!("{}: {why}", column.name));
            }
        }
        Ok(())
    })?;
    Ok(rows)
}

fn key_of(row: &SqlRow, key: &[usize]) -> String {
    let part = |place: &usize| match row.0.get(*place) {
        Some(Cell::Text(text)) => text.clone(),
        Some(Cell::Int(number)) => number.to_string(),
        _ => String::new(),
    };
    key.iter().map(part).collect::<Vec<_>>().join("/")
}

fn unread(table: &Table, column: &str, cell: &Cell, row: &SqlRow) -> Option<Unread> {
    let Plain::Bytes(bytes) = plain(cell) else { return None };
    if !is_text(&bytes) {
        return Some((Level::Quarantined, "its bytes are no text".to_owned()));
    }
    let text = std::str::from_utf8(&bytes).ok()?;
    let read = match (table.name.as_str(), column) {
        ("operation_info", "info") => json::<OperationInfo>(text),
        ("operation", "state") => named(OperationState::parse(text).is_some()),
        ("operation", "counts") => json::<JobCounts>(text),
        ("job", "state") => named(JobState::parse(text).is_some()),
        ("job_spec", "spec") => json::<JobSpec>(text),
        ("job_spec", "locks") => json::<Vec<LockDomain>>(text),
        ("step", "intent" | "receipt") => json::<Envelope>(text),
        ("step", "direction") => named([Direction::Do, Direction::Undo].iter().any(|known| known.as_str() == text)),
        ("event", "body") => json::<serde_json::Value>(text),
        ("site", "document") => return sealed::<Site>(SITE_PAYLOAD, text),
        ("stack" | "stack_revision", "resolved") => return sealed::<ResolvedStack>(STACK_PAYLOAD, text),
        ("stack", "state") => text.parse::<StackState>().map(drop).map_err(Into::into),
        ("guest", "resolved") => return sealed::<ResolvedGuest>(GUEST_PAYLOAD, text),
        ("guest", "state") => text.parse::<GuestState>().map(drop).map_err(Into::into),
        ("lease", "value") => lease(table, row, text),
        ("secret" | "secret_version", "name") => text.parse::<SecretRef>().map(drop).map_err(Into::into),
        ("secret", "generator") => text.parse::<Generator>().map(drop).map_err(Into::into),
        ("secret_version", "sealed") => text.parse::<SealedValue>().map(drop).map_err(Into::into),
        ("secret_version", "origin") => text.parse::<Origin>().map(drop).map_err(Into::into),
        ("secret_delivery", "source") => text.parse::<SecretSource>().map(drop).map_err(Into::into),
        ("secret_delivery", "path") => text.parse::<GuestPath>().map(drop).map_err(Into::into),
        ("access_user", "name") => text.parse::<UserName>().map(drop).map_err(Into::into),
        ("access_user", "password") => text.parse::<PasswordHash>().map(drop).map_err(Into::into),
        ("access_user", "totp") => text.parse::<SealedValue>().map(drop).map_err(Into::into),
        ("access_user", "groups") => json::<Vec<GroupName>>(text),
        ("access_grant", "grantee") => text.parse::<Grantee>().map(drop).map_err(Into::into),
        ("access_grant", "role") => text.parse::<Role>().map(drop).map_err(Into::into),
        ("access_grant", "path") => text.parse::<AccessPath>().map(drop).map_err(Into::into),
        ("access_token", "scopes") => json::<Vec<Grant>>(text),
        ("access_token" | "access_session" | "access_recovery" | "access_setup", "digest") => {
            text.parse::<Digest>().map(drop).map_err(Into::into)
        }
        ("audit", "before" | "after") => json::<serde_json::Value>(text),
        ("audit", "via") => text.parse::<Via>().map(drop).map_err(Into::into),
        ("plan", "id") => text.parse::<StoredPlanId>().map(drop).map_err(Into::into),
        ("plan", "state") => text.parse::<PlanState>().map(drop).map_err(Into::into),
        ("plan", "document") => json::<Envelope>(text),
        ("quota" | "stack_policy", "owner") => text.parse::<Owner>().map(drop).map_err(Into::into),
        ("stack_check", "document") => return looked(table, row, text),
        ("webhook", "secret") => text.parse::<SealedValue>().map(drop).map_err(Into::into),
        ("webhook", "kinds" | "stacks") => json::<Vec<String>>(text),
        ("webhook_delivery", "body") => json::<serde_json::Value>(text),
        _ => Ok(()),
    };
    read.err().map(|why| (Level::Quarantined, why.to_string()))
}

fn json<T: DeserializeOwned>(text: &str) -> Result<(), Wrong> {
    serde_json::from_str::<T>(text).map(drop).map_err(Into::into)
}

fn named(is_known: bool) -> Result<(), Wrong> {
    if is_known { Ok(()) } else { Err("its name is not known to this release".into()) }
}

/// A value in an envelope of a kind and up to a version.
fn sealed<T: DeserializeOwned>((kind, version): (&'static str, u32), text: &str) -> Option<Unread> {
    match serde_json::from_str::<Envelope>(text) {
        Err(error) => Some((Level::Quarantined, error.to_string())),
        Ok(found) if found.kind != kind => {
            Some((Level::Quarantined, format!("it is a `{}`, not a `{kind}`", found.kind)))
        }
        Ok(found) if found.version > version => {
            let text = format!(
                "needs a release that reads `{kind}` version {}; this one reads up to {version}",
                found.version
            );
            Some((Level::Newer, text))
        }
        Ok(found) => {
            let why = |error: &EnvelopeError| error.source().map_or_else(|| error.to_string(), ToString::to_string);
            found.read::<T>().err().map(|error| (Level::Quarantined, why(&error)))
        }
    }
}

/// The column `kind` of a row.
fn kind_of<'a>(table: &Table, row: &'a SqlRow) -> Result<Option<&'a str>, Wrong> {
    let place = table.columns.iter().position(|column| column.name == "kind");
    Ok(place.map(|place| row.text(place)).transpose()?)
}

fn looked(table: &Table, row: &SqlRow, text: &str) -> Option<Unread> {
    match kind_of(table, row) {
        Ok(Some(kind)) if kind == PROOF_PAYLOAD.0 => sealed::<Proof>(PROOF_PAYLOAD, text),
        Ok(Some(kind)) if kind == DRIFT_PAYLOAD.0 => sealed::<Vec<Drift>>(DRIFT_PAYLOAD, text),
        _ => Some((Level::Quarantined, "its kind is not known to this release".to_owned())),
    }
}

fn lease(table: &Table, row: &SqlRow, value: &str) -> Result<(), Wrong> {
    match kind_of(table, row)? {
        Some("vmid") => value.parse::<Vmid>().map(drop).map_err(Into::into),
        Some("mac") => value.parse::<MacAddr>().map(drop).map_err(Into::into),
        Some("address") => value.parse::<std::net::IpAddr>().map(drop).map_err(Into::into),
        _ => Err("its kind is not known to this release".into()),
    }
}
