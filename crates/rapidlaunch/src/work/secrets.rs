//! The secrets of the store: encrypted before they reach it, decrypted only by whoever has the installation's key.

use std::path::Path;

use rl_engine::UnixMs;
use rl_model::{GuestPath, SealedValue, SecretRef, SecretSource, SecretValue, UserName};
use rl_providers::secrets::{IdentityFile, Keyring, KeyringError, Recipient};
use rl_store::{
    Conflict, Deed, DeliveryRecord, Generator, NewVersion, Origin, RecipientRole, SecretRecord, StoreError,
};
use serde_json::json;

use crate::access::{SEAL_VERSION, seal_name};
use crate::env;
use crate::error::CommandError;
use crate::shape::secret::{DeliveredShape, SecretWhole, VersionShape};
use crate::work::accounts::did;
use crate::work::data::{Data, store_error};

/// Most tries to store a version while others store versions of the same secret.
const TRIES_MAX: u32 = 5;

/// For whom values are encrypted. The first time, the installation's key is made.
pub(crate) async fn keyring(data: &Data, actor: &str) -> Result<Keyring, CommandError> {
    let installation = match data.store.recipient(RecipientRole::Installation).await.map_err(store_error)? {
        Some(text) => text,
        None => {
            let made = make_identity(data)?.recipient().to_string();
            data.store.claim_recipient(made, actor.to_owned()).await.map_err(store_error)?
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

/// What a secret becomes.
pub(crate) struct Put<'a> {
    /// The secret.
    pub(crate) name: &'a SecretRef,
    /// Its value.
    pub(crate) value: &'a SecretValue,
    /// How a rotation makes the next one.
    pub(crate) generator: Option<Generator>,
    /// Who sets it.
    pub(crate) actor: &'a str,
    /// The version it must be at, where a person has said (0: there is none).
    pub(crate) seen: Option<u64>,
}

impl<'a> Put<'a> {
    /// A value that a person gives, whatever was before.
    pub(crate) fn given(name: &'a SecretRef, value: &'a SecretValue, actor: &'a str) -> Self {
        Self { name, value, generator: None, actor, seen: None }
    }
}

/// Stores a value as the next version; answers its number. `deed` is asked, with that number, for what is written with it.
pub(crate) async fn put<E: From<CommandError>>(
    data: &Data,
    put: Put<'_>,
    deed: impl Fn(u64) -> Result<Option<Deed>, E>,
) -> Result<Result<u64, StoreError>, E> {
    let Put { name, value, generator, actor, seen } = put;
    let keys = keyring(data, actor).await?;
    let mut tries = 0;
    loop {
        let latest = data.store.secret(name).await.map_err(store_error)?.map_or(0, |record| record.latest);
        if let Some(seen) = seen.filter(|seen| *seen != latest) {
            return Ok(Err(Conflict::Version { what: "the secret", seen, found: latest }.into()));
        }
        let version = latest + 1;
        let sealed = keys
            .seal(name, version, value)
            .map_err(|error| CommandError::input(format!("secret {name} cannot be stored")).because(error))?;
        let origin = if generator.is_some() { Origin::Generated } else { Origin::Given };
        let new = NewVersion { name: name.clone(), version, sealed, origin, generator, actor: actor.to_owned() };
        match data.store.put_secret_version(new, deed(version)?).await {
            Ok(()) => return Ok(Ok(version)),
            Err(StoreError::Conflict(Conflict::SecretVersion { .. })) if tries < TRIES_MAX => tries += 1,
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// What the audit tells of a new version: never the value.
pub(crate) fn told(version: u64, generator: Option<Generator>) -> serde_json::Value {
    json!({ "version": version, "generated_length": generator.map(|generator| generator.length) })
}

/// How a rotation makes the next value: as it was made before, or with the length that is asked for.
pub(crate) fn rotation(record: &SecretRecord, length: Option<u32>) -> Result<Generator, CommandError> {
    let name = &record.name;
    length.map(|length| Generator { length }).or(record.generator).ok_or_else(|| {
        CommandError::input(format!("the value of {name} was given by a person, so nobody else can make another"))
            .hinted(format!("give it with `rapidlaunch secret set {name}`"))
            .hinted(format!("or let values be made from now on: `rapidlaunch secret set {name} --generate 32`"))
    })
}

/// A secret that is there.
pub(crate) async fn existing(data: &Data, name: &SecretRef) -> Result<Option<SecretRecord>, CommandError> {
    let record = data.store.secret(name).await.map_err(store_error)?;
    Ok(record.filter(|record| record.removed.is_none()))
}

/// A secret with its versions and the files that hold it; also one that was removed.
pub(crate) async fn whole(data: &Data, name: &SecretRef) -> Result<Option<SecretWhole>, CommandError> {
    let Some(record) = data.store.secret(name).await.map_err(store_error)? else { return Ok(None) };
    let versions = data.store.secret_history(name).await.map_err(store_error)?;
    Ok(Some(SecretWhole {
        name: name.to_string(),
        version: record.latest,
        generated_length: record.generator.map(|generator| generator.length),
        versions: versions.iter().map(VersionShape::of).collect(),
        removed_at_ms: record.removed.as_ref().map(|(at, _)| at.0),
        removed_by: record.removed.map(|(_, by)| by),
        delivered: DeliveredShape::all(held(data, name).await?),
    }))
}

/// A file of a guest that holds a secret.
pub(crate) struct Held {
    /// The guest, as STACK/NAME; its id where it is known no more.
    pub(crate) guest: String,
    /// The file in the guest.
    pub(crate) path: GuestPath,
    /// The version it holds.
    pub(crate) version: u64,
    /// When it was delivered.
    pub(crate) at: UnixMs,
}

/// The files that hold a secret.
pub(crate) async fn held(data: &Data, name: &SecretRef) -> Result<Vec<Held>, CommandError> {
    let source = SecretSource::Store(name.clone());
    let all = data.store.all_deliveries().await.map_err(store_error)?;
    let mut held = Vec::new();
    for DeliveryRecord { guest, path, version, delivered_at, .. } in all.into_iter().filter(|one| one.source == source)
    {
        let known = data.store.guest(&guest).await.map_err(store_error)?;
        let guest = known.map_or_else(|| guest.to_string(), |guest| format!("{}/{}", guest.stack, guest.name));
        held.push(Held { guest, path, version, at: delivered_at });
    }
    Ok(held)
}

/// Refuses to remove a secret that guests hold.
pub(crate) async fn refuse_held(data: &Data, name: &SecretRef) -> Result<(), CommandError> {
    let held = held(data, name).await?;
    if held.is_empty() {
        return Ok(());
    }
    let guests: Vec<&str> = held.iter().map(|held| held.guest.as_str()).collect();
    Err(CommandError::blocked(format!("secret {name} is held by {}", guests.join(", ")))
        .hinted("take the grant out of the stack file and apply it, which removes the file")
        .hinted("or remove the secret with --force; the files stay where they are"))
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
    let mut keys = keyring(data, &env::actor()).await?;
    let stored = data.store.sealed_secrets().await.map_err(store_error)?;
    let before = keys.recovery.as_ref().map(ToString::to_string);
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
    let factors = factors_anew(data, &keys).await?;
    let text = |to: Option<&Recipient>| to.map(ToString::to_string);
    let entry = did("secret.recovery", "/secrets".to_owned());
    let entry = entry.change(Some(json!({ "recovery": before })), Some(json!({ "recovery": text(to.as_ref()) })));
    // The recipient first: a value that is set meanwhile is encrypted for it, and a second run encrypts the rest.
    let put = data.store.put_recovery(text(to.as_ref()), env::actor(), Some(entry.into())).await;
    put.map_err(store_error)?;
    let count = anew.len() + factors.len();
    data.store.reseal_secrets(anew).await.map_err(store_error)?;
    data.store.reseal_factors(factors).await.map_err(store_error)?;
    Ok(count)
}

/// The keys of second factors, which lie with their users, encrypted anew: name, before, after.
async fn factors_anew(data: &Data, keys: &Keyring) -> Result<Vec<(UserName, SealedValue, SealedValue)>, CommandError> {
    let stored = data.store.sealed_factors().await.map_err(store_error)?;
    if stored.is_empty() {
        return Ok(Vec::new());
    }
    let identity = identity(data).await?;
    let mut anew = Vec::new();
    for (user, before) in stored {
        let failed = || CommandError::failed(format!("the second factor of {user} cannot be encrypted anew"));
        let name = seal_name(&user).map_err(|error| failed().because(error))?;
        let key = identity.open(&name, SEAL_VERSION, &before).map_err(|error| failed().because(error))?;
        let after = keys.seal(&name, SEAL_VERSION, &key).map_err(|error| failed().because(error))?;
        anew.push((user, before, after));
    }
    Ok(anew)
}
