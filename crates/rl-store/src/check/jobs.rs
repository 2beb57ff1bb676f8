//! Operations, jobs and steps: what one row says of another is so.
use std::collections::BTreeMap;

use rl_engine::{JobCounts, JobState, LockDomain, OperationState};

use super::faults;
use super::report::Findings;
use crate::error::StoreError;
use crate::sql::{CellError, Sql, SqlRow, values};

/// Operations whose counts are compared at once.
const OPERATIONS_PAGE: usize = 500;

pub(super) fn check(db: &dyn Sql, findings: &mut Findings) -> Result<(), StoreError> {
    halves(db, findings)?;
    counts(db, findings)?;
    waiting(db, findings)?;
    running(db, findings)?;
    locks(db, findings)
}

/// Rows that only mean something together.
fn halves(db: &dyn Sql, findings: &mut Findings) -> Result<(), StoreError> {
    let rules = [
        ("operation", "its description is missing", "left join operation_info b on b.id = a.id where b.id is null"),
        ("operation_info", "its state is missing", "left join operation b on b.id = a.id where b.id is null"),
        ("job", "its description is missing", "left join job_spec b on b.id = a.id where b.id is null"),
        ("job_spec", "its state is missing", "left join job b on b.id = a.id where b.id is null"),
        ("job", "its operation is missing", "left join operation b on b.id = a.operation where b.id is null"),
    ];
    for (table, text, rest) in rules {
        let sql = format!("select a.id from {table} a {rest} order by a.id");
        faults(db, findings, table, &sql, |_| Ok(text.to_owned()))?;
    }
    let orphans = "select a.job from step a left join job b on b.id = a.job where b.id is null order by a.job";
    faults(db, findings, "step", orphans, |_| Ok("its job is missing".to_owned()))
}

/// The counts of every operation are those of its jobs, and its state follows from them.
fn counts(db: &dyn Sql, findings: &mut Findings) -> Result<(), StoreError> {
    let doing = "checking the counts of operations";
    let wrong = |error: CellError| StoreError::Undecodable { what: format!("row ({doing})"), source: Box::new(error) };
    let mut after = String::new();
    loop {
        let sql = format!(
            "select id, state, counts, case when cancel_by is null then 0 else 1 end, finished_at
             from operation where id > ?1 order by id limit {OPERATIONS_PAGE}"
        );
        let operations = db.query(&sql, values![&after], doing)?;
        let (Some(first), Some(last)) = (operations.first(), operations.last()) else { return Ok(()) };
        let (first, last) = (first.text(0).map_err(wrong)?.to_owned(), last.text(0).map_err(wrong)?.to_owned());
        let sql = "select operation, state, count(*) from job where operation >= ?1 and operation <= ?2 group by operation, state";
        let mut found: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
        for row in db.query(sql, values![&first, &last], doing)? {
            let of = found.entry(row.text(0).map_err(wrong)?.to_owned()).or_default();
            of.insert(row.text(1).map_err(wrong)?.to_owned(), row.int(2).map_err(wrong)?);
        }
        for row in &operations {
            let id = row.text(0).map_err(wrong)?;
            let of = found.remove(id).unwrap_or_default();
            if let Some(text) = miscounted(row, &of).map_err(wrong)? {
                findings.fault("operation", id, text);
            }
        }
        after = last;
    }
}

fn miscounted(row: &SqlRow, found: &BTreeMap<String, i64>) -> Result<Option<String>, CellError> {
    // What cannot be read is said elsewhere.
    let Ok(counts) = serde_json::from_str::<JobCounts>(row.text(2)?) else { return Ok(None) };
    let Some(state) = OperationState::parse(row.text(1)?) else { return Ok(None) };
    for job in JobState::ALL {
        let (said, is) = (i64::from(counts.of(job)), found.get(job.as_str()).copied().unwrap_or(0));
        if said != is {
            return Ok(Some(format!("it counts {said} jobs as {}, and has {is}", job.as_str())));
        }
    }
    let derived = counts.operation_state(row.int(3)? != 0);
    if derived != state {
        return Ok(Some(format!("it is {}, and its jobs make it {}", state.as_str(), derived.as_str())));
    }
    let is_ended = row.int_opt(4)?.is_some();
    Ok((is_ended != state.is_finished()).then(|| format!("it is {} and its end is {}", state.as_str(), set(is_ended))))
}

fn set(is_set: bool) -> &'static str {
    if is_set { "written down" } else { "not written down" }
}

fn waiting(db: &dyn Sql, findings: &mut Findings) -> Result<(), StoreError> {
    let sql = "select j.id, j.waiting_for, count(b.id) from job j left join job_after a on a.id = j.id
                 left join job b on b.id = a.before and b.state <> 'done'
               where j.state = 'waiting' group by j.id, j.waiting_for having j.waiting_for <> count(b.id) order by j.id";
    faults(db, findings, "job", sql, |row| {
        Ok(format!("it waits for {} jobs, and {} before it are not done", row.int(1)?, row.int(2)?))
    })
}

fn running(db: &dyn Sql, findings: &mut Findings) -> Result<(), StoreError> {
    let unowned = "select j.id from job j left join owner o on o.id = j.owner
                   where j.state = 'running' and o.id is null order by j.id";
    faults(db, findings, "job", unowned, |_| Ok("it is running, and its engine run is not known".to_owned()))?;
    let open = "select j.id from job j where j.open_step = 1 and not exists
                  (select 1 from step s where s.job = j.id and s.state in ('intent', 'submitted', 'unknown')) order by j.id";
    faults(db, findings, "job", open, |_| Ok("a call of it is open, and no step says which".to_owned()))?;
    let ended = "select j.id, j.state from job j where j.finished_at is not null and j.holds_locks = 1 order by j.id";
    faults(db, findings, "job", ended, |row| Ok(format!("it is {} and still holds its locks", row.text(1)?)))
}

/// No lock domain has more holders than any of them allows.
fn locks(db: &dyn Sql, findings: &mut Findings) -> Result<(), StoreError> {
    let doing = "checking locks";
    // Only jobs under way hold locks, and their number is bounded by what engines run at once.
    let sql = "select s.locks from job j join job_spec s on s.id = j.id where j.holds_locks = 1";
    let mut domains: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for row in db.query(sql, &[], doing)? {
        let Some(locks) = row.text(0).ok().and_then(|text| serde_json::from_str::<Vec<LockDomain>>(text).ok()) else {
            continue;
        };
        for lock in locks {
            let domain = domains.entry(lock.name).or_default();
            *domain = (domain.0 + 1, domain.1.max(lock.limit));
        }
    }
    for (name, (holders, limit)) in domains {
        if holders > limit {
            findings.fault("job_spec", &name, format!("{holders} jobs hold this lock domain, which allows {limit}"));
        }
    }
    Ok(())
}
