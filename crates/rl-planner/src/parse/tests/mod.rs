#![allow(clippy::unwrap_used)]

mod good;

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
