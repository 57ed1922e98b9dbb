//! What does not become slower when a host has many uplinks and addresses.

use anyhow::{Context as _, Result};
use prroute_tests::large::{LargeHost, Shape};
use prroute_tests::netns::{self, Namespace};
use prroute_tests::prroute::{Daemon, Instance};

use crate::cgroup::Cgroup;
use crate::contestants::{self, Variant};
use crate::cpu::RealTime;
use crate::host::{check_reverse_path_filter, check_without_rules, loosen_reverse_path_filter};
use crate::options::Options;
use crate::report;
use crate::results::Measurement;
use crate::rounds::{Subject, Work, measure};
use crate::traffic::forward::Sends;

pub(crate) const UNCONNECTED: &str = "scale-unconnected-send";
pub(crate) const FORWARDING: &str = "scale-forwarding";

const SMALLEST: Shape = Shape { uplinks: 2, addresses: 2, one_subnet: false };
const SHAPES: [Shape; 3] = [
    SMALLEST,
    Shape { uplinks: 8, addresses: 128, one_subnet: false },
    Shape { uplinks: 64, addresses: 1_000, one_subnet: false },
];

/// The smallest host, without prroute.
const BASELINE: &str = "nothing-2-uplinks";

/// A guest behind the host, and the host's address there.
const GUEST: &str = "192.0.2.9";
const GUESTS_GATEWAY: &str = "192.0.2.1";

/// A host of one of the shapes, with a guest whose packets it forwards.
struct Site {
    /// `prroute-64-uplinks`.
    name: String,
    host: LargeHost,
    guest: Namespace,
    variant: Variant,
    /// Of the host's sockets, where prroute is.
    cgroup: Option<Cgroup>,
}

impl Site {
    fn build(variant: Variant, shape: Shape) -> Result<Self> {
        let host = LargeHost::build(shape)?;
        let name = netns::unique_name();
        let guest = Namespace::create(&name, "guest", false)?;
        let cgroup = variant.prroute().map(|_| Cgroup::create(&name)).transpose()?;
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
        loosen_reverse_path_filter(&host.host)?;
        let name = name_of(variant, shape);
        Ok(Self { name, host, guest, variant, cgroup })
    }

    /// Starts prroute, where there is one.
    fn start(&self, options: &Options) -> Result<Option<(Daemon, Instance<'_>)>> {
        let Some((prroute, cgroup)) = self.variant.prroute().zip(self.cgroup.as_ref()) else {
            return Ok(None);
        };
        let instance = self
            .host
            .prroute()?
            .own_source(prroute.own_source)?
            .of_build(options.binary(prroute.build)?)
            .wrapped(cgroup.as_root()?);
        let daemon = instance.run(&[])?;
        Ok(Some((daemon, instance)))
    }

    /// As with the other hosts.
    fn check(&self) -> Result<()> {
        let host = &self.host.host;
        let checked = check_reverse_path_filter(host).and_then(|()| {
            if self.variant.is_without_rules() { check_without_rules(host) } else { Ok(()) }
        });
        checked.with_context(|| self.name.clone())
    }

    /// A socket of the guest or of the host.
    fn open(&self, is_guest: bool) -> Result<Box<dyn Work>> {
        let open = |namespace| Sends::open(self.name.clone(), namespace);
        let sends = match &self.cgroup {
            _ if is_guest => open(&self.guest),
            Some(cgroup) => cgroup.inside(|| open(&self.host.host)),
            None => open(&self.host.host),
        };
        Ok(Box::new(sends?))
    }
}

fn name_of(variant: Variant, shape: Shape) -> String {
    format!("{}-{}-uplinks", variant.name, shape.uplinks)
}

/// What a complete run measures here, and against whom.
#[cfg(test)]
pub(crate) fn measured() -> Vec<(String, Vec<String>)> {
    let contestants: Vec<String> = contestants::PRROUTES
        .into_iter()
        .flat_map(|variant| SHAPES.map(|shape| name_of(variant, shape)))
        .collect();
    [UNCONNECTED, FORWARDING].map(|name| (name.to_owned(), contestants.clone())).into()
}

/// Measures what the command line takes. The largest host of a contestant comes last.
pub(crate) fn measure_all(options: &Options, cpu: usize) -> Result<Vec<Measurement>> {
    let wanted = [
        (UNCONNECTED, "UDP sends of a socket without an address"),
        (FORWARDING, "Datagrams of a guest, forwarded to the default route"),
    ];
    let wanted: Vec<_> = wanted.into_iter().filter(|(name, _)| options.wants(name)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut sites = vec![Site::build(contestants::NOTHING, SMALLEST)?];
    for variant in contestants::PRROUTES.into_iter().filter(|variant| options.takes(*variant)) {
        for shape in SHAPES {
            sites.push(Site::build(variant, shape)?);
        }
    }
    let _running = sites
        .iter()
        .map(|site| site.start(options).with_context(|| format!("start {}", site.name)))
        .collect::<Result<Vec<_>>>()?;
    sites.iter().try_for_each(Site::check)?;
    crate::cpu::pin(cpu)?;
    let mut measurements = Vec::new();
    for (name, title) in wanted {
        let mut works =
            sites.iter().map(|site| site.open(name == FORWARDING)).collect::<Result<Vec<_>>>()?;
        let unit = "ns per datagram";
        let subject = Subject { name, title, unit, baseline: BASELINE, scale: 1.0 };
        let _real_time = RealTime::ask();
        let measured = measure(subject, &mut works, options.effort())?;
        report::show(&measured);
        measurements.push(measured);
        sites.iter().try_for_each(Site::check)?;
    }
    Ok(measurements)
}
