//! Stacks, guests and what they hold.
use super::faults;
use super::report::Findings;
use crate::error::StoreError;
use crate::sql::Sql;

pub(super) fn check(db: &dyn Sql, findings: &mut Findings) -> Result<(), StoreError> {
    let holder = "select l.site || '/' || l.kind || '/' || l.value, l.guest from lease l
                    left join guest g on g.id = l.guest and g.removed_at is null
                  where l.state = 'held' and g.id is null order by l.site, l.kind, l.value";
    faults(db, findings, "lease", holder, |row| {
        Ok(format!("guest {} holds it, and is not known or removed", row.text(1)?))
    })?;
    let endless = "select l.site || '/' || l.kind || '/' || l.value from lease l
                   where l.state = 'quarantined' and l.until is null order by l.site, l.kind, l.value";
    faults(db, findings, "lease", endless, |_| Ok("it is in quarantine without an end".to_owned()))?;
    let bare = "select g.id, g.site, g.vmid from guest g
                  left join lease l on l.guest = g.id and l.site = g.site and l.kind = 'vmid' and l.state = 'held'
                    and l.value = cast(g.vmid as text)
                where g.removed_at is null and l.site is null order by g.id";
    faults(db, findings, "guest", bare, |row| {
        Ok(format!("it does not hold its VMID {} on site {}", row.int(2)?, row.text(1)?))
    })?;
    let revision = "select s.name, s.revision from stack s
                      left join stack_revision r on r.stack = s.name and r.revision = s.revision
                    where r.stack is null order by s.name";
    faults(db, findings, "stack", revision, |row| Ok(format!("its revision {} is missing", row.int(1)?)))?;
    let ahead = "select name, revision, applied_revision from stack where applied_revision > revision order by name";
    faults(db, findings, "stack", ahead, |row| {
        Ok(format!("revision {} is applied, and the newest is {}", row.int(2)?, row.int(1)?))
    })
}
