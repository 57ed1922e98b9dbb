//! The topology: a client, two or three providers' routers, and a host with an uplink to each.
//!
//! ```text
//!                    client  198.51.100.11 .12 .13   (one source address per router)
//!                      | wan (bridge)
//!        +-------------+-------------+        WAN 198.51.100.0/24, 2001:db8:ff::/64
//!     r1 | wan      r2 | wan      r3 | wan    stateful firewalls, rp_filter=1
//!        | lan         | lan         | lan    10.0.N.1, 2001:db8:N::1, fe80::1
//!        |             |             |
//!     up1|          up2|          up3|        10.0.N.10, 2001:db8:N::10
//!        +------------host-----------+        lo: 203.0.113.1, 2001:db8:5a::1 (shared)
//! ```

mod beyond;
mod wiring;

use std::net::IpAddr;
use std::sync::Once;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::addressing::{self, Family};
use crate::netns::{self, Namespace};
use crate::probe::{self, Outcome, Probe};
use crate::process::Process;
use crate::prroute::Instance;
use crate::router::Router;
use crate::scratch::Scratch;
use crate::services;
use crate::snapshot::Snapshot;
use crate::wait;

/// Where the host's default routes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defaults {
    /// In main, by every uplink, the first one preferred.
    EveryUplink,
    /// In main, by the first uplink only.
    FirstOnly,
    /// None in main; each in the table [`Lab::table`] of its uplink, which no rule looks up.
    OwnTables,
    /// None at all.
    Nowhere,
}

/// What a lab looks like.
#[derive(Clone, Copy, Debug)]
pub struct Topology {
    /// 1 to 9.
    pub uplinks: u8,
    /// The shared addresses are on the host's loopback device.
    pub shared: bool,
    pub defaults: Defaults,
    /// The host's reverse path filter: of `all`, `default` and every device.
    pub rp_filter: u8,
    pub ip_forward: bool,
    /// A client on the first uplink's own link, with its router as default gateway.
    pub neighbour: bool,
    /// The host's IPv6 default routes go to the routers' link-local addresses.
    pub link_local_gateways: bool,
    /// The routers have permanent entries for the host, and so never ask for it: it hears of
    /// nobody's link-layer address by itself.
    pub routers_know_host: bool,
    /// Leaves the lab behind.
    pub keep: bool,
}

impl Topology {
    /// Three uplinks, each with a default route in main, and a shared address.
    pub const DEFAULT: Self = Self {
        uplinks: 3,
        shared: true,
        defaults: Defaults::EveryUplink,
        rp_filter: 0,
        ip_forward: false,
        neighbour: false,
        link_local_gateways: false,
        routers_know_host: true,
        keep: false,
    };
}

/// A running lab; taken down when dropped.
#[derive(Debug)]
pub struct Lab {
    // Dropped in this order: programs before the namespaces they run in.
    services: Vec<Process>,
    pub client: Namespace,
    pub neighbour: Option<Namespace>,
    pub routers: Vec<Router>,
    pub host: Namespace,
    pub scratch: Scratch,
    pub topology: Topology,
    name: String,
}

impl Lab {
    /// Builds the namespaces; nothing runs in them yet.
    pub fn build(topology: Topology) -> Result<Self> {
        Self::build_with(topology, |name| Namespace::create(name, "host", topology.keep))
    }

    /// Makes this machine the host: for cases that have a machine of their own. Its devices go
    /// with the lab; addresses on the loopback device and settings stay.
    pub fn around_this_machine(topology: Topology) -> Result<Self> {
        Self::build_with(topology, |name| Namespace::adopt(name, "host"))
    }

    fn build_with(
        topology: Topology,
        host: impl FnOnce(&str) -> Result<Namespace>,
    ) -> Result<Self> {
        ensure!((1..=9).contains(&topology.uplinks), "1 to 9 uplinks");
        ensure!(nix::unistd::geteuid().is_root(), "the lab needs root");
        static SWEEP: Once = Once::new();
        SWEEP.call_once(|| {
            if let Err(error) = netns::sweep() {
                eprintln!("remove what dead labs left behind: {error:#}");
            }
        });
        let prefix = if topology.keep { "keep-" } else { "" };
        let name = format!("{prefix}{}", netns::unique_name());
        let keep = topology.keep;
        let client = Namespace::create(&name, "client", keep)?;
        let host = host(&name)?;
        let mut routers = Vec::new();
        for number in 1..=topology.uplinks {
            routers.push(Router::create(&name, number, keep)?);
        }
        let scratch = Scratch::create(&name, keep)?;
        let services = Vec::new();
        let neighbour = None;
        let mut lab = Self { services, client, neighbour, routers, host, scratch, topology, name };
        lab.connect()?;
        lab.configure_host()?;
        lab.configure_client()?;
        lab.neighbour = topology.neighbour.then(|| lab.resident(1)).transpose()?;
        Ok(lab)
    }

