//! The library's side of the fixture: what it says of a packet, and what that leaves behind.

use std::net::IpAddr;

use prroute_common::flow::Flow;
use prroute_common::reason::Reason;
use prroute_ebpf::decide::{
    self, FlowEntry, Inbound, InboundPacket, Locality, Outbound, OutboundPacket, UplinkRef,
};
use prroute_ebpf::wire::key;
use prroute_ebpf::wire::parse::{Kind, Segment, protocol};
use prroute_oracle::ETHERNET;

use super::family::Readable;
use super::traces::Traces;
use super::{IN, OUT};
use crate::fixture::{CLIENT_PORTS, Fixture, PASS, REDIRECT};

/// In the library's runs; the kernel's clock is another.
pub(super) const NOW: u32 = 1000;

/// As the fixture loads the programs.
fn is_client(port: [u8; 2]) -> bool {
    (CLIENT_PORTS.0..=CLIENT_PORTS.1).contains(&u16::from_be_bytes(port))
}

/// The library's side of the fixture.
pub(super) struct Model {
    owners: Vec<(IpAddr, Option<u16>)>,
    /// An address of [`OUT`] was seen on [`IN`].
    is_exposed: bool,
}

impl Model {
    pub(super) fn of(fixture: &Fixture) -> Self {
        let owners = fixture.locals.iter().map(|local| (local.address, local.owner.map(|id| id.0)));
        Self { owners: owners.collect(), is_exposed: false }
    }

    fn locality(&self, here: u16, address: IpAddr) -> Locality {
        match self.owners.iter().find(|(known, _)| *known == address) {
            None => Locality::NotLocal,
            Some((_, None)) => Locality::Shared,
            Some((_, Some(owner))) if *owner == here => Locality::OwnedHere,
            Some((_, Some(owner))) => Locality::OwnedBy(*owner),
        }
    }

    /// Whether a packet that comes in is a SYN that is only noted.
    pub(super) fn is_noted<F: Readable>(
        &self,
        segment: &Segment<F::Address>,
        frame: &[u8],
    ) -> bool {
        segment.kind == Kind::TcpOpening
            && self.locality(IN, F::ip(segment.destination)) == Locality::OwnedHere
            && F::fast_headers(&frame, ETHERNET).is_some()
    }

    /// A packet that comes in: what it leaves, and the flow it opens.
    pub(super) fn arrives<F: Readable>(
        &mut self,
        segment: &Segment<F::Address>,
    ) -> (Traces, Option<Flow>) {
        let address = F::ip(segment.destination);
        let destination = self.locality(IN, address);
        if !decide::inbound_needs_flow(segment.kind, destination, false, false) {
            return Default::default();
        }
        self.is_exposed |= matches!(destination, Locality::OwnedBy(_));
        let arrival = InboundPacket {
            kind: segment.kind,
            protocol: segment.protocol,
            tcp: segment.tcp,
            payload: 0,
            destination,
            here: UplinkRef { id: IN, generation: 1 },
            router: 0,
            to_client_port: is_client(segment.destination_port),
            now: NOW,
        };
        let (flow, reason) = match decide::inbound(&arrival, None, true) {
            // Nothing is forwarded here, so that nobody is behind the host.
            Inbound::Open(_) if destination == Locality::NotLocal => return Default::default(),
            Inbound::Open(flow) => (flow, Reason::OpenedInbound),
            Inbound::Adopt(flow) => (flow, Reason::Adopted),
            Inbound::Pass => return Default::default(),
            other => panic!("{other:?} of an unknown flow"),
        };
        let listed = F::listed(&key::inbound::<F>(segment), true);
        (Traces { flows: vec![listed], counts: vec![(IN, reason)] }, Some(flow))
    }

    /// A packet that leaves: what the program returns, and what is new.
    pub(super) fn leaves<F: Readable>(
        &self,
        segment: &Segment<F::Address>,
        length: usize,
        known: Option<FlowEntry>,
    ) -> (i32, Traces) {
        let nothing = (PASS, Traces::default());
        let address = F::ip(segment.source);
        let source = self.locality(OUT, address);
        if source == Locality::NotLocal && segment.kind != Kind::Error {
            return nothing;
        }
        if !decide::outbound_needs_flow(segment.kind, source, self.is_exposed, false, false) {
            return nothing;
        }
        let headers = ETHERNET + segment.headers as usize;
        let departure = OutboundPacket {
            kind: segment.kind,
            tcp: segment.tcp,
            payload: length.saturating_sub(headers) as u32,
            source,
            here: UplinkRef { id: OUT, generation: 1 },
            leaves_by: UplinkRef { id: OUT, generation: 1 },
            forwarded: false,
            from_client_port: is_client(segment.source_port),
            now: NOW,
        };
        // No UDP socket sends it, and from a client's port nobody else answers.
        let is_unasked = segment.protocol == protocol::UDP
            && segment.kind == Kind::Datagram
            && departure.from_client_port;
        match decide::outbound(&departure, known.filter(|_| !is_unasked)) {
            Outbound::OpenByHost(_) => {
                let listed = F::listed(&key::outbound::<F>(segment), false);
                let counts = vec![(OUT, Reason::OpenedByHost)];
                (PASS, Traces { flows: vec![listed], counts })
            }
            Outbound::Pass => nothing,
            Outbound::Unproved => (PASS, Traces::counted(OUT, Reason::Unconfirmed)),
            Outbound::Reply { uplink, write, .. } => {
                let mut traces = Traces::counted(uplink.id, Reason::Redirected);
                if matches!(write, decide::Write::Confirm(_)) {
                    traces.counts.push((uplink.id, Reason::Confirmed));
                }
                (REDIRECT, traces)
            }
            Outbound::ToOwner(owner) => {
                (REDIRECT, Traces::counted(owner, Reason::RedirectedToOwner))
            }
            other => panic!("{other:?} of a local packet"),
        }
    }
}
