//! The observed world, indexed once, and the question every change begins with: which guest is this?
//!
//! A VMID is a lease, not an identity. A guest is ours when the stamp in its description names our guest id and our
//! installation; its tag only says where to look.

use std::collections::{HashMap, HashSet};

use rl_model::{
    ContainerConfig, ControllerId, GuestId, GuestKind, Hostname, MacAddr, NodeName, Observed, ObservedGuest,
    ObservedSite, SiteName, Stamp, Unread, Vmid,
};

/// Config lock of a guest that is being created (`PVE/LXC/Config.pm`): its configuration says nothing else yet.
pub(crate) const LOCK_CREATE: &str = "create";

/// A guest at its place in the world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The site it was seen on.
    pub(crate) site: &'a SiteName,
    /// What was seen.
    pub(crate) guest: &'a ObservedGuest,
}

impl<'a> Place<'a> {
    /// `fra1/2003`, for messages.
    pub(crate) fn show(&self) -> String {
        format!("{}/{}", self.site, self.guest.vmid)
    }

    /// Its config lock, from the configuration or the resource list.
    pub(crate) fn lock(&self) -> Option<&'a str> {
        let of_config = self.guest.config.as_ref().and_then(|config| config.lock.as_deref());
        of_config.or(self.guest.lock.as_deref())
    }

    fn same(&self, other: &Self) -> bool {
        self.site == other.site && self.guest.vmid == other.guest.vmid
    }
}

/// Whom we look for, and where it should be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity<'a> {
    /// The guest's id.
    pub(crate) id: &'a GuestId,
    /// Our installation.
    pub(crate) controller: &'a ControllerId,
    /// The site it should lie on.
    pub(crate) site: &'a SiteName,
    /// The node it was last put on.
    pub(crate) node: &'a NodeName,
    /// The VMID it should have.
    pub(crate) vmid: Vmid,
    /// Its leased `net0` MAC, where it has one.
    pub(crate) net0: Option<MacAddr>,
    /// The host name it was given.
    pub(crate) hostname: Option<&'a Hostname>,
}

impl Identity<'_> {
    fn owns(&self, stamp: &Stamp) -> bool {
        stamp.guest == *self.id && stamp.controller == *self.controller
    }
}

