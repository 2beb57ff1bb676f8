//! Zones of DNS records: their providers with the credentials that sites name, and the book of the built-in server.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use rl_model::dns::{DnsServer, TsigKey, Zone, ZoneChange, ZoneProvider, ZoneRecords};
use rl_model::{Fqdn, ResolvedStack, SecretValue, Site, TokenSource};
use rl_ops::Zones;
use rl_providers::dns::server::{ServedSecondary, ServedZone, ZoneSource};
use rl_providers::dns::{BookError, Builtin, Cloudflare, DnsProvider, Key, PowerDns, Rfc2136, ZoneBook, addresses};
use rl_store::{Store, StoreError};

use crate::env;
use crate::error::CommandError;
use crate::out::Out;
use crate::work::data::Data;
use crate::work::secrets;

/// Longest file with a credential that is read.
const CREDENTIAL_BYTES_MAX: u64 = 4096;

/// The zones that sites declare. One that two sites declare must be the same in both.
pub(crate) fn declared<'a>(sites: impl IntoIterator<Item = &'a Site>) -> Result<BTreeMap<Fqdn, Zone>, CommandError> {
    let mut out: BTreeMap<Fqdn, Zone> = BTreeMap::new();
    for zone in sites.into_iter().flat_map(|site| site.zones.values()) {
        match out.get(&zone.name) {
            Some(other) if other != zone => {
                return Err(CommandError::input(format!("two sites declare the zone {} differently", zone.name))
                    .hinted("declare it the same in both, or in one of them alone"));
            }
            _ => _ = out.insert(zone.name.clone(), zone.clone()),
        }
    }
    Ok(out)
}

/// The providers of some zones. Nothing is contacted yet. Zones that no site declares are left out.
pub(crate) async fn connect(
    data: &Data,
    declared: &BTreeMap<Fqdn, Zone>,
    names: &BTreeSet<Fqdn>,
) -> Result<Zones, CommandError> {
    let own = data.own_server();
    let mut out = Zones::new();
    for zone in names.iter().filter_map(|name| declared.get(name)) {
        out.insert(zone.name.clone(), connect_one(data, zone, own.as_ref()).await?);
    }
    Ok(out)
}

/// The providers of the zones that stacks have records in, to be asked for a proof; zones of given sites go before those of
/// stored ones. Says of which zones nobody is asked but the store.
pub(crate) async fn of_stacks<'a>(
    data: &Data,
    given: impl IntoIterator<Item = &Site>,
    stacks: impl IntoIterator<Item = &'a ResolvedStack>,
    out: &Out,
) -> Result<Zones, CommandError> {
    let names = rl_ops::zones_of(stacks);
    if names.is_empty() {
        return Ok(Zones::new());
    }
    let mut sites = BTreeMap::new();
    for site in given.into_iter().cloned().chain(data.sites().await?) {
        sites.entry(site.name.clone()).or_insert(site);
    }
    let declared = declared(sites.values())?;
    let unasked = |zone: &&Fqdn| {
        let zone = declared.get(*zone);
        zone.is_some_and(|zone| matches!(zone.provider, ZoneProvider::Builtin { .. }) && zone.servers.is_empty())
    };
    if data.own_server().is_none() {
        for zone in names.iter().filter(unasked) {
            out.say(&format!(
                "note: no server of the zone {zone} is known here, so its records were compared with the store alone; \
                 `--dns ADDR` answers them, and `servers:` of the zone names who else does"
            ));
        }
    }
    connect(data, &declared, &names).await
}

/// The providers of every declared zone; one whose credential cannot be read is told, and left out.
pub(crate) async fn connect_all(data: &Data, out: &Out) -> Result<Zones, CommandError> {
    let (sites, own) = (data.sites().await?, data.own_server());
    let mut zones = Zones::new();
    for zone in declared(&sites)?.values() {
        match connect_one(data, zone, own.as_ref()).await {
            Ok(provider) => _ = zones.insert(zone.name.clone(), provider),
            Err(error) => out.say(&format!("warning: {}; its records wait for a person", error.message)),
        }
    }
    Ok(zones)
}

async fn connect_one(data: &Data, zone: &Zone, own: Option<&DnsServer>) -> Result<Arc<dyn DnsProvider>, CommandError> {
    let unusable = |error| CommandError::input(format!("the zone {} cannot be used", zone.name)).because(error);
    let servers = zone.servers.clone();
    Ok(match &zone.provider {
        ZoneProvider::Builtin { .. } => {
            let servers = if servers.is_empty() { own.into_iter().cloned().collect() } else { servers };
            Arc::new(Builtin::new(&zone.name, Arc::new(StoreBook(data.store.clone())), servers))
        }
        ZoneProvider::Rfc2136 { server, key } => {
            let key = key_of(data, &zone.name, key).await?;
            Arc::new(Rfc2136::new(&zone.name, server.clone(), key, servers))
        }
        ZoneProvider::PowerDns { url, server, key } => {
            let key = credential(data, &zone.name, key).await?;
            Arc::new(PowerDns::new(&zone.name, url, server, key, servers).map_err(unusable)?)
        }
        ZoneProvider::Cloudflare { url, token } => {
            let token = credential(data, &zone.name, token).await?;
            Arc::new(Cloudflare::new(&zone.name, url.as_ref(), token, servers).map_err(unusable)?)
        }
    })
}

