//! The second factor: codes of 30 seconds (RFC 6238), each good once, and recovery codes for whoever has lost the device.
use rl_model::{SealedValue, SecretRef, SecretValue, UserName};
use rl_store::{Changed, Deed, Digest};
use sha2::Digest as _;
use totp_rs::{Algorithm, Builder, Totp};

use rand::RngCore;

use super::random::{recovery_code, recovery_digest};
use super::{AccessError, Gate};
use crate::work::secrets;

/// Bytes of a key (RFC 4226 section 4 recommends 160 bits).
const KEY_BYTES: usize = 20;
/// Digits of a code.
const DIGITS: u8 = 6;
/// Seconds of a step.
const STEP_S: u64 = 30;
/// Steps that the clock of a device may be off, in either direction.
const SKEW: u16 = 1;
/// Recovery codes of a user.
const RECOVERY_CODES: usize = 10;
/// Who issued the key, as an app shows it.
const ISSUER: &str = "RapidLaunch";
/// Keys are sealed once each: there is no second version.
pub(crate) const SEAL_VERSION: u64 = 1;

/// What a person puts into their app, shown once.
pub(crate) struct Enrolment {
    /// The `otpauth:` URL, which an app reads as a picture.
    pub(crate) url: SecretValue,
    /// The key in base 32, for typing.
    pub(crate) key: SecretValue,
}

impl Gate {
    /// Makes a key for a user, which is asked for only after a code of it was shown.
    pub(crate) async fn begin_totp(&self, name: &UserName, deed: Deed) -> Result<Enrolment, AccessError> {
        let mut key = zeroize::Zeroizing::new([0u8; KEY_BYTES]);
        rl_agent::random().fill_bytes(&mut *key);
        let totp = totp(&*key, name)?;
        let base32 = SecretValue::new(totp.secret().to_base32());
        let url = totp.to_url().map_err(|error| AccessError::Key(error.to_string().into()))?;
        let sealed = self.seal(name, &base32).await?;
        match self.store().begin_totp(name, sealed, deed).await? {
            Changed::Done(_) => Ok(Enrolment { url: SecretValue::new(url), key: base32 }),
            Changed::Gone | Changed::Moved(_) | Changed::Refused => Err(AccessError::Factor),
        }
    }

    /// Asks for the second factor from now on, where the code is one of the new key; answers the recovery codes.
    pub(crate) async fn confirm_totp(
        &self,
        name: &UserName,
        code: &str,
        deed: Deed,
    ) -> Result<Vec<SecretValue>, AccessError> {
        let credentials = self.store().credentials(name).await?.ok_or(AccessError::Factor)?;
        let factor = credentials.totp.filter(|factor| !factor.confirmed).ok_or(AccessError::Factor)?;
        let step = self.step_of(name, &factor.sealed, code).await?.ok_or(AccessError::Wrong)?;
        let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| recovery_code()).collect();
        let digests: Vec<Digest> = codes.iter().filter_map(|code| recovery_digest(code)).collect();
        match self.store().confirm_totp(name, step, digests, deed).await? {
            Changed::Done(_) => Ok(codes.into_iter().map(SecretValue::new).collect()),
            Changed::Gone | Changed::Moved(_) | Changed::Refused => Err(AccessError::Factor),
        }
    }

    /// Whether a code is good now: one of the app, or a recovery code. Either is spent with it.
    pub(super) async fn takes_code(
        &self,
        name: &UserName,
        sealed: &SealedValue,
        code: &str,
    ) -> Result<bool, AccessError> {
        if let Some(digest) = recovery_digest(code) {
            return Ok(self.store().spend_recovery(name, digest).await?);
        }
        match self.step_of(name, sealed, code).await? {
            Some(step) => Ok(self.store().spend_totp(name, step).await?),
            None => Ok(false),
        }
    }

    /// The time step that a code belongs to, if it is one of those near now.
    async fn step_of(&self, name: &UserName, sealed: &SealedValue, code: &str) -> Result<Option<u64>, AccessError> {
        let identity = secrets::identity(&self.data).await?;
        let opened = identity.open(&seal_name(name)?, SEAL_VERSION, sealed);
        let key = opened.map_err(|error| AccessError::Key(Box::new(error)))?;
        let key = totp_rs::Secret::try_from_base32(key.expose()).map_err(|e| AccessError::Key(e.to_string().into()))?;
        let code: String = code.chars().filter(|c| *c != ' ').collect();
        if code.len() != usize::from(DIGITS) || !code.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(None);
        }
        Ok(totp(key.as_bytes(), name)?.check(&code, self.clock.now().0 / 1000))
    }

    async fn seal(&self, name: &UserName, key: &SecretValue) -> Result<SealedValue, AccessError> {
        let keys = secrets::keyring(&self.data, &crate::env::actor()).await?;
        keys.seal(&seal_name(name)?, SEAL_VERSION, key).map_err(|error| AccessError::Key(Box::new(error)))
    }
}

/// What a key is sealed as: one that is moved to another user cannot be opened there.
pub(crate) fn seal_name(name: &UserName) -> Result<SecretRef, AccessError> {
    let digest = sha2::Sha256::digest(name.as_str().as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("access/totp/{hex}").parse().map_err(|error: rl_model::ParseError| AccessError::Key(Box::new(error)))
}

fn totp(key: &[u8], name: &UserName) -> Result<Totp, AccessError> {
    let built = Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(DIGITS)
        .with_skew(SKEW)
        .with_step_duration(STEP_S)
        .with_secret(key.to_vec())
        .with_account_name(name.as_str())
        .with_issuer(Some(ISSUER))
        .build();
    built.map_err(|error| AccessError::Key(error.to_string().into()))
}
