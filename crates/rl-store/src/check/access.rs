//! Users, and what belongs to one.
use super::faults;
use super::report::Findings;
use crate::error::StoreError;
use crate::sql::Sql;

pub(super) fn check(db: &dyn Sql, findings: &mut Findings) -> Result<(), StoreError> {
    let unknown = |what: &str| format!("its user {what} is not known");
    let ownerless = [
        ("access_token", "select t.id, t.owner from access_token t"),
        ("access_session", "select t.digest, t.owner from access_session t"),
        ("access_recovery", "select t.owner || '/' || t.digest, t.owner from access_recovery t"),
    ];
    for (table, select) in ownerless {
        let sql = format!("{select} left join access_user u on u.name = t.owner where u.name is null order by 1");
        faults(db, findings, table, &sql, |row| Ok(unknown(row.text(1)?)))?;
    }
    let grants = "select g.id, g.grantee from access_grant g
                    left join access_user u on g.grantee = 'user:' || u.name
                  where g.grantee like 'user:%' and u.name is null order by g.id";
    faults(db, findings, "access_grant", grants, |row| Ok(unknown(row.text(1)?)))?;
    let bare = "select name from access_user where (password is null) <> (password_at is null) order by name";
    faults(db, findings, "access_user", bare, |_| Ok("it has a password without a time, or the other way".to_owned()))?;
    let factor = "select name from access_user where totp is null and totp_at is not null order by name";
    faults(db, findings, "access_user", factor, |_| Ok("its second factor is asked for and has no key".to_owned()))
}
