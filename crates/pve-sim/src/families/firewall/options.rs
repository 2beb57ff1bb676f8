//! Options of the datacenter, a node or a guest.

use serde_json::{Value, json};

use super::Rights;
use super::level::{Level, change, check_digest, load};
use crate::api::call::{Call, ReplyResult};
use crate::api::endpoint::{Endpoint, get, put};
use crate::api::error::ApiError;
use crate::api::format::split_list;
use crate::world::firewall::{Env, option_kind, option_names, options_digest, show_options};

const CLUSTER: &str = "ebtables?:b enable?:i[0..] log_ratelimit?:s@$log_ratelimit policy_forward?:s{ACCEPT|DROP} \
    policy_in?:s{ACCEPT|REJECT|DROP} policy_out?:s{ACCEPT|REJECT|DROP}";
const NODE: &str = "enable?:b log_level_forward?:s{emerg|alert|crit|err|warning|notice|info|debug|nolog} \
    log_level_in?:s{emerg|alert|crit|err|warning|notice|info|debug|nolog} \
    log_level_out?:s{emerg|alert|crit|err|warning|notice|info|debug|nolog} log_nf_conntrack?:b ndp?:b \
    nf_conntrack_allow_invalid?:b nf_conntrack_helpers?:s@pve-fw-conntrack-helper nf_conntrack_max?:i[32768..] \
    nf_conntrack_tcp_timeout_established?:i[7875..] nf_conntrack_tcp_timeout_syn_recv?:i[30..60] nftables?:b nosmurfs?:b \
    protection_synflood?:b protection_synflood_burst?:i protection_synflood_rate?:i \
    smurf_log_level?:s{emerg|alert|crit|err|warning|notice|info|debug|nolog} \
    tcp_flags_log_level?:s{emerg|alert|crit|err|warning|notice|info|debug|nolog} tcpflags?:b";
const GUEST: &str = "dhcp?:b enable?:b ipfilter?:b log_level_in?:s{emerg|alert|crit|err|warning|notice|info|debug|nolog} \
    log_level_out?:s{emerg|alert|crit|err|warning|notice|info|debug|nolog} macfilter?:b ndp?:b \
    policy_in?:s{ACCEPT|REJECT|DROP} policy_out?:s{ACCEPT|REJECT|DROP} radv?:b";
const CHANGE: &str = "delete?:s@pve-configid-list digest?:s<64";

pub(super) fn endpoints<L: Level>(rights: Rights, path: &'static str) -> Vec<Endpoint> {
    let table = match L::ENV {
        Env::Cluster | Env::Group => CLUSTER,
        Env::Node => NODE,
        Env::Ct | Env::Vm => GUEST,
    };
    vec![
        get(path, rights.audit, &[rights.own], read::<L>).returns("object"),
        put(path, rights.change, &[rights.own, table, CHANGE], write::<L>),
    ]
}

fn read<L: Level>(call: &Call) -> ReplyResult {
    let options = load::<L>(call).options;
    let mut out = show_options(L::ENV, &options);
    out.insert("digest".to_owned(), json!(options_digest(&options)));
    Ok(Value::Object(out).into())
}

fn write<L: Level>(call: &Call) -> ReplyResult {
    change::<L>(call, |conf, _| {
        check_digest(call, &options_digest(&conf.options))?;
        for name in split_list(call.text("delete").unwrap_or("")) {
            if option_kind(L::ENV, name).is_none() {
                return Err(ApiError::param("delete", format!("no such option '{name}'")));
            }
            conf.options.remove(name);
        }
        for (name, _) in option_names(L::ENV) {
            if let Some(value) = call.text(name).filter(|v| !v.is_empty()) {
                conf.options.insert((*name).to_owned(), value.to_owned());
            }
        }
        // More than 1 switches the datacenter's firewall on for a trial: PVE notes when it began.
        if L::ENV == Env::Cluster && call.args.int("enable").is_some_and(|e| e > 1) {
            conf.options.insert("enable".to_owned(), call.site.now().to_string());
        }
        Ok(())
    })
}
