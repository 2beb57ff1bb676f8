//! Reads the providers of secrets of a site.

use std::collections::BTreeMap;

use rl_model::dns::ZoneUrl;
use rl_model::{Provider, ProviderFiles, ProviderKind, ProviderLogin, ProviderName};

use super::fields::{Fields, Shape, named};
use super::report::Report;
use super::site::{one_of, path_beside};
use super::tree::{Node, Place};
use super::values::{parsed, text};
use super::zones::source;
use crate::diagnostic::codes;

pub(crate) const PROVIDER: Shape =
    Shape { name: "SecretProvider", what: "a provider", keys: &["vault", "age", "sops"] };
pub(crate) const VAULT: Shape =
    Shape { name: "Vault", what: "`vault`", keys: &["address", "mount", "namespace", "ca_file", "token", "approle"] };
pub(crate) const APPROLE: Shape =
    Shape { name: "AppRole", what: "`approle`", keys: &["mount", "role_id", "secret_id"] };
pub(crate) const FILES: Shape =
    Shape { name: "EncryptedFiles", what: "encrypted files", keys: &["folder", "identity"] };
/// Of these keys of `vault` exactly one is given.
const LOGIN: Shape = Shape { name: "Login", what: "a login", keys: &["token", "approle"] };

/// Path of the engine where none is given: that of a Vault in its development mode, and of most examples.
const MOUNT: &str = "secret";
/// Path of the auth method where none is given (Vault, "AppRole").
const APPROLE_MOUNT: &str = "approle";
/// Longest path of an engine, namespace or role.
const WORD_LEN_MAX: usize = 256;

/// Reads `providers:` of a site.
pub(super) fn providers(report: &mut Report<'_>, site: &Fields<'_>) -> BTreeMap<ProviderName, Provider> {
    let mut out = BTreeMap::new();
    let Some(node) = site.get(report, "providers") else { return out };
    for entry in named::<ProviderName>(report, node, &site.path("providers"), "`providers`") {
        let name = entry.name.value;
        if let Some(kind) = provider(report, entry.value, entry.key_place, &entry.path) {
            out.entry(name.clone()).or_insert(Provider { name, kind });
        }
    }
    out
}

fn provider(report: &mut Report<'_>, node: &Node, owner: Place, path: &str) -> Option<ProviderKind> {
    let fields = Fields::open(report, node, owner, path, &PROVIDER)?;
    one_of(report, &fields, owner, "provider", &PROVIDER)?;
    let open = |report: &mut Report<'_>, key: &str, shape: &Shape| {
        let entry = fields.entry(key)?;
        let inner = Fields::open(report, &entry.value, entry.key_place, &fields.path(key), shape)?;
        Some((inner, entry.key_place))
    };
    if fields.entry("vault").is_some() {
        return open(report, "vault", &VAULT).and_then(|(fields, owner)| vault(report, &fields, owner));
    }
    if fields.entry("age").is_some() {
        let (fields, _) = open(report, "age", &FILES)?;
        return files(report, &fields).map(ProviderKind::Age);
    }
    let (fields, _) = open(report, "sops", &FILES)?;
    files(report, &fields).map(ProviderKind::Sops)
}

fn vault(report: &mut Report<'_>, fields: &Fields<'_>, owner: Place) -> Option<ProviderKind> {
    let address = fields
        .require(report, "address", "address: \"https://vault.example:8200\"")
        .and_then(|node| address(report, node));
    let mount = word(report, fields, "mount");
    let namespace = word(report, fields, "namespace");
    let ca_file = fields.get(report, "ca_file").map(|node| path_beside(report, node));
    let login = one_of(report, fields, owner, "vault", &LOGIN).and_then(|()| login(report, fields));
    Some(ProviderKind::Vault {
        address: address?,
        mount: mount?.unwrap_or_else(|| MOUNT.to_owned()),
        namespace: namespace?,
        // A path that is given and wrong is not as if none were given.
        ca_file: ca_file.map_or(Some(None), |path| path.map(Some))?,
        login: login?,
    })
}

/// Reads the address; values go over verified TLS, or stay on this machine.
fn address(report: &mut Report<'_>, node: &Node) -> Option<ZoneUrl> {
    let url = parsed::<ZoneUrl>(report, node)?.value;
    let host = url.as_str().strip_prefix("http://").map(|rest| rest.split('/').next().unwrap_or(rest));
    let local = |host: &str| {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        matches!(name, "127.0.0.1" | "localhost" | "[::1]")
    };
    if host.is_some_and(|host| !local(host)) {
        let message = format!("secrets would go over `{}` in clear", url.as_str());
        report.error(
            codes::INVALID_VALUE,
            node.place,
            &message,
            "",
            "write https://, and `ca_file` for a CA of your own",
        );
        return None;
    }
    Some(url)
}

fn login(report: &mut Report<'_>, vault: &Fields<'_>) -> Option<ProviderLogin> {
    let Some(entry) = vault.entry("approle") else {
        return source(report, vault, "token", "token: { file: vault.token }").map(ProviderLogin::Token);
    };
    let fields = Fields::open(report, &entry.value, entry.key_place, &vault.path("approle"), &APPROLE)?;
    let mount = word(report, &fields, "mount");
    let given = fields.require(report, "role_id", "role_id: 59d6d1ca-47bb-4e7e-a40b-8be3bc5a0ba8");
    let role_id = given.and_then(|_| word(report, &fields, "role_id")).flatten();
    let secret_id = source(report, &fields, "secret_id", "secret_id: { file: vault.secret-id }");
    let mount = mount?.unwrap_or_else(|| APPROLE_MOUNT.to_owned());
    Some(ProviderLogin::Approle { mount, role_id: role_id?, secret_id: secret_id? })
}

fn files(report: &mut Report<'_>, fields: &Fields<'_>) -> Option<ProviderFiles> {
    let folder = fields.require(report, "folder", "folder: secrets").and_then(|node| path_beside(report, node));
    let identity = source(report, fields, "identity", "identity: { file: age.key }");
    Some(ProviderFiles { folder: folder?, identity: identity? })
}

/// Reads a text without spaces. The outer `None` is one that is wrong.
#[allow(clippy::option_option)]
fn word(report: &mut Report<'_>, fields: &Fields<'_>, key: &str) -> Option<Option<String>> {
    let Some(node) = fields.get(report, key) else { return Some(None) };
    let written = text(report, node, "a text")?;
    let good = !written.is_empty()
        && written.len() <= WORD_LEN_MAX
        && !written.chars().any(|c| c.is_control() || c.is_whitespace());
    if !good {
        let help = format!("write 1 to {WORD_LEN_MAX} characters without spaces");
        report.error(codes::INVALID_VALUE, node.place, &format!("`{key}` cannot be used"), "", &help);
        return None;
    }
    Some(Some(written.to_owned()))
}
