//! What the kernel itself answers: `ip route get TO from FROM`.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteType,
};
use nix::errno::Errno;
use nix::libc;

use super::{Kernel, NetlinkError, decode, encode};
use crate::state::observed::{Family, RouteKind, host_net};
use crate::state::uplink::Ifindex;

/// A packet for which a route is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteQuestion {
    pub to: IpAddr,
    pub from: Option<IpAddr>,
    /// The interface that it came in by; `None`: it is the host's own.
    pub iif: Option<Ifindex>,
    /// The device that its socket is bound to.
    pub oif: Option<Ifindex>,
    /// 0: not known. The kernel takes protocols with ports that it knows, and others it is not told.
    pub protocol: u8,
    /// Of source and destination.
    pub ports: (u16, u16),
    /// The user that its socket belongs to; `None`: the one who asks. The kernel's own packets are root's.
    pub uid: Option<u32>,
}

impl RouteQuestion {
    /// Of a packet of the host's own.
    pub const fn own(to: IpAddr, from: Option<IpAddr>) -> Self {
        Self { to, from, iif: None, oif: None, protocol: 0, ports: (0, 0), uid: None }
    }
}

/// The route that the kernel takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteAnswer {
    pub kind: RouteKind,
    pub device: Option<Ifindex>,
    pub gateway: Option<IpAddr>,
    /// The source that a packet without one gets.
    pub source: Option<IpAddr>,
    pub table: u32,
    /// What the route is for; of an answer that was not asked for it: the address asked.
    pub destination: IpNet,
    pub metric: u32,
    /// Where the route has one of its own.
    pub mtu: Option<u32>,
}

impl RouteAnswer {
    /// It leads to the host itself.
    pub fn is_local(&self) -> bool {
        self.kind == RouteKind::LOCAL
    }
}

impl Kernel {
    /// The interface by which a packet of the host's own leaves; `None`: by none. Where the host itself
    /// has the address `to` it is the loopback interface.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked.
    pub async fn device_towards(
        &self,
        to: IpAddr,
        from: Option<IpAddr>,
    ) -> Result<Option<Ifindex>, NetlinkError> {
        let answer = self.route(&RouteQuestion::own(to, from)).await?;
        let leads = |it: &RouteAnswer| it.kind == RouteKind::Unicast || it.is_local();
        Ok(answer.ok().filter(leads).and_then(|answer| answer.device))
    }

    /// The route that the kernel takes for a packet, or the error number by which it takes none.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked.
    pub async fn route(
        &self,
        question: &RouteQuestion,
    ) -> Result<Result<RouteAnswer, Errno>, NetlinkError> {
        self.ask_route(question, RouteFlags::LookupTable).await
    }

    /// Likewise, as it stands in its table: with its prefix and metric, and without the next hop that was
    /// chosen.
    ///
    /// # Errors
    ///
    /// Likewise.
    pub async fn route_entry(
        &self,
        question: &RouteQuestion,
    ) -> Result<Result<RouteAnswer, Errno>, NetlinkError> {
        self.ask_route(question, RouteFlags::LookupTable | RouteFlags::FibMatch).await
    }

    async fn ask_route(
        &self,
        question: &RouteQuestion,
        flags: RouteFlags,
    ) -> Result<Result<RouteAnswer, Errno>, NetlinkError> {
        let mut found = None;
        let mut socket = self.socket.lock().await;
        let message = RouteNetlinkMessage::GetRoute(message(question, flags));
        let answer = socket.get(message, |object| {
            if let Ok(RouteNetlinkMessage::NewRoute(route)) = object {
                found = answer_of(&route, question.to);
            }
        });
        match (answer.await, found) {
            (Ok(()), Some(found)) => Ok(Ok(found)),
            (Ok(()), None) => Ok(Err(Errno::ENETUNREACH)),
            // As a route of a type that refuses answers, and as none does; or the packet is refused.
            (Err(refusal), _) => match refusal.errno() {
                Some(
                    errno @ (Errno::ENETUNREACH
                    | Errno::EHOSTUNREACH
                    | Errno::EACCES
                    | Errno::EINVAL
                    | Errno::EAGAIN
                    | Errno::EXDEV),
                ) => Ok(Err(errno)),
                _ => {
                    let operation = format!("ask for the route to {}", question.to);
                    Err(NetlinkError::Refused { operation, source: refusal })
                }
            },
        }
    }
}

