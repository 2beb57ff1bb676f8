//! Reads public SSH keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::report::Report;
use super::tree::{Node, shown};
use super::values::text;
use crate::diagnostic::codes;

/// Kinds of public key that OpenSSH takes.
const KINDS: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// Reads one line of an `authorized_keys` file.
pub(crate) fn public_key(report: &mut Report<'_>, node: &Node) -> Option<String> {
    let line = text(report, node, "a public SSH key as text")?.trim();
    if line.contains("PRIVATE KEY") {
        let message = "this is a private key, which must not stand in a stack file";
        let help =
            "name the public key, the line in the file that ends in `.pub`, and make a new pair if this one was shared";
        report.error(codes::PLAIN_SECRET, node.place, message, "", help);
        return None;
    }
    match why_not(line) {
        None => Some(line.to_owned()),
        Some(why) => {
            let message = format!("`{}` is no public SSH key", shown(line));
            report.error(codes::INVALID_VALUE, node.place, &message, why, "copy the whole line of the `.pub` file");
            None
        }
    }
}

fn why_not(line: &str) -> Option<&'static str> {
    if line.contains(['\n', '\r']) {
        return Some("it has several lines, write each key as an item of the list");
    }
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let kind = words.next().unwrap_or_default();
    if !KINDS.contains(&kind) {
        return Some("it does not begin with a kind such as `ssh-ed25519`");
    }
    let Ok(blob) = STANDARD.decode(words.next().unwrap_or_default()) else {
        return Some("the part behind the kind is no base64, it may be cut off");
    };
    // RFC 4253, section 6.6: strings with their lengths in four bytes before them, the first of which is the kind.
    let (mut rest, mut parts) = (blob.as_slice(), 0);
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((part, tail)) = tail.split_at_checked(length) else { break };
        if parts == 0 && part != kind.as_bytes() {
            return Some("its key part is of another kind");
        }
        (rest, parts) = (tail, parts + 1);
    }
    if parts < 2 || !rest.is_empty() {
        return Some("its key part is not complete, it may be cut off");
    }
    None
}
