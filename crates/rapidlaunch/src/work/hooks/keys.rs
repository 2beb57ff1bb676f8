//! What deliveries are signed with: HMAC-SHA256 (RFC 2104) with a key of each webhook, which is kept encrypted.

use std::time::Duration;

use hmac::{Hmac, Mac};
use rl_engine::UnixMs;
use rl_model::{SealedValue, SecretRef, SecretValue, WebhookId};
use rl_store::WebhookRecord;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::access::NewSecret;
use crate::error::CommandError;
use crate::work::data::Data;
use crate::work::secrets;

/// How a key begins, so that people and programs that look for leaked secrets know one.
const PREFIX: &str = "rlw_";
/// How long signatures by the key before are sent beside those by a new one: receivers are changed within a day.
pub(super) const KEYS_OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// The encrypted value is always the first of its name: what it is encrypted as tells which webhook's it is.
const VERSION: u64 = 1;

/// The keys of a webhook.
pub(crate) struct Keys {
    current: SecretValue,
    /// The one before, and until when it signs too.
    previous: Option<(SecretValue, UnixMs)>,
}

/// The keys as they are encrypted.
#[derive(Serialize, Deserialize)]
struct Written<'a> {
    current: &'a str,
    previous: Option<(&'a str, u64)>,
}

impl Keys {
    /// Makes the first.
    pub(crate) fn new() -> Self {
        let text = Zeroizing::new(format!("{PREFIX}{}", NewSecret::new().expose()));
        Self { current: SecretValue::new(text.as_str()), previous: None }
    }

    /// Makes the next; the present one signs for a while yet.
    pub(crate) fn rotated(self, now: UnixMs) -> Self {
        Self { previous: Some((self.current, now + KEYS_OVERLAP)), ..Self::new() }
    }

    /// The newest, which is shown once.
    pub(crate) fn current(&self) -> &SecretValue {
        &self.current
    }

    /// The header of a delivery that is sent now: `t=UNIX,v1=HEX`, with a second `v1` while the key before still signs.
    pub(crate) fn signature(&self, now: UnixMs, body: &str) -> String {
        let at = now.0 / 1000;
        let before = self.previous.as_ref().filter(|(_, until)| now < *until).map(|(key, _)| key);
        let mut header = format!("t={at}");
        for key in std::iter::once(&self.current).chain(before) {
            header.push_str(",v1=");
            header.push_str(&signed(key.expose().as_bytes(), at, body));
        }
        header
    }
}

/// The signature of a body and the moment it is sent, in hexadecimal.
pub(super) fn signed(key: &[u8], at: u64, body: &str) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(format!("{at}.").as_bytes());
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn name(id: &WebhookId) -> Result<SecretRef, CommandError> {
    let name = format!("webhooks/{id}").parse();
    name.map_err(|error| CommandError::failed("the key of a webhook has no name").because(error))
}

/// Encrypts keys as the secrets of the store are.
pub(crate) async fn seal(data: &Data, id: &WebhookId, keys: &Keys, actor: &str) -> Result<SealedValue, CommandError> {
    let previous = keys.previous.as_ref().map(|(key, until)| (key.expose(), until.0));
    let text = serde_json::to_string(&Written { current: keys.current.expose(), previous })
        .map_err(|error| CommandError::failed("the key of a webhook cannot be written").because(error))?;
    let text = Zeroizing::new(text);
    let sealed = secrets::keyring(data, actor).await?.seal(&name(id)?, VERSION, &SecretValue::new(text.as_str()));
    sealed.map_err(|error| CommandError::failed("the key of a webhook cannot be encrypted").because(error))
}

/// Decrypts the keys of a webhook.
pub(crate) async fn open(data: &Data, webhook: &WebhookRecord) -> Result<Keys, CommandError> {
    let damaged = || CommandError::failed(format!("the key of webhook {} cannot be read", webhook.id));
    let opened = secrets::identity(data).await?.open(&name(&webhook.id)?, VERSION, &webhook.secret);
    let opened = opened.map_err(|error| damaged().because(error))?;
    // The reason would have parts of the text.
    let written: Written<'_> = serde_json::from_str(opened.expose()).map_err(|_| damaged())?;
    let previous = written.previous.map(|(key, until)| (SecretValue::new(key), UnixMs(until)));
    Ok(Keys { current: SecretValue::new(written.current), previous })
}
