//! Endpoints that are declared, checked and refused: who may call them and with which parameters is as published, but what
//! they change is not simulated. A caller who may gets a 501 that says so, listed in docs/simulator-differences.md.

use serde_json::json;

use crate::api::call::{Call, ReplyResult};
use crate::api::endpoint::{Endpoint, get, post};
use crate::api::error::ApiError;

const ZONE: &str = "advertise-subnets?:b bridge?:s bridge-disable-mac-learning?:b controller?:s dhcp?:s{dnsmasq} \
    disable-arp-nd-suppression?:b dns?:s dnszone?:s@dns-name dp-id?:i exitnodes?:s@pve-node-list exitnodes-local-routing?:b \
    exitnodes-primary?:s@pve-node fabric?:s@pve-sdn-fabric-id ipam?:s lock-token?:s mac?:s@mac-addr mtu?:i \
    nodes?:s@pve-node-list peers?:s@ip-list reversedns?:s rt-import?:s@pve-sdn-bgp-rt-list tag?:i[0..] \
    type:s@pve-configid{evpn|faucet|qinq|simple|vlan|vxlan} vlan-protocol?:s{802.1q|802.1ad} vrf-vxlan?:i[1..16777215] \
    vxlan-port?:i[1..65536] zone:s@pve-sdn-zone-id";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/cluster/sdn/zones", "/sdn/zones SDN.Allocate", &[ZONE], not_simulated),
        get("/cluster/sdn/zones", "all", &["pending?:b running?:b type?:s{evpn|faucet|qinq|simple|vlan|vxlan}"], empty)
            .returns("array"),
        get("/cluster/sdn/vnets", "all", &["pending?:b running?:b"], empty).returns("array"),
    ]
}

/// Nobody can make any here, so there are none.
fn empty(_call: &Call) -> ReplyResult {
    Ok(json!([]).into())
}

fn not_simulated(_call: &Call) -> ReplyResult {
    Err(ApiError::status(501, "this simulator does not change SDN objects"))
}
