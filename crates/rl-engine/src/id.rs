//! Ids of operations, jobs and owners: newtypes over a ULID, so that they sort by the time they were made.
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::time::Clock;

/// A text that is no ULID where an id was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {kind} id: 26 letters and digits were expected, such as 01J9Z3M6Q8T4X2V7B5N1K0HCDE")]
pub struct IdError {
    kind: &'static str,
    text: String,
}

impl IdError {
    #[doc(hidden)]
    pub fn new(kind: &'static str, text: &str) -> Self {
        Self { kind, text: text.chars().take(64).collect() }
    }
}

/// Makes a newtype over a ULID.
#[macro_export]
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name($crate::Ulid);

        impl $name {
            /// Builds an id from the time it is made at (Unix milliseconds) and 80 random bits.
            pub const fn from_parts(unix_ms: u64, random: u128) -> Self {
                Self($crate::Ulid::from_parts(unix_ms, random))
            }

            /// A new id.
            pub fn made(ids: &$crate::Ids) -> Self {
                let (unix_ms, random) = ids.parts();
                Self::from_parts(unix_ms, random)
            }

            /// The time the id was made at, in Unix milliseconds.
            pub const fn made_at_ms(self) -> u64 {
                self.0.timestamp_ms()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{} ({})", self.0, $kind)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::IdError;
            fn from_str(text: &str) -> Result<Self, $crate::IdError> {
                $crate::Ulid::from_string(text).map(Self).map_err(|_| $crate::IdError::new($kind, text))
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::IdError;
            fn try_from(text: String) -> Result<Self, $crate::IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

id_type!(
    /// One durable run of a plan or of one command.
    OperationId,
    "operation"
);
id_type!(
    /// The part of an operation that carries out one action.
    JobId,
    "job"
);
id_type!(
    /// One run of one engine: the holder of leases. A new run takes a new id, so that it can never be mistaken for the old one.
    OwnerId,
    "owner"
);

/// Makes ids from a clock and a source of randomness that are handed in.
#[derive(Clone)]
pub struct Ids {
    clock: Arc<dyn Clock>,
    rng: Arc<Mutex<StdRng>>,
}

impl Ids {
    /// Makes ids whose random part comes from `seed`; the same seed and clock give the same ids.
    pub fn from_seed(clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self { clock, rng: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))) }
    }

    /// Makes ids whose random part comes from the operating system.
    pub fn from_os(clock: Arc<dyn Clock>) -> Self {
        Self { clock, rng: Arc::new(Mutex::new(StdRng::from_os_rng())) }
    }

    /// A new operation id.
    pub fn operation(&self) -> OperationId {
        OperationId::made(self)
    }

    /// A new job id.
    pub fn job(&self) -> JobId {
        JobId::made(self)
    }

    /// A new owner id.
    pub fn owner(&self) -> OwnerId {
        OwnerId::made(self)
    }

    /// A random number from the same source.
    pub(crate) fn random(&self) -> u64 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).random()
    }

    /// What a new id of any kind is made from: the time in Unix milliseconds and random bits.
    pub fn parts(&self) -> (u64, u128) {
        let random = self.rng.lock().unwrap_or_else(PoisonError::into_inner).random::<u128>();
        (self.clock.now().0, random)
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids")
    }
}
