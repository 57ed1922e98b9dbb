//! What the hosts are made to do.

use anyhow::{Result, bail};
use prroute_tests::addressing::Family;

use crate::exchange::{Connections, ManyFlows, Stream, Tcp, Udp};
use crate::flood::SynFlood;
use crate::host::{Host, PUBLISHED, Variant};
use crate::rounds::Work;
use crate::two_cpus::TwoCpus;

/// One kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    UdpExchange,
    TcpExchange,
    TcpConnections,
    TcpStream,
    /// Uniformly random UDP flows, this many squared.
    Flows(u16),
    SynFlood,
    /// UDP exchanges on this CPU and that one at once.
    TwoCpus(usize),
}

/// Workloads that need the same hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// As prroute comes.
    Ordinary,
    /// With tables for a million flows.
    Large,
    /// With a container behind address translation.
    Container,
}

impl Setting {
    pub(crate) const ALL: [Self; 3] = [Self::Ordinary, Self::Large, Self::Container];

    /// `flows` of prroute's configuration: its default, or what the largest workload needs, with
    /// room for those that the hash puts unevenly.
    pub(crate) fn flows(self) -> u32 {
        if self == Self::Large { 2_097_152 } else { 262_144 }
    }
}

/// A measurement to be made.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) traffic: Traffic,
    pub(crate) family: Family,
    pub(crate) variants: Vec<Variant>,
    /// Ports of its own: several workloads run on the same hosts.
    port: u16,
    pub(crate) setting: Setting,
}

/// Flows of the request/response workloads.
const FLOWS: usize = 64;

/// All that a complete run measures.
pub(crate) fn all(quick: bool, other_cpu: Option<usize>) -> Vec<Workload> {
    // Where replies take the wrong uplink, there is something to redirect.
    let everybody: Vec<Variant> =
        Variant::ALL.into_iter().filter(|variant| *variant != Variant::BareRedirect).collect();
    let mut all = Vec::new();
    for family in Family::BOTH {
        let label = family.to_string().to_lowercase();
        let mut add = |name: &str, title: &str, unit, traffic, variants: &[Variant]| {
            all.push(Workload {
                name: format!("{name}-{label}"),
                title: format!("{title}, {family}"),
                unit,
                traffic,
                family,
                variants: variants.to_vec(),
                port: 0,
                setting: Setting::Ordinary,
            });
        };
        let exchange = "ns per request and response";
        add(
            "udp-exchange",
            "UDP requests and responses over 64 flows",
            exchange,
            Traffic::UdpExchange,
            &everybody,
        );
        add(
            "tcp-exchange",
            "TCP requests and responses over 64 connections",
            exchange,
            Traffic::TcpExchange,
            &everybody,
        );
        add(
            "tcp-connections",
            "TCP connect, request, response, close",
            "ns per connection",
            Traffic::TcpConnections,
            &everybody,
        );
    }
    let four = |name: &str, title: &str, unit, traffic, variants: &[Variant], setting| Workload {
        name: name.to_owned(),
        title: title.to_owned(),
        unit,
        traffic,
        family: Family::V4,
        variants: variants.to_vec(),
        port: 0,
        setting,
    };
    // A container needs address translation, so conntrack, in every variant; source rules see only
    // what is translated, and leave its replies on the wrong uplink.
    let translating = [
        Variant::SourceRules,
        Variant::SourceRulesAgain,
        Variant::Prroute,
        Variant::PrrouteRulesAlone,
        Variant::BareRedirect,
        Variant::ConnmarkLegacy,
        Variant::ConnmarkNft,
        Variant::CtMark,
        Variant::Nothing,
    ];
    let exchange = "ns per request and response";
    all.push(four(
        "container-udp-exchange-ipv4",
        "Container behind address translation: UDP requests and responses",
        exchange,
        Traffic::UdpExchange,
        &translating,
        Setting::Container,
    ));
    all.push(four(
        "container-tcp-exchange-ipv4",
        "Container behind address translation: TCP requests and responses",
        exchange,
        Traffic::TcpExchange,
        &translating,
        Setting::Container,
    ));
    all.push(four(
        "tcp-stream-ipv4",
        "TCP stream from the host",
        "time stamp counter ticks per byte",
        Traffic::TcpStream,
        &everybody,
        Setting::Ordinary,
    ));
    let main_ones = [
        Variant::SourceRules,
        Variant::SourceRulesAgain,
        Variant::Prroute,
        Variant::ConnmarkLegacy,
        Variant::CtMark,
    ];
    let sides: &[u16] = if quick { &[32] } else { &[32, 256, 1024] };
    for &side in sides {
        let flows = u32::from(side) * u32::from(side);
        all.push(four(
            &format!("udp-exchange-ipv4-flows-{flows}"),
            &format!("UDP requests and responses over {flows} flows in random order"),
            exchange,
            Traffic::Flows(side),
            &main_ones,
            Setting::Large,
        ));
    }
    all.push(four(
        "syn-flood-ipv4",
        "SYNs of new flows to a listening port",
        "ns per SYN",
        Traffic::SynFlood,
        &main_ones,
        Setting::Ordinary,
    ));
    if let Some(cpu) = other_cpu {
        all.push(four(
            "two-cpus-udp-exchange-ipv4",
            "UDP requests and responses on two CPUs at once",
            "ns per request and response on each CPU",
            Traffic::TwoCpus(cpu),
            &main_ones,
            Setting::Ordinary,
        ));
    }
    // Below the range of ports that clients get.
    let mut port = 2000;
    for workload in &mut all {
        workload.port = if workload.setting == Setting::Container { PUBLISHED } else { port };
        port += 2 * match workload.traffic {
            Traffic::Flows(side) => side,
            _ => 1,
        };
    }
    all
}

impl Workload {
    /// The unit in nanoseconds per operation.
    pub(crate) fn scale(&self, tsc_per_ns: Option<f64>) -> Result<f64> {
        Ok(match (self.traffic, tsc_per_ns) {
            (Traffic::TcpStream, Some(ticks)) => ticks / Stream::CHUNK as f64,
            (Traffic::TcpStream, None) => bail!("this CPU has no time stamp counter"),
            _ => 1.0,
        })
    }

    /// Opens its sockets on a host.
    pub(crate) fn open<'h>(&self, host: &'h Host) -> Result<Box<dyn Work + 'h>> {
        let (family, port) = (self.family, self.port);
        Ok(match self.traffic {
            Traffic::UdpExchange => Box::new(Udp::open(host, family, port, FLOWS)?),
            Traffic::TcpExchange => Box::new(Tcp::open(host, family, port, FLOWS)?),
            Traffic::TcpConnections => Box::new(Connections::open(host, family, port)?),
            Traffic::TcpStream => Box::new(Stream::open(host, family, port)?),
            Traffic::Flows(side) => Box::new(ManyFlows::open(host, family, port, side)?),
            Traffic::SynFlood => Box::new(SynFlood::open(host, port)?),
            Traffic::TwoCpus(cpu) => {
                let near = Udp::open(host, family, port, FLOWS)?;
                let far = Udp::open(host, family, port + 1, FLOWS)?;
                Box::new(TwoCpus::new(near, far, cpu))
            }
        })
    }
}
