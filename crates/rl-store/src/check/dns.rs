//! Zones of the built-in DNS server.
use super::faults;
use super::report::Findings;
use crate::domain::read_record_set;
use crate::error::StoreError;
use crate::sql::{Sql, values};

pub(super) fn check(db: &dyn Sql, findings: &mut Findings) -> Result<(), StoreError> {
    let sets = "select name, kind, ttl, items, zone from dns_set order by zone, name, kind";
    for row in db.query(sets, values![], "checking the zones")? {
        if let Err(error) = read_record_set(&row) {
            let part = |column| row.text(column).unwrap_or_default();
            let key = format!("{}/{}/{}", part(4), part(0), part(1));
            let why = std::error::Error::source(&error).map(|why| format!(": {why}")).unwrap_or_default();
            findings.fault("dns_set", &key, format!("{error}{why}"));
        }
    }
    let unnumbered = "select s.zone from dns_set s left join dns_zone z on z.name = s.zone
                      where z.name is null group by s.zone order by s.zone";
    faults(db, findings, "dns_zone", unnumbered, |_| {
        Ok("it has records and no serial, so that no secondary sees its changes".to_owned())
    })
}