fn message(question: &RouteQuestion, flags: RouteFlags) -> RouteMessage {
    let RouteQuestion { to, from, iif, oif, protocol, ports, uid } = *question;
    let length = |address: IpAddr| host_net(address).prefix_len();
    let mut message = RouteMessage::default();
    message.header.address_family = encode::family(Family::of(&to));
    message.header.destination_prefix_length = length(to);
    message.header.flags = flags;
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Destination(to.into()));
    if let Some(from) = from {
        message.header.source_prefix_length = length(from);
        attributes.push(RouteAttribute::Source(from.into()));
    }
    attributes.extend(iif.map(|Ifindex(index)| RouteAttribute::Iif(index)));
    attributes.extend(oif.map(|Ifindex(index)| RouteAttribute::Oif(index)));
    attributes.extend(uid.map(RouteAttribute::Uid));
    match i32::from(protocol) {
        libc::IPPROTO_TCP | libc::IPPROTO_UDP => {
            attributes.push(RouteAttribute::IpProto(protocol));
            attributes.push(RouteAttribute::Sport(ports.0));
            attributes.push(RouteAttribute::Dport(ports.1));
        }
        libc::IPPROTO_ICMP | libc::IPPROTO_ICMPV6 => {
            attributes.push(RouteAttribute::IpProto(protocol));
        }
        _ => {}
    }
    message
}

fn answer_of(route: &RouteMessage, to: IpAddr) -> Option<RouteAnswer> {
    let header = &route.header;
    let mut answer = RouteAnswer {
        kind: match header.kind {
            RouteType::Unicast => RouteKind::Unicast,
            other => RouteKind::Other(other.into()),
        },
        device: None,
        gateway: None,
        source: None,
        table: u32::from(header.table),
        destination: IpNet::new(Family::of(&to).any().addr(), 0).ok()?,
        metric: 0,
        mtu: None,
    };
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(ifindex) => answer.device = Some(Ifindex(*ifindex)),
            RouteAttribute::PrefSource(address) => answer.source = decode::route_address(address),
            RouteAttribute::Table(table) => answer.table = *table,
            RouteAttribute::Priority(metric) => answer.metric = *metric,
            RouteAttribute::Destination(address) => {
                let length = header.destination_prefix_length;
                answer.destination =
                    IpNet::new(decode::route_address(address)?, length).ok()?.trunc();
            }
            RouteAttribute::Metrics(metrics) => {
                answer.mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) => Some(*mtu),
                    _ => None,
                });
            }
            other => answer.gateway = answer.gateway.or(decode::gateway_of(other)),
        }
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::{ip, net};

    #[test]
    fn a_question_says_all_that_the_kernel_takes() {
        let question = RouteQuestion {
            iif: Some(Ifindex(7)),
            protocol: 6,
            ports: (40_000, 80),
            uid: Some(1_000),
            ..RouteQuestion::own(ip("10.0.2.10"), Some(ip("198.51.100.11")))
        };
        let asked = message(&question, RouteFlags::LookupTable);
        assert_eq!(asked.header.source_prefix_length, 32);
        for attribute in [
            RouteAttribute::Iif(7),
            RouteAttribute::IpProto(6),
            RouteAttribute::Sport(40_000),
            RouteAttribute::Dport(80),
            RouteAttribute::Uid(1_000),
        ] {
            assert!(asked.attributes.contains(&attribute), "{asked:?}");
        }
        let sctp = message(&RouteQuestion { protocol: 132, ..question }, RouteFlags::LookupTable);
        let is_protocol = |it: &RouteAttribute| matches!(it, RouteAttribute::IpProto(_));
        assert!(!sctp.attributes.iter().any(is_protocol), "the kernel refuses it");
    }

    #[test]
    fn an_answer_is_read_with_its_table_and_next_hop() {
        let mut route = RouteMessage::default();
        route.header.kind = RouteType::Unicast;
        route.header.destination_prefix_length = 16;
        route.attributes = vec![
            RouteAttribute::Destination(ip("10.9.0.0").into()),
            RouteAttribute::Oif(3),
            RouteAttribute::Table(21_002),
            RouteAttribute::Gateway(ip("10.0.2.1").into()),
            RouteAttribute::Metrics(vec![RouteMetric::Mtu(1_400)]),
        ];
        let answer = answer_of(&route, ip("10.9.1.1")).unwrap();
        assert_eq!((answer.device, answer.table), (Some(Ifindex(3)), 21_002));
        assert_eq!(answer.gateway, Some(ip("10.0.2.1")));
        assert_eq!((answer.destination, answer.mtu), (net("10.9.0.0/16"), Some(1_400)));
        assert!(!answer.is_local());
    }
}
