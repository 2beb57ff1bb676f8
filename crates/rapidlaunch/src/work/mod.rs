//! What several commands share: reading files, holding the data directory, connecting sites, planning, running.

pub(crate) mod agents;
pub(crate) mod answering;
pub(crate) mod assume;
pub(crate) mod books;
pub(crate) mod compare;
pub(crate) mod connect;
pub(crate) mod data;
pub(crate) mod desk;
pub(crate) mod dns_door;
pub(crate) mod firewall;
pub(crate) mod guests;
pub(crate) mod inputs;
pub(crate) mod kept_plan;
pub(crate) mod operate;
pub(crate) mod place;
pub(crate) mod planning;
pub(crate) mod providers;
pub(crate) mod registry;
pub(crate) mod runner;
pub(crate) mod schedules;
pub(crate) mod secrets;
pub(crate) mod serve;
pub(crate) mod site_check;
pub(crate) mod trouble;
pub(crate) mod typed;
pub(crate) mod zones;
