//! What is asked: who sends what to which guest, or which guest sends what to whom.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rl_model::{Cidr, NicName, NicSlot, ResolvedNic, SiteName, Vmid};
use rl_planner::firewall::{self, Packet, Question, Sender, SourcePort, TCP};
use rl_store::GuestRecord;

use crate::error::CommandError;
use crate::work::data::{Data, store_error};
use crate::work::guests;

/// A guest and the NIC that is meant.
#[derive(Debug, Clone)]
pub(crate) struct Party {
    /// The guest.
    pub(crate) record: GuestRecord,
    /// Name of the NIC, where one was given.
    pub(crate) nic: Option<NicName>,
    /// Its NICs as they were applied, with every address that is known.
    pub(crate) nics: Vec<(ResolvedNic, Vec<IpAddr>)>,
}

/// Who sends.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// An address that belongs to no guest we know.
    Address(IpAddr),
    /// Every address of a network.
    Network(Cidr),
    /// A guest.
    Guest(Box<Party>),
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    /// To a port of a protocol.
    Port(u8, u16),
    /// An echo request.
    Ping,
}

impl Payload {
    /// The packet that carries it.
    pub(crate) fn packet(self, source: IpAddr, dest: IpAddr, source_port: Option<u16>) -> Packet {
        let mut packet = match self {
            Payload::Ping => Packet::ping(source, dest),
            Payload::Port(TCP, port) => Packet::tcp(source, dest, port),
            Payload::Port(proto, port) => Packet::with_port(source, dest, proto, port),
        };
        if let Some(port) = source_port {
            packet.sport = SourcePort::Known(port);
        }
        packet
    }

    /// Reads a port, by number or service, and a protocol by name.
    pub(crate) fn port(port: &str, proto: &str) -> Result<Self, String> {
        let number = port.parse().ok().or_else(|| firewall::service_port(port));
        let number = number.ok_or_else(|| format!("`{port}` is no port and no service"))?;
        let proto = firewall::protocol_number(proto).filter(|proto| firewall::has_ports(*proto)).ok_or(proto);
        Ok(Payload::Port(proto.map_err(|proto| format!("`{proto}` names no protocol with ports"))?, number))
    }
}

/// A question as a person writes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words<'a> {
    /// Who sends: an address, a network, or a guest.
    pub(crate) from: &'a str,
    /// Who receives: a guest, each with @NIC, or an address.
    pub(crate) to: &'a str,
    /// What is sent.
    pub(crate) payload: Payload,
    /// Source port, where one was given.
    pub(crate) source_port: Option<u16>,
}

/// A question, understood.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Who sends.
    pub(crate) source: Source,
    /// Who receives.
    pub(crate) to: Party,
    /// What is sent.
    pub(crate) payload: Payload,
    /// Source port, where one was given.
    pub(crate) source_port: Option<u16>,
}

/// Looks the guests up.
pub(crate) async fn understand(data: &Data, words: Words<'_>) -> Result<Asked, CommandError> {
    let Words { from, to, payload, source_port } = words;
    let to = party(data, to).await?;
    let source = source(data, from, &to.record.site, Some(&to)).await?;
    if let Source::Guest(from) = &source {
        if from.record.site != to.record.site {
            return Err(CommandError::input(format!(
                "{} is on site {} and {} on site {}; one site is walked at a time",
                from.record.name, from.record.site, to.record.name, to.record.site
            ))
            .hinted("ask with the address that the other site sees instead"));
        }
        if from.record.id == to.record.id {
            return Err(CommandError::input(format!("{} is sender and receiver", to.record.name))
                .hinted("packets of a guest to itself never reach the firewall"));
        }
    }
    Ok(Asked { source, to, payload, source_port })
}

/// Parts `GUEST:PORT[/PROTO]`.
pub(crate) fn target(text: &str) -> Result<(&str, Payload), CommandError> {
    let wrong = |why: String| {
        CommandError::input(why).hinted("write it as GUEST:PORT/PROTO, as in web-1:443/tcp or web-1:ping")
    };
    let (guest, rest) = text.rsplit_once(':').ok_or_else(|| wrong(format!("`{text}` names no port")))?;
    if rest == "ping" {
        return Ok((guest, Payload::Ping));
    }
    let (port, proto) = rest.split_once('/').unwrap_or((rest, "tcp"));
    Ok((guest, Payload::port(port, proto).map_err(wrong)?))
}

