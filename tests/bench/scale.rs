//! What does not become slower when a host has many uplinks and addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use anyhow::{Context as _, Result};
use prroute_tests::large::{LargeHost, Shape};
use prroute_tests::netns::{self, Namespace};
use prroute_tests::socket;

use crate::cpu::RealTime;
use crate::results::Measurement;
use crate::rounds::{Effort, Subject, Work, measure};

const UNCONNECTED: &str = "scale-unconnected-send";
const FORWARDING: &str = "scale-forwarding";

/// The smallest first: the others are compared with it.
const SHAPES: [Shape; 3] = [
    Shape { uplinks: 2, addresses: 2, one_subnet: false },
    Shape { uplinks: 8, addresses: 128, one_subnet: false },
    Shape { uplinks: 64, addresses: 1_000, one_subnet: false },
];

/// An address of nobody, over the default route.
const FAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const DISCARD: u16 = 9;
/// A guest behind the host, and the host's address there.
const GUEST: &str = "192.0.2.9";
const GUESTS_GATEWAY: &str = "192.0.2.1";

/// A host of one of the shapes, with a guest whose packets it forwards.
struct Site {
    host: LargeHost,
    guest: Namespace,
}

impl Site {
    fn build(shape: Shape) -> Result<Self> {
        let host = LargeHost::build(shape)?;
        let guest = Namespace::create(&netns::unique_name(), "guest", false)?;
        host.host.sysctl(&["net.ipv4.ip_forward=1"])?;
        host.host.ip_batch(&format!(
            "link add name guest0 type veth peer name eth0 netns {}\n\
             address add {GUESTS_GATEWAY}/24 dev guest0\nlink set guest0 up\n",
            guest.name()
        ))?;
        guest.ip_batch(&format!(
            "address add {GUEST}/24 dev eth0\nlink set eth0 up\n\
             route add default via {GUESTS_GATEWAY}\n"
        ))?;
        Ok(Self { host, guest })
    }
}

/// Datagrams of one flow.
struct Sends {
    name: String,
    socket: UdpSocket,
}

impl Sends {
    fn open(shape: Shape, namespace: &Namespace) -> Result<Box<dyn Work>> {
        let socket = socket::udp(namespace, IpAddr::from(Ipv4Addr::UNSPECIFIED), 0)?;
        let name = format!("{}-uplinks-{}-addresses", shape.uplinks, shape.addresses);
        Ok(Box::new(Self { name, socket }))
    }
}

impl Work for Sends {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn work(&mut self, times: u32) -> Result<()> {
        let target = SocketAddr::from((FAR, DISCARD));
        for _ in 0..times {
            self.socket.send_to(&[7; 64], target).context("send a datagram")?;
        }
        Ok(())
    }
}

/// Measures what `wanted` takes. The baseline is the host with two uplinks; the largest is last.
pub(crate) fn measure_all(
    cpu: usize,
    effort: Effort,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Measurement>> {
    if !wanted(UNCONNECTED) && !wanted(FORWARDING) {
        return Ok(Vec::new());
    }
    let sites = SHAPES.into_iter().map(Site::build).collect::<Result<Vec<_>>>()?;
    let mut running = Vec::new();
    for site in &sites {
        let instance = site.host.prroute()?;
        let daemon = instance.run(&[])?;
        running.push((daemon, instance));
    }
    crate::cpu::pin(cpu)?;
    let mut measurements = Vec::new();
    for (name, title, unit) in [
        (UNCONNECTED, "UDP sends of a socket without an address", "ns per datagram"),
        (FORWARDING, "Datagrams of a guest, forwarded to the default route", "ns per datagram"),
    ] {
        if !wanted(name) {
            continue;
        }
        let mut contestants = sites
            .iter()
            .map(|site| {
                let from = if name == FORWARDING { &site.guest } else { &site.host.host };
                Sends::open(site.host.shape, from)
            })
            .collect::<Result<Vec<_>>>()?;
        let baseline = contestants[0].name();
        let subject = Subject { name, title, unit, baseline: &baseline, scale: 1.0 };
        let _real_time = RealTime::ask();
        measurements.push(measure(subject, &mut contestants, effort)?);
    }
    Ok(measurements)
}
