//! What does not become slower when a host has many uplinks and addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use anyhow::{Context as _, Result};
use prroute_tests::large::{LargeHost, Shape};
use prroute_tests::netns::{self, Namespace};
use prroute_tests::socket;

use crate::cgroup::Cgroup;
use crate::cpu::RealTime;
use crate::results::Measurement;
use crate::rounds::{Effort, Subject, Work, measure};

const UNCONNECTED: &str = "scale-unconnected-send";
const FORWARDING: &str = "scale-forwarding";

const SMALLEST: Shape = Shape { uplinks: 2, addresses: 2, one_subnet: false };

/// Hosts, and whether they run prroute. The smallest with it is what the others are compared with.
const HOSTS: [(Shape, bool); 4] = [
    (SMALLEST, false),
    (SMALLEST, true),
    (Shape { uplinks: 8, addresses: 128, one_subnet: false }, true),
    (Shape { uplinks: 64, addresses: 1_000, one_subnet: false }, true),
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
    /// Of the host's sockets, where prroute is.
    cgroup: Option<Cgroup>,
}

impl Site {
    fn build((shape, has_prroute): (Shape, bool)) -> Result<Self> {
        let host = LargeHost::build(shape)?;
        let name = netns::unique_name();
        let guest = Namespace::create(&name, "guest", false)?;
        let cgroup = has_prroute.then(|| Cgroup::create(&name)).transpose()?;
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
        Ok(Self { host, guest, cgroup })
    }

    /// A socket of the guest or of the host.
    fn open(&self, is_guest: bool) -> Result<Box<dyn Work>> {
        let open = |namespace| socket::udp(namespace, IpAddr::from(Ipv4Addr::UNSPECIFIED), 0);
        let socket = match &self.cgroup {
            _ if is_guest => open(&self.guest),
            Some(cgroup) => cgroup.inside(|| open(&self.host.host)),
            None => open(&self.host.host),
        };
        let name = name_of(self.host.shape, self.cgroup.is_some());
        Ok(Box::new(Sends { name, socket: socket? }))
    }
}

fn name_of(Shape { uplinks, addresses, .. }: Shape, has_prroute: bool) -> String {
    let without = if has_prroute { "" } else { "-without-prroute" };
    format!("{uplinks}-uplinks-{addresses}-addresses{without}")
}

/// Datagrams of one flow.
struct Sends {
    name: String,
    socket: UdpSocket,
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

/// Measures what `wanted` takes. The largest host is last.
pub(crate) fn measure_all(
    cpu: usize,
    effort: Effort,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Measurement>> {
    if !wanted(UNCONNECTED) && !wanted(FORWARDING) {
        return Ok(Vec::new());
    }
    let sites = HOSTS.into_iter().map(Site::build).collect::<Result<Vec<_>>>()?;
    let mut running = Vec::new();
    for site in &sites {
        let Some(cgroup) = &site.cgroup else { continue };
        let instance = site.host.prroute()?.wrapped(cgroup.as_root()?);
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
        let mut contestants =
            sites.iter().map(|site| site.open(name == FORWARDING)).collect::<Result<Vec<_>>>()?;
        let baseline = name_of(SMALLEST, true);
        let subject = Subject { name, title, unit, baseline: &baseline, scale: 1.0 };
        let _real_time = RealTime::ask();
        measurements.push(measure(subject, &mut contestants, effort)?);
    }
    Ok(measurements)
}
