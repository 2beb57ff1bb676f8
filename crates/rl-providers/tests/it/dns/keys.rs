//! Keys that servers refuse.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use rl_model::SecretValue;
use rl_model::dns::{RecordPut, RecordSet, RecordValue, TsigAlgorithm, ZoneChange};
use rl_providers::dns::{DnsError, DnsProvider, Key, KeyError, KeyFault, Rfc2136};

use super::conformance::name;
use super::lab::{self, KEY, KEY_NAME, Server, declared, zone};

fn change() -> ZoneChange {
    let set = RecordSet::new(60, [RecordValue::of_address([192, 0, 2, 66].into())]);
    let put = RecordPut { name: name("late.example.org"), kind: rl_model::RecordType::A, set: Some(set) };
    ZoneChange { expect: Vec::new(), puts: vec![put] }
}

fn an_hour_ahead() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600
}

/// Servers say what is wrong with a key; PowerDNS 4.7 refuses an update without a word.
async fn faults(server: &Server, says_why: bool) {
    let make =
        |name: &str, algorithm, value: &str| Key::new(&declared(name, algorithm), &SecretValue::new(value)).unwrap();
    let other = "b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItMTI=";
    let cases = [
        (make("stranger.example", TsigAlgorithm::HmacSha256, KEY), KeyFault::Unknown),
        (make(KEY_NAME, TsigAlgorithm::HmacSha256, other), KeyFault::Signature),
        (lab::key().with_clock(an_hour_ahead), KeyFault::Clock),
    ];
    for (key, expected) in cases {
        let provider = Rfc2136::new(&zone(), server.address.clone(), key, Vec::new());
        let error = provider.apply(&change()).await.unwrap_err();
        match &error {
            DnsError::KeyRefused { fault, .. } => assert_eq!(*fault, expected, "{error}"),
            DnsError::Refused { hint, .. } if !says_why => {
                assert!(hint.contains("check the key") && hint.contains("value and clock"), "{hint}");
            }
            other => panic!("{expected:?} gives {other:?}"),
        }
        assert!(!error.hint().is_empty() && !format!("{error:?}").contains(KEY));
        assert!(provider.list().await.is_err() && provider.read(&BTreeSet::from([name("a.b")])).await.is_err());
    }
    // Another algorithm is another key; servers call it unknown or its signature bad.
    let sha512 = make(KEY_NAME, TsigAlgorithm::HmacSha512, KEY);
    let error = Rfc2136::new(&zone(), server.address.clone(), sha512, Vec::new()).apply(&change()).await.unwrap_err();
    assert!(!error.may_pass(), "{error:?}");
    // A zone that the server has not.
    let elsewhere = Rfc2136::new(&"example.net".parse().unwrap(), server.address.clone(), lab::key(), Vec::new());
    let error = elsewhere.list().await.unwrap_err();
    assert!(matches!(error, DnsError::Refused { .. }), "{error:?}");
    let list = Rfc2136::new(&zone(), server.address.clone(), lab::key(), Vec::new()).list().await.unwrap();
    assert!(list.records.keys().all(|(found, _)| *found != name("late.example.org")), "a refused change was made");
}

#[tokio::test]
async fn bind_refuses_keys() {
    faults(&lab::bind().await, true).await;
}

#[tokio::test]
async fn knot_refuses_keys() {
    faults(&lab::knot().await, true).await;
}

#[tokio::test]
async fn powerdns_refuses_keys() {
    faults(&lab::powerdns().await, false).await;
}

#[tokio::test]
async fn a_server_that_is_away_may_come_back() {
    let server = "127.0.0.1:1".parse().unwrap();
    let error = Rfc2136::new(&zone(), server, lab::key(), Vec::new()).list().await.unwrap_err();
    assert!(error.may_pass() && error.hint().contains("127.0.0.1:1"), "{error:?}");
}

#[test]
fn values_that_are_none_of_a_key_are_refused() {
    let make = |value: &str| Key::new(&declared(KEY_NAME, TsigAlgorithm::HmacSha256), &SecretValue::new(value));
    assert!(matches!(make("not base 64!"), Err(KeyError::Encoding(_))));
    assert!(matches!(make("c2hvcnQ="), Err(KeyError::Short(_))));
    assert!(!format!("{:?}", make(KEY).unwrap()).contains(KEY));
}
