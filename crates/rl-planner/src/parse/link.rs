//! Looks up the references of stacks and makes the model's containers.

use std::collections::BTreeMap;

use rl_model::firewall::GroupName;
use rl_model::manifest::{
    Container, FirewallSpec, GroupCall, GuestRule, Location, Nic, NicAddress, Origins, Section, SectionKind, Stack,
    Volume,
};
use rl_model::{ContainerName, Network, Site, SiteName, StorageId};

use super::container::{Draft, Image};
use super::firewall::{FirewallDraft, RuleDraft};
use super::nic::{Mode, NicDraft};
use super::peers::Names;
use super::report::{Findings, Sp, suggest};
use super::stack::StackDraft;
use super::volume::VolumeDraft;
use crate::diagnostic::{Diagnostic, codes};

/// What references are looked up in.
pub(crate) struct Linker<'a> {
    pub(crate) sites: &'a BTreeMap<SiteName, Site>,
    pub(crate) origins: &'a Origins,
    /// Some documents could not be read, so that a site that is not found may be in one of them.
    pub(crate) broken: bool,
}

/// A container entry with the site it lies on, where that could be told.
#[derive(Clone, Copy)]
pub(crate) struct Placed<'a> {
    pub(crate) stack: &'a StackDraft,
    pub(crate) draft: &'a Draft,
    pub(crate) site: Option<&'a Site>,
}

impl<'a> Placed<'a> {
    /// The NICs whose network is known, with it.
    pub(crate) fn nics(self) -> impl Iterator<Item = (&'a NicDraft, &'a Network)> {
        let networks = self.site.map(|site| &site.networks);
        self.draft.nics.iter().filter_map(move |nic| Some((nic, networks?.get(&nic.network.as_ref()?.value)?)))
    }
}

/// How a NIC gets its IPv4 and its IPv6 address: by lease where its network has a subnet of that family, by DHCP where
/// it has none.
pub(crate) fn modes(nic: &NicDraft, network: &Network) -> (Mode, Mode) {
    let v4 = network.subnet.map(|subnet| subnet.net().addr().is_ipv4());
    let (default4, default6) = match v4 {
        Some(true) => (Mode::Lease, Mode::None),
        Some(false) => (Mode::None, Mode::Lease),
        None => (Mode::Dhcp, Mode::None),
    };
    let given = |mode: &Option<Sp<Mode>>, default: Mode| mode.as_ref().map_or(default, |sp| sp.value.clone());
    (given(&nic.ipv4, default4), given(&nic.ipv6, default6))
}

