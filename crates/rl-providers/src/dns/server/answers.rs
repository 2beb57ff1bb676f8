//! How many questions were answered, by the code of the answer.

use std::sync::atomic::{AtomicU64, Ordering};

/// Codes that are told by name (RFC 1035 section 4.1.1, RFC 2136, RFC 8945); the number is the place. Others count as the last.
const CODES: [&str; 11] = [
    "noerror", "formerr", "servfail", "nxdomain", "notimp", "refused", "yxdomain", "yxrrset", "nxrrset", "notauth",
    "other",
];

/// Counters of a server since it listens.
#[derive(Debug, Default)]
pub struct Answers([AtomicU64; CODES.len()]);

impl Answers {
    /// Counts one answer by the low four bits of the code in its header.
    pub(super) fn count(&self, message: &[u8]) {
        let code = message.get(3).map_or(CODES.len(), |flags| usize::from(flags & 0x0f));
        self.0[code.min(CODES.len() - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// Answers so far by code, those of none left out.
    pub fn by_code(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counted = CODES.iter().zip(&self.0).map(|(code, count)| (*code, count.load(Ordering::Relaxed)));
        counted.filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_their_code() {
        let answers = Answers::default();
        for code in [0_u8, 3, 3, 5, 0x8f, 10] {
            answers.count(&[0, 0, 0x84, code, 0, 0]);
        }
        answers.count(&[]);
        let counted: Vec<_> = answers.by_code().collect();
        assert_eq!(counted, [("noerror", 1), ("nxdomain", 2), ("refused", 1), ("other", 3)]);
    }
}
