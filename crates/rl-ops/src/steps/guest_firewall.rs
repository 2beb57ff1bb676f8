//! Writes the firewall of a guest: rules by identity, in an order that is safe at every moment.
//!
//! *Guarantees*: only a guest whose identity has just been read is written to, and only when each NIC that a rule names sits
//! in the slot the rule is bound to. Each rule that is moved, rewritten or deleted is sent with the digest of the list in which
//! it was seen; when somebody else has changed the list since, it is read and thought about again. Rules of others stay.
//! *Caveats*: Proxmox looks at no digest when a rule is inserted; a rule that came in twice that way is taken out by the
//! next look. Written is not in force: `pve-firewall` reads the files every ten seconds.

use async_trait::async_trait;
use rl_engine::{OpClass, PriorAttempt, Receipt, Step, StepCx, StepError};
use rl_model::firewall::edit::{Edit, OptionsEdit, RuleList, edits};
use rl_model::firewall::{GuestOptions, ObservedFirewall, RuleId};
use rl_model::{NicSlot, NodeName, PropertyString, ResolvedGuest, Vmid};
use rl_pve::api::firewall::{self, RulesOf};
use rl_pve::{CallClass, ErrorKind, PveError, Request, decode};

use super::{GuestReceipt, create_container, leased_vmid};
use crate::context::Ctx;
use crate::fault::look_error;
use crate::identity::{Ours, must_find};
use crate::live::{Announced, NotDone, call, wait_out};
use crate::payload::Target;
use crate::site::SiteApi;

/// The step's name.
pub const NAME: &str = "write firewall";
/// Times the list is read in one run of the step. Each call but an insertion is followed by a look, so this bounds the calls
/// too; a list of 500 rules that is turned round needs some 2,000.
const LOOKS_MAX: usize = 4_096;

/// See the module.
pub struct GuestFirewall {
    /// The guest.
    pub target: Target,
    /// As it shall be.
    pub guest: Box<ResolvedGuest>,
    /// Whether the guest was just made and does not run yet, so that no order of the calls opens anything.
    pub idle: bool,
    /// NICs that the same job changes after this step: they are not where the rules want them yet.
    pub changing: Vec<NicSlot>,
}

#[async_trait]
impl Step for GuestFirewall {
    fn name(&self) -> &str {
        NAME
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let api = &cx.context::<Ctx>().site(&self.target.site)?;
        let vmid = match cx.receipt::<GuestReceipt>(create_container::NAME)? {
            Some(made) => made.vmid,
            None => leased_vmid(cx, &self.target).await?,
        };
        let mut changed = !matches!(cx.prior(), PriorAttempt::None);
        let list = RuleList::new(RuleId::prefix(&self.guest.id));
        let mut looks = 0;
        loop {
            let ours = must_find(api, &self.target, vmid).await?;
            self.check_slots(&ours)?;
            let seen = Seen::read(api, &ours.node, vmid).await.map_err(look_error)?;
            let open = edits(&list, self.guest.firewall.as_ref(), &seen.firewall, !self.idle);
            if open.is_empty() {
                return GuestReceipt { node: ours.node, vmid, changed }.envelope();
            }
            looks += 1;
            if looks > LOOKS_MAX {
                return Err(self.never_still());
            }
            changed = true;
            cx.progress(
                format!("writing the firewall of {}: {} calls to go", self.target.stamp.name, open.len()),
                None,
            );
            self.write(cx, api, &ours.node, vmid, &seen, &open).await?;
        }
    }

    async fn undo(&self, _: &StepCx) -> Result<(), StepError> {
        // A guest that the same job made is destroyed with its rules. Of one that was there before, the rules as they are now are
        // within what the plan has shown: each packet meets the verdict it had or the one it shall have.
        Ok(())
    }

    async fn leave(&self, cx: &StepCx) -> Result<(), StepError> {
        let api = cx.context::<Ctx>().site(&self.target.site)?;
        wait_out(cx, &api, &cx.done_so_far(), NAME).await;
        Ok(())
    }
}

/// The firewall of a guest with the digests under which it was seen.
pub(crate) struct Seen {
    pub(crate) firewall: ObservedFirewall,
    rules_digest: Option<String>,
    options_digest: Option<String>,
}

impl Seen {
    /// Reads rules and options.
    pub(crate) async fn read(api: &SiteApi, node: &NodeName, vmid: Vmid) -> Result<Self, PveError> {
        let kind = rl_model::GuestKind::Container;
        let rows = api.pve().send(firewall::guest_rules(kind, node, vmid)).await?;
        let row = api.pve().send(firewall::guest_options(kind, node, vmid)).await?;
        let (rules, rules_digest) = decode::firewall::rule_texts(rows);
        let options_digest = row.digest.clone();
        let options: GuestOptions = decode::firewall::guest_options(row);
        Ok(Self { firewall: ObservedFirewall { options: Some(options), rules }, rules_digest, options_digest })
    }
}