/// A guest, with the NIC that is named behind `@`.
pub(crate) async fn party(data: &Data, text: &str) -> Result<Party, CommandError> {
    let (name, nic) = match text.rsplit_once('@') {
        Some((name, nic)) => (name, Some(nic)),
        None => (text, None),
    };
    let record = guests::find(data, name).await?;
    let nic: Option<NicName> = nic
        .map(str::parse)
        .transpose()
        .map_err(|error: rl_model::ParseError| CommandError::input(format!("`{text}` names no NIC")).because(error))?;
    let of = |nic: &ResolvedNic| [nic.ipv4.leased(), nic.ipv6.leased()].into_iter().flatten().collect();
    let nics: Vec<(ResolvedNic, Vec<IpAddr>)> =
        record.applied.iter().flat_map(|guest| &guest.nics).map(|nic| (nic.clone(), of(nic))).collect();
    if let Some(nic) = &nic
        && !nics.iter().any(|(have, _)| have.name == *nic)
    {
        let names: Vec<&str> = nics.iter().map(|(have, _)| have.name.as_str()).collect();
        return Err(CommandError::input(format!("{} has no NIC `{nic}`", record.name))
            .hinted(format!("it has {}", names.join(", "))));
    }
    if nics.is_empty() {
        return Err(CommandError::input(format!("{} has no NIC", record.name))
            .hinted("a guest that was never applied to its end, or without `nics`, gets no packets"));
    }
    Ok(Party { record, nic, nics })
}

/// Who sends: an address that a guest of the site holds stands for that guest, unless it is the receiver.
pub(crate) async fn source(
    data: &Data,
    text: &str,
    site: &SiteName,
    to: Option<&Party>,
) -> Result<Source, CommandError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let all = data.store.all_guests().await.map_err(store_error)?;
        let has = |record: &GuestRecord| {
            let nics = record.applied.iter().flat_map(|guest| &guest.nics);
            nics.flat_map(|nic| [nic.ipv4.leased(), nic.ipv6.leased()]).flatten().any(|own| own == address)
        };
        let owner = all.into_iter().find(|record| record.site == *site && has(record));
        return match owner {
            Some(record) if to.is_none_or(|to| record.id != to.record.id) => {
                let mut party = party(data, &format!("{}/{}", record.stack, record.name)).await?;
                party.nics.retain(|(_, addresses)| addresses.contains(&address));
                Ok(Source::Guest(Box::new(party)))
            }
            _ => Ok(Source::Address(address)),
        };
    }
    match text.parse::<Cidr>() {
        Ok(net) => return Ok(Source::Network(net)),
        // A network with host bits, which no guest's name looks like.
        Err(error) if text.contains(['.', ':']) => {
            return Err(CommandError::input(format!("`{text}` names no network")).because(error));
        }
        Err(_) => {}
    }
    party(data, text).await.map(|party| Source::Guest(Box::new(party)))
}

/// Adds the addresses that running guests have by DHCP or autoconfiguration.
pub(crate) fn with_addresses(mut asked: Asked, live: &BTreeMap<Vmid, Vec<(NicName, Vec<IpAddr>)>>) -> Asked {
    asked.to.learn(live);
    if let Source::Guest(party) = &mut asked.source {
        party.learn(live);
    }
    asked
}

impl Asked {
    /// The guests it is about.
    pub(crate) fn guests(&self) -> Vec<&GuestRecord> {
        let from = match &self.source {
            Source::Guest(party) => Some(&party.record),
            Source::Address(_) | Source::Network(_) => None,
        };
        std::iter::once(&self.to.record).chain(from).collect()
    }

