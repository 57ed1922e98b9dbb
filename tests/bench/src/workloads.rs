//! What the hosts are made to do.

use anyhow::Result;
use prroute_tests::addressing::Family;

use crate::contestants::{
    self, Attached, BARE_REDIRECT, BARE_REDIRECT_WITHOUT_RULES, CONNMARK_LEGACY, CONNMARK_NFT,
    CT_MARK, EMPTY_PROGRAMS_WITHOUT_RULES, NOTHING, PRROUTE_RULES_ALONE, PRROUTES, SOURCE_RULES,
    SOURCE_RULES_AGAIN, Steering, Variant,
};
use crate::host::{Behind, Expected, Host, PUBLISHED};
use crate::rounds::Work;
use crate::traffic::flood::SynFlood;
use crate::traffic::forward::Sends;
use crate::traffic::stream::Stream;
use crate::traffic::tcp::{Connections, Tcp};
use crate::traffic::two_cpus::TwoCpus;
use crate::traffic::udp::{ManyFlows, Udp};

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
    /// A guest's datagrams to somebody who never answers.
    Forward,
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
    /// With a guest that is routed for.
    Guest,
}

impl Setting {
    pub(crate) const ALL: [Self; 4] = [Self::Ordinary, Self::Large, Self::Container, Self::Guest];

    /// `flows` of prroute's configuration where its default is not enough: what the largest
    /// workload needs, with room for those that the hash puts unevenly.
    pub(crate) fn flows(self) -> Option<u32> {
        (self == Self::Large).then_some(2_097_152)
    }

    pub(crate) fn behind(self) -> Behind {
        match self {
            Self::Ordinary | Self::Large => Behind::Nobody,
            Self::Container => Behind::Container,
            Self::Guest => Behind::Guest,
        }
    }
}

/// A measurement to be made.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) traffic: Traffic,
    family: Family,
    pub(crate) variants: Vec<Variant>,
    /// The one that the others are compared with.
    pub(crate) baseline: Variant,
    /// Ports of its own: several workloads run on the same hosts.
    port: u16,
    pub(crate) setting: Setting,
}

/// Flows of the request/response workloads.
const FLOWS: usize = 64;

const EXCHANGE: &str = "ns per request and response";

