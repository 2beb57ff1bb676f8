//! Property strings: `key=value,key=value` with a table of their own.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::api::call::Arg;
use crate::api::check::{MISSING, check_object};
use crate::api::error::ApiError;
use crate::api::schema::{Kind, Schema};

/// The tables of the property strings, by the name that parameter tables use after `@$`.
const TABLES: &[(&str, &str)] = &[
    ("bwlimit", "clone?:n[0..] default?:n[0..] migration?:n[0..] move?:n[0..] restore?:n[0..]"),
    (
        "crs",
        "ha?:s{basic|static|dynamic} ha-auto-rebalance?:b ha-auto-rebalance-hold-duration?:n[0..]!ha-auto-rebalance \
         ha-auto-rebalance-margin?:n[0..]!ha-auto-rebalance ha-auto-rebalance-method?:s{bruteforce|topsis}!ha-auto-rebalance \
         ha-auto-rebalance-threshold?:n[0..]!ha-auto-rebalance ha-rebalance-on-start?:b",
    ),
    ("ha", "shutdown_policy:s{freeze|failover|conditional|migrate}"),
    ("migration", "network?:s@CIDR type:s^{secure|insecure}"),
    ("log_ratelimit", r"burst?:i[0..] enable:b^ rate?:s~[1-9][0-9]*\/(second|minute|hour|day)"),
    ("replication", "network?:s@CIDR type:s^{secure|insecure}"),
    ("next-id", "lower?:i upper?:i"),
    (
        "notify",
        "fencing?:s{always|never} package-updates?:s{auto|always|never} replication?:s{always|never} target-fencing?:s \
         target-package-updates?:s target-replication?:s",
    ),
    (
        "tag-style",
        r"case-sensitive?:b ordering?:s{config|alphabetical} shape?:s{full|circle|dense|none} color-map?:s~(?:(?^i:[a-z0-9_][a-z0-9_\-\+\.]*):[0-9a-fA-F]{6}(?::[0-9a-fA-F]{6})?)(?:;(?:(?^i:[a-z0-9_][a-z0-9_\-\+\.]*):[0-9a-fA-F]{6}(?::[0-9a-fA-F]{6})?))*",
    ),
    ("u2f", "appid?:s origin?:s"),
    (
        "user-tag-access",
        r"user-allow?:s{none|list|existing|free} user-allow-list?:s~(?^i:[a-z0-9_][a-z0-9_\-\+\.]*)(?:;(?^i:[a-z0-9_][a-z0-9_\-\+\.]*))*",
    ),
    ("webauthn", "allow-subdomains?:b id?:s origin?:s rp?:s"),
    ("dev", "deny-write?:b gid?:i[0..] mode?:s~0[0-7]{3} path?:s^@pve-lxc-dev-string uid?:i[0..]"),
    ("features", r"force_rw_sys?:b fuse?:b keyctl?:b mknod?:b mount?:s~(?^:[a-zA-Z0-9_;\x20]+) nesting?:b"),
    (
        "mp",
        "acl?:b backup?:b keepattrs?:b mountoptions?:s~(?^:(?^:(discard|lazytime|noatime|nodev|noexec|nosuid))(;(?^:(discard|lazytime|noatime|nodev|noexec|nosuid)))*) \
         mp:s@pve-lxc-mp-string quota?:b replicate?:b ro?:b shared?:b size?:s@disk-size volume:s^@pve-lxc-mp-string",
    ),
    (
        "rootfs",
        "acl?:b mountoptions?:s~(?^:(?^:(discard|lazytime|noatime|nodev|noexec|nosuid))(;(?^:(discard|lazytime|noatime|nodev|noexec|nosuid)))*) \
         quota?:b replicate?:b ro?:b shared?:b size?:s@disk-size volume:s^@pve-lxc-mp-string",
    ),
    (
        "net",
        r"bridge?:s~[-_.\w\d]+ firewall?:b gw?:s@ipv4 gw6?:s@ipv6 host-managed?:b hwaddr?:s@mac-addr ip?:s@pve-ipv4-config ip6?:s@pve-ipv6-config link_down?:b mtu?:i[64..65535] name:s~[-_.\w\d]+ rate?:n tag?:i[1..4094] trunks?:s~(?^:\d+(?:;\d+)*) type?:s{veth}",
    ),
    ("unused", "volume:s^@pve-volume-id"),
    ("acme", "account?:s@pve-configid domains?:s@pve-acme-domain-list"),
    ("acmedomain", "alias?:s@pve-acme-alias domain:s^@pve-acme-domain plugin?:s@pve-configid"),
    ("wakeonlan", "bind-interface?:s@pve-iface broadcast-address?:s@ipv4 mac:s^@mac-addr"),
];

