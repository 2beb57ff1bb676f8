//! Goal: nobody comes in by a token that the provider did not make for this sign-in, and no answer leads to another server. Method:
//! tokens are made with keys of the tests, each wrong in one way.
#![allow(clippy::unwrap_used)]
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use proptest::prelude::*;
use rcgen::{KeyPair, PublicKeyData as _};
use serde_json::{Value, json};

use super::provider::is_safe;
use super::token::{Expected, TokenFault, verify};
use super::*;

const ISSUER: &str = "https://id.example";
const EXPECTED: Expected<'_> = Expected { issuer: ISSUER, client_id: "rapidlaunch", nonce: "n1" };

/// A key of a provider.
struct Signer {
    pair: KeyPair,
    id: &'static str,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        Self { pair: KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(), id }
    }

    /// As the provider publishes it.
    fn jwk(&self) -> Jwk {
        let (x, y) = self.pair.der_bytes()[1..].split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        serde_json::from_value(json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.id, "x": x, "y": y
        }))
        .unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, &EncodingKey::from_ec_der(&self.pair.serialize_der())).unwrap()
    }
}

fn good() -> Value {
    let now = jsonwebtoken::get_current_timestamp();
    json!({ "iss": ISSUER, "sub": "u1", "aud": "rapidlaunch", "nonce": "n1", "iat": now, "exp": now + 300, "groups": ["ops"] })
}

fn with(field: &str, value: Value) -> Value {
    let mut claims = good();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(field)),
        value => claims[field] = value,
    }
    claims
}

#[test]
fn a_token_is_believed_when_all_is_right_and_otherwise_not() {
    let signer = Signer::new("k1");
    let keys = [Signer::new("k0").jwk(), signer.jwk()];
    let check = |claims: Value| verify(&signer.sign(&claims), &keys, &EXPECTED).map(|claims| claims.sub);
    assert_eq!(check(good()), Ok("u1".to_owned()));
    assert_eq!(check(with("aud", json!(["rapidlaunch"]))), Ok("u1".to_owned()));
    let now = jsonwebtoken::get_current_timestamp();
    let cases = [
        ("exp", json!(now - 120), TokenFault::Expired),
        ("nbf", json!(now + 120), TokenFault::Expired),
        ("iss", json!("https://id.example/"), TokenFault::Issuer),
        ("iss", json!([ISSUER]), TokenFault::Malformed(String::new())),
        ("aud", json!("other"), TokenFault::Audience),
        ("aud", json!(["rapidlaunch", "other"]), TokenFault::Audience),
        ("azp", json!("other"), TokenFault::Audience),
        ("nonce", json!("n2"), TokenFault::Nonce),
        ("nonce", Value::Null, TokenFault::Nonce),
        ("sub", json!(""), TokenFault::Subject),
        ("sub", json!("a b"), TokenFault::Subject),
    ];
    for (field, value, fault) in cases {
        let found = check(with(field, value.clone()));
        let is_it = match (&found, &fault) {
            (Err(TokenFault::Malformed(_)), TokenFault::Malformed(_)) => true,
            (found, fault) => found.as_ref().err() == Some(fault),
        };
        assert!(is_it, "{field} = {value}: {found:?}");
    }
    for field in ["exp", "iss", "aud", "sub"] {
        assert!(check(with(field, Value::Null)).is_err(), "without {field}");
    }
    let several = json!({ "aud": ["rapidlaunch", "other"], "azp": "rapidlaunch" });
    let mut claims = good();
    claims.as_object_mut().unwrap().extend(several.as_object().unwrap().clone());
    assert!(check(claims).is_ok());
}

