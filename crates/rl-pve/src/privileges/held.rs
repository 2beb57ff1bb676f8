//! Comparing what is needed with what the caller has.

use super::{Need, Needs};
use crate::api::access::Permissions;

impl Permissions {
    /// Whether the caller has a privilege on a path: by an entry for the path, else by the nearest entry above it that
    /// holds below too.
    pub fn allows(&self, path: &str, privilege: &str) -> bool {
        let mut at = path;
        let mut exact = true;
        loop {
            if let Some(entry) = self.0.get(at) {
                return entry.get(privilege).is_some_and(|propagates| exact || propagates.0);
            }
            if at == "/" {
                return false;
            }
            exact = false;
            at = match at.rfind('/') {
                None | Some(0) => "/",
                Some(cut) => &at[..cut],
            };
        }
    }

    /// Whether a need is met.
    pub fn meets(&self, need: &Need) -> bool {
        need.paths.iter().any(|path| need.any_of.iter().any(|privilege| self.allows(path, privilege)))
    }
}

/// The needs that are not met, in the order of their paths.
pub fn missing(needs: &Needs, have: &Permissions) -> Vec<Need> {
    needs.privileges.iter().filter(|need| !have.meets(need)).cloned().collect()
}
