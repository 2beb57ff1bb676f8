//! A server's API, asked by commands: where the server is, how it is asked, and what its answers and refusals mean.

mod client;
mod error;
mod events;
mod follow;
mod lines;
mod stream;
#[cfg(test)]
pub(crate) mod tests;
mod way;

pub(crate) use client::{Remote, encoded};
pub(crate) use error::RemoteError;
pub(crate) use follow::follow;
pub(crate) use way::ServerArgs;
