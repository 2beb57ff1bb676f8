//! Starting an operation: jobs, the stack's new revision and every reservation in one transaction, or nothing at all.
use rl_engine::{Lane, OperationId, OperationSpec, Submitted, Tx, UnixMs, fail_point, submit_in};
use rl_model::{Plan, ResolvedGuest, ResolvedStack, StackName};

use super::deed::{self, Deed};
use super::plan::{self, StoredPlanId};
use super::stack::{self, NewRevision};
use super::{audit, guest, quota};
use crate::db::Db;
use crate::error::{Conflict, StoreError};
use crate::sql::Sql;
use crate::store::Store;

/// What an operation means for its stack.
#[derive(Debug, Clone)]
pub struct StackStart {
    /// The stack.
    pub stack: StackName,
    /// The revision the plan was made from; 0 for a new stack.
    pub base_revision: u64,
    /// The manifest as the user wrote it.
    pub manifest: String,
    /// What the stack shall be.
    pub resolved: ResolvedStack,
    /// Guests whose VMID, MACs and addresses are reserved.
    pub reserve: Vec<ResolvedGuest>,
    /// The stored plan that is carried out, which is applied with this.
    pub plan: Option<StoredPlanId>,
}

impl StackStart {
    /// What a plan means for its stack: every guest it makes or changes is reserved.
    pub fn of(plan: &Plan, manifest: String) -> Self {
        Self {
            stack: plan.stack.clone(),
            base_revision: plan.base_revision,
            manifest,
            resolved: plan.resolved.clone(),
            reserve: plan.actions.iter().filter_map(|action| action.kind.guest()).cloned().collect(),
            plan: None,
        }
    }
}

/// A started operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The operation.
    pub operation: OperationId,
    /// It had been started before, under the same id or idempotency key; nothing new was stored.
    pub existing: bool,
    /// The stack's new revision; `None` for an operation without a stack or one that had been started before.
    pub revision: Option<u64>,
}

impl Store {
    /// Starts an operation. With a stack it is the only unfinished one of that stack, and all it needs is reserved; when
    /// anything is held by another guest, the stack has moved on, its owner would have too much, or the plan may not be applied,
    /// nothing is stored at all. The deed is stored with it, unless the operation had been started before.
    pub async fn start_operation(
        &self,
        mut spec: OperationSpec,
        start: Option<StackStart>,
        deed: Option<Deed>,
    ) -> Result<Started, StoreError> {
        let now = self.now();
        if let Some(start) = &start {
            spec.subject = start.stack.to_string();
            spec.exclusive = true;
        }
        fail_point!("store.start.before");
        let started = match (self.db(), &start) {
            // All it writes is remembered or written out at the end: many share a transaction without statements of their own.
            (Db::Sqlite(sqlite), None) => {
                let started = sqlite.start_operation(spec, deed, now).await;
                started
                    .map(|(Submitted { id, existing }, seq)| (Started { operation: id, existing, revision: None }, seq))
            }
            (db, _) => {
                let work = move |tx: &mut Tx<'_>, db: &dyn Sql| {
                    let moment = tx.at(now).now();
                    // The key first: whoever comes second with it shall hear that, and not that the stack is being changed.
                    deed.iter().try_for_each(|deed| deed::keep_answer(db, deed, moment))?;
                    let started = run(tx, db, &spec, start, now)?;
                    let seq = match deed.filter(|_| !started.existing) {
                        Some(deed) => audit::append(db, &deed.audit, moment)?,
                        None => 0,
                    };
                    Ok((started, seq))
                };
                db.write_with(Lane::Intake, work).await
            }
        };
        fail_point!("store.start.after");
        self.told(started).map(|(started, _)| started)
    }
}

fn run(
    tx: &mut Tx<'_>,
    db: &dyn Sql,
    spec: &OperationSpec,
    start: Option<StackStart>,
    now: UnixMs,
) -> Result<Started, StoreError> {
    // The journal goes first: it knows an operation that was started before, and refuses a second one of the stack.
    let Submitted { id, existing } = submit_in(tx, spec, now)?;
    let Some(start) = start.filter(|_| !existing) else {
        return Ok(Started { operation: id, existing, revision: None });
    };
    let now = tx.at(now).now();
    let found = stack::current_revision(db, &start.stack)?;
    if found != start.base_revision {
        return Err(Conflict::Revision { stack: start.stack, expected: start.base_revision, found }.into());
    }
    if let Some(plan) = start.plan {
        plan::apply(db, plan, &start.stack, start.base_revision, id, now)?;
    }
    quota::check(db, &start.stack, &start.resolved)?;
    let revision = found + 1;
    for guest in &start.reserve {
        guest::reserve(db, &start.stack, guest, now)?;
    }
    let new = NewRevision {
        stack: &start.stack,
        revision,
        manifest: &start.manifest,
        resolved: &start.resolved,
        operation: id,
        actor: &spec.actor,
        now,
    };
    stack::put_revision(db, &new)?;
    Ok(Started { operation: id, existing, revision: Some(revision) })
}
