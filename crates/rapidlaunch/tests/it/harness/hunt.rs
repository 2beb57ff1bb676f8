//! The hunt for the values of secrets: in what was said and in every file of the test's folder, data directory, database and agents, in clear and in other forms.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::World;

/// Name of the folder in which the files of simulated guests lie.
const GUESTS: &str = "trees";

/// A form of a value, by name.
type Form = (&'static str, Vec<u8>);

/// The forms that a value is searched in: whole, either half, backwards, and each of these in hexadecimal digits and base64.
fn forms(value: &str) -> Vec<Form> {
    let bytes = value.as_bytes();
    let half = bytes.len() / 2;
    let backwards: Vec<u8> = bytes.iter().rev().copied().collect();
    let plain: [Form; 4] = [
        ("in clear", bytes.to_vec()),
        ("its first half", bytes[..half].to_vec()),
        ("its second half", bytes[half..].to_vec()),
        ("backwards", backwards),
    ];
    let mut forms = Vec::new();
    for (name, bytes) in plain {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        forms.push(("in hexadecimal digits", hex.to_uppercase().into_bytes()));
        forms.push(("in hexadecimal digits", hex.into_bytes()));
        // Base64 of a text within another depends on where it begins there: three ways, without the letters at the ends that
        // hold bits of the neighbours.
        for shift in 0..3 {
            forms.push(("in base64", base64_within(&bytes, shift)));
        }
        forms.push((name, bytes));
    }
    forms
}

/// Letters of base64 that any text holds which has these bytes at a place that is `shift` beyond a multiple of three.
fn base64_within(bytes: &[u8], shift: usize) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let skip = (3 - shift) % 3;
    let whole = &bytes[skip..skip + (bytes.len() - skip) / 3 * 3];
    let triple = |part: &[u8]| {
        let bits = u32::from(part[0]) << 16 | u32::from(part[1]) << 8 | u32::from(part[2]);
        [18, 12, 6, 0].map(|by| LETTERS[(bits >> by & 63) as usize])
    };
    whole.chunks_exact(3).flat_map(triple).collect()
}

/// Searches a folder for the forms of a value; answers the files that hold one. `grep` does it in a moment, also in databases of
/// many megabytes; what lies inside of guests is theirs.
fn search(folder: &Path, value: &str) -> Vec<String> {
    let mut patterns: Vec<u8> = forms(value).into_iter().map(|(_, form)| form).collect::<Vec<_>>().join(&b'\n');
    patterns.push(b'\n');
    let mut grep = Command::new("grep");
    grep.args(["-rlaF", "-f", "-", &format!("--exclude-dir={GUESTS}"), "--exclude=*.token", "--"])
        .arg(folder)
        .env("LC_ALL", "C");
    grep.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut grep = grep.spawn().expect("grep is part of every system");
    grep.stdin.take().unwrap().write_all(&patterns).unwrap();
    let found = grep.wait_with_output().unwrap();
    // 1 is nothing found, and more is an error: a socket cannot be read, which is no file.
    let errors = String::from_utf8_lossy(&found.stderr).into_owned();
    let unread = errors.lines().filter(|line| !line.contains("No such device or address")).count();
    assert_eq!(unread, 0, "{errors}");
    String::from_utf8_lossy(&found.stdout).lines().map(str::to_owned).collect()
}

impl World {
    /// No hidden value stands in anything that was said or stored.
    #[track_caller]
    pub(super) fn no_hidden_value(&self) {
        // The token of the site is a secret in every test; it stands in its own file alone.
        let mut hidden = self.hidden.borrow().clone();
        hidden.push(self.secret());
        let said = tempfile::tempdir().unwrap();
        for (number, text) in self.said.borrow().iter().enumerate() {
            std::fs::write(said.path().join(number.to_string()), text).unwrap();
        }
        for value in &hidden {
            if let Some(found) = search(said.path(), value).first() {
                panic!("a secret was said:\n{}", std::fs::read_to_string(found).unwrap());
            }
            assert_eq!(search(self.folder(), value), Vec::<String>::new(), "a secret was written");
        }
    }
}

impl World {
    /// No hidden value stands in a folder elsewhere, such as that of a database server.
    #[track_caller]
    pub(crate) fn no_hidden_value_in(&self, folder: &Path) {
        for value in self.hidden.borrow().iter() {
            assert_eq!(search(folder, value), Vec::<String>::new(), "a secret was written");
        }
    }
}

/// The hunt is not one that finds nothing.
#[test]
fn every_form_would_be_found() {
    let value = "Xq7-pf2Lm9Zt";
    let backwards: String = value.chars().rev().collect();
    let found = |text: &str| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("deep")).unwrap();
        std::fs::write(dir.path().join("deep/file"), [b"\0binary\n", text.as_bytes(), b"\xff"].concat()).unwrap();
        search(dir.path(), value).len() == 1
    };
    assert!(!found("nothing of it"));
    for text in [format!("a{value}b"), "..Xq7-pf..".to_owned(), "..2Lm9Zt..".to_owned(), format!("-{backwards}-")] {
        assert!(found(&text), "{text}");
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(found(&hex) && found(&hex.to_uppercase()), "{text} in hexadecimal digits");
        for before in ["", "x", "xy"] {
            let whole = format!("{before}{text}??");
            let bytes = &whole.as_bytes()[..whole.len() / 3 * 3];
            assert!(found(&String::from_utf8(base64_within(bytes, 0)).unwrap()), "{whole} in base64");
        }
    }
}
