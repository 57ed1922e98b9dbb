//! A packet as netfilter's rules see it. What is not known of it is said to be unknown, and not made up.

use std::net::{IpAddr, SocketAddr};

use nix::libc;

use crate::explain::question::{ICMP, ICMPV6, SCTP, TCP, UDP};
use crate::state::observed::Family;

/// Bytes that may be known or not.
pub(super) type Known = Vec<Option<u8>>;

/// An interface as rules may name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) ifindex: u32,
}

/// Whether conntrack sees a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tracking {
    #[default]
    Tracked,
    /// A rule has had conntrack pass it over (`notrack`).
    Untracked,
    /// It is not known whether one has, or the other direction was passed over: what it is to conntrack
    /// then is not known.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) protocol: u8,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) input: Option<Port>,
    pub(crate) output: Option<Port>,
    /// It goes back to who opened the connection.
    pub(crate) is_reply: bool,
    /// It opens the connection.
    pub(crate) is_first: bool,
    /// The host has the destination itself.
    pub(crate) is_local: bool,
    /// A rule has set its mark, to what is not known. It keeps it from hook to hook.
    pub(crate) is_marked: bool,
    /// As the hooks before have left it.
    pub(crate) tracking: Tracking,
}

/// `NF_CT_STATE_BIT` of a connection's state; `XT_CONNTRACK_STATE_*` have the same numbers, ...
const ESTABLISHED: u32 = 1 << 1;
const NEW: u32 = 1 << 3;
/// ... but for this one.
const UNTRACKED: u32 = 1 << 6;
const UNTRACKED_OF_IPTABLES: u32 = 1 << 8;

fn known(bytes: &[u8]) -> Known {
    bytes.iter().copied().map(Some).collect()
}

/// The name of an interface, padded with zeros.
fn name(port: Option<&Port>) -> Known {
    let mut bytes = port.map(|port| port.name.clone().into_bytes()).unwrap_or_default();
    bytes.resize(libc::IFNAMSIZ, 0);
    known(&bytes)
}

impl Packet {
    pub(super) fn family(&self) -> Family {
        Family::of(&self.destination.ip())
    }

    /// By `NFT_CT_STATE`; `None`: not known.
    const fn state(&self, tracking: Tracking) -> Option<u32> {
        match tracking {
            Tracking::Tracked if self.is_first && !self.is_reply => Some(NEW),
            Tracking::Tracked => Some(ESTABLISHED),
            Tracking::Untracked => Some(UNTRACKED),
            Tracking::Unknown => None,
        }
    }

    /// By `XT_CONNTRACK_STATE_*`; `None`: not known.
    pub(super) const fn state_of_iptables(&self, tracking: Tracking) -> Option<u32> {
        match tracking {
            Tracking::Untracked => Some(UNTRACKED_OF_IPTABLES),
            _ => self.state(tracking),
        }
    }

    /// By `NFT_META_*`; `None`: not known.
    pub(super) fn meta(&self, key: u32) -> Option<Known> {
        let index = |port: Option<&Port>| known(&port.map_or(0, |p| p.ifindex).to_ne_bytes());
        let is_v4 = self.family() == Family::V4;
        Some(match key.cast_signed() {
            libc::NFT_META_PROTOCOL => {
                let ether_type = if is_v4 { libc::ETH_P_IP } else { libc::ETH_P_IPV6 };
                known(&u16::try_from(ether_type).unwrap_or_default().to_be_bytes())
            }
            libc::NFT_META_MARK if !self.is_marked => known(&[0; 4]),
            libc::NFT_META_IIF => index(self.input.as_ref()),
            libc::NFT_META_OIF => index(self.output.as_ref()),
            libc::NFT_META_IIFNAME => name(self.input.as_ref()),
            libc::NFT_META_OIFNAME => name(self.output.as_ref()),
            libc::NFT_META_NFPROTO => {
                let family = if is_v4 { libc::NFPROTO_IPV4 } else { libc::NFPROTO_IPV6 };
                known(&[u8::try_from(family).unwrap_or_default()])
            }
            libc::NFT_META_L4PROTO => known(&[self.protocol]),
            // PACKET_HOST, of what came in for this host.
            libc::NFT_META_PKTTYPE if self.input.is_some() => known(&[0]),
            _ => return None,
        })
    }

