//! Checks a site before anything depends on it: each endpoint, and every privilege that plans would need.

use std::time::Instant;

use rl_model::{NodeName, Observed, Plan, SiteName, StorageId};
use rl_pve::api::{access, version};
use rl_pve::privileges::{self, Context, Needs};
use serde::Serialize;

use crate::fault::full_text;
use crate::site::SiteApi;

/// Oldest release whose API description the client is checked against.
const OLDEST_MAJOR: u64 = 8;

/// What to do about a certificate that is not trusted.
const CERTIFICATE_HINT: &str = "on the node, `openssl x509 -noout -fingerprint -sha256 -in /etc/pve/local/pve-ssl.pem` (or pveproxy-ssl.pem) \
    prints the right fingerprint; write it under `tls: { fingerprint: ... }`, or name the authority with `tls: { ca_file: ... }`";

/// What was found about a site.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SiteCheck {
    /// Everything that was looked at.
    pub items: Vec<CheckItem>,
}

impl SiteCheck {
    /// Whether nothing is wrong.
    pub fn ok(&self) -> bool {
        self.items.iter().all(|item| item.ok)
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckItem {
    /// What.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What to do, where it is not.
    pub hint: Option<String>,
}

fn good(name: impl Into<String>, found: impl Into<String>) -> CheckItem {
    CheckItem { name: name.into(), ok: true, found: found.into(), hint: None }
}

fn bad(name: impl Into<String>, found: impl Into<String>, hint: Option<String>) -> CheckItem {
    CheckItem { name: name.into(), ok: false, found: found.into(), hint }
}

/// Checks one endpoint alone: that it is reached, its certificate trusted, the token taken, and its release known.
pub async fn check_endpoint(api: &SiteApi) -> CheckItem {
    let name =
        api.site().endpoints.first().map_or_else(|| "endpoint".to_owned(), |endpoint| format!("endpoint {endpoint}"));
    let began = Instant::now();
    match api.pve().send(version::get()).await {
        Ok(answer) => {
            let took = began.elapsed().as_millis();
            match answer.semver() {
                Some(release) if release.major < OLDEST_MAJOR => bad(
                    name,
                    format!("Proxmox VE {}", answer.version),
                    Some("this release is too old: update to 8.4 or newer".to_owned()),
                ),
                _ => good(name, format!("Proxmox VE {}, answered in {took} ms", answer.version)),
            }
        }
        Err(error) => {
            let found = full_text(&error);
            let hint = if found.contains("certificate") { Some(CERTIFICATE_HINT) } else { error.hint() };
            bad(name, found, hint.map(str::to_owned))
        }
    }
}

/// What reading a site needs, and what carrying out the plans needs, on this site.
pub fn needs(site: &SiteName, observed: &Observed, storages: &[StorageId], plans: &[&Plan]) -> Needs {
    let Some(seen) = observed.sites.get(site) else { return Needs::default() };
    let nodes: Vec<NodeName> = seen.nodes.keys().cloned().collect();
    let mut needs = privileges::of_reading(&nodes, storages);
    let mut context = Context::default();
    for guest in seen.guests.values() {
        if let Some(pool) = &guest.pool {
            context.pools.insert(guest.vmid, pool.clone());
        }
    }
    for plan in plans {
        needs.extend(privileges::of_plan(plan, site, &context));
    }
    needs
}

/// Compares what is needed with what the token has.
pub async fn check_privileges(api: &SiteApi, needs: &Needs) -> Vec<CheckItem> {
    let have = match api.pve().send(access::permissions()).await {
        Ok(have) => have,
        Err(error) => return vec![bad("privileges", full_text(&error), error.hint().map(str::to_owned))],
    };
    let mut items = Vec::new();
    let missing = privileges::missing(needs, &have);
    if missing.is_empty() {
        items.push(good("privileges", format!("all {} that are needed are there", needs.privileges.len())));
    }
    for need in &missing {
        let privileges = need.any_of.join(" or ");
        let paths = need.paths.join(" or ");
        let hint = format!(
            "give the token's user (and the token, with privilege separation) a role with {privileges} on {paths}"
        );
        items.push(bad(
            format!("privilege {privileges} on {paths}"),
            format!("missing; needed to {}", need.what_for),
            Some(hint),
        ));
    }
    for what in &needs.root_only {
        let hint = "no token may do this: do it by hand as root@pam, or do without it".to_owned();
        items.push(bad("root@pam only", what.clone(), Some(hint)));
    }
    items
}
