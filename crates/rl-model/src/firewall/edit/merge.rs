//! Old and new rules in one row, and the calls that lead from one list to the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::firewall::{RuleId, RuleText};

use super::content::{covers, same_rule, same_sense};
use super::{Care, Edit};

/// Weight of a rule in force among those that may stay where they are: a rule that is off never keeps one that is on from
/// staying, because moving it changes nothing.
const IN_FORCE_WEIGHT: u64 = 1 << 32;

/// Whose rules of a list are ours.
#[derive(Debug, Clone)]
pub struct RuleList {
    prefix: String,
}

impl RuleList {
    /// Rules whose id begins like this are ours.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The id of a rule, where it is ours.
    pub fn id(&self, rule: &RuleText) -> Option<RuleId> {
        RuleId::with_prefix(&self.prefix, rule.comment.as_deref())
    }

    /// Our rules of a list, in their order.
    pub fn ours<'a>(&self, rules: &'a [RuleText]) -> Vec<&'a RuleText> {
        rules.iter().filter(|rule| self.id(rule).is_some()).collect()
    }

    /// The calls before and after the policies change.
    pub fn edits(&self, wanted: &[RuleText], have: &[RuleText], care: Care) -> [Vec<Edit>; 2] {
        let mut row = Row { items: self.merge(wanted, have), wanted, have };
        [row.first(care), row.last()]
    }

    fn merge(&self, wanted: &[RuleText], have: &[RuleText]) -> Vec<Item> {
        let places = self.places(wanted, have);
        let kept = kept(wanted, have, &places);
        let reused: Vec<Option<usize>> = places.iter().map(|place| place.reused(have)).collect();
        // Each wanted rule that does not stay comes right behind the one before it that does.
        let mut new_behind: BTreeMap<Option<usize>, Vec<Item>> = BTreeMap::new();
        let (mut stays, mut goes) = (BTreeMap::new(), BTreeMap::new());
        let mut behind = None;
        for (new, place) in places.iter().enumerate() {
            match place.now.filter(|_| kept.contains(&new)) {
                Some(old) => {
                    stays.insert(old, new);
                    behind = Some(old);
                }
                None => {
                    goes.extend(reused[new].map(|old| (old, new)));
                    let what = What::New { new, old: reused[new] };
                    new_behind.entry(behind).or_default().push(Item { there: false, what });
                }
            }
        }
        let mut items = new_behind.remove(&None).unwrap_or_default();
        for (old, rule) in have.iter().enumerate() {
            let what = match stays.get(&old) {
                Some(new) => What::Kept { new: *new, old },
                None if self.id(rule).is_none() => What::Foreign,
                None => What::Old { old, goes_to: goes.get(&old).copied() },
            };
            items.push(Item { there: true, what });
            items.extend(new_behind.remove(&Some(old)).unwrap_or_default());
        }
        items
    }

    /// Where each wanted rule is now: of the rules with its id that can become it in their place, the one that says the same,
    /// else one in force. The others are left over from an interruption.
    fn places(&self, wanted: &[RuleText], have: &[RuleText]) -> Vec<Place> {
        let mut by_id: BTreeMap<RuleId, Vec<usize>> = BTreeMap::new();
        for (old, rule) in have.iter().enumerate() {
            if let Some(id) = self.id(rule) {
                by_id.entry(id).or_default().push(old);
            }
        }
        let place = |new: &RuleText| {
            let all = self.id(new).and_then(|id| by_id.get(&id)).map_or(&[][..], |list| &list[..]);
            let becomes = |old: &&usize| covers(new, &have[**old]) || covers(&have[**old], new);
            let worth = |old: &&usize| (same_sense(new, &have[**old]), have[**old].enable, std::cmp::Reverse(**old));
            let now = all.iter().filter(becomes).max_by_key(worth).copied();
            let spare = all.iter().find(|old| !have[**old].enable && Some(**old) != now).copied();
            Place { now, same: now.is_some_and(|old| same_sense(&have[old], new)), spare }
        };
        wanted.iter().map(place).collect()
    }
}

/// Where a wanted rule is.
struct Place {
    /// The rule that can become it where it stands.
    now: Option<usize>,
    /// Whether that one does the same with the same packets.
    same: bool,
    /// Another one with its id that is off.
    spare: Option<usize>,
}

impl Place {
    /// The rule that is moved to a new place: one that says the same there, or one that is off and says nothing anywhere.
    fn reused(&self, have: &[RuleText]) -> Option<usize> {
        self.now.filter(|old| self.same || !have[*old].enable).or(self.spare)
    }
}

