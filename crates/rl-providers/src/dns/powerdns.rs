//! The HTTP API of PowerDNS (`/api/v1/servers/{server}/zones/{zone}`).
//!
//! It has no preconditions: what a change expects is read right before, and what it wrote right after.

use std::collections::BTreeSet;

use async_trait::async_trait;
use reqwest::Method;
use reqwest::header::HeaderValue;
use rl_model::dns::{DnsName, DnsServer, RecordSet, RecordValue, ZoneChange, ZoneRecords, ZoneUrl};
use rl_model::{Fqdn, RecordType, SecretValue};
use serde_json::{Value, json};

use super::error::DnsError;
use super::http::{Api, HttpRefusal};
use super::provider::{DnsProvider, SETS_MAX, ZoneList};

/// A zone of a PowerDNS server.
pub struct PowerDns {
    api: Api,
    path: String,
    zone: Fqdn,
    key: SecretValue,
    servers: Vec<DnsServer>,
}

impl PowerDns {
    /// Joins address, server id and API key. Where no server to ask is named, the zone's own NS records are.
    pub fn new(
        zone: &Fqdn,
        url: &ZoneUrl,
        server: &str,
        key: SecretValue,
        servers: Vec<DnsServer>,
    ) -> Result<Self, DnsError> {
        let server = percent_encoding::utf8_percent_encode(server, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("/api/v1/servers/{server}/zones/{zone}.");
        Ok(Self { api: Api::new(url.as_str())?, path, zone: zone.clone(), key, servers })
    }

    async fn call(&self, method: Method, body: Option<&Value>, what: &str) -> Result<Value, DnsError> {
        let mut key = HeaderValue::from_str(self.key.expose().trim())
            .map_err(|_| DnsError::odd(self.api.base(), "the API key has characters that no header may have"))?;
        key.set_sensitive(true);
        let mut request = self.api.request(method, &self.path).header("X-API-Key", key);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.api.send(request).await?.map_err(|refusal| self.refused(what, &refusal))
    }

    fn refused(&self, what: &str, refusal: &HttpRefusal) -> DnsError {
        let hint = match refusal.status {
            401 | 403 => "compare the API key with `api-key` in pdns.conf, and check `webserver-allow-from`".to_owned(),
            404 => format!("create the zone {} on the server, and check its id in the site file", self.zone),
            _ => "PowerDNS's own log tells more".to_owned(),
        };
        let why = format!("{} {}", refusal.status, refusal.text);
        DnsError::Refused { server: self.api.base().to_owned(), what: what.to_owned(), why, hint }
    }

    async fn sets(&self) -> Result<Vec<Value>, DnsError> {
        let answer = self.call(Method::GET, None, &format!("show the zone {}", self.zone)).await?;
        match answer.get("rrsets").and_then(Value::as_array) {
            Some(sets) if sets.len() <= SETS_MAX => Ok(sets.clone()),
            Some(_) => Err(DnsError::odd(self.api.base(), format!("the zone has more than {SETS_MAX} record sets"))),
            None => Err(DnsError::odd(self.api.base(), "it shows no record sets")),
        }
    }
}

#[async_trait]
impl DnsProvider for PowerDns {
    async fn read(&self, names: &BTreeSet<DnsName>) -> Result<ZoneRecords, DnsError> {
        let mut records = self.list().await?.records;
        records.retain(|(name, _), _| names.contains(name));
        Ok(records)
    }

    async fn apply(&self, change: &ZoneChange) -> Result<(), DnsError> {
        let names = change.names();
        change.check(&self.read(&names).await?).map_err(DnsError::Conflict)?;
        let sets: Vec<Value> = change.puts.iter().map(|put| patch(&put.name, put.kind, put.set.as_ref())).collect();
        self.call(Method::PATCH, Some(&json!({ "rrsets": sets })), "change records").await?;
        Ok(())
    }

    async fn list(&self) -> Result<ZoneList, DnsError> {
        let mut list = ZoneList::default();
        for set in self.sets().await? {
            match read_set(&set) {
                Some((key, set)) => _ = list.records.insert(key, set),
                None => list.others += 1,
            }
        }
        Ok(list)
    }

    async fn servers(&self) -> Result<Vec<DnsServer>, DnsError> {
        if !self.servers.is_empty() {
            return Ok(self.servers.clone());
        }
        let sets = self.sets().await?;
        let own = |set: &&Value| set["type"] == "NS" && set["name"] == format!("{}.", self.zone).as_str();
        let contents = sets.iter().filter(own).flat_map(|set| set["records"].as_array().into_iter().flatten());
        let names = contents.filter_map(|record| record["content"].as_str());
        Ok(names.filter_map(|name| name.trim_end_matches('.').parse().ok()).collect())
    }
}

fn patch(name: &DnsName, kind: RecordType, set: Option<&RecordSet>) -> Value {
    let (name, kind) = (format!("{name}."), kind.to_string());
    let Some(set) = set else { return json!({ "name": name, "type": kind, "changetype": "DELETE" }) };
    let records: Vec<Value> =
        set.values.iter().map(|value| json!({ "content": value.to_string(), "disabled": false })).collect();
    json!({ "name": name, "type": kind, "changetype": "REPLACE", "ttl": set.ttl_s, "records": records })
}

/// One set of the answer; `None` for types and names that are not ours, and for sets that are switched off.
fn read_set(set: &Value) -> Option<((DnsName, RecordType), RecordSet)> {
    let name: DnsName = set["name"].as_str()?.trim_end_matches('.').to_ascii_lowercase().parse().ok()?;
    let kind = RecordType::ALL.into_iter().find(|kind| set["type"] == kind.to_string().as_str())?;
    let ttl_s = u32::try_from(set["ttl"].as_u64()?).ok()?;
    let live = set["records"].as_array()?.iter().filter(|record| record["disabled"] != true);
    let values: BTreeSet<RecordValue> =
        live.map(|record| RecordValue::parse(kind, record["content"].as_str()?).ok()).collect::<Option<_>>()?;
    (!values.is_empty()).then_some(((name, kind), RecordSet { ttl_s, values }))
}
