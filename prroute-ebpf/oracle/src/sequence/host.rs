//! The host, as its tables are modelled: what comes in is recorded, what leaves is moved.

use prroute_common::address::EXPOSURE_REFRESH;
use prroute_common::flow::Flow;
use prroute_common::time::{Ticks, since};
use prroute_common::udp_origin::HostPeer;
use prroute_ebpf::decide::udp_origin;
use prroute_ebpf::decide::{self, Inbound, InboundPacket, Locality, Outbound, OutboundPacket};
use prroute_ebpf::wire::parse::{Kind, protocol};

use super::event::{Socket, Table};
use super::packet::{CLIENT_PORT, Packet};
use super::tables::{Sockets, Tables, place, syn_slot};
use super::world::{Host, Moved, UPLINKS};
use crate::fast_path;

impl Tables {
    /// Where a packet that leaves belongs, and what is written of its flow.
    fn decide(&mut self, by: u16, packet: &Packet) -> Result<Option<(u16, u64)>, String> {
        let (key, source) = (packet.key, packet.key.service.locality(by));
        let is_exposed = source == Locality::OwnedHere && self.is_exposed(by);
        if !decide::outbound_needs_flow(packet.kind, source, is_exposed, self.last_hop, false) {
            return Ok(None);
        }
        let departure = OutboundPacket {
            kind: packet.kind,
            tcp: packet.tcp,
            payload: packet.payload,
            source,
            here: place(by),
            leaves_by: place(by),
            forwarded: false,
            from_client_port: key.local_port == CLIENT_PORT,
            now: self.now,
        };
        let is_tcp = key.protocol == protocol::TCP;
        if is_tcp && (source.is_owned() || packet.kind == Kind::TcpAnswer) {
            self.promote(key);
        }
        let answers_syn = packet.kind == Kind::TcpAnswer
            || (packet.kind == Kind::TcpReset && packet.tcp.sequence == 0);
        let mut entry = if answers_syn { self.of_syn(key, &departure) } else { self.flow(key) };
        if let Some((_, known)) = entry
            && !answers_syn
            && is_tcp
            && known.confirmed
            && decide::may_be_superseded_out(&known, &departure)
            && let Some(newer) = self.live(Table::New, key)
            && decide::is_preferred_out(&newer.1, &departure)
        {
            entry = Some(newer);
        }
        let is_disowned = entry.is_some_and(|(_, known)| self.is_unasked(packet, &known));
        let known = entry.map(|(_, known)| known).filter(|_| !is_disowned);
        if let Some(known) = &known {
            fast_path::outbound_agrees(&departure, known, key.protocol)?;
        }
        Ok(match decide::outbound(&departure, known) {
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
            Outbound::Reply { uplink, router, write } => {
                self.write(key, entry, write);
                Some((uplink.id, router))
            }
            Outbound::ToOwner(owner) => Some((owner, 0)),
        })
    }
}

impl Host for Tables {
    fn comes_in(&mut self, uplink: u16, packet: &Packet) -> Result<(), String> {
        let (key, destination) = (packet.key, packet.key.service.locality(uplink));
        let is_here = destination == Locality::OwnedHere;
        let is_exposed = is_here && self.is_exposed(uplink);
        if is_here && packet.kind == Kind::TcpOpening && !is_exposed && !self.last_hop {
            let slot = syn_slot(key);
            self.syns.insert(slot.index, slot.word(place(uplink), self.now));
            return Ok(());
        }
        if !decide::inbound_needs_flow(packet.kind, destination, is_exposed, self.last_hop) {
            return Ok(());
        }
        if let Locality::OwnedBy(owner) = destination {
            let at = self.exposed.get(&owner);
            if at.is_none_or(|at| since(self.now, *at) >= EXPOSURE_REFRESH) {
                self.exposed.insert(owner, self.now);
            }
        }
        let arrival = InboundPacket {
            kind: packet.kind,
            protocol: key.protocol,
            tcp: packet.tcp,
            payload: packet.payload,
            destination,
            here: place(uplink),
            router: if self.last_hop { packet.router } else { 0 },
            to_client_port: key.local_port == CLIENT_PORT,
            now: self.now,
        };
        let is_tcp = key.protocol == protocol::TCP;
        if is_tcp && destination.is_owned() {
            self.promote(key);
        }
        let mut entry = self.flow(key);
        if let Some((_, known)) = entry
            && is_tcp
            && known.confirmed
            && decide::may_be_superseded_in(&known, &arrival)
            && let Some(newer) = self.live(Table::New, key)
            && decide::is_preferred_in(&newer.1, &arrival)
        {
            entry = Some(newer);
        }
        let known = entry.map(|(_, known)| known);
        let recorded = known.map_or(uplink, |known| known.flow.uplink());
        let is_up = !self.is_down.contains(&recorded);
        if let Some(known) = &known {
            fast_path::inbound_agrees(&arrival, known, is_up)?;
        }
        let decision = decide::inbound(&arrival, known, is_up);
        let begins = matches!(decision, Inbound::Open(_) | Inbound::Rebind(_));
        let is_for_nobody = known.is_some_and(|known| known.flow.is_for_nobody());
        let looks = packet.kind == Kind::Datagram && (begins || is_for_nobody);
        let listened =
            |flow: Flow| if looks { flow.with_socket(self.has_socket(key)) } else { flow };
        match decision {
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
        let is_query = packet.kind == Kind::Datagram && packet.key.local_port == CLIENT_PORT;
        if is_query && self.sockets == Sockets::There {
            self.has_client = true;
            if packet.socket == Socket::Connected {
                self.connected.insert(packet.key);
            }
            if packet.socket == Socket::Wildcard {
                // The socket program notes whom a socket without an address sends to.
                let (now, key) = (self.now, packet.key);
                let fresh = HostPeer { opened_at: now, last_sent: now };
                udp_origin::sent_unasked(self.host_peers.entry(key).or_insert(fresh), now);
            }
        }
        let decided = self.decide(by, packet)?;
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
