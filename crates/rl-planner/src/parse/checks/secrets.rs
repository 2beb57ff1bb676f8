//! Secrets that are granted come from providers that a site declares, and name what those hold.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use rl_model::manifest::Origins;
use rl_model::{Provider, ProviderKind, ProviderName, SecretSource, Site, SiteName};

use super::super::link::Placed;
use super::super::report::{Findings, Sp, suggest};
use crate::diagnostic::{Diagnostic, codes};

/// A provider that several sites declare is the same in all: its name stands for one of them.
pub(super) fn providers(findings: &mut Findings, sites: &BTreeMap<SiteName, Site>, origins: &Origins) {
    let mut seen: BTreeMap<&ProviderName, (&SiteName, &Provider)> = BTreeMap::new();
    for (site, provider) in sites.values().flat_map(|site| site.providers.values().map(move |one| (&site.name, one))) {
        let Some((first, _)) = seen.get(&provider.name).filter(|(_, known)| *known != provider) else {
            seen.entry(&provider.name).or_insert((site, provider));
            continue;
        };
        let at = |site: &SiteName| origins.find(&format!("sites.{site}.providers.{}", provider.name));
        let message = format!("the sites `{first}` and `{site}` declare the provider `{}` differently", provider.name);
        findings.push(
            Diagnostic::error(codes::DUPLICATE_NAME, at(site).or(at(first)), message)
                .related(at(first), "first declaration")
                .help("declare it the same in both, in one of them alone, or under two names"),
        );
    }
}

/// Checks the grants of every container. Where documents could not be read, a provider may be in one of them.
pub(super) fn grants(findings: &mut Findings, sites: &BTreeMap<SiteName, Site>, placed: &[Placed<'_>], broken: bool) {
    let declared: BTreeMap<&ProviderName, &Provider> = sites.values().flat_map(|site| &site.providers).collect();
    for from in placed.iter().flat_map(|one| &one.draft.secret_sources) {
        let SecretSource::Provider { provider: name, place, key } = &from.value else { continue };
        match declared.get(&name) {
            Some(provider) => source(findings, from, &provider.kind, place, key.is_some()),
            None if broken => {}
            None => {
                let message = format!("no site declares the provider `{name}`");
                let help = suggest(name.as_str(), declared.keys().map(|name| name.as_str()), "providers");
                findings.push(Diagnostic::error(codes::UNKNOWN_PROVIDER, Some(&from.at), message).help(help));
            }
        }
    }
}

fn source(findings: &mut Findings, from: &Sp<SecretSource>, kind: &ProviderKind, place: &str, entry: bool) {
    let mut wrong = |message: String, help: &str| {
        findings.push(Diagnostic::error(codes::INVALID_VALUE, Some(&from.at), message).help(help));
    };
    if kind.has_entries() && !entry {
        let help = "add its name, as in `corp:shop/db#password`";
        return wrong(format!("`{}` names no entry", from.value), help);
    }
    if !kind.has_entries() && entry {
        let help = "leave out what follows `#`: a file of age holds one value";
        return wrong(format!("`{}` names an entry", from.value), help);
    }
    let outside = Path::new(place).components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir));
    if outside && !matches!(kind, ProviderKind::Vault { .. }) {
        let help = "name a file below the provider's folder, without `..`";
        wrong(format!("the file of `{}` lies outside of the provider's folder", from.value), help);
    }
}
