#![allow(clippy::unwrap_used)]

mod dns;
mod files;
mod good;
mod keys;
mod networks;
mod order;
mod pages;
mod pins;
mod properties;
mod providers;
mod references;
mod sections;
mod site_firewall;
mod types;
mod values;

use super::*;

/// A site that the wrong stacks of these tests name.
const SITE: &str = r#"kind: site
name: fra1
proxmox: { endpoints: ["https://pve1.example:8006"], token: { file: fra1.token } }
vmids: 2000-2999
networks:
  dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
  lan: { bridge: vmbr1 }
images: { debian-12: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" }
storage: local-zfs
storages: [local-zfs, ceph]
nodes: [pve1, pve2]
"#;

/// What is shown for one file alone.
fn shown(text: &str) -> String {
    together(&[("site.yaml", text)])
}

/// What is shown for a stack file beside the site file that it names.
fn stack_shown(text: &str) -> String {
    together(&[("site.yaml", SITE), ("stack.yaml", text)])
}

/// What is shown for several files.
fn together(files: &[(&str, &str)]) -> String {
    let sources: Vec<Source<'_>> = files.iter().map(|(name, text)| Source { name, text }).collect();
    match parse_all(&sources, &Known::default()) {
        Ok((_, warnings)) if warnings.is_empty() => "nothing is wrong".to_owned(),
        Ok((_, warnings)) => crate::diagnostic::render(&warnings, &sources, false),
        Err(errors) => errors.render(&sources, false),
    }
}

/// What is shown for one container, `body` being its lines without indentation.
fn container_shown(body: &str) -> String {
    stack_shown(&stack_of(body))
}

/// A stack with the container `web`, its lines given without indentation.
fn stack_of(body: &str) -> String {
    let lines: Vec<String> = body.trim_matches('\n').lines().map(|line| format!("    {line}\n")).collect();
    format!("kind: stack\nname: shop\nsite: fra1\ncontainers:\n  web:\n{}", lines.concat())
}

/// The site with one piece of its text replaced.
fn site_with(from: &str, to: &str) -> String {
    let text = SITE.replacen(from, to, 1);
    assert_ne!(text, SITE, "`{from}` is in the site");
    shown(&text)
}
