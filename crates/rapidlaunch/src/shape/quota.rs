//! Quotas: what the stacks of an owner may have together, and what they have.

use rl_store::{Limits, QuotaRecord, Use};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Largest number of a limit: what every reader of JSON takes as it is.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// What an owner may have; what is null, or left out, is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsShape {
    /// Guests.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub(crate) guests: Option<u64>,
    /// CPU cores.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub(crate) cores: Option<u64>,
    /// Memory, in whole MiB.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub(crate) memory_bytes: Option<u64>,
    /// Root disks and data volumes, in whole GiB.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub(crate) disk_bytes: Option<u64>,
    /// Leased addresses.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub(crate) addresses: Option<u64>,
}

impl LimitsShape {
    /// The limits as the store has them, or what is wrong.
    pub(crate) fn limits(self) -> Result<Limits, String> {
        let small = |field: &str, value: Option<u64>| match value {
            Some(value) if value > NUMBER_MAX => Err(format!("`{field}` must be at most {NUMBER_MAX}")),
            value => Ok(value),
        };
        let whole = |field: &str, value: Option<u64>, unit: u64, name: &str| match small(field, value)? {
            Some(value) if value % unit != 0 => Err(format!("`{field}`: {value} is no whole number of {name}")),
            value => Ok(value.map(|value| value / unit)),
        };
        Ok(Limits {
            guests: small("guests", self.guests)?,
            cores: small("cores", self.cores)?,
            memory_mib: whole("memory_bytes", self.memory_bytes, MIB, "MiB")?,
            disk_gib: whole("disk_bytes", self.disk_bytes, GIB, "GiB")?,
            addresses: small("addresses", self.addresses)?,
        })
    }
}

impl From<Limits> for LimitsShape {
    fn from(limits: Limits) -> Self {
        Self {
            guests: limits.guests,
            cores: limits.cores,
            memory_bytes: limits.memory_mib.map(|mib| mib.saturating_mul(MIB)),
            disk_bytes: limits.disk_gib.map(|gib| gib.saturating_mul(GIB)),
            addresses: limits.addresses,
        }
    }
}

/// What the newest revisions of an owner's stacks have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct UseShape {
    /// Guests.
    pub(crate) guests: u64,
    /// CPU cores.
    pub(crate) cores: u64,
    /// Memory.
    pub(crate) memory_bytes: u64,
    /// Root disks and data volumes.
    pub(crate) disk_bytes: u64,
    /// Leased addresses.
    pub(crate) addresses: u64,
}

impl From<Use> for UseShape {
    fn from(used: Use) -> Self {
        Self {
            guests: used.guests,
            cores: used.cores,
            memory_bytes: used.memory_mib.saturating_mul(MIB),
            disk_bytes: used.disk_mib.saturating_mul(MIB),
            addresses: used.addresses,
        }
    }
}

/// A quota with what is used of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct QuotaShape {
    /// Whose it is.
    pub(crate) owner: String,
    /// What they may have.
    pub(crate) limits: LimitsShape,
    /// What they have.
    pub(crate) used: UseShape,
}

impl QuotaShape {
    /// The shape of a record and what is used.
    pub(crate) fn of(record: &QuotaRecord, used: Use) -> Self {
        Self { owner: record.owner.to_string(), limits: record.limits.into(), used: used.into() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn limits_come_back_as_they_were_given(guests in proptest::option::of(0..=NUMBER_MAX), mib in 0..NUMBER_MAX / MIB, gib in 0..NUMBER_MAX / GIB) {
            let given = LimitsShape { guests, memory_bytes: Some(mib * MIB), disk_bytes: Some(gib * GIB), ..Default::default() };
            prop_assert_eq!(LimitsShape::from(given.limits().unwrap()), given);
        }
    }

    #[test]
    fn a_limit_that_is_no_whole_unit_or_too_large_is_refused() {
        let of = |memory, disk, guests| {
            let shape = LimitsShape { memory_bytes: memory, disk_bytes: disk, guests, ..Default::default() };
            shape.limits().unwrap_err()
        };
        assert_eq!(of(Some(MIB + 1), None, None), "`memory_bytes`: 1048577 is no whole number of MiB");
        assert_eq!(of(None, Some(MIB), None), "`disk_bytes`: 1048576 is no whole number of GiB");
        assert!(of(None, None, Some(u64::MAX)).contains("at most"));
    }
}
