//! A sealed value opens for one agent, one guest and one file alone.

use proptest::prelude::*;
use rl_agent::seal::{SealError, SealKey, seal};
use rl_model::{GuestId, GuestPath};

fn path(text: &str) -> GuestPath {
    text.parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever the value is, it comes back, and its bytes are not seen on the way.
    #[test]
    fn a_value_comes_back(value in prop::collection::vec(any::<u8>(), 24..200), bits: u128) {
        let (key, guest, file) = (SealKey::generate(), GuestId::from_bits(bits), path("/run/secrets/db"));
        let sealed = seal(&key.recipient(), &guest, &file, &value).unwrap();
        prop_assert!(!sealed.windows(value.len()).any(|window| window == value));
        let opened = key.open(&guest, &file, &sealed).unwrap();
        prop_assert_eq!(opened.as_slice(), value.as_slice());
    }
}

#[test]
fn it_opens_for_nobody_else() {
    let (key, guest, file) = (SealKey::generate(), GuestId::from_bits(1), path("/run/secrets/db"));
    let mut sealed = seal(&key.recipient(), &guest, &file, b"hunter2").unwrap();
    assert!(matches!(SealKey::generate().open(&guest, &file, &sealed), Err(SealError::Open(_))));
    assert!(matches!(key.open(&GuestId::from_bits(2), &file, &sealed), Err(SealError::Wrong(_))));
    assert!(matches!(key.open(&guest, &path("/run/secrets/other"), &sealed), Err(SealError::Wrong(_))));
    let last = sealed.len() - 1;
    sealed[last] ^= 1;
    assert!(matches!(key.open(&guest, &file, &sealed), Err(SealError::Open(_))));
    assert!(matches!(seal("age1nobody", &guest, &file, b"x"), Err(SealError::Recipient(_))));
}

#[test]
fn a_key_reads_back_and_is_not_shown() {
    let key = SealKey::generate();
    assert_eq!(SealKey::parse(&key.secret()).unwrap().recipient(), key.recipient());
    assert_eq!(format!("{key:?}"), "SealKey(hidden)");
}
