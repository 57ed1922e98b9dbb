//! The host's tables: found and written as the programs do it. The decisions are the library's; what
//! is written again here is the order in which entries are found (`bpf/lookup.rs`: `flow`,
//! `opening_flow`; `bpf/slow_in.rs` and `bpf/slow_out.rs`: `prepare`, `find`, `newer`, `is_unasked`,
//! `listen`, `carry_out`; `bpf/opening.rs`: `recall`; `bpf/record.rs`).

use std::collections::{BTreeMap, BTreeSet};

use prroute_common::address::{EXPOSURE, EXPOSURE_REFRESH};
use prroute_common::flow::{Flow, Origin};
use prroute_common::source::HostPeer;
use prroute_common::time::{Ticks, since};
use prroute_ebpf::opening::Opening;
use prroute_ebpf::parse::{Kind, protocol};
use prroute_ebpf::source;
use prroute_ebpf::verdict::{
    self, Arrival, AtSyn, Departure, Inbound, Known, Locality, Outbound, Place, Write,
    is_worth_writing,
};

use super::event::{Socket, Table};
use super::packet::{CLIENT_PORT, Key, Packet};
use super::world::{Host, Moved, UPLINKS};

/// Whether the host's datagrams have sockets that the programs see. Test runs in the kernel have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sockets {
    There,
    None,
}

#[derive(Debug)]
pub struct Tables {
    now: Ticks,
    sockets: Sockets,
    last_hop: bool,
    is_down: BTreeSet<u16>,
    flows: BTreeMap<Key, Flow>,
    datagrams: BTreeMap<Key, Flow>,
    new: BTreeMap<Key, Flow>,
    syns: BTreeMap<u32, u64>,
    exposed: BTreeMap<u16, Ticks>,
    host_peers: BTreeMap<Key, HostPeer>,
    has_client: bool,
}

/// An entry and its table.
type Entry = (Table, Known);

const fn place(uplink: u16) -> Place {
    Place { uplink, generation: 1 }
}

impl Tables {
    pub fn new(sockets: Sockets, last_hop: bool) -> Self {
        Self {
            now: 1 << 30,
            sockets,
            last_hop,
            is_down: BTreeSet::new(),
            flows: BTreeMap::new(),
            datagrams: BTreeMap::new(),
            new: BTreeMap::new(),
            syns: BTreeMap::new(),
            exposed: BTreeMap::new(),
            host_peers: BTreeMap::new(),
            has_client: false,
        }
    }

    /// What is listed of a flow: a confirmed one hides an unconfirmed one.
    pub fn listed(&self, key: Key) -> Option<(Flow, bool)> {
        let confirmed = self.table(confirmed_table(key)).get(&key).map(|flow| (*flow, true));
        confirmed.or_else(|| self.new.get(&key).map(|flow| (*flow, false)))
    }

    fn table(&self, table: Table) -> &BTreeMap<Key, Flow> {
        match table {
            Table::Flows => &self.flows,
            Table::Datagrams => &self.datagrams,
            Table::New | Table::Syns => &self.new,
        }
    }

    fn table_mut(&mut self, table: Table) -> &mut BTreeMap<Key, Flow> {
        match table {
            Table::Flows => &mut self.flows,
            Table::Datagrams => &mut self.datagrams,
            Table::New | Table::Syns => &mut self.new,
        }
    }

    fn entry(&self, table: Table, key: Key) -> Option<Entry> {
        let flow = *self.table(table).get(&key)?;
        let is_confirmed = table != Table::New;
        Some((table, Known::from_entry(flow, is_confirmed, key.protocol, self.now)?))
    }

    fn live(&self, table: Table, key: Key) -> Option<Entry> {
        self.entry(table, key).filter(|(_, known)| !known.is_aged)
    }

    fn flow(&self, key: Key) -> Option<Entry> {
        let first = self.entry(confirmed_table(key), key);
        match first {
            Some((_, known)) if !known.is_aged => return first,
            _ if key.protocol == protocol::TCP => return self.live(Table::New, key),
            _ => {}
        }
        match self.entry(Table::New, key) {
            Some(second) if first.is_none() || !second.1.is_aged => Some(second),
            _ => first,
        }
    }

    fn opening_flow(&self, key: Key) -> Option<Entry> {
        self.live(Table::New, key).or_else(|| self.live(confirmed_table(key), key))
    }

    fn is_exposed(&self, owner: u16) -> bool {
        self.exposed.get(&owner).is_some_and(|at| since(self.now, *at) < EXPOSURE)
    }

