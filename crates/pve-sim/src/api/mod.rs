//! The API layer: which endpoints there are, who may call them, how parameters are checked, how answers are written.

pub(crate) mod call;
pub(crate) mod check;
pub(crate) mod dispatch;
pub(crate) mod endpoint;
pub(crate) mod error;
pub(crate) mod format;
pub(crate) mod perm;
pub(crate) mod propstr;
pub(crate) mod router;
pub(crate) mod schema;

#[cfg(test)]
mod tests;
