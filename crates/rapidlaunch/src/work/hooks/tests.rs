#![allow(clippy::unwrap_used)]
use std::time::Duration;

use proptest::prelude::*;
use rl_engine::UnixMs;
use rl_providers::reach::Reach;
use rl_store::Outcome;

use super::deliver::{outcome, within};
use super::keys::{KEYS_OVERLAP, signed};
use super::{Keys, delivery_id, feed};
use crate::work::happenings::Position;

/// Made with another program: `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key`
#[test]
fn a_signature_is_that_of_others() {
    let known = "a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03";
    assert_eq!(signed(b"key", 1_700_000_000, "{\"a\":1}"), known);
    assert_ne!(signed(b"key", 1, "x"), signed(b"key", 2, "x"));
    assert_ne!(signed(b"key", 1, "x"), signed(b"kez", 1, "x"));
}

#[test]
fn a_new_key_signs_beside_the_old_one_for_a_day() {
    let (first, now) = (Keys::new(), UnixMs(1_700_000_000_000));
    assert!(first.current().expose().starts_with("rlw_") && first.current().expose().len() == 47);
    let old = first.signature(now, "{}");
    let rotated = first.rotated(now);
    let both = rotated.signature(now, "{}");
    let (head, _) = both.rsplit_once(",v1=").unwrap();
    assert!(both.starts_with("t=1700000000,v1=") && head != old && both.ends_with(old.rsplit_once("v1=").unwrap().1));
    let later = rotated.signature(now + KEYS_OVERLAP, "{}");
    assert_eq!(later.matches("v1=").count(), 1);
}

#[test]
fn a_url_with_an_address_is_looked_at_before_it_is_called() {
    let refused = |url: &str| within(Reach::Public, &url.parse().unwrap()).is_err();
    for url in [
        "https://127.0.0.1/x",
        "https://[::1]:8443/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::ffff:10.0.0.1]/",
    ] {
        assert!(refused(url), "{url}");
    }
    assert!(!refused("https://1.1.1.1/") && !refused("https://hooks.example/"));
    assert_eq!(delivery_id(&rl_model::WebhookId::from_bits(0), 7), "000000000000-7");
}

#[test]
fn a_gap_is_told_with_its_place() {
    let made = feed::resync(Position { events: 3, changes: 9 });
    let body: serde_json::Value = serde_json::from_str(&made.body).unwrap();
    assert_eq!(body, serde_json::json!({ "event": "resync", "data": { "after": "3-9" } }));
    assert_eq!((made.kind.as_str(), made.event.as_str()), ("resync", "resync"));
}

proptest! {
    #[test]
    fn waits_double_and_end(attempts in 1_u32..200, hours in 0_u64..48, jitter in 0.5_f64..=1.0) {
        let age = Duration::from_secs(hours * 3600);
        let failed = || Err((Some(500), "x".repeat(1_000)));
        match outcome(failed(), attempts, age, jitter) {
            Outcome::Retry { after, error, status } => {
                let whole = 2_f64.powi(attempts as i32 - 1).min(3600.0);
                prop_assert!(hours < 24 && (after.as_secs_f64() - whole * jitter).abs() < 0.001);
                prop_assert!(error.len() == 300 && status == Some(500));
            }
            Outcome::Failed { .. } => prop_assert!(hours >= 24),
            Outcome::Delivered { .. } => prop_assert!(false),
        }
        prop_assert_eq!(outcome(Ok(204), attempts, age, jitter), Outcome::Delivered { status: 204 });
    }
}
