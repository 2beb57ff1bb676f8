//! Cloudflare's API, version 4.
//!
//! It has no preconditions: what a change expects is read right before. The change itself is one batch, which Cloudflare carries
//! out in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use rl_model::dns::{DnsName, DnsServer, RecordSet, RecordValue, ZoneChange, ZoneRecords, ZoneUrl};
use rl_model::{Fqdn, RecordType, SecretValue};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::error::DnsError;
use super::http::Api;
use super::provider::{DnsProvider, SETS_MAX, ZoneList};

/// Cloudflare's own address.
const CLOUDFLARE: &str = "https://api.cloudflare.com/client/v4";
/// Records asked for at once (API: `per_page`).
const PAGE: usize = 1000;

/// A zone at Cloudflare.
pub struct Cloudflare {
    api: Api,
    zone: Fqdn,
    token: SecretValue,
    servers: Vec<DnsServer>,
    found: OnceCell<Found>,
}

/// What Cloudflare says of a zone.
#[derive(Clone)]
struct Found {
    id: String,
    servers: Vec<DnsServer>,
}

/// One record as Cloudflare keeps it.
struct Row {
    id: String,
    key: (DnsName, RecordType),
    ttl_s: u32,
    value: RecordValue,
}

impl Cloudflare {
    /// Joins address and token. Where no server to ask is named, Cloudflare's for this zone are.
    pub fn new(
        zone: &Fqdn,
        url: Option<&ZoneUrl>,
        token: SecretValue,
        servers: Vec<DnsServer>,
    ) -> Result<Self, DnsError> {
        let api = Api::new(url.map_or(CLOUDFLARE, ZoneUrl::as_str))?;
        Ok(Self { api, zone: zone.clone(), token, servers, found: OnceCell::new() })
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>, what: &str) -> Result<Value, DnsError> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", self.token.expose().trim()))
            .map_err(|_| DnsError::odd(self.api.base(), "the token has characters that no header may have"))?;
        bearer.set_sensitive(true);
        let mut request = self.api.request(method, path).header(AUTHORIZATION, bearer);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = self
            .api
            .send(request)
            .await?
            .map_err(|refusal| self.refused(what, &format!("{} {}", refusal.status, refusal.text)))?;
        if answer["success"] == true { Ok(answer) } else { Err(self.refused(what, &answer["errors"].to_string())) }
    }

    fn refused(&self, what: &str, why: &str) -> DnsError {
        DnsError::Refused {
            server: self.api.base().to_owned(),
            what: what.to_owned(),
            why: why.to_owned(),
            hint: format!("the token needs the permissions Zone:Read and DNS:Edit for the zone {}", self.zone),
        }
    }

    async fn found(&self) -> Result<&Found, DnsError> {
        self.found.get_or_try_init(|| self.find()).await
    }

    async fn find(&self) -> Result<Found, DnsError> {
        let what = format!("find the zone {}", self.zone);
        let answer = self.call(Method::GET, &format!("/zones?name={}", self.zone), None, &what).await?;
        let zone = &answer["result"][0];
        let Some(id) = zone["id"].as_str().filter(|_| zone["name"] == self.zone.as_str()) else {
            return Err(self.refused(&what, "the token sees no such zone"));
        };
        let names = zone["name_servers"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(Found { id: id.to_owned(), servers: names.filter_map(|name| name.parse().ok()).collect() })
    }

    /// Every record, page by page, and the number of those that are not ours to write.
    async fn rows(&self) -> Result<(Vec<Row>, usize), DnsError> {
        let id = &self.found().await?.id;
        let (mut rows, mut others) = (Vec::new(), 0);
        for page in 1..=SETS_MAX / PAGE {
            let path = format!("/zones/{id}/dns_records?per_page={PAGE}&page={page}");
            let answer = self.call(Method::GET, &path, None, "list the records").await?;
            let Some(list) = answer["result"].as_array() else {
                return Err(DnsError::odd(self.api.base(), "it lists no records"));
            };
            for record in list {
                match read_row(record) {
                    Some(row) => rows.push(row),
                    None => others += 1,
                }
            }
            let pages = answer["result_info"]["total_pages"].as_u64().unwrap_or(1);
            if page as u64 >= pages {
                return Ok((rows, others));
            }
        }
        Err(DnsError::odd(self.api.base(), format!("the zone has more than {SETS_MAX} records")))
    }
}

