//! Questions about a site's firewall: what is asked, and what is read to answer it.

pub(crate) mod ask;
pub(crate) mod read;

#[cfg(test)]
mod tests;