/// What a search for a guest found.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// It is nowhere, and all of its site was read.
    Absent,
    /// One guest bears its stamp.
    Ours(Place<'a>, &'a ContainerConfig),
    /// One guest bears its tag at the expected place; its configuration was not asked for.
    Shallow(Place<'a>),
    /// A guest is being created at the expected place.
    Creating(Place<'a>),
    /// Something is there, but not enough of it was read to tell whose it is.
    Unreadable(Place<'a>, String),
    /// A guest that is not ours holds the expected VMID.
    Foreign(Place<'a>, Foreign),
    /// Several guests bear its stamp: one of them is a copy.
    Twins(Vec<Place<'a>>),
    /// The site, or the node it was put on, could not be read.
    Unread(String),
}

/// Why a guest is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// In a sentence part that follows "because".
    pub(crate) why: String,
    /// What makes it look like ours all the same.
    pub(crate) likeness: Option<Likeness>,
}

/// What makes a foreign guest look like one of ours, so that it is neither written off nor made a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// It bears the MAC leased to our guest: most likely ours, with its stamp lost.
    Mac,
    /// Its stamp names our guest, but another installation.
    Guest,
    /// It bears our guest's host name, and no NIC tells the two apart.
    Name,
}

/// The observed world with its guests indexed by stamp.
pub(crate) struct World<'a> {
    observed: &'a Observed,
    by_tag: HashMap<&'a str, Vec<Place<'a>>>,
    by_stamp: HashMap<&'a GuestId, Vec<Place<'a>>>,
    /// Guests whose row in the resource list could not be read.
    broken_rows: HashSet<(&'a SiteName, Vmid)>,
    /// Why configurations could not be read.
    unread: HashMap<(&'a SiteName, &'a str), &'a str>,
}

impl<'a> World<'a> {
    /// Indexes every guest once: the cost is linear in what was observed.
    pub(crate) fn new(observed: &'a Observed) -> Self {
        let mut world = Self {
            observed,
            by_tag: HashMap::new(),
            by_stamp: HashMap::new(),
            broken_rows: HashSet::new(),
            unread: HashMap::new(),
        };
        for (site, seen) in &observed.sites {
            world.broken_rows.extend(seen.unread.iter().filter_map(Unread::row_vmid).map(|vmid| (site, vmid)));
            let unread = seen.unread.iter().map(|unread| ((site, unread.what.as_str()), unread.why.as_str()));
            world.unread.extend(unread);
            for guest in seen.guests.values() {
                world.index(Place { site, guest });
            }
        }
        world
    }

    fn index(&mut self, place: Place<'a>) {
        let of_config = place.guest.config.iter().flat_map(|config| &config.tags);
        let mut seen: Vec<&str> = Vec::new();
        for tag in place.guest.tags.iter().chain(of_config).map(String::as_str) {
            if Stamp::is_stamp_tag(tag) && !seen.contains(&tag) {
                seen.push(tag);
                self.by_tag.entry(tag).or_default().push(place);
            }
        }
        if let Some(stamp) = place.guest.config.as_ref().and_then(|config| config.stamp.as_ref()) {
            self.by_stamp.entry(&stamp.guest).or_default().push(place);
        }
    }

    /// A site as it was seen; `None` when nothing of it was.
    pub(crate) fn site(&self, site: &SiteName) -> Option<&'a ObservedSite> {
        self.observed.sites.get(site)
    }

    /// VMIDs of a site that are held by a guest, readable or not.
    pub(crate) fn held(&self, site: &'a SiteName) -> impl Iterator<Item = Vmid> {
        let seen = self.site(site).into_iter().flat_map(|seen| seen.guests.keys().copied());
        seen.chain(self.broken_rows.iter().filter(move |(of, _)| *of == site).map(|(_, vmid)| *vmid))
    }

    /// Whether a guest holds the VMID whose row made no sense.
    pub(crate) fn is_broken(&self, site: &SiteName, vmid: Vmid) -> bool {
        self.broken_rows.contains(&(site, vmid))
    }

    /// What was seen at a VMID.
    pub(crate) fn at(&self, site: &SiteName, vmid: Vmid) -> Option<Place<'a>> {
        let (site, seen) = self.observed.sites.get_key_value(site)?;
        seen.guests.get(&vmid).map(|guest| Place { site, guest })
    }

    /// Every guest that bears a guest id in its tag or stamp, in order of site and VMID.
    pub(crate) fn bearers(&self, id: &GuestId) -> Vec<Place<'a>> {
        let tag = Stamp::tag_of(id);
        let mut places: Vec<Place<'a>> = self.by_tag.get(tag.as_str()).cloned().unwrap_or_default();
        for place in self.by_stamp.get(id).into_iter().flatten() {
            if !places.iter().any(|have| have.same(place)) {
                places.push(*place);
            }
        }
        places.sort_by_key(|place| (place.site, place.guest.vmid));
        places
    }

    /// Every guest with a stamp's tag or stamp of whatever guest, by site and VMID.
    pub(crate) fn stamped(&self) -> Vec<Place<'a>> {
        let mut places: Vec<Place<'a>> =
            self.by_tag.values().chain(self.by_stamp.values()).flatten().copied().collect();
        places.sort_by_key(|place| (place.site, place.guest.vmid));
        places.dedup_by(|a, b| a.same(b));
        places
    }

    /// Why nothing is known of a site's guests, when nothing is.
    pub(crate) fn site_unread(&self, site: &SiteName) -> Option<String> {
        match self.site(site) {
            None => Some("it was not observed".to_owned()),
            Some(seen) => seen.guests_unread().map(str::to_owned),
        }
    }

    /// Looks for a guest. Trusts nothing but a stamp that was read; never guesses about what was not.
    pub(crate) fn find(&self, who: Identity<'_>) -> Found<'a> {
        if let Some(why) = self.site_unread(who.site) {
            return Found::Unread(format!("site {} could not be read: {why}", who.site));
        }
        let candidates = self.bearers(who.id);
        let at_home = self.at(who.site, who.vmid);
        let ours: Vec<(Place<'a>, &'a ContainerConfig)> =
            candidates.iter().filter_map(|place| Self::proven(*place, &who).map(|config| (*place, config))).collect();
        let unproven: Vec<Place<'a>> = candidates.iter().filter(|place| Self::is_open(place)).copied().collect();
        let contender = at_home.filter(|home| self.contends(*home, &who));
        match (&ours[..], &unproven[..]) {
            ([(place, _)], []) if contender.is_some_and(|home| !home.same(place)) => {
                Found::Twins(contender.into_iter().chain([*place]).collect())
            }
            ([(place, config)], []) if place.lock() != Some(LOCK_CREATE) => Found::Ours(*place, config),
            ([(place, _)], []) => Found::Creating(*place),
            ([], [place]) if self.is_home(place, &who) => self.shallow(*place),
            ([], [place]) => Found::Unreadable(*place, self.why_open(place)),
            ([], []) => at_home.map_or_else(|| self.absent(&who), |place| self.stranger(place, &who)),
            _ => Found::Twins(ours.iter().map(|(place, _)| *place).chain(unproven.iter().copied()).collect()),
        }
    }

    /// Whether the container at the expected VMID may be the guest itself with its stamp lost, so that another one with
    /// the stamp would be its copy.
    fn contends(&self, home: Place<'a>, who: &Identity<'_>) -> bool {
        if home.guest.kind != GuestKind::Container {
            return false;
        }
        let Some(config) = &home.guest.config else { return true };
        let tag = Stamp::tag_of(who.id);
        likeness(config, who).is_some() || (config.stamp.is_none() && home.guest.has_stamp_tag(&tag))
    }

    /// The configuration of a container whose stamp names the guest.
    fn proven(place: Place<'a>, who: &Identity<'_>) -> Option<&'a ContainerConfig> {
        let config = place.guest.config.as_ref()?;
        let stamp = config.stamp.as_ref()?;
        (place.guest.kind == GuestKind::Container && who.owns(stamp)).then_some(config)
    }

    /// Whether a container's configuration was not read, so that its tag is all that is known.
    fn is_open(place: &Place<'a>) -> bool {
        place.guest.kind == GuestKind::Container && place.guest.config.is_none()
    }

    fn is_home(&self, place: &Place<'a>, who: &Identity<'_>) -> bool {
        place.site == who.site && place.guest.vmid == who.vmid
    }

    fn shallow(&self, place: Place<'a>) -> Found<'a> {
        if place.lock() == Some(LOCK_CREATE) {
            return Found::Creating(place);
        }
        match self.tried(&place) {
            Some(why) => Found::Unreadable(place, why),
            None => Found::Shallow(place),
        }
    }

    /// Why the configuration is missing, when it was tried.
    fn tried(&self, place: &Place<'a>) -> Option<String> {
        let what = Unread::config(place.guest.vmid, "").what;
        self.unread.get(&(place.site, what.as_str())).map(|why| (*why).to_owned())
    }

    fn why_open(&self, place: &Place<'a>) -> String {
        self.tried(place).unwrap_or_else(|| "its configuration was not read".to_owned())
    }

    fn absent(&self, who: &Identity<'_>) -> Found<'a> {
        if self.is_broken(who.site, who.vmid) {
            return Found::Unread(format!("VMID {} of site {} could not be read", who.vmid, who.site));
        }
        let why = self.site(who.site).and_then(|seen| seen.node_unread(who.node));
        why.map_or(Found::Absent, |why| Found::Unread(format!("node {} could not be read: {why}", who.node)))
    }

    /// Judges a guest at the expected VMID that does not bear the tag.
    fn stranger(&self, place: Place<'a>, who: &Identity<'_>) -> Found<'a> {
        let foreign = |why: String, likeness| Found::Foreign(place, Foreign { why, likeness });
        if place.guest.kind == GuestKind::Vm {
            return foreign("it is a virtual machine".to_owned(), None);
        }
        let Some(config) = &place.guest.config else {
            if place.lock() == Some(LOCK_CREATE) {
                return Found::Creating(place);
            }
            return Found::Unreadable(place, self.why_open(&place));
        };
        if config.stamp.is_none() && place.lock() == Some(LOCK_CREATE) {
            return Found::Creating(place);
        }
        let why = match &config.stamp {
            None => "it bears no stamp".to_owned(),
            Some(stamp) if stamp.controller != *who.controller => {
                format!("its stamp is of another installation ({})", stamp.controller)
            }
            Some(stamp) => format!("its stamp is that of `{}` of stack `{}`", stamp.name, stamp.stack),
        };
        foreign(why, likeness(config, who))
    }
}

/// What makes a container without our stamp look like the guest.
pub(crate) fn likeness(config: &ContainerConfig, who: &Identity<'_>) -> Option<Likeness> {
    if config.stamp.as_ref().is_some_and(|stamp| stamp.guest == *who.id) {
        return Some(Likeness::Guest);
    }
    match who.net0 {
        Some(mac) if config.net0_mac == Some(mac) => Some(Likeness::Mac),
        None if config.stamp.is_none() && who.hostname.is_some() && config.hostname.as_ref() == who.hostname => {
            Some(Likeness::Name)
        }
        _ => None,
    }
}
