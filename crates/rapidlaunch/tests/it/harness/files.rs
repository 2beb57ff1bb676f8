//! Site and stack files for tests.

use std::fmt::Write as _;

use super::World;

/// A stack of equal containers named `w-1`, `w-2` and so on.
#[derive(Debug, Clone)]
pub(crate) struct Farm {
    /// Name of the stack.
    pub(crate) name: &'static str,
    /// How many containers.
    pub(crate) count: usize,
    /// Cores of each.
    pub(crate) cores: u32,
    /// Memory of each, in MiB.
    pub(crate) memory: u32,
    /// Further lines of each container, indented by four.
    pub(crate) more: &'static str,
}

/// A stack of so many small containers.
pub(crate) fn farm(count: usize) -> Farm {
    Farm { name: "farm", count, cores: 1, memory: 256, more: "" }
}

impl Farm {
    /// The stack file.
    pub(crate) fn yaml(&self) -> String {
        let Self { name, count, cores, memory, more } = self;
        let mut text = format!(
            "kind: stack\nname: {name}\nsite: lab\ncontainers:\n  w:\n    count: {count}\n    image: debian-12\n    \
             cores: {cores}\n    memory: {memory} MiB\n    disk: 1 GiB\n    nics: {{ eth0: {{ network: lan }} }}\n"
        );
        for line in more.lines() {
            let _ = writeln!(text, "    {line}");
        }
        text
    }
}

/// The site file of a test's world, with the given endpoints, fingerprint and place of the token.
pub(crate) fn site(endpoints: &[String], fingerprint: &str, token: &str) -> String {
    let list = serde_json::json!(endpoints);
    format!(
        "kind: site\nname: lab\nproxmox:\n  endpoints: {list}\n  token: {token}\n  tls: {{ fingerprint: \"{fingerprint}\" }}\n\
         vmids: 3000-3999\nnetworks:\n  lan: {{ bridge: vmbr0, subnet: 10.50.0.0/24, gateway: 10.50.0.1, \
         addresses: 10.50.0.10-10.50.0.250 }}\nimages:\n  \
         debian-12: \"local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst\"\nstorage: local-zfs\n"
    )
}

impl World {
    /// Writes the site's own file.
    pub(crate) fn write_site(&self) -> std::path::PathBuf {
        let token = format!("{{ file: {} }}", self.path("lab.token").display());
        self.write("site.yaml", &site(&self.sim.urls(), self.sim.fingerprint(), &token))
    }

    /// Writes the site's file and a stack's, and gives the arguments that name both.
    pub(crate) fn write_farm(&self, farm: &Farm) -> [String; 4] {
        let stack = self.write(&format!("{}.yaml", farm.name), &farm.yaml());
        ["-f".to_owned(), self.write_site().display().to_string(), "-f".to_owned(), stack.display().to_string()]
    }

    /// Writes a stack's file as it stands beside the site's, and gives the arguments that name both.
    pub(crate) fn write_stack(&self, name: &str, yaml: &str) -> [String; 4] {
        let stack = self.write(&format!("{name}.yaml"), yaml);
        ["-f".to_owned(), self.write_site().display().to_string(), "-f".to_owned(), stack.display().to_string()]
    }
}
