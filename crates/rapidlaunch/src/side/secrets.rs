//! Secrets: set, made, listed, removed. A value goes in, and never comes out.

use rl_model::{SecretRef, SecretSource, SecretValue};
use rl_providers::secrets::generated;
use rl_store::Generator;
use serde_json::{Value, json};

use super::Side;
use crate::env;
use crate::error::CommandError;
use crate::remote::{RemoteError, encoded};
use crate::shape::secret::{DeliveredShape, SecretSet, SecretShape, SecretWhole};
use crate::work::accounts::did;
use crate::work::data::{Data, store_error};
use crate::work::secrets::{self, Put};

/// Most secrets that are listed: an installation has fewer.
const SECRETS_MAX: usize = 100_000;

/// A value for a secret.
pub(crate) enum NewValue {
    /// This one.
    Given(SecretValue),
    /// One of so many letters and digits is made, now and at each rotation.
    Made(u32),
}

impl Side {
    /// Secrets by name.
    pub(crate) async fn secrets(&self) -> Result<Vec<SecretShape>, CommandError> {
        match self {
            Self::Here(data) => listed(data).await,
            Self::There(remote) => Ok(remote.list("/v1/secrets", SECRETS_MAX).await?),
        }
    }

    /// A secret with its versions and the files that hold it; also one that was removed.
    pub(crate) async fn secret(&self, name: &SecretRef) -> Result<SecretWhole, CommandError> {
        let found = match self {
            Self::Here(data) => secrets::whole(data, name).await?,
            Self::There(remote) => remote.find(&path(name)).await?,
        };
        found.ok_or_else(|| unknown(name))
    }

    /// Sets the value of a secret, as its next version.
    pub(crate) async fn set_secret(&self, name: &SecretRef, value: NewValue) -> Result<SecretSet, CommandError> {
        match self {
            Self::Here(data) => {
                let (value, generator) = match value {
                    NewValue::Given(value) => (value, None),
                    NewValue::Made(length) => (generated(length), Some(Generator { length })),
                };
                put(data, name, &value, generator, "secret.set").await
            }
            Self::There(remote) => {
                let body = match &value {
                    NewValue::Given(value) => json!({ "value": value.expose() }),
                    NewValue::Made(length) => json!({ "generate": length }),
                };
                Ok(remote.send(reqwest::Method::PUT, &path(name), &body).await?)
            }
        }
    }

    /// Makes another value, where the last one was made.
    pub(crate) async fn rotate_secret(&self, name: &SecretRef) -> Result<SecretSet, CommandError> {
        match self {
            Self::Here(data) => {
                let record = secrets::existing(data, name).await?.ok_or_else(|| unknown(name))?;
                let generator = secrets::rotation(&record, None)?;
                put(data, name, &generated(generator.length), Some(generator), "secret.rotate").await
            }
            Self::There(remote) => {
                let rotated = remote.post(&format!("{}/rotate", path(name)), &json!({})).await;
                rotated.map_err(|error| missing(error, name))
            }
        }
    }

    /// Removes a secret and wipes its values.
    pub(crate) async fn remove_secret(&self, name: &SecretRef, force: bool) -> Result<(), CommandError> {
        match self {
            Self::Here(data) => {
                secrets::existing(data, name).await?.ok_or_else(|| unknown(name))?;
                if !force {
                    secrets::refuse_held(data, name).await?;
                }
                let deed = did("secret.remove", place(name)).change(None, Some(json!({ "forced": force })));
                let removed = data.store.remove_secret(name, None, env::actor(), Some(deed.into())).await;
                removed.map_err(store_error)?;
                Ok(())
            }
            Self::There(remote) => {
                let path = format!("{}?force={force}", path(name));
                let removed: Result<Value, _> = remote.send(reqwest::Method::DELETE, &path, &json!({})).await;
                removed.map(drop).map_err(|error| missing(error, name))
            }
        }
    }
}

async fn listed(data: &Data) -> Result<Vec<SecretShape>, CommandError> {
    let deliveries = data.store.all_deliveries().await.map_err(store_error)?;
    let mut listed = Vec::new();
    for record in data.store.secrets().await.map_err(store_error)? {
        let source = SecretSource::Store(record.name.clone());
        let files = deliveries.iter().filter(|delivery| delivery.source == source).count();
        let history = data.store.secret_history(&record.name).await.map_err(store_error)?;
        listed.push(SecretShape::of(&record, history.first(), files));
    }
    Ok(listed)
}

async fn put(
    data: &Data,
    name: &SecretRef,
    value: &SecretValue,
    generator: Option<Generator>,
    action: &str,
) -> Result<SecretSet, CommandError> {
    let actor = env::actor();
    let put = Put { generator, ..Put::given(name, value, &actor) };
    let entry = |version| did(action, place(name)).change(None, Some(secrets::told(version, generator)));
    let deed = |version| Ok::<_, CommandError>(Some(entry(version).into()));
    let version = secrets::put(data, put, deed).await?.map_err(store_error)?;
    let held = DeliveredShape::all(secrets::held(data, name).await?);
    Ok(SecretSet { name: name.to_string(), version, held })
}

/// Where a secret is in the audit.
fn place(name: &SecretRef) -> String {
    format!("/secrets/{name}")
}

fn path(name: &SecretRef) -> String {
    format!("/v1/secrets/{}", encoded(name.as_str()))
}

fn missing(error: RemoteError, name: &SecretRef) -> CommandError {
    if error.is_not_found() { unknown(name) } else { error.into() }
}

fn unknown(name: &SecretRef) -> CommandError {
    CommandError::input(format!("there is no secret {name}")).hinted("`rapidlaunch secret ls` lists them")
}