/// The request for an edit of a list of rules; none for one of options.
pub(crate) fn rule_request(
    list: RulesOf<'_>,
    edit: &Edit,
    digest: impl Fn() -> Result<String, StepError>,
) -> Result<Option<Request<()>>, StepError> {
    Ok(Some(match edit {
        Edit::Insert(rule) => firewall::insert_rule(list, rule),
        Edit::Move { from, to } => firewall::move_rule(list, *from, Edit::moveto(*from, *to), &digest()?),
        Edit::Rewrite { at, rule } => firewall::rewrite_rule(list, *at, rule, &digest()?),
        Edit::Delete { at } => firewall::delete_rule(list, *at, &digest()?),
        Edit::Options(_) => return Ok(None),
    }))
}

impl GuestFirewall {
    /// Carries out calls until one changes what the next one's digest stands for.
    async fn write(
        &self,
        cx: &StepCx,
        api: &SiteApi,
        node: &NodeName,
        vmid: Vmid,
        seen: &Seen,
        open: &[Edit],
    ) -> Result<(), StepError> {
        let mut fresh = true;
        for edit in open {
            let needs_digest = !matches!(edit, Edit::Insert(_) | Edit::Options(_));
            if needs_digest && !fresh {
                return Ok(());
            }
            let digest = || seen.digest().map(str::to_owned);
            let request = match (rule_request(RulesOf::Guest(node, vmid), edit, digest)?, edit) {
                (None, Edit::Options(OptionsEdit::On { wanted })) => {
                    firewall::switch_guest_on(node, vmid, wanted, seen.options_digest()?)
                }
                (None, _) => firewall::switch_guest_off(node, vmid, seen.options_digest()?),
                (Some(request), _) => request,
            };
            let announced = Announced::new(NAME, node, vmid);
            let send = api.pve().send(request);
            match call(cx, announced, api.limit(CallClass::Write), send, |()| "written".to_owned()).await {
                Ok(()) => {}
                // Somebody else wrote in between: look, and think again.
                Err(NotDone::Refused(error)) if matches!(error.kind(), ErrorKind::DigestMismatch) => return Ok(()),
                Err(other) => return Err(other.into_step_error()),
            }
            fresh = matches!(edit, Edit::Options(_)) && fresh;
        }
        Ok(())
    }

    /// Holds that each NIC a rule names sits in the slot the rule is bound to, with its own MAC.
    fn check_slots(&self, ours: &Ours) -> Result<(), StepError> {
        let rules = self.guest.firewall.as_ref().map_or(&[][..], |firewall| &firewall.rules[..]);
        for nic in self.guest.nics.iter().filter(|nic| !self.changing.contains(&nic.slot)) {
            let slot = nic.slot.to_string();
            if !rules.iter().any(|rule| rule.iface.as_deref() == Some(&slot)) {
                continue;
            }
            let raw = ours.raw.get(&slot).map(PropertyString::parse);
            let get = |key: &str| raw.as_ref().and_then(|nic| nic.get(key)).unwrap_or("nothing").to_owned();
            let (name, mac) = (get("name"), get("hwaddr"));
            if name != nic.name.as_str() || !mac.eq_ignore_ascii_case(&nic.mac.to_string()) {
                return Err(self.swapped(ours, nic, &name, &mac));
            }
        }
        Ok(())
    }

    fn swapped(&self, ours: &Ours, nic: &rl_model::ResolvedNic, name: &str, mac: &str) -> StepError {
        StepError::blocked(
            format!(
                "{} (VMID {}): rules for `{}` ({}) are bound to {}, but that slot holds `{name}` ({mac}) now; no rule was written",
                self.target.stamp.name, ours.vmid, nic.name, nic.mac, nic.slot
            ),
            "somebody changed its NICs; cancel this operation and plan again, to see the difference and decide",
        )
    }

    fn never_still(&self) -> StepError {
        StepError::blocked(
            format!(
                "{}: its rules were read {LOOKS_MAX} times and differ from the stack still",
                self.target.stamp.name
            ),
            "somebody else writes the same rules; find out who, then retry",
        )
    }
}

impl Seen {
    fn digest(&self) -> Result<&str, StepError> {
        Self::given(self.rules_digest.as_deref())
    }

    fn options_digest(&self) -> Result<&str, StepError> {
        Self::given(self.options_digest.as_deref())
    }

    /// Nothing is written without a digest: what was read could be old.
    fn given(digest: Option<&str>) -> Result<&str, StepError> {
        digest.ok_or_else(|| StepError::retry(crate::fault::BUSY_WAIT, "Proxmox answered without a digest"))
    }
}