    fn refresh(&mut self, key: Key, entry: Option<Entry>, flow: Flow) {
        if let Some((table, known)) = entry
            && is_worth_writing(&known.flow, &flow)
        {
            self.table_mut(table).insert(key, flow);
        }
    }

    fn confirm(&mut self, key: Key, entry: Option<Entry>, flow: Flow) {
        self.table_mut(confirmed_table(key)).insert(key, flow);
        if let Some((Table::New, _)) = entry {
            self.new.insert(key, Flow::default());
        }
    }

    fn recall(&mut self, key: Key) {
        let opening = opening(key);
        let Some(noted) = self.syns.get(&opening.slot).and_then(|w| opening.noted(*w, self.now))
        else {
            return;
        };
        let place = place(noted.uplink());
        let flow = verdict::opened_at(place, noted.time);
        let table = match self.flow(key) {
            None => Table::New,
            Some((table, known)) => match known.at_syn(place, noted.time) {
                AtSyn::Stays => return,
                AtSyn::IsReplaced => table,
                AtSyn::GetsAnother => match self.live(Table::New, key) {
                    Some((_, beside)) if beside.at_syn(place, noted.time) == AtSyn::Stays => return,
                    _ => Table::New,
                },
            },
        };
        self.table_mut(table).insert(key, flow);
    }

    fn has_socket(&self, key: Key) -> bool {
        self.sockets == Sockets::There && (key.local_port != CLIENT_PORT || self.has_client)
    }

    fn is_unasked(&self, packet: &Packet, known: &Known) -> bool {
        let is_open = known.origin == Origin::Inbound && !known.flow.is_answered();
        if packet.kind != Kind::Datagram || !is_open {
            return false;
        }
        let is_client = packet.key.local_port == CLIENT_PORT;
        if self.sockets == Sockets::There
            && (known.flow.has_no_socket() || (is_client && packet.socket == Socket::Connected))
        {
            return true;
        }
        let peer = self.host_peers.get(&packet.key);
        peer.is_some_and(|peer| source::is_hosts(peer, is_client, self.now))
    }

    /// Where a packet that leaves belongs, and what is noted of it.
    fn decide(&mut self, by: u16, packet: &Packet) -> Option<(u16, u64)> {
        let (key, source) = (packet.key, packet.key.service.locality(by));
        let is_exposed = source == Locality::OwnedHere && self.is_exposed(by);
        if !verdict::outbound_needs_flow(packet.kind, source, is_exposed, self.last_hop) {
            return None;
        }
        let departure = Departure {
            kind: packet.kind,
            tcp: packet.tcp,
            payload: packet.payload,
            source,
            here: place(by),
            forwarded: false,
            from_client_port: key.local_port == CLIENT_PORT,
            now: self.now,
        };
        let is_tcp = key.protocol == protocol::TCP;
        if is_tcp && (source.is_owned() || packet.kind == Kind::TcpAnswer) {
            self.recall(key);
        }
        let answers_syn = packet.kind == Kind::TcpAnswer
            || (packet.kind == Kind::TcpReset && packet.tcp.sequence == 0);
        let mut entry = if answers_syn { self.opening_flow(key) } else { self.flow(key) };
        if let Some((_, known)) = entry
            && !answers_syn
            && is_tcp
            && known.confirmed
            && verdict::may_be_superseded_out(&known, &departure)
            && let Some(newer) = self.live(Table::New, key)
            && verdict::is_preferred_out(&newer.1, &departure)
        {
            entry = Some(newer);
        }
        let is_disowned = entry.is_some_and(|(_, known)| self.is_unasked(packet, &known));
        let known = entry.map(|(_, known)| known).filter(|_| !is_disowned);
        match verdict::outbound(&departure, known) {
            Outbound::Pass | Outbound::Unproved => None,
            Outbound::OpenByHost(flow) => {
                let table = entry.map_or(Table::New, |(table, _)| table);
                self.table_mut(table).insert(key, flow);
                None
            }
            Outbound::Own(write) => {
                self.write(key, entry, write);
                None
            }
            Outbound::Reply { place, router, write } => {
                self.write(key, entry, write);
                Some((place.uplink, router))
            }
            Outbound::ToOwner(owner) => Some((owner, 0)),
        }
    }

    fn write(&mut self, key: Key, entry: Option<Entry>, write: Write) {
        match write {
            Write::Nothing => {}
            Write::Refresh(flow) => self.refresh(key, entry, flow),
            Write::Confirm(flow) => self.confirm(key, entry, flow),
        }
    }
}

fn confirmed_table(key: Key) -> Table {
    if key.protocol == protocol::TCP { Table::Flows } else { Table::Datagrams }
}

