//! What may stand after `--to`.

#![allow(clippy::unwrap_used)]

use rl_planner::firewall::{TCP, UDP};

use super::ask::{Payload, target};

#[test]
fn a_target_names_a_guest_and_what_is_sent() {
    assert_eq!(target("shop/web-1@eth0:443").unwrap(), ("shop/web-1@eth0", Payload::Port(TCP, 443)));
    assert_eq!(target("web:domain/udp").unwrap(), ("web", Payload::Port(UDP, 53)));
    assert_eq!(target("web:5000/sctp").unwrap(), ("web", Payload::Port(132, 5000)));
    assert_eq!(target("web:ping").unwrap(), ("web", Payload::Ping));
}

#[test]
fn a_target_without_sense_is_refused() {
    for bad in ["web", "web:", "web:70000", "web:80/icmp", "web:80/nothing", "web:no-such-service"] {
        let error = target(bad).unwrap_err();
        assert_eq!(error.kind, crate::error::ErrorKind::Input, "{bad}");
        assert!(!error.hints.is_empty(), "{bad}");
    }
}
