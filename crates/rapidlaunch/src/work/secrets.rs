//! The secrets of the store: encrypted before they reach it, decrypted only by whoever has the installation's key.

use std::path::Path;

use rl_model::{SecretRef, SecretValue};
use rl_providers::secrets::{IdentityFile, Keyring, KeyringError, Recipient};
use rl_store::{Conflict, Generator, NewVersion, Origin, RecipientRole, StoreError};

use crate::env;
use crate::error::CommandError;
use crate::work::data::{Data, store_error};

/// Most tries to store a version while others store versions of the same secret.
const TRIES_MAX: u32 = 5;

/// For whom values are encrypted. The first time, the installation's key is made.
pub(crate) async fn keyring(data: &Data) -> Result<Keyring, CommandError> {
    let installation = match data.store.recipient(RecipientRole::Installation).await.map_err(store_error)? {
        Some(text) => text,
        None => {
            let made = make_identity(data)?.recipient().to_string();
            data.store.claim_recipient(made, env::actor()).await.map_err(store_error)?
        }
    };
    let recovery = data.store.recipient(RecipientRole::Recovery).await.map_err(store_error)?;
    Ok(Keyring { installation: recipient(&installation)?, recovery: recovery.as_deref().map(recipient).transpose()? })
}

/// Reads a recipient that a person gave or the store has.
pub(crate) fn recipient(text: &str) -> Result<Recipient, CommandError> {
    text.parse().map_err(|error: KeyringError| {
        CommandError::input(error.to_string())
            .hinted("`age-keygen` makes a key; its line `public key:` is the recipient")
    })
}

fn place(data: &Data) -> Result<&Path, CommandError> {
    data.identity.as_deref().ok_or_else(|| {
        CommandError::input("the key of the secrets has no place: the store is a database")
            .hinted("name the file with --identity FILE or RAPIDLAUNCH_IDENTITY; every server needs the same one")
    })
}

fn make_identity(data: &Data) -> Result<IdentityFile, CommandError> {
    let path = place(data)?;
    let made = if path.exists() { IdentityFile::read(path) } else { IdentityFile::create(path) };
    made.map_err(key_error)
}

/// The installation's key. One that the stored values are not encrypted for is refused.
pub(crate) async fn identity(data: &Data) -> Result<IdentityFile, CommandError> {
    let path = place(data)?;
    let identity = IdentityFile::read(path).map_err(key_error)?;
    match data.store.recipient(RecipientRole::Installation).await.map_err(store_error)? {
        Some(wanted) if wanted != identity.recipient().to_string() => Err(CommandError::input(format!(
            "{} is the key {}, and the secrets of this store are encrypted for {wanted}",
            path.display(),
            identity.recipient()
        ))
        .hinted("name the right key with --identity FILE")),
        _ => Ok(identity),
    }
}

fn key_error(error: KeyringError) -> CommandError {
    CommandError::input("the key of the secrets cannot be used")
        .because(error)
        .hinted("name the file of the installation's key with --identity FILE")
}

/// Stores a value as the next version; answers its number.
pub(crate) async fn put(
    data: &Data,
    name: &SecretRef,
    value: &SecretValue,
    generator: Option<Generator>,
) -> Result<u64, CommandError> {
    let keys = keyring(data).await?;
    let mut tries = 0;
    loop {
        let latest = data.store.secret(name).await.map_err(store_error)?.map_or(0, |record| record.latest);
        let version = latest + 1;
        let sealed = keys
            .seal(name, version, value)
            .map_err(|error| CommandError::input(format!("secret {name} cannot be stored")).because(error))?;
        let origin = if generator.is_some() { Origin::Generated } else { Origin::Given };
        let new = NewVersion { name: name.clone(), version, sealed, origin, generator, actor: env::actor() };
        match data.store.put_secret_version(new).await {
            Ok(()) => return Ok(version),
            Err(StoreError::Conflict(Conflict::SecretVersion { .. })) if tries < TRIES_MAX => tries += 1,
            Err(error) => return Err(store_error(error)),
        }
    }
}

/// The newest value of a secret; `None` when there is no such secret.
pub(crate) async fn newest(data: &Data, name: &SecretRef) -> Result<Option<SecretValue>, CommandError> {
    let record = data.store.secret(name).await.map_err(store_error)?.filter(|record| record.removed.is_none());
    let Some(record) = record else { return Ok(None) };
    let sealed = data.store.sealed_secret(name, record.latest).await.map_err(store_error)?;
    let Some(sealed) = sealed else { return Ok(None) };
    let opened = identity(data).await?.open(name, record.latest, &sealed);
    opened.map(Some).map_err(|error| CommandError::failed(format!("secret {name} cannot be read")).because(error))
}

/// Names the recovery recipient, or takes it away, and encrypts every kept value anew; answers how many.
pub(crate) async fn set_recovery(data: &Data, to: Option<Recipient>) -> Result<usize, CommandError> {
    let mut keys = keyring(data).await?;
    let stored = data.store.sealed_secrets().await.map_err(store_error)?;
    keys.recovery.clone_from(&to);
    let mut anew = Vec::new();
    if !stored.is_empty() {
        let identity = identity(data).await?;
        for (name, version, sealed) in &stored {
            let again = identity.open(name, *version, sealed).and_then(|value| keys.seal(name, *version, &value));
            let again =
                again.map_err(|error| CommandError::failed("the secrets cannot be encrypted anew").because(error))?;
            anew.push((name.clone(), *version, again));
        }
    }
    // The recipient first: a value that is set meanwhile is encrypted for it, and a second run encrypts the rest.
    data.store.put_recovery(to.map(|to| to.to_string()), env::actor()).await.map_err(store_error)?;
    let count = anew.len();
    data.store.reseal_secrets(anew).await.map_err(store_error)?;
    Ok(count)
}
