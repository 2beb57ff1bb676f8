//! ID tokens: signed statements of a provider about somebody (OpenID Connect Core, 2 and 3.1.3.7).
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

/// What a token may be signed with. No algorithm with a shared secret, and not `none`.
const ALGORITHMS: [Algorithm; 4] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];
/// Seconds that the clocks of provider and server may be apart.
const LEEWAY_S: u64 = 60;
/// Longest subject (OpenID Connect Core, 2).
const SUBJECT_BYTES_MAX: usize = 255;

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenFault {
    /// It is none.
    #[error("the ID token is malformed: {0}")]
    Malformed(String),
    /// It is not signed, or in a way that is not accepted.
    #[error("the ID token is not signed with RS256, PS256, ES256 or EdDSA")]
    Algorithm,
    /// The provider's keys have none for it.
    #[error("the ID token is signed with a key that the provider does not publish")]
    UnknownKey,
    /// The signature is not by the key.
    #[error("the signature of the ID token is wrong")]
    Signature,
    /// Its time is over.
    #[error("the ID token has expired, or the clocks are more than {LEEWAY_S} s apart")]
    Expired,
    /// It is another provider's.
    #[error("the ID token is of another issuer")]
    Issuer,
    /// It is for somebody else.
    #[error("the ID token is for another client")]
    Audience,
    /// It belongs to another attempt to sign in.
    #[error("the ID token answers another request")]
    Nonce,
    /// It is about nobody.
    #[error("the ID token has no usable subject")]
    Subject,
}

/// What a token must say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
}

/// What a token says.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    iss: String,
    /// Who it is about.
    pub(super) sub: String,
    aud: Audience,
    azp: Option<String>,
    nonce: Option<String>,
    /// All else.
    #[serde(flatten)]
    pub(super) others: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// What a token says, if it is to be believed.
pub(super) fn verify(token: &str, keys: &[Jwk], expected: &Expected<'_>) -> Result<Claims, TokenFault> {
    let header = decode_header(token).map_err(|error| match error.kind() {
        ErrorKind::InvalidAlgorithmName | ErrorKind::Json(_) => TokenFault::Algorithm,
        _ => TokenFault::Malformed(error.to_string()),
    })?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(TokenFault::Algorithm);
    }
    let mut validation = Validation::new(header.alg);
    validation.leeway = LEEWAY_S;
    validation.validate_nbf = true;
    validation.set_issuer(&[expected.issuer]);
    validation.set_audience(&[expected.client_id]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let mut fault = TokenFault::UnknownKey;
    for key in keys.iter().filter(|key| fits(key, header.kid.as_deref(), header.alg)) {
        let Ok(key) = DecodingKey::from_jwk(key) else { continue };
        match decode::<Claims>(token, &key, &validation) {
            Ok(found) => return checked(found.claims, expected),
            Err(error) => fault = of(error.kind()),
        }
    }
    Err(fault)
}

/// Whether a key may have made the signature: by its id where the token names one, its use and its kind.
fn fits(key: &Jwk, id: Option<&str>, algorithm: Algorithm) -> bool {
    let common = &key.common;
    let kind = matches!(
        (&key.algorithm, algorithm),
        (AlgorithmParameters::RSA(_), Algorithm::RS256 | Algorithm::PS256)
            | (AlgorithmParameters::EllipticCurve(_), Algorithm::ES256)
            | (AlgorithmParameters::OctetKeyPair(_), Algorithm::EdDSA)
    );
    let named = common.key_algorithm.as_ref().is_none_or(|named| named.to_string() == format!("{algorithm:?}"));
    let signs = common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    kind && named && signs && id.is_none_or(|id| common.key_id.as_deref() == Some(id))
}

fn of(kind: &ErrorKind) -> TokenFault {
    match kind {
        ErrorKind::InvalidSignature => TokenFault::Signature,
        ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => TokenFault::Expired,
        ErrorKind::InvalidIssuer => TokenFault::Issuer,
        ErrorKind::InvalidAudience => TokenFault::Audience,
        ErrorKind::InvalidAlgorithm => TokenFault::Algorithm,
        other => TokenFault::Malformed(format!("{other:?}")),
    }
}

/// What the library leaves to be checked.
fn checked(claims: Claims, expected: &Expected<'_>) -> Result<Claims, TokenFault> {
    if claims.iss != expected.issuer {
        return Err(TokenFault::Issuer);
    }
    let several = matches!(&claims.aud, Audience::Several(all) if all.len() > 1);
    let is_ours = match &claims.aud {
        Audience::One(one) => one == expected.client_id,
        Audience::Several(all) => all.iter().any(|one| one == expected.client_id),
    };
    // For several clients it must be made for this one (3.1.3.7, points 4 and 5).
    let party = claims.azp.as_deref();
    if !is_ours || party.is_some_and(|party| party != expected.client_id) || (several && party.is_none()) {
        return Err(TokenFault::Audience);
    }
    if claims.nonce.as_deref() != Some(expected.nonce) {
        return Err(TokenFault::Nonce);
    }
    let subject = &claims.sub;
    if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX || !subject.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(TokenFault::Subject);
    }
    Ok(claims)
}
