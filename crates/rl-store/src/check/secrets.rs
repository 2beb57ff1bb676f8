//! Secrets, their versions, and where they were delivered.
use super::faults;
use super::report::Findings;
use crate::error::StoreError;
use crate::sql::Sql;

pub(super) fn check(db: &dyn Sql, findings: &mut Findings) -> Result<(), StoreError> {
    let newest = "select s.name, s.latest from secret s
                    left join secret_version v on v.name = s.name and v.version = s.latest and v.sealed is not null
                  where s.removed_at is null and v.name is null order by s.name";
    faults(db, findings, "secret", newest, |row| Ok(format!("its newest version {} has no value", row.int(1)?)))?;
    let ahead = "select v.name || '/' || cast(v.version as text) from secret_version v
                   left join secret s on s.name = v.name
                 where s.name is null or v.version > s.latest order by v.name, v.version";
    faults(db, findings, "secret_version", ahead, |_| Ok("its secret does not know of it".to_owned()))?;
    let bare = "select v.name || '/' || cast(v.version as text) from secret_version v
                where (v.sealed is null) <> (v.wiped_at is not null) order by v.name, v.version";
    faults(db, findings, "secret_version", bare, |_| Ok("it has a value and was wiped, or neither".to_owned()))?;
    let gone = "select d.guest || d.path, d.guest from secret_delivery d
                  left join guest g on g.id = d.guest and g.removed_at is null
                where g.id is null order by d.guest, d.path";
    faults(db, findings, "secret_delivery", gone, |row| Ok(format!("guest {} is not known or removed", row.text(1)?)))
}
