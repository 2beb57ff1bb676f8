//! Questions about a site's firewall: what is asked, and what is read to answer it.

pub(crate) mod ask;
pub(crate) mod explain;
pub(crate) mod read;
pub(crate) mod shown;

#[cfg(test)]
mod tests;
