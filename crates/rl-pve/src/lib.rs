//! The Proxmox VE API: requests as values, wire quirks, client and task watcher.
//!
//! [`api`] builds a [`Request`], a pure value that can be compared and checked. [`Pve`] sends it and hands back the typed
//! answer or a [`PveError`] that tells what is known to have happened. [`Pve::watch`] follows a task to its end.
//! [`decode`] turns answers into `rl_model` types, [`privileges`] says what a call needs.

pub mod api;
mod client;
pub mod decode;
mod error;
pub mod privileges;
mod request;
mod watch;
pub mod wire;

pub use client::{
    ApiToken, ByteStream, CallCount, CallEnd, CallInfo, CallLimits, CallObserver, ConnectError, Credentials, Dial,
    Dialled, NameResolver, Pace, Pve, SiteConnection, TokenError,
};
pub use error::{ErrorKind, PveError};
pub use request::{CallClass, Method, Param, ParamValue, Request, Safety};
pub use watch::TaskEnd;