async fn key_of(data: &Data, zone: &Fqdn, key: &TsigKey) -> Result<Key, CommandError> {
    let value = credential(data, zone, &key.secret).await?;
    Key::new(key, &value).map_err(|error| {
        CommandError::input(format!("zone {zone}: its key is not usable"))
            .because(error)
            .hinted("write the value that `tsig-keygen` shows behind `secret`, without quotes")
    })
}

/// Reads a credential from where the site file says.
async fn credential(data: &Data, zone: &Fqdn, source: &TokenSource) -> Result<SecretValue, CommandError> {
    match source {
        TokenSource::File(path) => from_file(zone, path),
        TokenSource::Env(name) => env::named(name).map(SecretValue::new).ok_or_else(|| {
            CommandError::input(format!("zone {zone}: the environment variable {name} with its credential is not set"))
                .hinted(format!("set {name}, or name a file with `{{ file: PATH }}`"))
        }),
        TokenSource::Secret(name) => secrets::newest(data, name).await?.ok_or_else(|| {
            CommandError::input(format!(
                "zone {zone}: its credential is the secret {name}, and there is none of that name"
            ))
            .hinted(format!("store it with `rapidlaunch secret set {name}`"))
        }),
    }
}

fn from_file(zone: &Fqdn, path: &Path) -> Result<SecretValue, CommandError> {
    let unreadable = |error| {
        CommandError::input(format!("zone {zone}: the file {} with its credential cannot be read", path.display()))
            .because(error)
            .hinted("the file holds one line, and only you can read it (chmod 600)")
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(CREDENTIAL_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(SecretValue::new(text.trim()))
}

/// The book of built-in zones, kept in the store.
pub(crate) struct StoreBook(pub(crate) Store);

#[async_trait]
impl ZoneBook for StoreBook {
    async fn zone(&self, zone: &Fqdn) -> Result<(u32, ZoneRecords), BookError> {
        self.0.dns_zone(zone).await.map_err(failed)
    }

    async fn serial(&self, zone: &Fqdn) -> Result<u32, BookError> {
        self.0.dns_serial(zone).await.map_err(failed)
    }

    async fn change(&self, zone: &Fqdn, change: &ZoneChange) -> Result<u32, BookError> {
        Ok(self.0.change_dns_zone(zone, change.clone()).await.map_err(failed)??)
    }
}

fn failed(error: StoreError) -> BookError {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    BookError::Store(format!("{error}{cause}"))
}

/// The zones that the built-in server answers: those of the store's sites, with the keys of their secondaries.
pub(crate) struct StoreZones {
    data: Arc<Data>,
    /// What was made from which declarations, so that keys are not read again and again.
    last: tokio::sync::Mutex<(BTreeMap<Fqdn, Zone>, Vec<ServedZone>)>,
}

impl StoreZones {
    pub(crate) fn new(data: Arc<Data>) -> Self {
        Self { data, last: tokio::sync::Mutex::default() }
    }
}

#[async_trait]
impl ZoneSource for StoreZones {
    async fn zones(&self) -> Result<Vec<ServedZone>, BookError> {
        let told = |error: CommandError| BookError::Store(error.text(false));
        let sites = self.data.sites().await.map_err(told)?;
        let declared = declared(&sites).map_err(told)?;
        let mut last = self.last.lock().await;
        if last.0 != declared {
            let mut served = Vec::new();
            for zone in declared.values() {
                served.extend(serve(&self.data, zone).await.map_err(told)?);
            }
            *last = (declared, served);
        }
        Ok(last.1.clone())
    }
}

async fn serve(data: &Data, zone: &Zone) -> Result<Option<ServedZone>, CommandError> {
    let ZoneProvider::Builtin { nameservers, secondaries } = &zone.provider else { return Ok(None) };
    let mut served = Vec::new();
    for secondary in secondaries {
        let addresses = addresses(&secondary.address).await.map_err(|error| {
            CommandError::failed(format!("a secondary of the zone {} has no address", zone.name)).because(error)
        })?;
        let key = match &secondary.key {
            Some(key) => Some(key_of(data, &zone.name, key).await?),
            None => None,
        };
        served.push(ServedSecondary { addresses, key });
    }
    Ok(Some(ServedZone { name: zone.name.clone(), nameservers: nameservers.clone(), secondaries: served }))
}
