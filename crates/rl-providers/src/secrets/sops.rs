//! Files of SOPS (getsops.io): each value encrypted by AES-256-GCM with the file's data key, the data key by age, and a code over
//! all values so that none can be taken out or moved.

use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, aead::consts::U32};
use age::x25519;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use super::keyring;

/// SOPS draws nonces of 32 bytes.
type Cipher = AesGcm<Aes256, U32>;
type Plain = Zeroizing<Vec<u8>>;

/// Length of the data key, AES-256.
const KEY_BYTES: usize = 32;
/// Most recipients whose share of the data key is tried.
const RECIPIENTS_MAX: usize = 100;
/// What encrypted values begin and end with.
const ENC: (&str, &str) = ("ENC[AES256_GCM,", "]");

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SopsError {
    /// It is no YAML and no JSON, or no file of SOPS.
    #[error("its file is no YAML or JSON written by SOPS: {0}")]
    Shape(String),
    /// It is encrypted in a way that is not read here.
    #[error("its file uses {0} of SOPS, which is not supported; use age recipients alone")]
    Unsupported(&'static str),
    /// No recipient's share opens with the key.
    #[error("its file is not encrypted for this key")]
    Key,
    /// A value, or the code over all values, does not fit: the file was changed by hand.
    #[error("its file was changed without SOPS: {0} does not fit")]
    Changed(String),
}

impl SopsError {
    /// Whether another key would help.
    pub(super) fn is_key(&self) -> bool {
        matches!(self, Self::Key)
    }
}

/// A file, parsed and still encrypted.
pub(super) struct Document {
    values: Map<String, Value>,
    sops: Map<String, Value>,
}

/// What stands in `ENC[…]`.
struct Sealed {
    data: Vec<u8>,
    iv: Vec<u8>,
    tag: Vec<u8>,
    kind: String,
}

impl Document {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, SopsError> {
        let text = std::str::from_utf8(bytes).map_err(|error| SopsError::Shape(error.to_string()))?;
        // JSON is YAML too; a parser's message may show a line of the file, where values that SOPS leaves in clear stand.
        let tree: Value = serde_saphyr::from_str(text).map_err(|_| SopsError::Shape("it does not parse".to_owned()))?;
        let Value::Object(mut values) = tree else { return Err(SopsError::Shape("it is no mapping".to_owned())) };
        let Some(Value::Object(sops)) = values.remove("sops") else {
            return Err(SopsError::Shape("it has no `sops:`".to_owned()));
        };
        let is_set = |key: &str| sops.get(key).is_some_and(|value| !value.is_null() && *value != Value::Bool(false));
        if is_set("key_groups") || is_set("shamir_threshold") {
            return Err(SopsError::Unsupported("key groups"));
        }
        if is_set("mac_only_encrypted") {
            return Err(SopsError::Unsupported("a code over encrypted values alone"));
        }
        Ok(Self { values, sops })
    }

    /// The random nonce of an entry: another one whenever the entry gets another value. `None` when there is no such entry.
    pub(super) fn entry_iv(&self, entry: &str) -> Option<Plain> {
        let text = self.entry(entry)?.as_str()?;
        Some(Zeroizing::new(Sealed::parse(text)?.iv))
    }

    /// The value of an entry, after the whole file was found unchanged.
    pub(super) fn value(&self, identity: &x25519::Identity, entry: &str) -> Result<Option<Plain>, SopsError> {
        let Some(found) = self.entry(entry) else { return Ok(None) };
        let cipher = Cipher::new(GenericArray::from_slice(&self.data_key(identity)?));
        self.check(&cipher)?;
        let path: Vec<&str> = entry.split('.').collect();
        match found {
            Value::Object(_) | Value::Array(_) => Err(SopsError::Shape(format!("`{entry}` is no single value"))),
            leaf => plain(&cipher, leaf, &aad(&path)).map(Some),
        }
    }

    fn entry(&self, entry: &str) -> Option<&Value> {
        let mut parts = entry.split('.');
        let first = self.values.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.as_object()?.get(part))
    }

    fn data_key(&self, identity: &x25519::Identity) -> Result<Plain, SopsError> {
        let shares =
            self.sops.get("age").and_then(Value::as_array).ok_or(SopsError::Unsupported("another kind of key"))?;
        let mut texts = shares.iter().filter_map(|share| share.get("enc")?.as_str()).take(RECIPIENTS_MAX);
        let opened = texts.find_map(|text| keyring::open(identity, text.as_bytes()).ok());
        opened.filter(|key| key.len() == KEY_BYTES).ok_or(SopsError::Key)
    }

    /// Compares the code over all values.
    fn check(&self, cipher: &Cipher) -> Result<(), SopsError> {
        let text = |key: &str| self.sops.get(key).and_then(Value::as_str);
        let (Some(mac), Some(modified)) = (text("mac"), text("lastmodified")) else {
            return Err(SopsError::Shape("`sops:` has no `mac` or `lastmodified`".to_owned()));
        };
        let wanted = opened(cipher, mac, modified).ok_or_else(|| SopsError::Changed("the code `mac`".to_owned()))?;
        let mut hash = Sha512::new();
        for (key, value) in &self.values {
            walk(cipher, value, &mut vec![key], &mut hash)?;
        }
        let found: Zeroizing<String> =
            Zeroizing::new(hash.finalize().iter().map(|byte| format!("{byte:02X}")).collect());
        if found.as_bytes() == wanted.as_slice() {
            Ok(())
        } else {
            Err(SopsError::Changed("the code `mac`".to_owned()))
        }
    }
}

