//! Which file of which guest holds which version of which secret.
use rl_engine::{Lane, UnixMs};
use rl_model::{GuestId, GuestPath, SecretSource};

use super::rows::all;
use crate::error::StoreError;
use crate::sql::{CellError, Sql, SqlRow, values};
use crate::store::Store;

/// A file that was delivered into a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// The guest.
    pub guest: GuestId,
    /// The file.
    pub path: GuestPath,
    /// Where its value comes from.
    pub source: SecretSource,
    /// Which version of it.
    pub version: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner inside the guest.
    pub owner: String,
    /// When it was delivered.
    pub delivered_at: UnixMs,
}

const COLUMNS: &str = "guest, path, source, version, mode, owner, delivered_at";

impl Store {
    /// What was delivered into a guest, by path.
    pub async fn deliveries(&self, guest: &GuestId) -> Result<Vec<DeliveryRecord>, StoreError> {
        let guest = guest.clone();
        self.db()
            .read_with(move |db| {
                let sql = format!("select {COLUMNS} from secret_delivery where guest = ?1 order by path");
                all(db, &sql, values![guest.as_str()], "reading deliveries", read)
            })
            .await
    }

    /// Every file that was delivered, by guest and path.
    pub async fn all_deliveries(&self) -> Result<Vec<DeliveryRecord>, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = format!("select {COLUMNS} from secret_delivery order by guest, path");
                all(db, &sql, values![], "reading deliveries", read)
            })
            .await
    }

    /// Writes down what a file holds now; `delivered_at` is the store's.
    pub async fn record_delivery(&self, record: DeliveryRecord) -> Result<(), StoreError> {
        let now = self.now();
        self.db()
            .write_with(Lane::Progress, move |tx, db| {
                let now = tx.at(now).now();
                let sql = "insert into secret_delivery (guest, path, source, version, mode, owner, delivered_at)
                           values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                           on conflict (guest, path) do update set source = excluded.source, version = excluded.version,
                             mode = excluded.mode, owner = excluded.owner, delivered_at = excluded.delivered_at";
                let values = values![
                    record.guest.as_str(),
                    record.path.as_str(),
                    record.source.to_string(),
                    record.version,
                    record.mode,
                    &record.owner,
                    now
                ];
                db.execute(sql, values, "recording a delivery")?;
                Ok(())
            })
            .await
    }

    /// Writes down that a file is gone. Doing it again changes nothing.
    pub async fn forget_delivery(&self, guest: &GuestId, path: &GuestPath) -> Result<(), StoreError> {
        let (guest, path) = (guest.clone(), path.clone());
        self.db()
            .write_with(Lane::Progress, move |_, db| {
                let sql = "delete from secret_delivery where guest = ?1 and path = ?2";
                db.execute(sql, values![guest.as_str(), path.as_str()], "forgetting a delivery")?;
                Ok(())
            })
            .await
    }
}

/// A guest that is gone holds nothing.
pub(super) fn forget_all(db: &dyn Sql, guest: &GuestId) -> Result<(), StoreError> {
    let sql = "delete from secret_delivery where guest = ?1";
    db.execute(sql, values![guest.as_str()], "forgetting a guest's deliveries")?;
    Ok(())
}

fn read(row: &SqlRow) -> Result<DeliveryRecord, CellError> {
    Ok(DeliveryRecord {
        guest: row.parsed(0)?,
        path: row.parsed(1)?,
        source: row.parsed(2)?,
        version: row.count(3)?,
        mode: row.number(4)?,
        owner: row.text(5)?.to_owned(),
        delivered_at: row.ms(6)?,
    })
}
