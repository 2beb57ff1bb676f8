#![allow(clippy::unwrap_used)]
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::aead::{AeadInPlace, KeyInit, consts::U32};
use aes_gcm::{AesGcm, aes::Aes256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::TryRngCore;
use serde_json::{Value, json};
use sha2::Sha512;

use super::*;

struct Lab {
    dir: tempfile::TempDir,
    identity: IdentityFile,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("files")).unwrap();
        let identity = IdentityFile::create(&dir.path().join("key")).unwrap();
        Self { dir, identity }
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.dir.path().join("files").join(name), bytes).unwrap();
    }

    fn files(&self, kind: FileKind) -> Files {
        Files::new(kind, self.dir.path().join("files"), FileKey::File(self.dir.path().join("key")))
    }
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).unwrap();
    bytes
}

fn from(text: &str) -> SecretSource {
    text.parse().unwrap()
}

/// `ENC[…]` as SOPS writes it.
fn enc(key: &[u8], aad: &str, text: &str) -> Value {
    let iv: [u8; 32] = random();
    let mut data = text.as_bytes().to_vec();
    let cipher = AesGcm::<Aes256, U32>::new(GenericArray::from_slice(key));
    let tag = cipher.encrypt_in_place_detached(GenericArray::from_slice(&iv), aad.as_bytes(), &mut data).unwrap();
    let [data, iv, tag] = [&data[..], &iv[..], &tag[..]].map(|bytes| STANDARD.encode(bytes));
    json!(format!("ENC[AES256_GCM,data:{data},iv:{iv},tag:{tag},type:str]"))
}

/// A file as SOPS writes it: two encrypted values, one in clear, a code over all of them.
fn sops_file(identity: &IdentityFile) -> Value {
    let key: [u8; 32] = random();
    let share = age::encrypt_and_armor(&identity.identity().to_public(), &key).unwrap();
    let modified = "2026-11-22T10:00:00Z";
    let mac: String = Sha512::digest(b"hunter2onetwo17True").iter().map(|byte| format!("{byte:02X}")).collect();
    json!({
        "db": { "password": enc(&key, "db:password:", "hunter2"), "list": [enc(&key, "db:list:", "one"), enc(&key, "db:list:", "two")] },
        "port_unencrypted": 17,
        "flag_unencrypted": true,
        "sops": {
            "age": [{ "recipient": "x", "enc": share }], "lastmodified": modified, "mac": enc(&key, modified, &mac),
            "unencrypted_suffix": "_unencrypted", "version": "3.9.0", "kms": null,
        },
    })
}

#[tokio::test]
async fn file_of_age_is_read_armored_or_not() {
    let lab = Lab::new();
    let recipient = lab.identity.identity().to_public();
    lab.write("text", age::encrypt_and_armor(&recipient, b"hunter2").unwrap());
    lab.write("binary", age::encrypt(&recipient, b"hunter2").unwrap());
    lab.write("foreign", age::encrypt(&age::x25519::Identity::generate().to_public(), b"x").unwrap());
    lab.write("plain", "hunter2");
    let files = lab.files(FileKind::Age);
    for place in ["ops:text", "ops:binary", "ops:./text"] {
        let version = files.newest(&from(place)).await.unwrap();
        assert_eq!(files.fetch(&from(place), version).await.unwrap().expose(), "hunter2");
        let gone = files.fetch(&from(place), version + 1).await.unwrap_err();
        assert!(matches!(gone, SecretError::VersionGone { .. }), "{gone}");
    }
    // Encrypted anew it is another version, although the value is the same: a version says nothing of the value.
    let before = files.newest(&from("ops:text")).await.unwrap();
    lab.write("text", age::encrypt_and_armor(&recipient, b"hunter2").unwrap());
    assert_ne!(files.newest(&from("ops:text")).await.unwrap(), before);
    let version = files.newest(&from("ops:foreign")).await.unwrap();
    assert!(matches!(files.fetch(&from("ops:foreign"), version).await.unwrap_err(), SecretError::Key { .. }));
    let plain = files.newest(&from("ops:plain")).await.unwrap_err();
    assert!(matches!(&plain, SecretError::Unusable { .. }) && !format!("{plain:?}").contains("hunter2"), "{plain:?}");
    assert!(matches!(files.newest(&from("ops:none")).await.unwrap_err(), SecretError::Missing(_)));
    for outside in ["ops:../key", "ops:/etc/passwd", "ops:a/../../key"] {
        let error = files.newest(&from(outside)).await.unwrap_err();
        assert!(matches!(error, SecretError::Unusable { .. }), "{outside}: {error}");
    }
}

#[tokio::test]
async fn file_of_sops_is_read_and_found_unchanged() {
    let lab = Lab::new();
    let good = sops_file(&lab.identity);
    lab.write("good.json", good.to_string());
    lab.write("good.yaml", yaml(&good));
    let files = lab.files(FileKind::Sops);
    for place in ["ops:good.json#db.password", "ops:good.yaml#db.password"] {
        let version = files.newest(&from(place)).await.unwrap();
        assert_eq!(files.fetch(&from(place), version).await.unwrap().expose(), "hunter2", "{place}");
    }
    for missing in ["ops:good.json#db.nothing", "ops:good.json#nothing", "ops:none.json#a"] {
        assert!(matches!(files.newest(&from(missing)).await.unwrap_err(), SecretError::Missing(_)), "{missing}");
    }
}

/// Every change by hand is found, also of a value that nobody asks for.
#[tokio::test]
async fn changed_file_of_sops_is_refused() {
    let lab = Lab::new();
    let good = sops_file(&lab.identity);
    let mut moved = good.clone();
    moved["db"]["password"] = good["db"]["list"][0].clone();
    let mut clear = good.clone();
    clear["port_unencrypted"] = json!(18);
    let mut added = good.clone();
    added["more"] = json!("x");
    let mut less = good.clone();
    less["db"]["list"].as_array_mut().unwrap().pop();
    let mut unsealed = good.clone();
    unsealed["db"]["password"] = json!("mallory");
    let files = lab.files(FileKind::Sops);
    let mut refused = 0;
    for changed in [moved, clear, added, less, unsealed] {
        lab.write("f", changed.to_string());
        let source = from("ops:f#db.password");
        let Ok(version) = files.newest(&source).await else {
            refused += 1;
            continue;
        };
        let error = files.fetch(&source, version).await.unwrap_err();
        assert!(error.to_string().contains("changed without SOPS"), "{error}");
        refused += 1;
    }
    assert_eq!(refused, 5);
    let mut groups = good;
    groups["sops"]["shamir_threshold"] = json!(2);
    lab.write("f", groups.to_string());
    assert!(files.newest(&from("ops:f#db.password")).await.unwrap_err().to_string().contains("key groups"));
}

/// YAML of a tree, each text in quotes.
fn yaml(value: &Value) -> String {
    fn write(value: &Value, indent: usize, out: &mut String) {
        let pad = " ".repeat(indent);
        match value {
            Value::Object(entries) => {
                for (key, value) in entries {
                    out.push_str(&format!("\n{pad}{key}:"));
                    write(value, indent + 2, out);
                }
            }
            Value::Array(values) => {
                for value in values {
                    out.push_str(&format!("\n{pad}-"));
                    write(value, indent + 2, out);
                }
            }
            leaf => out.push_str(&format!(" {leaf}")),
        }
    }
    let mut out = String::new();
    write(value, 0, &mut out);
    out + "\n"
}
