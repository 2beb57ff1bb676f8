//! Random texts that open something: API tokens, cookies, set-up links, recovery codes. Each is shown once; digests are kept.
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::{Rng, RngCore};
use rl_model::{SecretValue, TokenId};
use rl_store::Digest;

/// Bytes of a text that opens something: nobody finds it by trying.
const SECRET_BYTES: usize = 32;
/// Characters of such a text in base64 without padding.
const SECRET_CHARS: usize = 43;
/// How a token begins, so that people and programs that look for leaked secrets know one.
const TOKEN_PREFIX: &str = "rlt_";

/// A random text of 256 bits.
pub(crate) struct NewSecret(SecretValue);

impl NewSecret {
    /// Makes one.
    pub(crate) fn new() -> Self {
        let mut bytes = zeroize::Zeroizing::new([0u8; SECRET_BYTES]);
        rl_agent::random().fill_bytes(&mut *bytes);
        Self(SecretValue::new(URL_SAFE_NO_PAD.encode(*bytes)))
    }

    /// Takes one that was shown.
    pub(crate) fn shown(text: &str) -> Option<Self> {
        is_secret(text).then(|| Self(SecretValue::new(text)))
    }

    /// The text.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What is kept of it.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(self.expose())
    }

    /// The text that belongs to a cookie and is not sent by itself: whoever makes another page send the cookie does not know it.
    pub(crate) fn csrf(&self) -> String {
        Digest::of(&format!("rapidlaunch csrf {}", self.expose())).as_str().to_owned()
    }
}

/// An API token: `rlt_ID_SECRET`.
pub(crate) struct Token {
    /// The part that may be shown.
    pub(crate) id: TokenId,
    text: SecretValue,
}

impl Token {
    /// Makes one.
    pub(crate) fn new() -> Self {
        let id = TokenId::from_bits(rl_agent::random().random());
        let text = SecretValue::new(format!("{TOKEN_PREFIX}{id}_{}", NewSecret::new().expose()));
        Self { id, text }
    }

    /// The whole text.
    pub(crate) fn expose(&self) -> &str {
        self.text.expose()
    }

    /// What is kept of it.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(self.expose())
    }
}

impl FromStr for Token {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (id, secret) = text.strip_prefix(TOKEN_PREFIX).and_then(|rest| rest.split_once('_')).ok_or(())?;
        let id = id.parse().map_err(|_| ())?;
        if is_secret(secret) { Ok(Self { id, text: SecretValue::new(text) }) } else { Err(()) }
    }
}

fn is_secret(text: &str) -> bool {
    text.len() == SECRET_CHARS && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Groups of a recovery code, each of four characters of base 32: 80 bits.
const CODE_GROUPS: usize = 4;
/// Crockford's base 32 alphabet in lower case: no i, l, o, u.
const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Makes a recovery code.
pub(super) fn recovery_code() -> String {
    let mut random = rl_agent::random();
    let mut group = || (0..4).map(|_| BASE32[random.random_range(0..32)] as char).collect::<String>();
    (0..CODE_GROUPS).map(|_| group()).collect::<Vec<_>>().join("-")
}

/// What is kept of a recovery code; spaces, dashes and the case that it is typed with do not matter.
pub(super) fn recovery_digest(code: &str) -> Option<Digest> {
    let plain: String = code.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
    let good = plain.len() == CODE_GROUPS * 4 && plain.bytes().all(|b| BASE32.contains(&b));
    good.then(|| Digest::of(&format!("recovery {plain}")))
}
