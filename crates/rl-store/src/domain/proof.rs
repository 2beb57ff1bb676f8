//! What a stack's last read-back and its last look for drift came to.
use rl_engine::{Lane, OperationId, Tx, UnixMs};
use rl_model::{Drift, Proof, StackName};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::rows::{first, listed, open, read_as, seal};
use crate::error::StoreError;
use crate::sql::{CellError, Sql, SqlRow, values};
use crate::store::Store;

/// Kind and version of a stored proof.
pub(crate) const PROOF: (&str, u32) = ("proof", 1);
/// Kind and version of stored drift.
pub(crate) const DRIFT: (&str, u32) = ("drift", 1);

/// The last look of a kind at a stack, without what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastLook {
    /// When it was made.
    pub at: UnixMs,
    /// Nothing was wrong.
    pub ok: bool,
    /// How many things were wrong.
    pub faults: u64,
}

/// The last looks at a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LooksAt {
    /// The stack.
    pub stack: StackName,
    /// Its last proof.
    pub proof: Option<LastLook>,
    /// The last look for drift.
    pub drift: Option<LastLook>,
}

impl Store {
    /// Keeps the last proof of its stack, and tells of it in the event `stack.proof` of the operation that made the stack what it
    /// is. One that was made before it changes nothing.
    pub async fn put_proof(&self, proof: &Proof) -> Result<(), StoreError> {
        let at = UnixMs(u64::try_from(proof.at_ms).unwrap_or(0));
        let look = LastLook { at, ok: proof.ok, faults: proof.counts().1 as u64 };
        self.put_look(&proof.stack, PROOF.0, look, seal(PROOF.0, PROOF.1, proof)?).await
    }

    /// Keeps what the last look for drift of a stack found. Where that is more or less than before, the event `stack.drift` tells.
    pub async fn put_drift(&self, stack: &StackName, at: UnixMs, drift: &[Drift]) -> Result<(), StoreError> {
        let look = LastLook { at, ok: drift.is_empty(), faults: drift.len() as u64 };
        self.put_look(stack, DRIFT.0, look, seal(DRIFT.0, DRIFT.1, &drift)?).await
    }

    /// The last proof of a stack.
    pub async fn proof(&self, stack: &StackName) -> Result<Option<Proof>, StoreError> {
        Ok(self.look_at::<Proof>(stack, PROOF).await?.map(|(_, proof)| proof))
    }

    /// When a stack was looked at for drift last, and what was found.
    pub async fn drift(&self, stack: &StackName) -> Result<Option<(UnixMs, Vec<Drift>)>, StoreError> {
        self.look_at(stack, DRIFT).await
    }

    /// The last looks at every stack, by stack.
    pub async fn looks(&self) -> Result<Vec<LooksAt>, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = "select stack, kind, at, ok, faults from stack_check order by stack, kind";
                let rows = listed(db, sql, "reading when stacks were looked at", |row| read_as(read(row)))?;
                let mut looks: Vec<LooksAt> = Vec::new();
                for (stack, kind, look) in rows {
                    if looks.last().is_none_or(|last| last.stack != stack) {
                        looks.push(LooksAt { stack, proof: None, drift: None });
                    }
                    let Some(last) = looks.last_mut() else { continue };
                    match kind == PROOF.0 {
                        true => last.proof = Some(look),
                        false => last.drift = Some(look),
                    }
                }
                Ok(looks)
            })
            .await
    }

    async fn put_look(
        &self,
        stack: &StackName,
        kind: &'static str,
        look: LastLook,
        document: String,
    ) -> Result<(), StoreError> {
        let (stack, now) = (stack.clone(), self.now());
        self.db()
            .write_with(Lane::Progress, move |tx, db| {
                let sql = "select faults from stack_check where stack = ?1 and kind = ?2";
                let before =
                    first(db, sql, values![stack.as_str(), kind], "reading the look before", |row| row.count(0))?;
                let sql =
                    "insert into stack_check (stack, kind, at, ok, faults, document) values (?1, ?2, ?3, ?4, ?5, ?6)
                           on conflict (stack, kind) do update set at = excluded.at, ok = excluded.ok,
                             faults = excluded.faults, document = excluded.document
                           where stack_check.at <= excluded.at";
                let given = values![stack.as_str(), kind, look.at, look.ok, look.faults, document];
                let is_newest = db.execute(sql, given, "keeping what a look at a stack found")? > 0;
                if is_newest && (kind == PROOF.0 || before.unwrap_or(0) != look.faults) {
                    tell(tx, db, (&stack, kind), look, now)?;
                }
                Ok(())
            })
            .await
    }

    async fn look_at<T: DeserializeOwned + Send + 'static>(
        &self,
        stack: &StackName,
        (kind, version): (&'static str, u32),
    ) -> Result<Option<(UnixMs, T)>, StoreError> {
        let stack = stack.clone();
        self.db()
            .read_with(move |db| {
                let sql = "select at, document from stack_check where stack = ?1 and kind = ?2";
                let doing = "reading what a look at a stack found";
                let found = first(db, sql, values![stack.as_str(), kind], doing, |row| {
                    Ok((row.ms(0)?, row.text(1)?.to_owned()))
                })?;
                found.map(|(at, text)| Ok((at, open(kind, version, &text)?))).transpose()
            })
            .await
    }
}

/// Tells followers of a look, as an event of the operation that made the stack what it is; it may have been pruned since.
fn tell(
    tx: &mut Tx<'_>,
    db: &dyn Sql,
    (stack, kind): (&StackName, &str),
    look: LastLook,
    now: UnixMs,
) -> Result<(), StoreError> {
    let sql = "select r.operation from stack_revision r join operation o on o.id = r.operation
               where r.stack = ?1 order by r.revision desc limit 1";
    let doing = "looking for a stack's operation";
    let operation = first(db, sql, values![stack.as_str()], doing, |row| row.parsed::<OperationId>(0))?;
    if let Some(operation) = operation {
        let body = json!({ "ok": look.ok, "faults": look.faults });
        tx.event(operation, None, &format!("stack.{kind}"), body, now)?;
    }
    Ok(())
}

fn read(row: &SqlRow) -> Result<(StackName, String, LastLook), CellError> {
    let look = LastLook { at: row.ms(2)?, ok: row.int(3)? != 0, faults: row.count(4)? };
    Ok((row.parsed(0)?, row.text(1)?.to_owned(), look))
}