static SCHEMAS: LazyLock<BTreeMap<&'static str, Schema>> = LazyLock::new(|| {
    let read = |(name, table): &(&'static str, &str)| {
        (
            *name,
            Schema::parse(&[table]).expect("the property string tables are written correctly: a test reads them all"),
        )
    };
    TABLES.iter().map(read).collect()
});

/// The table of a property string.
pub(crate) fn schema(name: &str) -> Option<&'static Schema> {
    SCHEMAS.get(name)
}

/// A property string taken apart.
pub(crate) type Props = BTreeMap<String, String>;

/// Why a property string was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PropError {
    /// It does not even split into keys and values.
    Syntax(String),
    /// Keys or values are wrong, one message per key.
    Keys(BTreeMap<String, String>),
}

impl PropError {
    /// The text PVE puts after `invalid format - `.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Syntax(why) => format!("{why}\n"),
            Self::Keys(errors) => {
                // Perl's order is random; wrong values stand before missing keys here.
                let (missing, wrong): (Vec<_>, Vec<_>) = errors.iter().partition(|(_, why)| *why == MISSING);
                let lines: String = wrong.iter().chain(&missing).map(|(key, why)| format!("{key}: {why}\n")).collect();
                format!("format error\n{lines}")
            }
        }
    }

    /// The error PVE raises where it parses a stored value: status 500.
    pub(crate) fn into_api(self) -> ApiError {
        match self {
            Self::Syntax(why) => ApiError::die(why),
            Self::Keys(errors) => ApiError { status: 500, message: "format error".to_owned(), errors },
        }
    }
}

/// Takes a property string apart and checks it; `path` names the parameter in messages.
pub(crate) fn parse(name: &str, text: &str, path: &str) -> Result<Props, PropError> {
    let schema = schema(name).ok_or_else(|| PropError::Syntax(format!("no property string '{name}'")))?;
    let mut props = Props::new();
    for part in text.split(',').filter(|p| !p.trim().is_empty()) {
        let (key, value) = split_part(schema, part)?;
        if props.contains_key(&key) {
            return Err(PropError::Syntax(format!("duplicate key in comma-separated list property: {key}")));
        }
        let boolean = schema.find(&key).is_some_and(|p| p.kind == Kind::Boolean);
        props.insert(key, if boolean { perl_boolean(&value) } else { value });
    }
    let values = props.iter().map(|(k, v)| (k.clone(), Arg::Text(v.clone()))).collect();
    let errors = check_object(schema, &values, path);
    if errors.is_empty() { Ok(props) } else { Err(PropError::Keys(errors)) }
}

fn split_part(schema: &Schema, part: &str) -> Result<(String, String), PropError> {
    match part.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) => Err(PropError::Syntax("missing key in comma-separated list property".to_owned())),
        None => match default_key(schema) {
            Some(key) => Ok((key.to_owned(), part.to_owned())),
            None => Err(PropError::Syntax("value without key, but schema does not define a default key".to_owned())),
        },
    }
}

fn default_key(schema: &Schema) -> Option<&str> {
    schema.params.iter().find(|(_, p)| p.default_key).map(|(name, _)| name.as_str())
}

/// Booleans inside property strings may be words.
fn perl_boolean(value: &str) -> String {
    match value {
        "on" | "yes" | "true" => "1".to_owned(),
        "off" | "no" | "false" => "0".to_owned(),
        other => other.to_owned(),
    }
}

/// Writes a property string: the default key first and bare, then required keys, then the rest by name.
pub(crate) fn print(name: &str, props: &Props) -> String {
    let Some(schema) = schema(name) else { return String::new() };
    let mut parts = Vec::new();
    let default = default_key(schema);
    if let Some(value) = default.and_then(|key| props.get(key)) {
        parts.push(value.clone());
    }
    let required = |key: &str| schema.find(key).is_some_and(|p| !p.optional);
    for wanted in [true, false] {
        for (key, value) in props {
            if Some(key.as_str()) != default && required(key) == wanted {
                parts.push(format!("{key}={value}"));
            }
        }
    }
    parts.join(",")
}
