//! The walk through a guest's chain.

use rl_model::firewall::{
    Fault, FirewallAction, FirewallRule, FirewallView, GroupName, GuestFirewall, NodeOptions, RULES_MAX, RuleKind,
};
use rl_model::{NicSlot, Vmid};

use super::builtin::{self, Hit};
use super::explanation::{Engine, Explanation, Level, Outcome, Stage, Step, Verdict, Way};
use super::matching::{Match, Names};
use super::packet::Packet;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// Somebody who is no guest of the site, or one whose rules do not matter.
    Outside,
    /// A guest, through one of its NICs.
    Guest(Vmid, NicSlot),
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Who sends.
    pub from: Sender,
    /// Who receives, and through which NIC.
    pub to: (Vmid, NicSlot),
    /// What is sent.
    pub packet: Packet,
}

/// Follows a packet through the firewall. A guest that is not in the view counts as one without a firewall.
pub fn explain(view: &FirewallView, question: &Question) -> Explanation {
    let mut stages = Vec::new();
    if let Sender::Guest(vmid, nic) = question.from {
        stages.extend(stage(view, &question.packet, vmid, nic, Way::Out));
    }
    let (vmid, nic) = question.to;
    stages.extend(stage(view, &question.packet, vmid, nic, Way::In));
    let certain_stop = |stage: &Stage| matches!(stage.verdict, Verdict::Drop | Verdict::Reject);
    // A doubt on the way out does not matter when the way in is shut for certain.
    let decided_in = stages
        .iter()
        .position(certain_stop)
        .or_else(|| stages.iter().position(|stage| stage.verdict == Verdict::Unclear))
        .unwrap_or(stages.len().saturating_sub(1));
    let verdict = stages.get(decided_in).map_or(Verdict::Accept, |stage| stage.verdict);
    if certain_stop_first(&stages, decided_in) {
        stages.truncate(decided_in + 1);
    }
    Explanation { verdict, decided_in, stages }
}

/// Whether the packet stops for certain, so that what follows is never walked.
fn certain_stop_first(stages: &[Stage], decided_in: usize) -> bool {
    stages.get(decided_in).is_some_and(|stage| matches!(stage.verdict, Verdict::Drop | Verdict::Reject))
}

fn stage(view: &FirewallView, packet: &Packet, vmid: Vmid, nic: NicSlot, way: Way) -> Option<Stage> {
    let guest = view.guests.get(&vmid)?;
    let options = view.nodes.get(&guest.node).map(|node| node.options.clone()).unwrap_or_default();
    let engine = if options.nftables { Engine::Nftables } else { Engine::Iptables };
    let names = Names { datacenter: &view.datacenter, guest: Some(guest), engine };
    let mut walk =
        Walk { view, packet, guest, nic, way, engine, node: options, names, steps: Vec::new(), doubts: Vec::new() };
    let verdict = walk.run();
    let verdict = if walk.doubts.iter().all(|doubt| *doubt == verdict) { verdict } else { Verdict::Unclear };
    Some(Stage { way, vmid, nic, node: guest.node.clone(), engine, verdict, steps: walk.steps })
}

struct Walk<'a> {
    view: &'a FirewallView,
    packet: &'a Packet,
    guest: &'a GuestFirewall,
    nic: NicSlot,
    way: Way,
    engine: Engine,
    node: NodeOptions,
    names: Names<'a>,
    steps: Vec<Step>,
    /// What the steps that may or may not decide would decide.
    doubts: Vec<Verdict>,
}

