//! Zones that the built-in DNS server answers.
use std::collections::BTreeSet;

use rl_engine::Lane;
use rl_model::dns::{DnsName, RecordSet, RecordValue, ZoneChange, ZoneConflict, ZoneRecords};
use rl_model::{Fqdn, RecordType};

use super::rows::{all, first};
use crate::error::StoreError;
use crate::sql::{CellError, Sql, SqlRow, values};
use crate::store::Store;

impl Store {
    /// The records of a zone and its serial; an empty zone with serial 1 where nothing was written yet.
    pub async fn dns_zone(&self, zone: &Fqdn) -> Result<(u32, ZoneRecords), StoreError> {
        let zone = zone.clone();
        self.db()
            .read_with(move |db| {
                let sql = "select name, kind, ttl, items from dns_set where zone = ?1";
                let sets = all(db, sql, values![zone.as_str()], "reading a zone", read_set)?;
                Ok((serial(db, &zone)?, sets.into_iter().collect()))
            })
            .await
    }

    /// The serial of a zone alone.
    pub async fn dns_serial(&self, zone: &Fqdn) -> Result<u32, StoreError> {
        let zone = zone.clone();
        self.db().read_with(move |db| serial(db, &zone)).await
    }

    /// Changes a zone in one transaction, if it is as expected; answers its new serial.
    pub async fn change_dns_zone(
        &self,
        zone: &Fqdn,
        change: ZoneChange,
    ) -> Result<Result<u32, ZoneConflict>, StoreError> {
        let (zone, now) = (zone.clone(), self.now());
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let found = named(db, &zone, &change.names())?;
                if let Err(conflict) = change.check(&found) {
                    return Ok(Err(conflict));
                }
                for put in &change.puts {
                    write_set(db, &zone, &put.name, put.kind, put.set.as_ref())?;
                }
                // The time in seconds keeps the serial growing even where the store was brought back from a copy.
                let seconds = u32::try_from(tx.at(now).now().0 / 1000).unwrap_or(0);
                let next = serial(db, &zone)?.saturating_add(1).max(seconds);
                let sql = "insert into dns_zone (name, serial) values (?1, ?2)
                           on conflict (name) do update set serial = excluded.serial";
                db.execute(sql, values![zone.as_str(), next], "writing a zone's serial")?;
                Ok(Ok(next))
            })
            .await
    }
}

fn serial(db: &dyn Sql, zone: &Fqdn) -> Result<u32, StoreError> {
    let sql = "select serial from dns_zone where name = ?1";
    let found = first(db, sql, values![zone.as_str()], "reading a zone's serial", |row| row.number(0))?;
    Ok(found.unwrap_or(1))
}

/// The record sets of some names.
fn named(db: &dyn Sql, zone: &Fqdn, names: &BTreeSet<DnsName>) -> Result<ZoneRecords, StoreError> {
    let mut found = ZoneRecords::new();
    for name in names {
        let sql = "select name, kind, ttl, items from dns_set where zone = ?1 and name = ?2";
        found.extend(all(db, sql, values![zone.as_str(), name.as_str()], "reading records", read_set)?);
    }
    Ok(found)
}

fn write_set(
    db: &dyn Sql,
    zone: &Fqdn,
    name: &DnsName,
    kind: RecordType,
    set: Option<&RecordSet>,
) -> Result<(), StoreError> {
    let kind = kind.to_string();
    let Some(set) = set else {
        let sql = "delete from dns_set where zone = ?1 and name = ?2 and kind = ?3";
        return db.execute(sql, values![zone.as_str(), name.as_str(), kind], "removing records").map(drop);
    };
    let lines: Vec<String> = set.values.iter().map(ToString::to_string).collect();
    let sql = "insert into dns_set (zone, name, kind, ttl, items) values (?1, ?2, ?3, ?4, ?5)
               on conflict (zone, name, kind) do update set ttl = excluded.ttl, items = excluded.items";
    let given = values![zone.as_str(), name.as_str(), kind, set.ttl_s, lines.join("\n")];
    db.execute(sql, given, "writing records").map(drop)
}

/// A row: values stand one a line, in the notation of zone files, which has no line breaks.
pub(crate) fn read_set(row: &SqlRow) -> Result<((DnsName, RecordType), RecordSet), CellError> {
    let kind = row.text(1)?;
    let kind = RecordType::ALL.into_iter().find(|known| known.to_string() == kind);
    let kind = kind.ok_or_else(|| CellError::new(1, "it is no type of a record"))?;
    let lines = row.text(3)?.lines();
    let values: BTreeSet<RecordValue> =
        lines.map(|line| RecordValue::parse(kind, line)).collect::<Result<_, _>>().map_err(|e| CellError::new(3, e))?;
    Ok(((row.parsed(0)?, kind), RecordSet { ttl_s: row.number(2)?, values }))
}