fn opening(key: Key) -> Opening {
    let ports = u32::from(key.local_port) << 16 | u32::from(key.remote_port);
    Opening::of::<4>([key.service as u32, 0, ports, key.protocol.into()], |index| index as u32)
}

impl Host for Tables {
    fn comes_in(&mut self, uplink: u16, packet: &Packet) -> Result<(), String> {
        let (key, destination) = (packet.key, packet.key.service.locality(uplink));
        let is_here = destination == Locality::OwnedHere;
        let is_exposed = is_here && self.is_exposed(uplink);
        if is_here && packet.kind == Kind::TcpOpening && !is_exposed && !self.last_hop {
            let opening = opening(key);
            self.syns.insert(opening.slot, opening.at(place(uplink), self.now));
            return Ok(());
        }
        if !verdict::inbound_needs_flow(packet.kind, destination, is_exposed, self.last_hop) {
            return Ok(());
        }
        if let Locality::OwnedBy(owner) = destination {
            let at = self.exposed.get(&owner);
            if at.is_none_or(|at| since(self.now, *at) >= EXPOSURE_REFRESH) {
                self.exposed.insert(owner, self.now);
            }
        }
        let arrival = Arrival {
            kind: packet.kind,
            protocol: key.protocol,
            tcp: packet.tcp,
            destination,
            here: place(uplink),
            router: if self.last_hop { packet.router } else { 0 },
            to_client_port: key.local_port == CLIENT_PORT,
            now: self.now,
        };
        let is_tcp = key.protocol == protocol::TCP;
        if is_tcp && destination.is_owned() {
            self.recall(key);
        }
        let mut entry = self.flow(key);
        if let Some((_, known)) = entry
            && is_tcp
            && known.confirmed
            && verdict::may_be_superseded_in(&known, &arrival)
            && let Some(newer) = self.live(Table::New, key)
            && verdict::is_preferred_in(&newer.1, &arrival)
        {
            entry = Some(newer);
        }
        let known = entry.map(|(_, known)| known);
        let recorded = known.map_or(uplink, |known| known.flow.uplink());
        let verdict = verdict::inbound(&arrival, known, !self.is_down.contains(&recorded));
        let begins = matches!(verdict, Inbound::Open(_) | Inbound::Rebind(_));
        let is_for_nobody =
            known.is_some_and(|known| known.flow.has_no_socket() && !known.flow.is_answered());
        let looks = packet.kind == Kind::Datagram && (begins || is_for_nobody);
        let listened =
            |flow: Flow| if looks { flow.with_socket(self.has_socket(key)) } else { flow };
        match verdict {
            Inbound::Pass | Inbound::RefuseRebind => {}
            Inbound::Open(flow) | Inbound::Adopt(flow) => {
                let flow = listened(flow);
                self.new.insert(key, flow);
            }
            Inbound::Refresh(flow) => self.refresh(key, entry, listened(flow)),
            Inbound::Confirm(flow) => self.confirm(key, entry, listened(flow)),
            Inbound::Rebind(flow) => {
                let (table, flow) = (entry.map_or(Table::New, |(table, _)| table), listened(flow));
                self.table_mut(table).insert(key, flow);
            }
        }
        Ok(())
    }

    fn leaves(&mut self, by: u16, packet: &Packet) -> Result<Option<Moved>, String> {
        let is_query = packet.key.local_port == CLIENT_PORT;
        if is_query && self.sockets == Sockets::There {
            self.has_client = true;
            if packet.socket == Socket::Wildcard {
                // The socket program notes whom a socket without an address sends to.
                let (now, key) = (self.now, packet.key);
                let fresh = HostPeer { opened_at: now, last_sent: now };
                source::sent_unasked(self.host_peers.entry(key).or_insert(fresh), now);
            }
        }
        let decided = self.decide(by, packet);
        let is_there = |uplink: u16| UPLINKS.contains(&uplink) && !self.is_down.contains(&uplink);
        Ok(decided.filter(|(uplink, _)| is_there(*uplink)).and_then(|(uplink, router)| {
            (uplink != by || router != 0).then_some(Moved { uplink, router })
        }))
    }

    fn time_passes(&mut self, ticks: Ticks) {
        self.now += ticks;
    }

    fn link(&mut self, uplink: u16, is_up: bool) {
        if is_up {
            self.is_down.remove(&uplink);
        } else {
            self.is_down.insert(uplink);
        }
    }

    fn evict(&mut self, table: Table) {
        match table {
            Table::Syns => self.syns.clear(),
            table => self.table_mut(table).clear(),
        }
    }

    fn restart(&mut self) {}
}