impl Walk<'_> {
    fn run(&mut self) -> Verdict {
        self.switches_and_filters().or_else(|| self.head()).or_else(|| self.rules()).unwrap_or_else(|| self.policy())
    }

    fn switches_and_filters(&mut self) -> Option<Verdict> {
        if !self.view.datacenter.options.enable {
            return Some(self.say(Level::Switch, "the datacenter's firewall is off", Verdict::Accept));
        }
        let first = if self.engine == Engine::Nftables { builtin::icmp_errors(self.packet) } else { None };
        self.hit(first)
            .or_else(|| self.hit(builtin::connection(self.packet, &self.node)))
            .or_else(|| self.nic_switch())
            .or_else(|| self.entry())
            .or_else(|| self.guest_switch())
    }

    fn nic_switch(&mut self) -> Option<Verdict> {
        let on = self.guest.nics.get(&self.nic).is_some_and(|nic| nic.firewall);
        let text = format!("firewall=1 is not set on {}", self.nic);
        (!on).then(|| self.say(Level::Switch, &text, Verdict::Accept))
    }

    fn guest_switch(&mut self) -> Option<Verdict> {
        (!self.guest.options.enable).then(|| self.say(Level::Switch, "the guest's firewall is off", Verdict::Accept))
    }

    /// Filters on what enters a guest's bridge, which `pve-firewall` has even for guests whose own firewall is off.
    fn entry(&mut self) -> Option<Verdict> {
        if self.engine == Engine::Nftables || self.way == Way::Out {
            return None;
        }
        match builtin::entry_filters(self.packet, &self.names, &self.node) {
            Ok(hit) => self.hit(hit),
            Err(why) => self.doubt_builtin("filters on what enters a guest", why),
        }
    }

    fn head(&mut self) -> Option<Verdict> {
        match builtin::head(self.engine, self.way, self.packet, self.guest, self.nic, &self.names) {
            Ok(hit) => self.hit(hit),
            Err(why) => self.doubt_builtin("filters before the rules", why),
        }
    }

    fn doubt_builtin(&mut self, text: &str, why: String) -> Option<Verdict> {
        self.doubts.push(Verdict::Drop);
        self.step(Level::Builtin, text, Outcome::Unsure(why));
        None
    }

    fn rules(&mut self) -> Option<Verdict> {
        let guest = self.guest;
        for rule in guest.rules.iter().take(RULES_MAX) {
            let verdict = match &rule.kind {
                RuleKind::Group(name) => self.group(rule, name),
                _ => self.rule(rule, Level::Guest, None, self.names),
            };
            if verdict.is_some() {
                return verdict;
            }
        }
        None
    }

    /// The rules of a group, in the place of the rule that calls it.
    fn group(&mut self, rule: &FirewallRule, name: &GroupName) -> Option<Verdict> {
        if let Some(outcome) = self.unused(rule) {
            if matches!(outcome, Outcome::Unsure(_)) {
                self.doubt(None);
            }
            self.push(rule, Level::Guest, None, outcome);
            return None;
        }
        let view = self.view;
        let Some(group) = view.datacenter.groups.get(name) else {
            self.push(rule, Level::Guest, None, Outcome::LeftOut(format!("there is no group {name}")));
            return None;
        };
        self.push(rule, Level::Guest, None, Outcome::Entered);
        let names = Names { guest: None, ..self.names };
        group
            .rules
            .iter()
            .take(RULES_MAX)
            .find_map(|inner| self.rule(inner, Level::Group(name.clone()), Some(rule.position), names))
    }

    fn rule(&mut self, rule: &FirewallRule, level: Level, called_at: Option<u32>, names: Names<'_>) -> Option<Verdict> {
        let unreadable = matches!(rule.fault, Some(Fault::Unreadable(_)));
        let action = match (&rule.kind, self.way) {
            (RuleKind::In(action), Way::In) | (RuleKind::Out(action), Way::Out) => Some(*action),
            (RuleKind::Forward(_), _) if unreadable => None,
            _ => {
                self.push(rule, level, called_at, Outcome::Passes("it is for the other direction".into()));
                return None;
            }
        };
        if let Some(outcome) = self.unused(rule) {
            if matches!(outcome, Outcome::Unsure(_)) {
                self.doubt(action);
            }
            self.push(rule, level, called_at, outcome);
            return None;
        }
        let verdict = self.verdict(action.unwrap_or(FirewallAction::Drop));
        let (outcome, decided) = match names.matches(rule, self.packet) {
            Match::Yes => (Outcome::Decides(verdict), Some(verdict)),
            Match::No(why) => (Outcome::Passes(why), None),
            Match::Void(why) => (Outcome::LeftOut(why), None),
            Match::Unsure(why) => {
                self.doubts.push(verdict);
                (Outcome::Unsure(why), None)
            }
        };
        self.push(rule, level, called_at, outcome);
        decided
    }

    /// Notes what a rule that cannot be read would do; without an action it may do anything.
    fn doubt(&mut self, action: Option<FirewallAction>) {
        match action {
            Some(action) => self.doubts.push(self.verdict(action)),
            None => self.doubts.extend([Verdict::Accept, Verdict::Drop]),
        }
    }

    /// Why a rule is not looked at, if it is not.
    fn unused(&self, rule: &FirewallRule) -> Option<Outcome> {
        if !rule.enabled {
            return Some(Outcome::LeftOut("it is switched off".into()));
        }
        match &rule.fault {
            Some(Fault::LeftOut(why)) => return Some(Outcome::LeftOut(format!("Proxmox finds a fault in it: {why}"))),
            Some(Fault::Unreadable(why)) => return Some(Outcome::Unsure(format!("it cannot be read: {why}"))),
            None => {}
        }
        let iface = rule.iface.as_ref().filter(|iface| iface.as_str() != self.nic.to_string());
        iface.map(|iface| Outcome::Passes(format!("it is for {iface}")))
    }

    fn policy(&mut self) -> Verdict {
        let options = &self.guest.options;
        let (word, policy) = match self.way {
            Way::In => ("in", options.inbound()),
            Way::Out => ("out", options.outbound()),
        };
        if self.engine == Engine::Iptables && policy != FirewallAction::Accept {
            let hit = builtin::before_policy(self.packet, policy == FirewallAction::Reject);
            if let Some(verdict) = self.hit(hit) {
                return verdict;
            }
        }
        let verdict = self.verdict(policy);
        self.say(Level::Policy, &format!("policy_{word} {policy}"), verdict)
    }

    fn verdict(&self, action: FirewallAction) -> Verdict {
        match action {
            FirewallAction::Reject => builtin::rejected(self.engine, self.way, self.packet),
            other => other.into(),
        }
    }

    fn hit(&mut self, hit: Hit) -> Option<Verdict> {
        hit.map(|(text, verdict)| self.say(Level::Builtin, text, verdict))
    }

    fn say(&mut self, level: Level, text: &str, verdict: Verdict) -> Verdict {
        self.step(level, text, Outcome::Decides(verdict));
        verdict
    }

    fn step(&mut self, level: Level, text: &str, outcome: Outcome) {
        self.steps.push(Step { level, position: None, called_at: None, text: text.to_owned(), comment: None, outcome });
    }

    fn push(&mut self, rule: &FirewallRule, level: Level, called_at: Option<u32>, outcome: Outcome) {
        self.steps.push(Step {
            level,
            position: Some(rule.position),
            called_at,
            text: rule.to_string(),
            comment: rule.comment.clone(),
            outcome,
        });
    }
}
