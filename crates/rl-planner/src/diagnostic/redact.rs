//! Keeps secrets out of excerpts: someone who writes a token or password into a stack file by mistake must not find it
//! in a log.

use std::borrow::Cow;
use std::ops::Range;

/// Keys whose plain value is hidden wherever it stands.
const SECRET_KEYS: [&str; 8] =
    ["password", "passwd", "passphrase", "private_key", "privatekey", "api_key", "token", "value"];
/// Length of a UUID in text, the form of a Proxmox API token's secret.
const UUID_LEN: usize = 36;

/// The text with secrets replaced by `*`, byte for byte, so that places in it stay the same.
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut hidden = Vec::new();
    private_keys(text, &mut hidden);
    uuids(text, &mut hidden);
    token_values(text, &mut hidden);
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        keyed_values(line, start, &mut hidden);
        start += line.len();
    }
    if hidden.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.as_bytes().to_vec();
    for range in hidden {
        bytes[range].iter_mut().filter(|b| !matches!(b, b'\n' | b'\r')).for_each(|b| *b = b'*');
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// PEM private keys, up to their end line or the end of the text.
fn private_keys(text: &str, hidden: &mut Vec<Range<usize>>) {
    const HEAD: &str = "PRIVATE KEY-----";
    let mut at = 0;
    while let Some(found) = text[at..].find(HEAD) {
        let start = at + found + HEAD.len();
        let end = text[start..].find("-----END").map_or(text.len(), |n| start + n);
        hidden.push(start..end);
        at = text[end..].find(HEAD).map_or(text.len(), |n| end + n + HEAD.len()).min(text.len());
    }
}

/// UUIDs: 8-4-4-4-12 hexadecimal digits.
fn uuids(text: &str, hidden: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at + UUID_LEN <= bytes.len() {
        let fits = bytes[at + 8] == b'-'
            && bytes[at..at + UUID_LEN].iter().enumerate().all(|(i, b)| match i {
                8 | 13 | 18 | 23 => *b == b'-',
                _ => b.is_ascii_hexdigit(),
            });
        if fits {
            hidden.push(at..at + UUID_LEN);
            at += UUID_LEN;
        } else {
            at += 1;
        }
    }
}

/// What follows `user@realm!name=`, the written form of an API token.
fn token_values(text: &str, hidden: &mut Vec<Range<usize>>) {
    for (bang, _) in text.match_indices('!') {
        let rest = &text[bang + 1..];
        let name = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(rest.len());
        if name > 0 && rest[name..].starts_with('=') {
            let start = bang + 1 + name + 1;
            let end = text[start..].find(|c: char| c.is_whitespace() || "\"'`,}]".contains(c));
            hidden.push(start..end.map_or(text.len(), |n| start + n));
        }
    }
}

/// The plain value behind a key that names a secret; mappings and lists are left to their own keys.
fn keyed_values(line: &str, start: usize, hidden: &mut Vec<Range<usize>>) {
    let lower = line.to_ascii_lowercase();
    for key in SECRET_KEYS {
        for (at, _) in lower.match_indices(key) {
            let rest = &line[at + key.len()..];
            let Some(value) = rest.trim_start_matches(['"', '\'']).trim_start().strip_prefix(':') else { continue };
            let value = value.trim_start();
            if value.is_empty() || value.starts_with(['{', '[', '|', '>', '#']) {
                continue;
            }
            let from = line.len() - value.len();
            let flow = line[..at].contains('{');
            let quoted = value.strip_prefix('"').and_then(|rest| rest.find('"')).map(|end| end + 2);
            let end = quoted.or_else(|| value.find(|c: char| c == '\n' || (flow && ",}".contains(c))));
            hidden.push(start + from..start + from + end.unwrap_or(value.len()));
        }
    }
}
