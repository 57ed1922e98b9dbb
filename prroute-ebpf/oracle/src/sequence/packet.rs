//! Packets, and whose they are.

use prroute_ebpf::decide::Locality;
use prroute_ebpf::wire::parse::{Kind, Numbers, TcpFlags, protocol};

use super::event::Socket;

/// The host's service.
const TCP_SERVICE: u16 = 443;
const UDP_SERVICE: u16 = 5060;
/// From where the host asks others; the kernel gives it to clients.
pub const CLIENT_PORT: u16 = 40_000;
const PEER: [u16; 2] = [50_001, 50_002];

/// The host's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    Shared,
    /// Uplink 1 owns it.
    Owned1,
    Owned2,
}

impl Service {
    pub(super) const fn owner(self) -> Option<u16> {
        match self {
            Self::Shared => None,
            Self::Owned1 => Some(1),
            Self::Owned2 => Some(2),
        }
    }

    pub(super) fn locality(self, here: u16) -> Locality {
        match self.owner() {
            None => Locality::Shared,
            Some(owner) if owner == here => Locality::OwnedHere,
            Some(owner) => Locality::OwnedBy(owner),
        }
    }
}

/// Who talks to which address of the host: at most one connection and two conversations at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    pub service: Service,
    /// Which port of the peer.
    pub port: u8,
}

/// The key of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub service: Service,
    pub local_port: u16,
    pub remote_port: u16,
    pub protocol: u8,
}

impl Name {
    pub fn tcp(self) -> Key {
        self.key(TCP_SERVICE, protocol::TCP)
    }

    pub(super) fn udp(self) -> Key {
        self.key(UDP_SERVICE, protocol::UDP)
    }

    pub(super) fn query(self) -> Key {
        self.key(CLIENT_PORT, protocol::UDP)
    }

    /// Of a connection that the host opens.
    pub fn dial(self) -> Key {
        self.key(CLIENT_PORT, protocol::TCP)
    }

    fn key(self, local_port: u16, protocol: u8) -> Key {
        let remote_port = PEER[usize::from(self.port) % PEER.len()];
        Key { service: self.service, local_port, remote_port, protocol }
    }
}

/// A packet to the host or of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    pub key: Key,
    pub kind: Kind,
    pub tcp: Numbers,
    /// Bytes behind the transport header.
    pub payload: u32,
    /// Who put it on the link: the link-layer address of a packet that comes in.
    pub router: u64,
    /// Of a datagram from a client port: what sends it.
    pub socket: Socket,
}

impl Packet {
    pub(super) fn segment(key: Key, kind: Kind, sequence: u32, acknowledgement: u32) -> Self {
        let acknowledges = kind != Kind::TcpOpening;
        let acknowledgement = if acknowledges { acknowledgement } else { 0 };
        let tcp = Numbers { sequence, acknowledgement, flags: TcpFlags::new(acknowledges, false) };
        Self { key, kind, tcp, payload: 0, router: 0, socket: Socket::Bound }
    }

    pub(super) fn datagram(key: Key, socket: Socket) -> Self {
        let (kind, tcp) = (Kind::Datagram, Numbers::default());
        Self { key, kind, tcp, payload: 10, router: 0, socket }
    }

    pub(super) fn with(self, payload: u32) -> Self {
        Self { payload, ..self }
    }

    /// Nothing follows it, if that is so.
    pub(super) fn with_fin(mut self, fin: bool) -> Self {
        self.tcp.flags = TcpFlags::new(self.tcp.acknowledges(), fin);
        self
    }
}
