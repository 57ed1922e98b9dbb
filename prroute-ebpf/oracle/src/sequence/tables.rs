//! The host's tables: found and written as the programs do it. The decisions are the library's; what
//! is written again, here and in `host`, is the order of the steps and in which entries are found
//! (`prroute-ebpf/src/bpf`: `inbound`, `outbound`, `lookup`, `write`, `syn_cache`).

use std::collections::{BTreeMap, BTreeSet};

use prroute_common::address::EXPOSURE;
use prroute_common::flow::{Flow, Origin};
use prroute_common::time::{Ticks, since};
use prroute_common::udp_origin::HostPeer;
use prroute_ebpf::decide::syn_cache::SynSlot;
use prroute_ebpf::decide::udp_origin;
use prroute_ebpf::decide::{
    self, AtSyn, FlowEntry, OutboundPacket, UplinkRef, Write, worth_writing,
};
use prroute_ebpf::wire::parse::{Kind, protocol};

use super::event::Table;
use super::packet::{CLIENT_PORT, Key, Packet};

/// Whether the host's datagrams have sockets that the programs see. Test runs in the kernel have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sockets {
    There,
    None,
}

#[derive(Debug)]
pub struct Tables {
    pub(super) now: Ticks,
    pub(super) sockets: Sockets,
    pub(super) last_hop: bool,
    pub(super) is_down: BTreeSet<u16>,
    pub(super) flows: BTreeMap<Key, Flow>,
    pub(super) datagrams: BTreeMap<Key, Flow>,
    pub(super) new: BTreeMap<Key, Flow>,
    pub(super) syns: BTreeMap<u32, u64>,
    pub(super) exposed: BTreeMap<u16, Ticks>,
    pub(super) host_peers: BTreeMap<Key, HostPeer>,
    pub(super) has_client: bool,
    /// What the host has connected from a client port.
    pub(super) connected: BTreeSet<Key>,
}

/// An entry and its table.
pub(super) type Entry = (Table, FlowEntry);

pub(super) const fn place(uplink: u16) -> UplinkRef {
    UplinkRef { id: uplink, generation: 1 }
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
            connected: BTreeSet::new(),
        }
    }

    /// What is listed of a flow: a confirmed one hides an unconfirmed one.
    pub fn listed(&self, key: Key) -> Option<(Flow, bool)> {
        let confirmed = self.table(confirmed_table(key)).get(&key).map(|flow| (*flow, true));
        confirmed.or_else(|| self.new.get(&key).map(|flow| (*flow, false)))
    }

    pub(super) fn table(&self, table: Table) -> &BTreeMap<Key, Flow> {
        match table {
            Table::Flows => &self.flows,
            Table::Datagrams => &self.datagrams,
            Table::New | Table::Syns => &self.new,
        }
    }

    pub(super) fn table_mut(&mut self, table: Table) -> &mut BTreeMap<Key, Flow> {
        match table {
            Table::Flows => &mut self.flows,
            Table::Datagrams => &mut self.datagrams,
            Table::New | Table::Syns => &mut self.new,
        }
    }

    pub(super) fn entry(&self, table: Table, key: Key) -> Option<Entry> {
        let flow = *self.table(table).get(&key)?;
        let is_confirmed = table != Table::New;
        Some((table, FlowEntry::new(flow, is_confirmed, key.protocol, self.now)?))
    }

    pub(super) fn live(&self, table: Table, key: Key) -> Option<Entry> {
        self.entry(table, key).filter(|(_, known)| !known.is_aged)
    }

    pub(super) fn flow(&self, key: Key) -> Option<Entry> {
        let first = self.entry(confirmed_table(key), key);
        match first {
            Some((_, known)) if !known.is_aged => return first,
            _ if key.protocol == protocol::TCP => return self.live(Table::New, key),
            _ => {}
        }
        let at_client_port = key.local_port == CLIENT_PORT;
        let is_preferred = |newer: &FlowEntry| {
            first.is_none_or(|(_, older)| {
                let is_preferred = decide::is_preferred_aged;
                !newer.is_aged || is_preferred(&newer.flow, &older.flow, at_client_port)
            })
        };
        self.entry(Table::New, key).filter(|(_, newer)| is_preferred(newer)).or(first)
    }

    pub(super) fn of_syn(&self, key: Key, packet: &OutboundPacket) -> Option<Entry> {
        let newer = self.live(Table::New, key);
        match newer {
            Some((_, known)) if decide::is_answered(&known, packet) => newer,
            _ => self.live(confirmed_table(key), key),
        }
    }

    pub(super) fn is_exposed(&self, owner: u16) -> bool {
        self.exposed.get(&owner).is_some_and(|at| since(self.now, *at) < EXPOSURE)
    }

    pub(super) fn refresh(&mut self, key: Key, entry: Option<Entry>, flow: Flow) {
        if let Some((table, known)) = entry {
            let flow = worth_writing(&known.flow, &flow);
            self.table_mut(table).insert(key, flow);
        }
    }

    pub(super) fn confirm(&mut self, key: Key, entry: Option<Entry>, flow: Flow) {
        self.table_mut(confirmed_table(key)).insert(key, flow);
        if let Some((Table::New, _)) = entry {
            self.new.insert(key, Flow::default());
        }
    }

    pub(super) fn promote(&mut self, key: Key) {
        let slot = syn_slot(key);
        let Some(syn) = self.syns.get(&slot.index).and_then(|word| slot.cached(*word, self.now))
        else {
            return;
        };
        let place = place(syn.uplink());
        let flow = decide::opened_at(place, syn.time);
        let table = match self.flow(key) {
            None => Table::New,
            Some((table, known)) => match known.at_syn(place, syn.time) {
                AtSyn::Stays => return,
                AtSyn::IsReplaced => table,
                AtSyn::GetsAnother => match self.live(Table::New, key) {
                    Some((_, beside)) if beside.at_syn(place, syn.time) == AtSyn::Stays => return,
                    _ => Table::New,
                },
            },
        };
        self.table_mut(table).insert(key, flow);
    }

    pub(super) fn has_socket(&self, key: Key) -> bool {
        let is_client = key.local_port == CLIENT_PORT;
        let is_asked = !is_client || (self.has_client && !self.connected.contains(&key));
        self.sockets == Sockets::There && is_asked
    }

    pub(super) fn is_unasked(&self, packet: &Packet, known: &FlowEntry) -> bool {
        let is_open = known.origin == Origin::Inbound && !known.flow.is_answered();
        if packet.kind != Kind::Datagram || !is_open {
            return false;
        }
        let is_client = packet.key.local_port == CLIENT_PORT;
        // Without sockets it is a translation that sends, but not from a client's port.
        if known.flow.has_no_socket() && (is_client || self.sockets == Sockets::There) {
            return true;
        }
        let peer = self.host_peers.get(&packet.key);
        peer.is_some_and(|peer| udp_origin::is_hosts(peer, is_client, self.now))
    }

    pub(super) fn write(&mut self, key: Key, entry: Option<Entry>, write: Write) {
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

pub(super) fn syn_slot(key: Key) -> SynSlot {
    let ports = u32::from(key.local_port) << 16 | u32::from(key.remote_port);
    SynSlot::of::<4>([key.service as u32, 0, ports, key.protocol.into()], |index| index as u32)
}