    /// By `NFT_CT_*`; `None`: not known.
    pub(super) fn connection(&self, key: u32, tracking: Tracking) -> Option<Known> {
        match key.cast_signed() {
            libc::NFT_CT_STATE => self.state(tracking).map(|state| known(&state.to_ne_bytes())),
            libc::NFT_CT_DIRECTION if tracking == Tracking::Tracked => {
                Some(known(&[u8::from(self.is_reply)]))
            }
            _ => None,
        }
    }

    /// Bytes of a header, by `NFT_PAYLOAD_*`.
    pub(super) fn header(&self, base: u32, offset: u32, length: u32) -> Option<Known> {
        const NETWORK: u32 = 1;
        const TRANSPORT: u32 = 2;
        let header = match base {
            NETWORK => self.network(),
            TRANSPORT => self.transport(),
            _ => return None,
        };
        let from = usize::try_from(offset).ok()?;
        let to = from.checked_add(usize::try_from(length).ok()?)?;
        Some(header.get(from..to)?.to_vec())
    }

    fn network(&self) -> Known {
        let mut header = Known::new();
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                header.push(Some(0x45));
                header.resize(6, None);
                // No fragment; "do not fragment" is not known.
                header.extend([None, Some(0), None, Some(self.protocol), None, None]);
                header.extend(known(&source.octets()));
                header.extend(known(&destination.octets()));
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                header.resize(6, None);
                header.extend([Some(self.protocol), None]);
                header.extend(known(&source.octets()));
                header.extend(known(&destination.octets()));
            }
            _ => {}
        }
        header
    }

    fn transport(&self) -> Known {
        const SYN: u8 = 2;
        const ACK: u8 = 16;
        let mut header = Known::new();
        match self.protocol {
            TCP | UDP | SCTP => {
                header.extend(known(&self.source.port().to_be_bytes()));
                header.extend(known(&self.destination.port().to_be_bytes()));
                if self.protocol == TCP {
                    header.resize(13, None);
                    header.push(Some(match (self.is_first, self.is_reply) {
                        (true, false) => SYN,
                        (true, true) => SYN | ACK,
                        (false, _) => ACK,
                    }));
                }
            }
            ICMP | ICMPV6 => {
                let kind = match (self.protocol, self.is_reply) {
                    (ICMP, false) => 8,
                    (ICMP, true) => 0,
                    (_, false) => 128,
                    (_, true) => 129,
                };
                header.extend([Some(kind), Some(0), None, None]);
                header.extend(known(&self.source.port().to_be_bytes()));
            }
            _ => {}
        }
        header
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::explain) fn packet(
        protocol: u8,
        from: &str,
        to: &str,
        output: Option<&str>,
    ) -> Packet {
        let port = |name: &str| Port { name: name.to_owned(), ifindex: 3 };
        Packet {
            protocol,
            source: from.parse().unwrap(),
            destination: to.parse().unwrap(),
            input: output.is_none().then(|| port("eth1")),
            output: output.map(port),
            is_reply: output.is_some(),
            is_first: true,
            is_local: output.is_none(),
            is_marked: false,
            tracking: Tracking::Tracked,
        }
    }

    #[test]
    fn headers_have_what_rules_ask_where_they_ask_it() {
        let reply = packet(TCP, "198.51.100.10:8080", "203.0.113.11:40000", Some("eth0"));
        assert_eq!(reply.header(2, 0, 2), Some(known(&8080_u16.to_be_bytes())));
        assert_eq!(reply.header(1, 16, 4), Some(known(&[203, 0, 113, 11])));
        assert_eq!(reply.header(1, 9, 1), Some(known(&[TCP])));
        assert_eq!(reply.header(2, 13, 1), Some(known(&[0x12])), "SYN and ACK");
        assert_eq!(reply.header(2, 4, 4), Some(vec![None; 4]), "its number");
        assert_eq!(reply.header(2, 14, 2), None);
        let v6 = packet(UDP, "[2001:db8::1]:53", "[2001:db8::2]:53", None);
        assert_eq!(v6.header(1, 8, 2), Some(known(&[0x20, 1])));
        assert_eq!(v6.header(1, 6, 1), Some(known(&[UDP])));
    }
}
