//! The audit's chain, plans, quotas' owners, and webhooks.
use super::faults;
use super::report::Findings;
use crate::domain::check_chain;
use crate::error::StoreError;
use crate::sql::Sql;

pub(super) fn check(db: &dyn Sql, findings: &mut Findings) -> Result<(), StoreError> {
    if let Some(broken) = check_chain(db)?.broken {
        findings.fault("audit", &broken.seq.to_string(), format!("it {}", broken.fault));
    }
    let unnamed = "select id from plan where (state = 'applied') <> (operation is not null) order by id";
    faults(db, findings, "plan", unnamed, |_| Ok("it is applied and names no operation, or the other way".to_owned()))?;
    let unasked = "select id from plan where approved_by = author order by id";
    faults(db, findings, "plan", unasked, |_| Ok("its author approved it".to_owned()))?;
    let orphans = "select d.webhook || '/' || cast(d.n as text) from webhook_delivery d
                     left join webhook w on w.id = d.webhook
                   where w.id is null or d.n >= w.next_n order by d.webhook, d.n";
    faults(db, findings, "webhook_delivery", orphans, |_| Ok("its webhook does not know of it".to_owned()))?;
    let timeless = "select webhook || '/' || cast(n as text) from webhook_delivery
                    where (state = 'pending') <> (next_at is not null) order by webhook, n";
    faults(db, findings, "webhook_delivery", timeless, |_| {
        Ok("it waits without a time, or has one and does not wait".to_owned())
    })
}
