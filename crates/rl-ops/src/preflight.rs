//! Checks a site before anything depends on it.
pub struct CheckItem;
pub struct SiteCheck;
pub fn check_site() {}
