//! Checks of everything declared together: what no single document can tell.

use std::collections::BTreeMap;

use rl_model::manifest::Origins;
use rl_model::{Site, SiteName};

use super::link::Placed;
use super::report::Findings;
use super::stack::StackDraft;

mod counts;
mod dns;
mod names;
mod order;
mod pins;
mod ranges;
mod room;
mod secrets;

/// Runs every check.
pub(crate) fn all(
    findings: &mut Findings,
    sites: &BTreeMap<SiteName, Site>,
    origins: &Origins,
    stacks: &[StackDraft],
    placed: &[Placed<'_>],
    broken: bool,
) {
    ranges::within_sites(findings, sites, origins);
    ranges::between_sites(findings, sites, origins);
    ranges::endpoints(findings, sites, origins);
    counts::counts(findings, placed);
    names::guests(findings, stacks);
    names::hostnames(findings, stacks, placed);
    pins::vmids(findings, placed, origins);
    pins::macs(findings, placed);
    pins::addresses(findings, placed, origins);
    room::addresses(findings, placed, origins);
    room::vmids(findings, placed, origins);
    order::after(findings, stacks);
    dns::records(findings, stacks, placed);
    secrets::providers(findings, sites, origins);
    secrets::grants(findings, sites, placed, broken);
}
