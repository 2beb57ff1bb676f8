//! Quotas: listed, shown, set, removed.

use reqwest::Method;
use rl_store::{Deed, Owner, QuotaRecord};
use serde_json::{Value, json};

use super::Side;
use crate::error::CommandError;
use crate::remote::{RemoteError, encoded};
use crate::shape::quota::{LimitsShape, QuotaShape};
use crate::work::accounts::did;
use crate::work::data::{Data, store_error};

/// Most quotas that are listed: an installation has fewer.
const QUOTAS_MAX: usize = 100_000;

impl Side {
    /// Quotas by owner, with what is used of them.
    pub(crate) async fn quotas(&self) -> Result<Vec<QuotaShape>, CommandError> {
        match self {
            Self::Here(data) => {
                let mut records = data.store.quotas().await.map_err(store_error)?;
                // As servers sort them: a database may have another order of letters.
                records.sort_by(|a, b| a.owner.cmp(&b.owner));
                let mut shapes = Vec::new();
                for record in &records {
                    shapes.push(shape(data, record).await?);
                }
                Ok(shapes)
            }
            Self::There(remote) => Ok(remote.list("/v1/quotas", QUOTAS_MAX).await?),
        }
    }

    /// The quota of an owner.
    pub(crate) async fn quota(&self, owner: &Owner) -> Result<QuotaShape, CommandError> {
        match self {
            Self::Here(data) => shape(data, &find(data, owner).await?).await,
            Self::There(remote) => remote.get(&path(owner)).await.map_err(|error| missing(error, owner)),
        }
    }

    /// Sets what the stacks of an owner may have together, whatever it was before.
    pub(crate) async fn set_quota(&self, owner: &Owner, limits: LimitsShape) -> Result<QuotaShape, CommandError> {
        match self {
            Self::Here(data) => set(data, owner, limits).await,
            Self::There(remote) => Ok(remote.send(Method::PUT, &path(owner), &limits).await?),
        }
    }

    /// Removes the quota of an owner.
    pub(crate) async fn remove_quota(&self, owner: &Owner) -> Result<(), CommandError> {
        match self {
            Self::Here(data) => {
                let before = LimitsShape::from(find(data, owner).await?.limits);
                let entry = did("quota.remove", place(owner)).change(Some(json!(before)), None);
                let removed = data.store.remove_quota(owner, None, Deed::from(entry)).await.map_err(store_error)?;
                removed.then_some(()).ok_or_else(|| unknown(owner))
            }
            Self::There(remote) => {
                let removed: Result<Value, _> = remote.send(Method::DELETE, &path(owner), &json!({})).await;
                removed.map(drop).map_err(|error| missing(error, owner))
            }
        }
    }
}

async fn shape(data: &Data, record: &QuotaRecord) -> Result<QuotaShape, CommandError> {
    Ok(QuotaShape::of(record, data.store.quota_use(&record.owner).await.map_err(store_error)?))
}

async fn find(data: &Data, owner: &Owner) -> Result<QuotaRecord, CommandError> {
    data.store.quota(owner).await.map_err(store_error)?.ok_or_else(|| unknown(owner))
}

async fn set(data: &Data, owner: &Owner, wanted: LimitsShape) -> Result<QuotaShape, CommandError> {
    let limits = wanted.limits().map_err(CommandError::input)?;
    let before = data.store.quota(owner).await.map_err(store_error)?;
    let before = before.map(|before| json!(LimitsShape::from(before.limits)));
    let entry = did("quota.set", place(owner)).change(before, Some(json!(wanted)));
    let record = data.store.put_quota(owner, limits, None, Deed::from(entry)).await.map_err(store_error)?;
    shape(data, &record).await
}

/// Where a quota is in the audit.
fn place(owner: &Owner) -> String {
    format!("/quotas/{owner}")
}

fn path(owner: &Owner) -> String {
    format!("/v1/quotas/{}", encoded(owner.as_str()))
}

fn missing(error: RemoteError, owner: &Owner) -> CommandError {
    if error.is_not_found() { unknown(owner) } else { error.into() }
}

fn unknown(owner: &Owner) -> CommandError {
    CommandError::input(format!("{owner} has no quota")).hinted("`rapidlaunch quota ls` lists them")
}
