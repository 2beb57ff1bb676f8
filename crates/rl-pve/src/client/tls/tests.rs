//! Fingerprints as people write them.

#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn fingerprints_are_read_in_every_common_form() {
    let plain = "ab".repeat(32);
    let colons = vec!["AB"; 32].join(":");
    assert_eq!(fingerprint(&plain).unwrap(), [0xab; 32]);
    assert_eq!(fingerprint(&colons).unwrap(), [0xab; 32]);
    assert_eq!(fingerprint(&format!(" {colons}\n")).unwrap(), [0xab; 32]);
}

#[test]
fn short_or_foreign_fingerprints_are_refused() {
    for bad in ["", "ab", &"ab".repeat(20), &"ab".repeat(33), &"zz".repeat(32), &"é".repeat(64)] {
        assert!(matches!(fingerprint(bad), Err(TlsError::Fingerprint(_))), "{bad}");
    }
    assert!(matches!(client_config(&TlsTrust::Fingerprints(vec![])), Err(TlsError::NoFingerprint)));
}

#[test]
fn a_ca_file_must_exist_and_hold_certificates() {
    let missing = TlsTrust::CaFile("/nonexistent/ca.pem".into());
    assert!(matches!(client_config(&missing), Err(TlsError::CaFile { .. })));
    let path = std::env::temp_dir().join(format!("rl-pve-empty-ca-{}.pem", std::process::id()));
    std::fs::write(&path, "no certificate\n").unwrap();
    let empty = client_config(&TlsTrust::CaFile(path.clone()));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(empty, Err(TlsError::NoCertificate { .. })));
}