impl<'a> Linker<'a> {
    /// Finds the site of a container; an unknown or missing one is reported.
    pub(crate) fn site(&self, findings: &mut Findings, stack: &StackDraft, draft: &Draft) -> Option<&'a Site> {
        let Some(name) = draft.site.as_ref().or(stack.site.as_ref()) else {
            if !draft.site_broken {
                findings.push(
                    Diagnostic::error(codes::MISSING_KEY, Some(&draft.name.at), "the container names no site")
                        .help("give the stack `site: NAME`, or the container its own"),
                );
            }
            return None;
        };
        let found = self.sites.get(&name.value);
        if found.is_none() && !self.broken {
            let known = self.sites.keys().map(SiteName::as_str);
            let hint = if self.sites.is_empty() {
                "give the file that declares the site too, with another `-f`".to_owned()
            } else {
                suggest(name.value.as_str(), known, "sites")
            };
            findings.push(
                Diagnostic::error(codes::UNKNOWN_SITE, Some(&name.at), format!("there is no site `{}`", name.value))
                    .help(hint),
            );
        }
        found
    }

    /// Makes the model's stack; containers with a reference that leads nowhere are left out, which is reported.
    pub(crate) fn stack(&self, findings: &mut Findings, draft: &StackDraft, placed: &[Placed<'_>]) -> Option<Stack> {
        let mut containers = BTreeMap::new();
        let mut sections = Vec::new();
        for one in placed {
            if findings.full() {
                return None;
            }
            sections.extend(container_sections(one.draft));
            if let Some(container) = self.container(findings, *one) {
                containers.insert(container.name.clone(), container);
            }
        }
        if let Some(at) = draft.dns_at.as_ref().filter(|_| !draft.dns.is_empty()) {
            sections.push(Section { kind: SectionKind::Dns, container: None, location: at.clone() });
        }
        sections.sort_by_key(|section| (section.kind, section.container.clone()));
        let dns = draft.dns.iter().map(|sp| sp.value.clone()).collect();
        Some(Stack { name: draft.name.clone()?, containers, dns, sections })
    }

    fn container(&self, findings: &mut Findings, placed: Placed<'_>) -> Option<Container> {
        let draft = placed.draft;
        let site = placed.site?;
        let image = self.image(findings, site, draft);
        let storage = self.root_storage(findings, site, draft);
        let volumes: Vec<_> = draft.volumes.iter().map(|v| self.volume(findings, site, v, storage.as_ref())).collect();
        let nics: Vec<_> = draft.nics.iter().map(|nic| self.nic(findings, site, draft, nic)).collect();
        self.node(findings, site, draft);
        let firewall = draft.firewall.as_ref().map(|spec| self.firewall(findings, placed, &spec.value));
        Some(Container {
            name: draft.name.value.clone(),
            count: draft.count.as_ref().map(|count| count.value),
            site: site.name.clone(),
            image: image?,
            storage: storage?,
            cores: draft.cores,
            memory: draft.memory,
            swap: draft.swap,
            disk: draft.disk,
            volumes: volumes.into_iter().collect::<Option<_>>()?,
            nics: nics.into_iter().collect::<Option<_>>()?,
            node: draft.node.as_ref().map(|sp| sp.value.clone()),
            vmids: draft.vmids.iter().flat_map(|list| list.value.iter().map(|sp| sp.value)).collect(),
            spread: draft.spread.as_ref().map(|sp| sp.value).unwrap_or_default(),
            hostname: draft.hostname.as_ref().map(|sp| sp.value.clone()),
            nameservers: draft.nameservers.clone(),
            search_domain: draft.search_domain.clone(),
            tags: draft.tags.clone(),
            notes: draft.notes.clone(),
            onboot: draft.onboot,
            startup: draft.startup,
            unprivileged: draft.unprivileged,
            features: draft.features,
            protection: draft.protection,
            running: draft.running,
            pool: draft.pool.clone().or_else(|| site.pool.clone()),
            ssh_keys: draft.ssh_keys.clone(),
            timezone: draft.timezone.clone(),
            after: draft.after.iter().map(|sp| sp.value.clone()).collect(),
            firewall,
            secrets: draft.secrets.as_ref().map(|list| list.value.clone()).unwrap_or_default(),
        })
    }

    fn image(&self, findings: &mut Findings, site: &Site, draft: &Draft) -> Option<rl_model::VolumeId> {
        let image = draft.image.as_ref()?;
        let name = match &image.value {
            Image::Volume(volume) => return Some(volume.clone()),
            Image::Name(name) => name,
        };
        let found = site.images.get(name).cloned();
        if found.is_none() && self.origins.get(&format!("sites.{}.images.{name}", site.name)).is_none() {
            let help = suggest(name.as_str(), site.images.keys().map(|key| key.as_str()), "images");
            let message = format!("the site `{}` has no image `{name}`", site.name);
            findings.push(
                self.of_site(Diagnostic::error(codes::UNKNOWN_IMAGE, Some(&image.at), message), site, "images")
                    .help(help),
            );
        }
        found
    }

    fn root_storage(&self, findings: &mut Findings, site: &Site, draft: &Draft) -> Option<StorageId> {
        if let Some(storage) = &draft.storage {
            return self.storage(findings, site, storage);
        }
        if site.storage.is_none() && self.origins.get(&format!("sites.{}.storage", site.name)).is_none() {
            let help = "give the container `storage: NAME`, or the site a default";
            let message = format!("the container names no storage, and the site `{}` has no default", site.name);
            let found = Diagnostic::error(codes::NO_STORAGE, Some(&draft.name.at), message).help(help);
            findings.push(found.related(self.origins.get(&format!("sites.{}", site.name)), "the site"));
        }
        site.storage.clone()
    }

    fn storage(&self, findings: &mut Findings, site: &Site, storage: &Sp<StorageId>) -> Option<StorageId> {
        let id = &storage.value;
        if !site.storages.is_empty() && !site.storages.contains(id) {
            let help = suggest(id.as_str(), site.storages.iter().map(StorageId::as_str), "storages");
            let message = format!("the site `{}` has no storage `{id}`", site.name);
            let found = Diagnostic::error(codes::UNKNOWN_STORAGE, Some(&storage.at), message);
            findings.push(self.of_site(found, site, "storages").help(help));
            return None;
        }
        Some(id.clone())
    }

    fn volume(
        &self,
        findings: &mut Findings,
        site: &Site,
        draft: &VolumeDraft,
        root: Option<&StorageId>,
    ) -> Option<Volume> {
        let storage = match &draft.storage {
            Some(storage) => self.storage(findings, site, storage)?,
            None => root?.clone(),
        };
        let VolumeDraft { name, path, size, backup, read_only, .. } = draft;
        Some(Volume {
            name: name.clone(),
            path: path.clone(),
            size: *size,
            storage,
            backup: *backup,
            read_only: *read_only,
        })
    }

    fn nic(&self, findings: &mut Findings, site: &Site, container: &Draft, draft: &NicDraft) -> Option<Nic> {
        let name = draft.network.as_ref()?;
        let Some(network) = site.networks.get(&name.value) else {
            if self.origins.get(&format!("sites.{}.networks.{}", site.name, name.value)).is_none() {
                let help = suggest(name.value.as_str(), site.networks.keys().map(|key| key.as_str()), "networks");
                let message = format!("the site `{}` has no network `{}`", site.name, name.value);
                let found = Diagnostic::error(codes::UNKNOWN_NETWORK, Some(&name.at), message);
                findings.push(self.of_site(found, site, "networks").help(help));
            }
            return None;
        };
        let (ipv4, ipv6) = modes(draft, network);
        Some(Nic {
            name: draft.name.value.clone(),
            network: name.value.clone(),
            ipv4: address(ipv4),
            ipv6: address(ipv6),
            mac: draft.mac.as_ref().map(|sp| sp.value),
            rate_mbps: draft.rate_mbps,
            firewall: draft.firewall.as_ref().map_or(container.firewall.is_some(), |sp| sp.value),
        })
    }

    fn node(&self, findings: &mut Findings, site: &Site, draft: &Draft) {
        let Some(node) = &draft.node else { return };
        if !site.nodes.is_empty() && !site.nodes.contains(&node.value) {
            let help = suggest(node.value.as_str(), site.nodes.iter().map(|name| name.as_str()), "nodes");
            let message = format!("the site `{}` does not use the node `{}`", site.name, node.value);
            let found = Diagnostic::error(codes::UNKNOWN_NODE, Some(&node.at), message);
            findings.push(self.of_site(found, site, "nodes").help(help));
        }
    }

    fn firewall(&self, findings: &mut Findings, placed: Placed<'_>, draft: &FirewallDraft) -> FirewallSpec {
        let names = names(placed);
        let mut rules = Vec::new();
        for rule in &draft.rules {
            if let Some(nic) = rule.on() {
                self.rule_nic(findings, placed.draft, nic);
            }
            rules.push(match rule {
                RuleDraft::Own(rule) => GuestRule::Own(rule.link(|peer| names.find(findings, peer))),
                RuleDraft::Group { group, on, comment } => {
                    self.group(findings, placed.site, group);
                    let (group, on) = (group.value.clone(), on.as_ref().map(|sp| sp.value.clone()));
                    GuestRule::Group(GroupCall { group, on, comment: comment.clone() })
                }
            });
        }
        let FirewallDraft { inbound, outbound, log, only_own_addresses, .. } = draft;
        FirewallSpec {
            inbound: *inbound,
            outbound: *outbound,
            rules,
            log: log.clone(),
            only_own_addresses: *only_own_addresses,
        }
    }

    fn group(&self, findings: &mut Findings, site: Option<&Site>, name: &Sp<GroupName>) {
        let Some(site) = site else { return };
        let groups = site.firewall.as_ref().and_then(|firewall| firewall.groups.as_ref());
        if groups.is_some_and(|groups| groups.contains_key(&name.value)) {
            return;
        }
        let known = groups.into_iter().flatten().map(|(name, _)| name.as_str());
        let message = format!("the site `{}` declares no security group `{}`", site.name, name.value);
        let found = Diagnostic::error(codes::UNKNOWN_GROUP, Some(&name.at), message);
        findings.push(self.of_site(found, site, "firewall").help(suggest(name.value.as_str(), known, "groups")));
    }

    fn rule_nic(&self, findings: &mut Findings, draft: &Draft, name: &Sp<rl_model::NicName>) {
        let Some(nic) = draft.nics.iter().find(|nic| nic.name.value == name.value) else {
            if self.origins.get(&format!("{}.nics.{}", draft.path, name.value)).is_none() {
                let help = suggest(name.value.as_str(), draft.nics.iter().map(|nic| nic.name.value.as_str()), "NICs");
                let message = format!("the container `{}` has no NIC `{}`", draft.name.value, name.value);
                findings.push(Diagnostic::error(codes::UNKNOWN_NIC, Some(&name.at), message).help(help));
            }
            return;
        };
        if let Some(off) = nic.firewall.as_ref().filter(|on| !on.value) {
            findings.push(
                Diagnostic::error(codes::KEYS_CONFLICT, Some(&name.at), "the rule is on a NIC that is not filtered")
                    .related(Some(&off.at), "the firewall of this NIC is switched off")
                    .help("remove `firewall: false` from the NIC, or the rule"),
            );
        }
    }

    /// Adds where the site declares the things among which one was not found.
    fn of_site(&self, found: Diagnostic, site: &Site, key: &str) -> Diagnostic {
        found.related(self.origins.get(&format!("sites.{}.{key}", site.name)), format!("the site's {key}"))
    }
}

