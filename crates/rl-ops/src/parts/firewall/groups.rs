//! Security groups of the datacenter: rules by identity, as in a guest's list.

use rl_engine::{StepCx, StepError};
use rl_model::GroupChange;
use rl_model::firewall::edit::{Care, RuleList};
use rl_model::firewall::{GroupName, RuleId};
use rl_pve::api::firewall::{self, RulesOf};
use rl_pve::decode;

use super::{LOOKS_MAX, WriteSiteFirewall, given};
use crate::fault::look_error;
use crate::site::SiteApi;
use crate::steps::guest_firewall::rule_request;

impl WriteSiteFirewall {
    /// Writes those that come and change, or removes those that go.
    pub(super) async fn groups(&self, cx: &StepCx, api: &SiteApi, going: bool) -> Result<(), StepError> {
        for group in self.part.groups.iter().filter(|group| group.after.is_none() == going) {
            cx.progress(format!("security group {}", group.name), None);
            self.group(cx, api, group).await?;
        }
        Ok(())
    }

    async fn group(&self, cx: &StepCx, api: &SiteApi, change: &GroupChange) -> Result<(), StepError> {
        let name = &change.name;
        let list = RuleList::new(RuleId::group_prefix(name.as_str()));
        for _ in 0..LOOKS_MAX {
            let row = self.group_row(api, name).await?;
            let (said, digest) = match (row, &change.after) {
                (None, None) => return Ok(()),
                (None, Some(wanted)) => {
                    self.send(cx, api, firewall::create_group(name, &wanted.comment)).await?;
                    continue;
                }
                (Some(row), _) => row,
            };
            if let Some(wanted) = change.after.as_ref().filter(|wanted| wanted.comment != said) {
                self.send(cx, api, firewall::comment_group(name, &wanted.comment, &given(digest)?)).await?;
                continue;
            }
            let rows = api.pve().send(firewall::group(name)).await.map_err(look_error)?;
            let (have, digest) = decode::firewall::rule_texts(rows);
            let wanted = change.after.as_ref().map_or(&[][..], |after| &after.rules);
            // Guests may call the group at any moment: its list counts as in force.
            let open: Vec<_> = list.edits(wanted, &have, Care::InForce).into_iter().flatten().collect();
            let Some(edit) = open.first() else {
                match change.after {
                    Some(_) => return Ok(()),
                    None if have.is_empty() => self.send(cx, api, firewall::delete_group(name)).await?,
                    None => return Err(self.not_empty(name)),
                }
                continue;
            };
            let digest = || given(digest.clone());
            if let Some(request) = rule_request(RulesOf::Group(name), edit, digest)? {
                self.send(cx, api, request).await?;
            }
        }
        Err(self.never_still("security group", name.as_str()))
    }

    /// The comment of a group and the digest of the list of groups, when it is there; one that is not ours is never touched.
    async fn group_row(&self, api: &SiteApi, name: &GroupName) -> Result<Option<(String, Option<String>)>, StepError> {
        let rows = api.pve().send(firewall::groups()).await.map_err(look_error)?;
        let Some(row) = rows.into_iter().find(|row| row.group == name.as_str()) else { return Ok(None) };
        let comment = row.comment.map(|text| text.0).unwrap_or_default();
        self.ours("a security group", name.as_str(), &comment)?;
        Ok(Some((comment, row.digest)))
    }

    fn not_empty(&self, name: &GroupName) -> StepError {
        StepError::blocked(
            format!(
                "security group {name} of site {} holds rules that are not ours; it was not removed",
                self.part.site
            ),
            "somebody put them there since the plan; remove them when nobody needs them, then retry",
        )
    }
}