    /// Builds the namespaces and starts nginx and dnsmasq on all addresses of the host.
    pub fn with_services(topology: Topology) -> Result<Self> {
        let mut lab = Self::build(topology)?;
        lab.start_services()?;
        Ok(lab)
    }

    /// Starts nginx and dnsmasq on all addresses of the host.
    pub fn start_services(&mut self) -> Result<()> {
        let nginx = services::nginx(&self.host, &self.scratch, 80)?;
        self.services.push(nginx);
        let dnsmasq = services::dnsmasq(&self.host, &self.host_addresses(), 53)?;
        self.services.push(dnsmasq);
        Ok(())
    }

    /// The name that all of this lab's namespaces begin with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All namespaces of this lab.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        let routers = self.routers.iter().map(|router| &router.namespace);
        [&self.client, &self.host].into_iter().chain(routers).chain(&self.neighbour)
    }

    /// The router of uplink `number`.
    pub fn router(&self, number: u8) -> &Router {
        &self.routers[usize::from(number) - 1]
    }

    /// The table of an uplink's default route with [`Defaults::OwnTables`].
    pub fn table(number: u8) -> u32 {
        100 + u32::from(number)
    }

    /// An instance of prroute on the host, not started yet.
    pub fn prroute(&self) -> Result<Instance<'_>> {
        Instance::new(&self.host, &self.scratch, &self.name)
    }

    /// Dumps the host, and what [`Lab::prroute`] has in the file system.
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.await_local_routes()?;
        Snapshot::take(&self.host, &self.name)
    }

    /// Keeps a program until the lab is taken down.
    pub fn keep_running(&mut self, process: Process) {
        self.services.push(process);
    }

    /// All global addresses of the host.
    pub fn host_addresses(&self) -> Vec<IpAddr> {
        let own = (1..=self.topology.uplinks)
            .flat_map(|number| Family::BOTH.map(|family| addressing::host(number, family)));
        let shared = Family::BOTH.map(addressing::shared);
        own.chain(shared.into_iter().filter(|_| self.topology.shared)).collect()
    }

    /// Asks from the client, all at once.
    pub fn ask(&self, probes: &[Probe]) -> Result<Vec<Outcome>> {
        probe::ask_all(&self.client, probes)
    }

    /// Asks from the client until every probe is answered; an error shows the silent ones.
    pub fn expect_answered_within(&self, limit: Duration, probes: &[Probe]) -> Result<()> {
        ensure!(!probes.is_empty(), "nothing is asked");
        let mut last = Vec::new();
        wait::until("every probe is answered", limit, || {
            last = self.ask(probes)?;
            Ok(last.iter().all(Outcome::answered).then_some(()))
        })
        .with_context(|| probe::listing(&last))
    }

    /// Makes the host resolve its default gateway.
    ///
    /// Without help a host first asks for it with the source of whatever leaves first: if that
    /// is another uplink's address, the router's reverse path filter ignores the question, and
    /// packets that have nothing wrong with them are lost in the queue behind it. Baselines
    /// that tell which probes must fail call this first.
    pub fn meet_default_gateway(&self) -> Result<()> {
        for family in Family::BOTH {
            let gateway = match family {
                Family::V6 if self.topology.link_local_gateways => {
                    format!("{}%{}", addressing::GATEWAY_LINK_LOCAL, addressing::device(1))
                }
                _ => addressing::gateway(1, family).to_string(),
            };
            let ping = ["ping", family.option(), "-n", "-q", "-c", "1", "-W", "5", &gateway];
            self.host.run(&ping)?;
        }
        Ok(())
    }

    /// The host asks the gateway of uplink `number` over `device`.
    pub fn meet_gateway(&self, number: u8, device: &str) -> Result<()> {
        let gateway = addressing::gateway(number, Family::V4).to_string();
        let ping = ["ping", "-n", "-q", "-c", "3", "-i", "0.2", "-W", "10", "-I", device, &gateway];
        self.host.run(&ping).map(drop)
    }

    /// Makes the host forget every link-layer address.
    pub fn forget_neighbours(&self) -> Result<()> {
        self.host.ip("neigh flush all").map(drop)
    }
}
