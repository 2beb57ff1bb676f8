//! What `pct config` prints, and whether it is the guest that is meant.

use rl_model::{PropertyString, Stamp};

use super::pct::ConfigKeys;
use crate::work::Target;

/// Reads `key: value` lines. The description is printed with control characters, colons and per cent signs as `%XX`
/// (`PVE/Tools.pm`, `encode_text`).
pub(crate) fn parse(text: &str) -> ConfigKeys {
    let mut keys = ConfigKeys::new();
    for line in text.lines() {
        if let Some((key, value)) = line.split_once(": ") {
            let value = if key == "description" {
                percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned()
            } else {
                value.to_owned()
            };
            keys.insert(key.to_owned(), value);
        }
    }
    keys
}

/// How a guest's configuration differs from the identity that is meant, in a sentence; `None` when it is the one.
pub(crate) fn difference(target: &Target, keys: &ConfigKeys) -> Option<String> {
    let text = |key: &str| keys.get(key).map_or("", String::as_str);
    let Some(stamp) = Stamp::find(text("description")) else {
        return Some("bears no stamp of RapidLaunch in its notes".to_owned());
    };
    let wanted = &target.stamp;
    if stamp.controller != wanted.controller {
        return Some("bears the stamp of another RapidLaunch installation".to_owned());
    }
    if stamp.guest != wanted.guest {
        return Some(format!("bears the stamp of another guest, {} of stack {}", stamp.name, stamp.stack));
    }
    let tag = wanted.tag();
    if !text("tags").split([';', ',', ' ']).any(|given| given == tag.as_str()) {
        return Some(format!("bears our stamp in its notes, but not the tag {tag}"));
    }
    let hostname = text("hostname");
    if !target.hostnames.is_empty() && !target.hostnames.iter().any(|name| name == hostname) {
        let wanted = target.hostnames.join("` or `");
        return Some(format!("bears our stamp, but its host name is `{hostname}` instead of `{wanted}`"));
    }
    if target.net0.is_empty() {
        return None;
    }
    let mac = PropertyString::parse(text("net0")).get("hwaddr").map(str::to_owned);
    let Some(mac) = mac else { return Some("bears our stamp, but has no net0 to tell it by".to_owned()) };
    if target.net0.iter().any(|known| Ok(*known) == mac.parse()) {
        return None;
    }
    let wanted: Vec<String> = target.net0.iter().map(ToString::to_string).collect();
    Some(format!(
        "bears our stamp, but the MAC of its net0 is {mac} instead of {}: it looks like a clone",
        wanted.join(" or ")
    ))
}

#[cfg(test)]
mod tests;