/// All that a complete run measures.
pub(crate) fn all(quick: bool, other_cpu: Option<usize>) -> Vec<Workload> {
    let mut all: Vec<Workload> = Family::BOTH.into_iter().flat_map(exchanges).collect();
    all.extend(containers());
    all.push(tcp_stream("tcp-stream-ipv4", "TCP stream from the host", Setting::Ordinary));
    all.extend(with_main_ones(quick, other_cpu));
    all.push(forward_datagram());
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

fn workload(name: &str, title: &str, unit: &'static str, traffic: Traffic) -> Workload {
    Workload {
        name: name.to_owned(),
        title: title.to_owned(),
        unit,
        traffic,
        family: Family::V4,
        variants: Vec::new(),
        baseline: SOURCE_RULES,
        port: 0,
        setting: Setting::Ordinary,
    }
}

/// Where source rules are enough, there is nothing left to redirect.
fn everybody() -> Vec<Variant> {
    contestants::ALL.into_iter().filter(|variant| *variant != BARE_REDIRECT).collect()
}

/// Requests and responses of the host's own sockets.
fn exchanges(family: Family) -> Vec<Workload> {
    let label = family.to_string().to_lowercase();
    [
        (
            "udp-exchange",
            "UDP requests and responses over 64 flows",
            EXCHANGE,
            Traffic::UdpExchange,
        ),
        (
            "tcp-exchange",
            "TCP requests and responses over 64 connections",
            EXCHANGE,
            Traffic::TcpExchange,
        ),
        (
            "tcp-connections",
            "TCP connect, request, response, close",
            "ns per connection",
            Traffic::TcpConnections,
        ),
    ]
    .map(|(name, title, unit, traffic)| {
        let mut variants = everybody();
        if family == Family::V6 {
            // Its program knows IPv4 only.
            variants.retain(|variant| variant.attached != Attached::Redirect);
        }
        Workload {
            family,
            variants,
            ..workload(&format!("{name}-{label}"), &format!("{title}, {family}"), unit, traffic)
        }
    })
    .into()
}

/// A container needs address translation, so conntrack, on every host; source rules see only what
/// is translated, and leave its replies on the wrong uplink.
fn containers() -> Vec<Workload> {
    let title = |what: &str| format!("Container behind address translation: {what}");
    let exchange = |name: &str, what: &str, traffic| Workload {
        variants: translating(),
        setting: Setting::Container,
        ..workload(name, &title(what), EXCHANGE, traffic)
    };
    vec![
        exchange("container-udp-exchange-ipv4", "UDP requests and responses", Traffic::UdpExchange),
        exchange("container-tcp-exchange-ipv4", "TCP requests and responses", Traffic::TcpExchange),
        tcp_stream("container-tcp-stream-ipv4", &title("TCP stream"), Setting::Container),
    ]
}

fn translating() -> Vec<Variant> {
    let others = [
        PRROUTE_RULES_ALONE,
        BARE_REDIRECT,
        BARE_REDIRECT_WITHOUT_RULES,
        EMPTY_PROGRAMS_WITHOUT_RULES,
        CONNMARK_LEGACY,
        CONNMARK_NFT,
        CT_MARK,
        NOTHING,
    ];
    [&[SOURCE_RULES, SOURCE_RULES_AGAIN], &PRROUTES[..], &others].concat()
}

fn tcp_stream(name: &str, title: &str, setting: Setting) -> Workload {
    let variants = if setting == Setting::Container { translating() } else { everybody() };
    Workload { variants, setting, ..workload(name, title, "ns per MiB", Traffic::TcpStream) }
}

/// What is measured with prroute and what marks connections alone.
fn with_main_ones(quick: bool, other_cpu: Option<usize>) -> Vec<Workload> {
    let variants =
        [&[SOURCE_RULES, SOURCE_RULES_AGAIN], &PRROUTES[..], &[CONNMARK_LEGACY, CT_MARK]].concat();
    let sides: &[u16] = if quick { &[32] } else { &[32, 256, 1024] };
    let mut all: Vec<Workload> = sides
        .iter()
        .map(|&side| {
            let flows = u32::from(side) * u32::from(side);
            Workload {
                setting: Setting::Large,
                ..workload(
                    &format!("udp-exchange-ipv4-flows-{flows}"),
                    &format!("UDP requests and responses over {flows} flows in random order"),
                    EXCHANGE,
                    Traffic::Flows(side),
                )
            }
        })
        .collect();
    all.push(workload(
        "syn-flood-ipv4",
        "SYNs of new flows to a listening port",
        "ns per SYN",
        Traffic::SynFlood,
    ));
    if let Some(cpu) = other_cpu {
        all.push(workload(
            "two-cpus-udp-exchange-ipv4",
            "UDP requests and responses on two CPUs at once",
            "ns per request and response on each CPU",
            Traffic::TwoCpus(cpu),
        ));
    }
    for workload in &mut all {
        workload.variants.clone_from(&variants);
    }
    all
}

/// What a packet pays that prroute has nothing to do with, but for its programs: compared with a
/// host on which nobody ever made a rule.
fn forward_datagram() -> Workload {
    let others = [
        EMPTY_PROGRAMS_WITHOUT_RULES,
        SOURCE_RULES,
        PRROUTE_RULES_ALONE,
        CONNMARK_LEGACY,
        CONNMARK_NFT,
        CT_MARK,
    ];
    Workload {
        variants: [&[NOTHING], &PRROUTES[..], &others].concat(),
        baseline: NOTHING,
        setting: Setting::Guest,
        ..workload(
            "forward-datagram-ipv4",
            "A guest's datagrams, forwarded to the default route",
            "ns per datagram",
            Traffic::Forward,
        )
    }
}

impl Workload {
    /// Operations of a turn's unit: what a sample is multiplied by.
    pub(crate) fn scale(&self) -> f64 {
        if self.traffic == Traffic::TcpStream { Stream::PER_MIB } else { 1.0 }
    }

    /// Which uplink a host's packets have to leave by.
    pub(crate) fn leaves_by(&self, variant: Variant) -> Expected {
        let by_address = match variant.steering {
            Steering::Nothing => false,
            Steering::SourceRules => self.setting != Setting::Container,
            Steering::Prroute(prroute) => {
                !prroute.rules_alone || self.setting != Setting::Container
            }
            Steering::Marks(_) => true,
        };
        let is_steered = by_address || variant.attached == Attached::Redirect;
        // What a guest begins is no reply.
        if self.traffic == Traffic::Forward || !is_steered { Expected::Up1 } else { Expected::Up2 }
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
            Traffic::Forward => Box::new(Sends::of_guest(host)?),
            Traffic::TwoCpus(cpu) => {
                let near = Udp::open(host, family, port, FLOWS)?;
                let far = Udp::open(host, family, port + 1, FLOWS)?;
                Box::new(TwoCpus::new(near, far, cpu))
            }
        })
    }
}
