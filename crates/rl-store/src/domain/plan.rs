//! Plans that wait for a person's decision: made, approved by another, applied once, or let go.
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rl_engine::{Envelope, Lane, OperationId, UnixMs};
use rl_model::StackName;

use super::deed::Deed;
use super::rows::{all, first};
use crate::error::{Conflict, StoreError};
use crate::sql::{CellError, Sql, SqlRow, Value, values};
use crate::store::Store;

rl_engine::id_type!(
    /// A stored plan.
    StoredPlanId,
    "plan"
);

/// Most plans of one page.
const PAGE_MAX: usize = 200;
/// Most plans kept of one stack; the oldest go when a new one comes, those that were applied too.
pub const PLANS_PER_STACK_MAX: u64 = 200;
/// How long a plan is kept after it has expired.
pub const PLAN_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Where a plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanState {
    /// It waits.
    Open,
    /// Another person than its author approved it.
    Approved,
    /// An operation carries it out, or has.
    Applied,
    /// It was let go.
    Discarded,
    /// Its time passed before anything came of it.
    Expired,
}

impl PlanState {
    const ALL: [PlanState; 5] =
        [PlanState::Open, PlanState::Approved, PlanState::Applied, PlanState::Discarded, PlanState::Expired];

    /// The name in the store and in output.
    pub fn as_str(self) -> &'static str {
        match self {
            PlanState::Open => "open",
            PlanState::Approved => "approved",
            PlanState::Applied => "applied",
            PlanState::Discarded => "discarded",
            PlanState::Expired => "expired",
        }
    }

    /// The state at a moment, given the stored one: that its time has passed is written down by nobody.
    fn at(self, now: UnixMs, expires_at: UnixMs) -> Self {
        match self {
            PlanState::Open | PlanState::Approved if expires_at <= now => PlanState::Expired,
            state => state,
        }
    }
}

impl FromStr for PlanState {
    type Err = std::io::Error;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == name);
        found.ok_or_else(|| std::io::Error::other(format!("`{name}` is no state of a plan that this release knows")))
    }
}

/// Why a plan is not approved, applied or let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanRefusal {
    /// There is none of that id.
    Unknown,
    /// Whoever approves must be another than its author.
    OwnPlan,
    /// It needs the approval of another person first.
    Unapproved,
    /// It was approved before.
    Approved,
    /// It was applied.
    Applied,
    /// It was let go.
    Discarded,
    /// Its time has passed.
    Expired,
    /// It is for another stack, or made from another revision, than what is to be started.
    OtherStack,
}

impl fmt::Display for PlanRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PlanRefusal::Unknown => "is not known",
            PlanRefusal::OwnPlan => "must be approved by another person than its author",
            PlanRefusal::Unapproved => "needs the approval of another person before it is applied",
            PlanRefusal::Approved => "was approved before",
            PlanRefusal::Applied => "was applied; plan again for further changes",
            PlanRefusal::Discarded => "was let go; plan again",
            PlanRefusal::Expired => "has expired; plan again",
            PlanRefusal::OtherStack => "is for another stack or another revision of it; plan again",
        })
    }
}

/// A plan to be stored.
#[derive(Debug, Clone)]
pub struct NewPlan {
    /// Its id, handed in so that the answer can be known beforehand.
    pub id: StoredPlanId,
    /// The stack.
    pub stack: StackName,
    /// Who planned.
    pub author: String,
    /// The revision it was made from.
    pub base_revision: u64,
    /// It takes the stack away.
    pub destroy: bool,
    /// It changes nothing.
    pub empty: bool,
    /// Something stands in its way.
    pub blocked: bool,
    /// Another person must approve it.
    pub needs_approval: bool,
    /// How long it may wait.
    pub lasts: Duration,
    /// All that it takes to show and to apply it, with kind and version.
    pub document: Envelope,
}

/// A stored plan without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRecord {
    /// Its id.
    pub id: StoredPlanId,
    /// The stack.
    pub stack: StackName,
    /// Who planned.
    pub author: String,
    /// Where it stands.
    pub state: PlanState,
    /// The revision it was made from.
    pub base_revision: u64,
    /// It takes the stack away.
    pub destroy: bool,
    /// It changes nothing.
    pub empty: bool,
    /// Something stands in its way.
    pub blocked: bool,
    /// Another person must approve it; also so when its stack became protected afterwards.
    pub needs_approval: bool,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// When.
    pub approved_at: Option<UnixMs>,
    /// What carries it out.
    pub operation: Option<OperationId>,
    /// When it was made.
    pub created_at: UnixMs,
    /// Until when it may be applied.
    pub expires_at: UnixMs,
}

