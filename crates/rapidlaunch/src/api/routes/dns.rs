//! Zones that sites declare, and the records in them.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use rl_model::dns::{Holder, Owner, Zone, ZoneProvider, ZoneRecords, owner_kind};
use rl_model::{AccessPath, Fqdn, RecordType, Right, Site};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::extract::{At, Page, PageQuery, Params, named};
use crate::api::problem::{Problem, ProblemBody};
use crate::error::CommandError;
use crate::work::zones;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(records))
}

/// A zone.
#[derive(Debug, Serialize, ToSchema)]
struct ZoneShape {
    /// Its name.
    name: String,
    /// Who keeps it: `builtin`, `rfc2136`, `powerdns` or `cloudflare`.
    provider: &'static str,
    /// The sites that declare it.
    sites: Vec<String>,
    /// Servers that must answer what was written.
    servers: Vec<String>,
    /// Its serial; null where another keeps it.
    serial: Option<u32>,
    /// Record sets in it, without the marks of owners; null where another keeps it.
    records: Option<usize>,
}

/// The zones of sites that the caller may see, with the names of the sites.
async fn seen(api: &Api, caller: &Caller) -> Result<BTreeMap<Fqdn, (Zone, Vec<String>)>, Problem> {
    let mut sites: Vec<Site> = api.data.sites().await?;
    sites.retain(|site| caller.may(Right::Read, &[AccessPath::Site(site.name.clone())]));
    let mut zones: BTreeMap<Fqdn, (Zone, Vec<String>)> = BTreeMap::new();
    for site in &sites {
        for zone in site.zones.values() {
            let (_, names) = zones.entry(zone.name.clone()).or_insert_with(|| (zone.clone(), Vec::new()));
            names.push(site.name.to_string());
        }
    }
    Ok(zones)
}

/// Zones by name.
#[utoipa::path(get, path = "/v1/zones", tag = "dns", params(PageQuery),
    responses((status = 200, description = "A page of zones", body = Page<ZoneShape>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(page): Params<PageQuery>,
) -> Result<Page<ZoneShape>, Problem> {
    page.limit()?;
    let zones = seen(&api, &caller).await?.into_values().collect();
    let Page { items: zones, next } = page.cut(zones, |(zone, _)| zone.name.to_string())?;
    let mut items = Vec::new();
    for (zone, sites) in zones {
        let kept = match &zone.provider {
            ZoneProvider::Builtin { .. } => Some(api.data.store.dns_zone(&zone.name).await?),
            _ => None,
        };
        items.push(ZoneShape {
            name: zone.name.to_string(),
            provider: zone.provider.word(),
            sites,
            servers: zone.servers.iter().map(ToString::to_string).collect(),
            serial: kept.as_ref().map(|(serial, _)| *serial),
            records: kept.map(|(_, records)| shapes(&api, &records).len()),
        });
    }
    Ok(Page { items, next })
}

/// All records of one name and type.
#[derive(Debug, Serialize, ToSchema)]
struct RecordShape {
    /// The name.
    name: String,
    /// The type: `A`, `AAAA`, `CNAME`, `SRV`, `TXT` or `PTR`.
    #[serde(rename = "type")]
    kind: String,
    /// Time to live in seconds.
    ttl_s: u32,
    /// The values, as zone files write them.
    values: Vec<String>,
    /// The stack of this installation that wrote them; null where none did.
    stack: Option<String>,
    /// Who holds them, in words: a stack of this or another installation, or nobody whom RapidLaunch knows.
    holder: String,
}

/// Records by name and type. The marks that say who wrote a record are told with the record.
fn shapes(api: &Api, records: &ZoneRecords) -> Vec<RecordShape> {
    let ours = api.data.store.controller();
    let is_mark = |name, kind| kind == RecordType::Txt && owner_kind(name).is_some();
    let shown = records.iter().filter(|((name, kind), _)| !is_mark(name, *kind));
    let shape = |((name, kind), set): (&(rl_model::dns::DnsName, RecordType), &rl_model::dns::RecordSet)| {
        let holder = Holder::of(records, name, *kind);
        let stack = match &holder {
            Holder::Owner(Owner { controller, stack }) if *controller == ours => Some(stack.to_string()),
            _ => None,
        };
        RecordShape {
            name: name.to_string(),
            kind: kind.to_string(),
            ttl_s: set.ttl_s,
            values: set.values.iter().map(ToString::to_string).collect(),
            stack,
            holder: holder.to_string(),
        }
    };
    shown.map(shape).collect()
}

/// The records of a zone, as its keeper lists them, of the types that stacks can declare.
#[utoipa::path(get, path = "/v1/zones/{zone}/records", tag = "dns", params(("zone" = String, Path), PageQuery),
    responses((status = 200, description = "A page of records", body = Page<RecordShape>),
        (status = 502, description = "Its keeper cannot be asked", body = ProblemBody, content_type = "application/problem+json")))]
async fn records(
    State(api): State<Api>,
    caller: Caller,
    At(name): At<String>,
    Params(page): Params<PageQuery>,
) -> Result<Page<RecordShape>, Problem> {
    page.limit()?;
    let name: Fqdn = named("zone", &name)?;
    let known = seen(&api, &caller).await?;
    let (zone, _) = known.get(&name).ok_or_else(|| Problem::not_found("zone", &name))?;
    let records = match &zone.provider {
        ZoneProvider::Builtin { .. } => api.data.store.dns_zone(&name).await?.1,
        _ => {
            let declared = BTreeMap::from([(name.clone(), zone.clone())]);
            let connected = zones::connect(&api.data, &declared, &BTreeSet::from([name.clone()])).await?;
            let provider = connected.get(&name).ok_or_else(|| Problem::not_found("zone", &name))?;
            let listed = provider.list().await.map_err(|error| {
                CommandError::failed(format!("the records of the zone {name} cannot be read")).because(error)
            })?;
            listed.records
        }
    };
    let key = |shape: &RecordShape| format!("{} {}", shape.name, shape.kind);
    let mut all = shapes(&api, &records);
    all.sort_by_key(key);
    page.cut(all, key)
}