/// The wanted rules that stay where they are: as many as can, those in force before others.
fn kept(wanted: &[RuleText], have: &[RuleText], places: &[Place]) -> BTreeSet<usize> {
    let known: Vec<(usize, usize)> = (0..wanted.len()).filter_map(|new| Some((new, places[new].now?))).collect();
    let mut best: Vec<(u64, Option<usize>)> = Vec::with_capacity(known.len());
    for (index, (_, old)) in known.iter().enumerate() {
        let weight = if have[*old].enable { IN_FORCE_WEIGHT } else { 1 };
        let before = (0..index).filter(|earlier| known[*earlier].1 < *old).max_by_key(|earlier| best[*earlier].0);
        best.push((before.map_or(0, |earlier| best[earlier].0) + weight, before));
    }
    let mut kept = BTreeSet::new();
    let mut at = (0..known.len()).max_by_key(|index| best[*index].0);
    while let Some(index) = at {
        kept.insert(known[index].0);
        at = best[index].1;
    }
    kept
}

struct Item {
    there: bool,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// Stays where it is.
    Kept { new: usize, old: usize },
    /// Somebody else's.
    Foreign,
    /// The place of a wanted rule, and the rule that is moved there.
    New { new: usize, old: Option<usize> },
    /// Goes away, or to its new place.
    Old { old: usize, goes_to: Option<usize> },
}

struct Row<'a> {
    items: Vec<Item>,
    wanted: &'a [RuleText],
    have: &'a [RuleText],
}

impl Row<'_> {
    /// How many rules are above.
    fn above(&self, index: usize) -> usize {
        self.items[..index].iter().filter(|item| item.there).count()
    }

    fn index(&self, wanted: impl Fn(&What) -> bool) -> Option<usize> {
        self.items.iter().position(|item| wanted(&item.what))
    }

    fn first(&mut self, care: Care) -> Vec<Edit> {
        let mut out = Vec::new();
        let order: Vec<usize> = match care {
            Care::InForce => (0..self.items.len()).collect(),
            // From the bottom up each one that goes to the top is there by one call.
            Care::Idle => (0..self.items.len()).rev().collect(),
        };
        for index in order {
            match self.items[index].what {
                What::Kept { new, old } if self.widens(new, old) => {
                    out.push(Edit::Rewrite { at: self.above(index), rule: self.wanted[new].clone() });
                }
                What::New { new, old: None } => self.insert(index, new, care, &mut out),
                What::New { new, old: Some(old) } => self.bring(index, new, old, care, &mut out),
                _ => {}
            }
        }
        out
    }

    /// Whether a kept rule is rewritten on the way down: it speaks of no less than before.
    fn widens(&self, new: usize, old: usize) -> bool {
        let (new, old) = (&self.wanted[new], &self.have[old]);
        !same_rule(new, old) && covers(new, old)
    }

    fn insert(&mut self, index: usize, new: usize, care: Care, out: &mut Vec<Edit>) {
        let (rule, to) = (&self.wanted[new], self.above(index));
        let quiet = care == Care::InForce && to > 0;
        out.push(Edit::Insert(RuleText { enable: rule.enable && !quiet, ..rule.clone() }));
        if to > 0 {
            out.push(Edit::Move { from: 0, to });
        }
        if quiet && rule.enable {
            out.push(Edit::Rewrite { at: to, rule: rule.clone() });
        }
        self.items[index].there = true;
    }

    /// Moves a rule up, or one that is off to wherever it belongs.
    fn bring(&mut self, index: usize, new: usize, old: usize, care: Care, out: &mut Vec<Edit>) {
        let Some(from) = self.index(|what| matches!(what, What::Old { old: at, .. } if *at == old)) else { return };
        let up = index < from;
        let off = !self.have[old].enable;
        if up || off || care == Care::Idle {
            self.move_to(from, index, out);
            if !same_rule(&self.have[old], &self.wanted[new]) {
                out.push(Edit::Rewrite { at: self.above(index), rule: self.wanted[new].clone() });
            }
        }
    }

    fn move_to(&mut self, from: usize, index: usize, out: &mut Vec<Edit>) {
        let start = self.above(from);
        self.items[from].there = false;
        let to = self.above(index);
        self.items[index].there = true;
        if start != to {
            out.push(Edit::Move { from: start, to });
        }
    }

    fn last(&mut self) -> Vec<Edit> {
        let mut out = Vec::new();
        for index in (0..self.items.len()).rev() {
            match self.items[index].what {
                What::Kept { new, old } if !self.widens(new, old) && !same_rule(&self.wanted[new], &self.have[old]) => {
                    out.push(Edit::Rewrite { at: self.above(index), rule: self.wanted[new].clone() });
                }
                What::Old { old, goes_to } if self.items[index].there => self.away(index, old, goes_to, &mut out),
                _ => {}
            }
        }
        out
    }

    fn away(&mut self, index: usize, old: usize, goes_to: Option<usize>, out: &mut Vec<Edit>) {
        let place = goes_to.and_then(|new| self.index(|what| matches!(what, What::New { new: at, .. } if *at == new)));
        let (Some(new), Some(to)) = (goes_to, place) else {
            out.push(Edit::Delete { at: self.above(index) });
            self.items[index].there = false;
            return;
        };
        self.move_to(index, to, out);
        if !same_rule(&self.have[old], &self.wanted[new]) {
            out.push(Edit::Rewrite { at: self.above(to), rule: self.wanted[new].clone() });
        }
    }
}