/// A filter and page of plans, newest first.
#[derive(Debug, Clone, Default)]
pub struct PlanQuery {
    /// Only of this stack.
    pub stack: Option<StackName>,
    /// Only in this state.
    pub state: Option<PlanState>,
    /// Only older than this one: the last of the page before.
    pub before: Option<StoredPlanId>,
    /// At most this many; never more than 200.
    pub limit: usize,
}

const COLUMNS: &str = "p.id, p.stack, p.author, p.state, p.base_revision, p.destroy, p.vacant, p.blocked,
    case when p.needs_approval = 1 or coalesce(s.protected, 0) = 1 then 1 else 0 end,
    p.approved_by, p.approved_at, p.operation, p.created_at, p.expires_at";
const FROM: &str = "from plan p left join stack_policy s on s.stack = p.stack";

impl Store {
    /// Stores a plan.
    pub async fn put_plan(&self, plan: NewPlan, deed: Deed) -> Result<PlanRecord, StoreError> {
        let id = plan.id;
        let document = serde_json::to_string(&plan.document)
            .map_err(|source| StoreError::Undecodable { what: "plan".to_owned(), source: Box::new(source) })?;
        let put = move |db: &dyn Sql, now: UnixMs| {
            let sql =
                "insert into plan (id, stack, author, state, base_revision, destroy, vacant, blocked, needs_approval,
                         document, created_at, expires_at)
                       values (?1, ?2, ?3, 'open', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
            let given = values![
                id.to_string(),
                plan.stack.as_str(),
                &plan.author,
                plan.base_revision,
                plan.destroy,
                plan.empty,
                plan.blocked,
                plan.needs_approval,
                &document,
                now,
                now + plan.lasts
            ];
            db.execute(sql, given, "storing a plan")?;
            let sql = "delete from plan where stack = ?1 and id <=
                         (select id from plan where stack = ?1 order by id desc limit 1 offset ?2)";
            db.execute(sql, values![plan.stack.as_str(), PLANS_PER_STACK_MAX], "removing old plans")?;
            known(db, id, now)
        };
        self.change(deed, put).await.map(|(plan, _)| plan)
    }

    /// A plan with its document.
    pub async fn plan(&self, id: StoredPlanId) -> Result<Option<(PlanRecord, Envelope)>, StoreError> {
        let (now, clock) = (self.now(), self.db().clone());
        self.db()
            .read_with(move |db| {
                let now = clock.now(db, now)?;
                let Some(record) = find(db, id, now)? else { return Ok(None) };
                let sql = "select document from plan where id = ?1";
                let text =
                    first(db, sql, values![id.to_string()], "reading a plan", |row| Ok(row.text(0)?.to_owned()))?;
                let document = serde_json::from_str(&text.unwrap_or_default())
                    .map_err(|source| StoreError::Undecodable { what: "plan".to_owned(), source: Box::new(source) })?;
                Ok(Some((record, document)))
            })
            .await
    }

    /// A page of plans, newest first.
    pub async fn plans(&self, query: PlanQuery) -> Result<Vec<PlanRecord>, StoreError> {
        let (now, clock) = (self.now(), self.db().clone());
        self.db()
            .read_with(move |db| {
                let now = clock.now(db, now)?;
                let limit = query.limit.clamp(1, PAGE_MAX);
                let mut given: Vec<Value<'_>> = values![limit as u64, now].to_vec();
                let mut rules = vec!["cast(?2 as bigint) is not null".to_owned()];
                let mut want = |rule: &str, value: String| {
                    given.push(value.into());
                    rules.push(format!("{rule} ?{}", given.len()));
                };
                if let Some(stack) = &query.stack {
                    want("p.stack =", stack.to_string());
                }
                if let Some(before) = query.before {
                    want("p.id <", before.to_string());
                }
                match query.state {
                    None => {}
                    Some(PlanState::Expired) => {
                        rules.push("p.state in ('open', 'approved') and p.expires_at <= ?2".to_owned());
                    }
                    Some(state) => {
                        want("p.state =", state.as_str().to_owned());
                        if matches!(state, PlanState::Open | PlanState::Approved) {
                            rules.push("p.expires_at > ?2".to_owned());
                        }
                    }
                }
                let rules = rules.join(" and ");
                let sql = format!("select {COLUMNS} {FROM} where {rules} order by p.id desc limit ?1");
                all(db, &sql, &given, "reading plans", |row| read(row, now))
            })
            .await
    }

