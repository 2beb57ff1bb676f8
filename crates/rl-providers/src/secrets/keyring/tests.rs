#![allow(clippy::unwrap_used)]
use std::fs::Permissions;

use proptest::prelude::*;

use super::*;

fn name(text: &str) -> SecretRef {
    text.parse().unwrap()
}

fn identity(dir: &Path, file: &str) -> IdentityFile {
    IdentityFile::create(&dir.join(file)).unwrap()
}

fn keyring(identity: &IdentityFile) -> Keyring {
    Keyring { installation: identity.recipient(), recovery: None }
}

#[test]
fn identity_is_for_its_owner_alone_and_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secrets.key");
    let made = IdentityFile::create(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(IdentityFile::read(&path).unwrap().recipient(), made.recipient());
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(IdentityFile::create(&path), Err(KeyringError::File { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(IdentityFile::read(&path), Err(KeyringError::Open { .. })));
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, "# no key\n").unwrap();
    assert!(matches!(IdentityFile::read(&path), Err(KeyringError::NoIdentity { .. })));
}

#[test]
fn either_key_opens_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let [here, offline, stranger] = ["a", "b", "c"].map(|file| identity(dir.path(), file));
    let both = Keyring { installation: here.recipient(), recovery: Some(offline.recipient()) };
    let sealed = both.seal(&name("shop/db"), 3, &SecretValue::new("hunter2")).unwrap();
    for key in [&here, &offline] {
        assert_eq!(key.open(&name("shop/db"), 3, &sealed).unwrap().expose(), "hunter2");
    }
    assert!(matches!(stranger.open(&name("shop/db"), 3, &sealed), Err(KeyringError::Decrypt { .. })));
}

#[test]
fn value_under_another_name_or_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let key = identity(dir.path(), "a");
    let sealed = keyring(&key).seal(&name("shop/db"), 3, &SecretValue::new("hunter2")).unwrap();
    for (other, version) in [("shop/db", 4), ("shop/d", 3), ("shop/db2", 3)] {
        let error = key.open(&name(other), version, &sealed).unwrap_err();
        assert!(matches!(error, KeyringError::Foreign { .. }), "{error}");
        assert!(!format!("{error:?}{error}").contains("hunter2"));
    }
}

#[test]
fn secret_half_given_as_recipient_is_not_shown() {
    let secret = x25519::Identity::generate().to_string();
    let error = secret.expose_secret().parse::<Recipient>().unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&secret.expose_secret()[15..40]), "{error}");
    assert!("age1nonsense".parse::<Recipient>().unwrap_err().to_string().contains("age1nonsense"));
}

#[test]
fn too_long_a_value_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let keys = keyring(&identity(dir.path(), "a"));
    let value = |bytes: usize| SecretValue::new("x".repeat(bytes));
    assert!(keys.seal(&name("a"), 1, &value(VALUE_BYTES_MAX)).is_ok());
    assert!(matches!(keys.seal(&name("a"), 1, &value(VALUE_BYTES_MAX + 1)), Err(KeyringError::TooLong)));
}

#[test]
fn generated_values_have_their_length_and_differ() {
    let values: std::collections::BTreeSet<String> =
        (0..50).map(|_| crate::secrets::generated(32).expose().to_owned()).collect();
    assert_eq!(values.len(), 50);
    assert!(values.iter().all(|value| value.len() == 32 && value.bytes().all(|b| b.is_ascii_alphanumeric())));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn what_is_sealed_comes_back_and_does_not_show(value in "\\PC{12,200}", version in 1_u64..1_000_000) {
        let dir = tempfile::tempdir().unwrap();
        let key = identity(dir.path(), "a");
        let sealed = keyring(&key).seal(&name("shop/db"), version, &SecretValue::new(value.as_str())).unwrap();
        prop_assert!(!sealed.as_str().contains(&value));
        let opened = key.open(&name("shop/db"), version, &sealed).unwrap();
        prop_assert_eq!(opened.expose(), &value);
    }
}
