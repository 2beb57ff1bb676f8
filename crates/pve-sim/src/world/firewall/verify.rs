//! What PVE checks about a rule as a whole, in its order and words.

use super::conf::{Alias, Conf};
use super::rule::Rule;
use super::{Env, address, is_name, macros, names};

const MIXED: &str = "detected mixed ipv4/ipv6 addresses in rule";

/// Where names in a rule are looked up: at the guest first, then in the datacenter.
#[derive(Clone, Copy, Default)]
pub(crate) struct Names<'a> {
    /// The guest's own file.
    pub(crate) own: Option<&'a Conf>,
    pub(crate) cluster: Option<&'a Conf>,
}

impl<'a> Names<'a> {
    fn places(&self, scope: &str) -> impl Iterator<Item = &'a Conf> {
        let own = self.own.filter(|_| scope != "dc");
        let cluster = self.cluster.filter(|_| scope != "guest");
        own.into_iter().chain(cluster)
    }

    fn has_set(&self, scope: &str, name: &str) -> bool {
        self.places(scope).any(|conf| conf.sets.contains_key(name))
    }

    /// An alias by `name`, `guest/name` or `dc/name`; case does not matter.
    pub(crate) fn alias(&self, name: &str) -> Option<&'a Alias> {
        let (scope, name) = address::split_scope(name);
        let name = name.to_lowercase();
        self.places(scope).find_map(|conf| conf.aliases.get(&name))
    }
}

/// Checks a rule and fills in its macro's name and its family. Everything that is wrong comes back, the gravest first.
pub(crate) fn verify(rule: &mut Rule, env: Env, names: &Names) -> Vec<(&'static str, String)> {
    let mut check = Check { found: Vec::new(), version: None };
    check.kind(rule, env);
    check.iface(rule, env);
    check.macro_name(rule);
    check.protocol(rule);
    check.dport(rule);
    check.icmp_type(rule);
    check.sport(rule);
    check.addresses(rule, "source", names);
    check.addresses(rule, "dest", names);
    rule.ipversion = check.version;
    if let Some(name) = rule.get("macro").filter(|_| check.found.is_empty()) {
        check.found.extend(macros::contradiction(name, rule));
    }
    check.found
}

struct Check {
    found: Vec<(&'static str, String)>,
    version: Option<u8>,
}

impl Check {
    fn fail(&mut self, key: &'static str, why: impl Into<String>) {
        self.found.push((key, why.into()));
    }

    fn kind(&mut self, rule: &Rule, env: Env) {
        let (kind, action) = (rule.get("type").unwrap_or(""), rule.get("action").unwrap_or(""));
        if kind.is_empty() {
            self.fail("type", "missing property");
        } else if !env.allows(kind) {
            self.fail("type", format!("invalid rule type '{kind}' for rule_env '{}'", env.name()));
        }
        if action.is_empty() {
            self.fail("action", "missing property");
            return;
        }
        let known = match kind {
            "in" | "out" => matches!(action, "ACCEPT" | "DROP" | "REJECT"),
            "forward" => matches!(action, "ACCEPT" | "DROP"),
            _ => true,
        };
        if !known {
            self.fail("action", format!("unknown action '{action}'"));
        }
        if kind == "group" && !is_name(action) {
            self.fail("action", "invalid characters in security group name");
        }
    }

    fn iface(&mut self, rule: &Rule, env: Env) {
        let Some(iface) = rule.get("iface") else { return };
        if env == Env::Group {
            self.fail("type", "parameter -i not allowed for this rule type");
        }
        if !crate::api::format::is_iface(iface) {
            self.fail("iface", format!("invalid network interface name '{iface}'"));
        }
        let number = iface.strip_prefix("net").filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        if matches!(env, Env::Ct | Env::Vm) && number.is_none() {
            self.fail("iface", "value does not match the regex pattern 'net\\d+'");
        }
    }

    fn macro_name(&mut self, rule: &mut Rule) {
        let Some(name) = rule.get("macro").map(str::to_owned) else { return };
        match macros::find(&name) {
            Some(preferred) => rule.set("macro", preferred),
            None => self.fail("macro", format!("unknown macro '{name}'")),
        }
    }

    fn protocol(&mut self, rule: &Rule) {
        let Some(proto) = rule.get("proto") else { return };
        if let Err(why) = names::check_protocol(proto) {
            self.fail("proto", why);
        }
        if names::is_icmp(proto) {
            self.version = Some(4);
        } else if names::is_icmp6(proto) {
            self.version = Some(6);
        }
    }

    fn dport(&mut self, rule: &Rule) {
        let Some(ports) = rule.get("dport") else { return };
        if let Err(why) = names::check_ports(ports, true) {
            self.fail("dport", why);
        }
        match rule.get("proto") {
            None => self.fail("proto", "missing property - 'dport' requires this property"),
            Some(proto) if names::has_ports(proto) || matches!(proto, "icmp" | "icmpv6") => {}
            Some(proto) => self.fail("dport", format!("protocol '{proto}' does not support ports")),
        }
    }

    fn icmp_type(&mut self, rule: &Rule) {
        let Some(kind) = rule.get("icmp-type") else { return };
        let proto = rule.get("proto").unwrap_or("");
        let right = names::is_icmp(proto) || names::is_icmp6(proto);
        if !right {
            self.fail("proto", "missing property - 'icmp-type' requires this property");
        }
        if rule.get("dport").is_some() {
            self.fail("icmp-type", "'icmp-type' cannot be specified together with 'dport'");
        }
        if right && !names::knows_icmp_type(proto, kind) {
            self.fail("icmp-type", format!("invalid icmp-type '{kind}' for proto '{proto}'"));
        }
    }

    fn sport(&mut self, rule: &Rule) {
        let Some(ports) = rule.get("sport") else { return };
        if let Err(why) = names::check_ports(ports, false) {
            self.fail("sport", why);
        }
        match rule.get("proto") {
            None => self.fail("proto", "missing property - 'sport' requires this property"),
            Some(proto) if names::has_ports(proto) => {}
            Some(proto) => self.fail("sport", format!("protocol '{proto}' does not support ports")),
        }
    }

    fn addresses(&mut self, rule: &Rule, key: &'static str, names: &Names) {
        let Some(text) = rule.get(key) else { return };
        match address::parse_list(text) {
            Ok(version) => self.meet(key, version),
            Err(why) => self.fail(key, why),
        }
        if let Some(name) = text.strip_prefix('+') {
            let (scope, set) = address::split_scope(name);
            if !is_name(set) {
                self.fail(key, format!("invalid ipset name '{text}'"));
            } else if !names.has_set(scope, set) {
                self.fail(key, format!("no such ipset '{set}'"));
            }
        } else if is_name(address::split_scope(text).1) {
            match names.alias(text) {
                Some(alias) => self.meet(key, Some(alias.ipversion)),
                None => self.fail(key, format!("no such alias '{text}'")),
            }
        }
    }

    /// Addresses of one rule must be of one family.
    fn meet(&mut self, key: &'static str, version: Option<u8>) {
        match (self.version, version) {
            (Some(a), Some(b)) if a != b => self.fail(key, MIXED),
            (None, Some(_)) => self.version = version,
            _ => {}
        }
    }
}
