//! Tests of the planner from the outside.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod drift;
mod firewall_edit;
mod firewall_nft;
mod plan_cases;
mod plan_identity;
mod plan_properties;
mod plan_scale;
mod plan_secrets;
mod plan_world;
mod resolve;
mod resolve_errors;