/// What the rules of a container may name.
fn names(placed: Placed<'_>) -> Names {
    let firewall = placed.site.and_then(|site| site.firewall.as_ref());
    let guests = |draft: &Draft| draft.guest_names().filter(|_| draft.count.is_some()).collect();
    Names {
        networks: placed.site.iter().flat_map(|site| site.networks.keys().cloned()).collect(),
        containers: placed.stack.containers.iter().map(|draft| (draft.name.value.clone(), guests(draft))).collect(),
        aliases: firewall.and_then(|all| all.aliases.as_ref()).into_iter().flatten().map(|one| one.0.clone()).collect(),
        sets: firewall.and_then(|all| all.ipsets.as_ref()).into_iter().flatten().map(|one| one.0.clone()).collect(),
        incomplete: placed.stack.incomplete,
    }
}

fn address(mode: Mode) -> NicAddress {
    match mode {
        Mode::Lease => NicAddress::Lease,
        Mode::Dhcp => NicAddress::Dhcp,
        Mode::None => NicAddress::None,
        Mode::Auto => NicAddress::Auto,
        Mode::Pinned(list) => NicAddress::Pinned(list.into_iter().map(|sp| sp.value).collect()),
    }
}

fn container_sections(draft: &Draft) -> Vec<Section> {
    let container: Option<ContainerName> = Some(draft.name.value.clone());
    let section = |kind, at: &Location| Section { kind, container: container.clone(), location: at.clone() };
    let firewall = draft.firewall.iter().map(|sp| section(SectionKind::Firewall, &sp.at));
    let granted = draft.secrets.iter().filter(|list| !list.value.is_empty());
    firewall.chain(granted.map(|sp| section(SectionKind::Secrets, &sp.at))).collect()
}