fn walk<'a>(cipher: &Cipher, value: &'a Value, path: &mut Vec<&'a str>, hash: &mut Sha512) -> Result<(), SopsError> {
    match value {
        Value::Object(entries) => entries.iter().try_for_each(|(key, value)| {
            path.push(key);
            let walked = walk(cipher, value, path, hash);
            path.pop();
            walked
        }),
        Value::Array(values) => values.iter().try_for_each(|value| walk(cipher, value, path, hash)),
        Value::Null => Ok(()),
        leaf => {
            hash.update(plain(cipher, leaf, &aad(path))?);
            Ok(())
        }
    }
}

/// What an encrypted value is bound to: the keys on the way to it.
fn aad(path: &[&str]) -> String {
    path.iter().map(|part| format!("{part}:")).collect()
}

/// A single value in clear, as SOPS turns it into bytes.
fn plain(cipher: &Cipher, leaf: &Value, aad: &str) -> Result<Plain, SopsError> {
    let text = match leaf {
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.starts_with(ENC.0) && text.ends_with(ENC.1) => {
            return opened(cipher, text, aad).ok_or_else(|| SopsError::Changed(format!("the value at `{aad}`")));
        }
        Value::String(text) => text.clone(),
        _ => String::new(),
    };
    Ok(Zeroizing::new(text.into_bytes()))
}

/// Decrypts one `ENC[…]`; `None` when it does not fit.
fn opened(cipher: &Cipher, text: &str, aad: &str) -> Option<Plain> {
    let sealed = Sealed::parse(text).filter(|sealed| sealed.iv.len() == 32 && sealed.tag.len() == 16)?;
    let mut data = Zeroizing::new(sealed.data);
    let (nonce, tag) = (GenericArray::from_slice(&sealed.iv), GenericArray::from_slice(&sealed.tag));
    cipher.decrypt_in_place_detached(nonce, aad.as_bytes(), &mut data, tag).ok()?;
    // SOPS keeps what a number or a truth value was as text; only a comment is no value.
    (sealed.kind != "comment").then_some(data)
}

impl Sealed {
    fn parse(text: &str) -> Option<Self> {
        let inside = text.strip_prefix(ENC.0)?.strip_suffix(ENC.1)?;
        let part = |name: &str| inside.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix(':'));
        let bytes = |name: &str| STANDARD.decode(part(name)?).ok();
        Some(Self { data: bytes("data")?, iv: bytes("iv")?, tag: bytes("tag")?, kind: part("type")?.to_owned() })
    }
}