    /// The address packets come from.
    pub(crate) fn source_address(&self) -> Result<IpAddr, CommandError> {
        match &self.source {
            Source::Address(address) => Ok(*address),
            Source::Network(net) => Ok(net.net().network()),
            Source::Guest(_) => self.pair().map(|(from, _, _)| from),
        }
    }

    /// The question for packets from an address.
    pub(crate) fn question(&self, source: IpAddr) -> Result<Question, CommandError> {
        let (from, slot, dest) = match &self.source {
            Source::Guest(party) => {
                let (address, to, from_slot) = self.pair()?;
                debug_assert_eq!(address, source);
                let dest = to.1;
                (Sender::Guest(party.record.vmid, from_slot), to.0, dest)
            }
            _ => {
                let (slot, dest) = self.receiver(source)?;
                (Sender::Outside, slot, dest)
            }
        };
        let packet = self.payload.packet(source, dest, self.source_port);
        Ok(Question { from, to: (self.to.record.vmid, slot), packet })
    }

    /// The receiver's NIC and address for packets from an address.
    fn receiver(&self, source: IpAddr) -> Result<(NicSlot, IpAddr), CommandError> {
        self.to.towards(source)
    }

    /// Sender's address, receiver's NIC and address, and sender's NIC. A NIC of a network both are in comes first.
    fn pair(&self) -> Result<(IpAddr, (NicSlot, IpAddr), NicSlot), CommandError> {
        let Source::Guest(from) = &self.source else {
            return Err(CommandError::input("the sender is no guest"));
        };
        let mut senders = from.candidates();
        let receivers = self.to.candidates();
        senders.sort_by_key(|(nic, _)| !receivers.iter().any(|(other, _)| other.network == nic.network));
        for (nic, addresses) in &senders {
            for address in *addresses {
                if let Ok((slot, dest)) = self.receiver(*address) {
                    return Ok((*address, (slot, dest), nic.slot));
                }
            }
        }
        Err(from.no_address("common"))
    }
}

impl Party {
    /// Adds the addresses that it has while it runs.
    pub(crate) fn learn(&mut self, live: &BTreeMap<Vmid, Vec<(NicName, Vec<IpAddr>)>>) {
        for (name, addresses) in live.get(&self.record.vmid).into_iter().flatten() {
            let nic = self.nics.iter_mut().find(|(nic, _)| nic.name == *name);
            if let Some((_, known)) = nic {
                let new: Vec<IpAddr> = addresses.iter().filter(|address| !known.contains(*address)).copied().collect();
                known.extend(new);
            }
        }
    }

    /// The NIC and address it deals with somebody through: the NIC named, else the one whose network the other is in, else the
    /// first with an address of the family.
    pub(crate) fn towards(&self, dest: IpAddr) -> Result<(NicSlot, IpAddr), CommandError> {
        let candidates = self.candidates();
        let near = candidates.iter().find(|(nic, _)| on_link(nic, dest));
        let family = |address: &IpAddr| address.is_ipv4() == dest.is_ipv4();
        let mut found = near.into_iter().chain(&candidates);
        let found = found.find_map(|(nic, own)| own.iter().copied().find(family).map(|own| (nic.slot, own)));
        found.ok_or_else(|| self.no_address(if dest.is_ipv4() { "IPv4" } else { "IPv6" }))
    }

    /// The NICs that are meant.
    fn candidates(&self) -> Vec<(&ResolvedNic, &[IpAddr])> {
        let meant = |nic: &ResolvedNic| self.nic.as_ref().is_none_or(|name| nic.name == *name);
        self.nics.iter().filter(|(nic, _)| meant(nic)).map(|(nic, own)| (nic, own.as_slice())).collect()
    }

    fn no_address(&self, family: &str) -> CommandError {
        CommandError::input(format!("no {family} address of {} is known", self.record.name))
            .hinted("start the guest, so that its addresses can be read, or ask with an address of the other family")
    }
}

fn on_link(nic: &ResolvedNic, address: IpAddr) -> bool {
    [nic.ipv4, nic.ipv6].iter().any(|mode| match mode {
        rl_model::AddressMode::Static { address: own, .. } => own.network().contains(address),
        _ => false,
    })
}