#[test]
fn a_token_of_another_key_or_of_none_is_not_believed() {
    let (signer, other) = (Signer::new("k1"), Signer::new("k1"));
    let keys = [signer.jwk()];
    let fault = |token: &str| verify(token, &keys, &EXPECTED).unwrap_err();
    assert_eq!(fault(&other.sign(&good())), TokenFault::Signature);
    assert_eq!(fault(&Signer::new("k2").sign(&good())), TokenFault::UnknownKey);
    let token = signer.sign(&good());
    let (head, signature) = token.rsplit_once('.').unwrap();
    let (_, body) = head.split_once('.').unwrap();
    let headed = |header: Value| format!("{}.{body}", URL_SAFE_NO_PAD.encode(header.to_string()));
    for name in ["none", "None", "NONE", "nOnE"] {
        assert_eq!(fault(&format!("{}.", headed(json!({ "alg": name })))), TokenFault::Algorithm, "{name}");
    }
    // The published key, used as if it were a secret that both sides share.
    let secret = EncodingKey::from_secret(signer.pair.der_bytes());
    assert_eq!(fault(&encode(&Header::new(Algorithm::HS256), &good(), &secret).unwrap()), TokenFault::Algorithm);
    assert_eq!(
        fault(&format!("{}.{signature}", headed(json!({ "alg": "EdDSA", "kid": "k1" })))),
        TokenFault::UnknownKey
    );
    let mut altered = with("sub", json!("root")).to_string().into_bytes();
    altered.push(b' ');
    let forged = format!("{}.{}.{signature}", token.split('.').next().unwrap(), URL_SAFE_NO_PAD.encode(altered));
    assert_eq!(fault(&forged), TokenFault::Signature);
    for text in ["", ".", "..", "a.b.c", "a.b.c.d"] {
        assert!(verify(text, &keys, &EXPECTED).is_err(), "{text}");
    }
    let no_key: Jwk = serde_json::from_value(json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "k1" })).unwrap();
    assert_eq!(verify(&token, &[no_key], &EXPECTED).unwrap_err(), TokenFault::UnknownKey);
}

#[test]
fn an_attempt_is_what_its_cookie_says_and_tells_nothing_of_it() {
    let attempt = Attempt::new("/#/stacks/shop?x=1".parse().unwrap());
    let again = Attempt::shown(&attempt.cookie()).unwrap();
    assert_eq!((again.state(), again.next.as_str()), (attempt.state(), "/#/stacks/shop?x=1"));
    assert!(again.is_state(&attempt.state()) && !again.is_state("") && !again.is_state(&attempt.nonce()));
    let other = Attempt::new(Next::default());
    assert!(!other.is_state(&attempt.state()));
    let (secret, _) = attempt.cookie().split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let shown = [attempt.state(), attempt.nonce(), attempt.challenge()];
    assert!(shown.iter().all(|text| !text.contains(&secret) && *text != attempt.verifier()));
    // RFC 7636, appendix B: BASE64URL(SHA256(verifier)).
    assert_eq!(attempt.challenge().len(), 43);
    for text in ["", ".", "x.Lw", &format!("{secret}."), &format!("{secret}.Ly9ldmls")] {
        assert!(Attempt::shown(text).is_none(), "{text}");
    }
}

#[test]
fn providers_are_asked_over_tls_or_on_this_machine() {
    let safe = |url: &str| is_safe(&url.parse().unwrap());
    assert!(safe("https://id.example/realms/x") && safe("http://127.0.0.1:8080") && safe("http://[::1]:1/"));
    assert!(safe("http://localhost:1") && !safe("http://id.example") && !safe("ftp://127.0.0.1"));
    assert!(!safe("http://localhost.id.example") && !safe("http://127.0.0.1.id.example"));
}

#[test]
fn groups_are_names_in_a_list_or_one() {
    let of = |claim: Value| groups(Some(&claim)).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(of(json!(["ops", "dev", "ops", "", " x", 7, null])), ["dev", "ops"]);
    assert_eq!(of(json!("ops")), ["ops"]);
    assert_eq!((of(json!({ "a": 1 })).len(), groups(None).len()), (0, 0));
    assert_eq!(of(json!((0..300).map(|n| format!("g{n}")).collect::<Vec<_>>())).len(), GROUPS_MAX);
}

proptest! {
    /// Whatever is taken as a path to go to stays on this server, as browsers read it.
    #[test]
    fn nothing_leads_to_another_server(text in "[/\\\\a-z.:@?#%\t\n ]{0,12}") {
        let own: Url = "https://own.example".parse().unwrap();
        if let Ok(next) = text.parse::<Next>() {
            let led = own.join(next.as_str()).unwrap();
            prop_assert_eq!((led.scheme(), led.host_str()), ("https", Some("own.example")));
        }
    }
}