    /// Approves a plan. Its author cannot; of two who do so at the same time one does.
    pub async fn approve_plan(&self, id: StoredPlanId, by: &str, deed: Deed) -> Result<PlanRecord, StoreError> {
        let by = by.to_owned();
        let approve = move |db: &dyn Sql, now: UnixMs| {
            let sql = "update plan set state = 'approved', approved_by = ?2, approved_at = ?3
                       where id = ?1 and state = 'open' and author <> ?2 and expires_at > ?3";
            let approved = db.execute(sql, values![id.to_string(), &by, now], "approving a plan")?;
            let plan = known(db, id, now)?;
            if approved == 1 {
                return Ok(plan);
            }
            let why = gone(plan.state).unwrap_or(PlanRefusal::OwnPlan);
            Err(Conflict::Plan { id, why }.into())
        };
        self.change(deed, approve).await.map(|(plan, _)| plan)
    }

    /// Lets a plan go.
    pub async fn discard_plan(&self, id: StoredPlanId, deed: Deed) -> Result<PlanRecord, StoreError> {
        let discard = move |db: &dyn Sql, now: UnixMs| {
            let sql = "update plan set state = 'discarded' where id = ?1 and state in ('open', 'approved')";
            let discarded = db.execute(sql, values![id.to_string()], "letting a plan go")?;
            let plan = known(db, id, now)?;
            match (discarded, gone(plan.state)) {
                (0, Some(why)) => Err(Conflict::Plan { id, why }.into()),
                _ => Ok(plan),
            }
        };
        self.change(deed, discard).await.map(|(plan, _)| plan)
    }

    /// Removes plans that expired long ago, at most `limit`; says how many.
    pub(super) async fn prune_plans(&self, limit: usize) -> Result<u64, StoreError> {
        let now = self.now();
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let kept = u64::try_from(PLAN_KEPT.as_millis()).unwrap_or(u64::MAX);
                let before = UnixMs(tx.at(now).now().0.saturating_sub(kept));
                let sql = "delete from plan where id in
                             (select id from plan where expires_at <= ?1 order by expires_at limit ?2)";
                db.execute(sql, values![before, limit as u64], "removing old plans")
            })
            .await
    }
}

/// Marks a plan as applied by an operation that starts, if it may be: one statement decides.
pub(super) fn apply(
    db: &dyn Sql,
    id: StoredPlanId,
    stack: &StackName,
    base_revision: u64,
    operation: OperationId,
    now: UnixMs,
) -> Result<(), StoreError> {
    let sql = "update plan set state = 'applied', operation = ?5
               where id = ?1 and stack = ?2 and base_revision = ?3 and expires_at > ?4
                 and (state = 'approved' or (state = 'open' and needs_approval = 0
                   and not exists (select 1 from stack_policy s where s.stack = plan.stack and s.protected = 1)))";
    let given = values![id.to_string(), stack.as_str(), base_revision, now, operation.to_string()];
    if db.execute(sql, given, "applying a plan")? == 1 {
        return Ok(());
    }
    let plan = known(db, id, now)?;
    let why = match gone(plan.state) {
        _ if (&plan.stack, plan.base_revision) != (stack, base_revision) => PlanRefusal::OtherStack,
        None | Some(PlanRefusal::Approved) => PlanRefusal::Unapproved,
        Some(why) => why,
    };
    Err(Conflict::Plan { id, why }.into())
}

/// Why a plan in a state does not wait for a decision any more.
fn gone(state: PlanState) -> Option<PlanRefusal> {
    match state {
        PlanState::Open => None,
        PlanState::Approved => Some(PlanRefusal::Approved),
        PlanState::Applied => Some(PlanRefusal::Applied),
        PlanState::Discarded => Some(PlanRefusal::Discarded),
        PlanState::Expired => Some(PlanRefusal::Expired),
    }
}

fn find(db: &dyn Sql, id: StoredPlanId, now: UnixMs) -> Result<Option<PlanRecord>, StoreError> {
    let sql = format!("select {COLUMNS} {FROM} where p.id = ?1");
    first(db, &sql, values![id.to_string()], "reading a plan", |row| read(row, now))
}

fn known(db: &dyn Sql, id: StoredPlanId, now: UnixMs) -> Result<PlanRecord, StoreError> {
    find(db, id, now)?.ok_or_else(|| Conflict::Plan { id, why: PlanRefusal::Unknown }.into())
}

fn read(row: &SqlRow, now: UnixMs) -> Result<PlanRecord, CellError> {
    let expires_at = row.ms(13)?;
    Ok(PlanRecord {
        id: row.parsed(0)?,
        stack: row.parsed(1)?,
        author: row.text(2)?.to_owned(),
        state: row.parsed::<PlanState>(3)?.at(now, expires_at),
        base_revision: row.count(4)?,
        destroy: row.int(5)? != 0,
        empty: row.int(6)? != 0,
        blocked: row.int(7)? != 0,
        needs_approval: row.int(8)? != 0,
        approved_by: row.text_opt(9)?.map(str::to_owned),
        approved_at: row.ms_opt(10)?,
        operation: row.parsed_opt(11)?,
        created_at: row.ms(12)?,
        expires_at,
    })
}
