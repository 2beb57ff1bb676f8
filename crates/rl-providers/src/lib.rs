//! DNS and secret providers: one trait per family, one file per vendor.

pub mod dns;
pub mod reach;
pub mod secrets;
pub mod web;