#[async_trait]
impl DnsProvider for Cloudflare {
    async fn read(&self, names: &BTreeSet<DnsName>) -> Result<ZoneRecords, DnsError> {
        let mut records = sets(&self.rows().await?.0);
        records.retain(|(name, _), _| names.contains(name));
        Ok(records)
    }

    async fn apply(&self, change: &ZoneChange) -> Result<(), DnsError> {
        let (rows, _) = self.rows().await?;
        change.check(&sets(&rows)).map_err(DnsError::Conflict)?;
        let changed: BTreeMap<(&DnsName, RecordType), Option<&RecordSet>> =
            change.puts.iter().map(|put| ((&put.name, put.kind), put.set.as_ref())).collect();
        let goes = rows.iter().filter(|row| changed.contains_key(&(&row.key.0, row.key.1)));
        let deletes: Vec<Value> = goes.map(|row| json!({ "id": row.id })).collect();
        let posts: Vec<Value> =
            changed.iter().flat_map(|((name, _), set)| set.iter().flat_map(move |set| posted(name, set))).collect();
        let id = &self.found().await?.id;
        let batch = json!({ "deletes": deletes, "posts": posts });
        self.call(Method::POST, &format!("/zones/{id}/dns_records/batch"), Some(&batch), "change records").await?;
        Ok(())
    }

    async fn list(&self) -> Result<ZoneList, DnsError> {
        let (rows, others) = self.rows().await?;
        Ok(ZoneList { records: sets(&rows), others })
    }

    async fn servers(&self) -> Result<Vec<DnsServer>, DnsError> {
        if self.servers.is_empty() { Ok(self.found().await?.servers.clone()) } else { Ok(self.servers.clone()) }
    }
}

fn sets(rows: &[Row]) -> ZoneRecords {
    let mut out = ZoneRecords::new();
    for row in rows {
        out.entry(row.key.clone()).or_insert_with(|| RecordSet::new(row.ttl_s, [])).values.insert(row.value.clone());
    }
    out
}

/// `None` for types and names that are not ours to write.
fn read_row(record: &Value) -> Option<Row> {
    let kind = RecordType::ALL.into_iter().find(|kind| record["type"] == kind.to_string().as_str())?;
    let name: DnsName = record["name"].as_str()?.to_ascii_lowercase().parse().ok()?;
    let content = record["content"].as_str()?;
    let value = match kind {
        RecordType::Srv => {
            let data = &record["data"];
            let number = |key: &str| data[key].as_u64().and_then(|number| u16::try_from(number).ok());
            let target = data["target"].as_str()?.trim_end_matches('.').to_ascii_lowercase().parse().ok()?;
            RecordValue::Srv { priority: number("priority")?, weight: number("weight")?, port: number("port")?, target }
        }
        // Texts are shown as they were written: in quotes, or, by older records, without.
        RecordType::Txt if !content.starts_with('"') => RecordValue::Txt(content.to_owned()),
        kind => RecordValue::parse(kind, content).ok()?,
    };
    let ttl_s = u32::try_from(record["ttl"].as_u64()?).ok()?;
    Some(Row { id: record["id"].as_str()?.to_owned(), key: (name, kind), ttl_s, value })
}

fn posted<'a>(name: &'a DnsName, set: &'a RecordSet) -> impl Iterator<Item = Value> + 'a {
    set.values.iter().map(move |value| {
        let mut record =
            json!({ "name": name.as_str(), "type": value.kind().to_string(), "ttl": set.ttl_s, "proxied": false });
        match value {
            RecordValue::Srv { priority, weight, port, target } => {
                record["data"] =
                    json!({ "priority": priority, "weight": weight, "port": port, "target": target.as_str() });
            }
            RecordValue::Cname(target) | RecordValue::Ptr(target) => record["content"] = json!(target.as_str()),
            other => record["content"] = json!(other.to_string()),
        }
        record
    })
}
