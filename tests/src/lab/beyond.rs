//! What some labs have beside the topology: strangers on an uplink's segment, guests behind the
//! host, and a client that changes its way.

use std::time::Duration;

use anyhow::Result;

use super::Lab;
use crate::addressing::{self, Family};
use crate::netns::Namespace;
use crate::router;
use crate::wait;

/// Time for the kernel to notice that a bridge has a port.
const CARRIER: Duration = Duration::from_secs(20);

impl Lab {
    /// A host on the segment of uplink `number`, with a device `eth0` and no address.
    pub fn stranger(&self, number: u8, role: &str) -> Result<Namespace> {
        let stranger = Namespace::create(&self.name, role, self.topology.keep)?;
        self.router(number).namespace.ip_batch(&format!(
            "link add name {role} type veth peer name eth0 netns {}\nlink set {role} master {} up\n",
            stranger.name(),
            router::LAN,
        ))?;
        stranger.ip("link set eth0 up")?;
        Ok(stranger)
    }

    /// Gives a stranger the address [`addressing::neighbour`] of that segment, and the way to the
    /// shared address.
    pub fn settle(&self, stranger: &Namespace, number: u8) -> Result<()> {
        for family in Family::BOTH {
            let (address, length) =
                (addressing::neighbour(number, family), addressing::prefix_length(family));
            let at_once = addressing::at_once(family);
            stranger.ip(&format!("address add {address}/{length} dev eth0 {at_once}"))?;
            let (shared, via) = (addressing::shared(family), addressing::host(number, family));
            stranger.ip(&format!("route add {shared} via {via} dev eth0"))?;
        }
        Ok(())
    }

    /// A client on the link of uplink `number`, with its router as default gateway.
    pub fn resident(&self, number: u8) -> Result<Namespace> {
        let resident = self.stranger(number, &format!("resident{number}"))?;
        let mut batch = String::new();
        for family in Family::BOTH {
            let length = addressing::prefix_length(family);
            let address = addressing::neighbour(number, family);
            let at_once = addressing::at_once(family);
            batch += &format!("address add {address}/{length} dev eth0 {at_once}\n");
        }
        for family in Family::BOTH {
            let gateway = addressing::gateway(number, family);
            batch += &format!("route add default via {gateway} dev eth0\n");
        }
        resident.ip_batch(&batch)?;
        // The providers know the way to each other here: this router forwards its client's
        // question over the WAN, and the other routers their answers.
        let router = self.router(number);
        for other in self.routers.iter().filter(|other| other.number != number) {
            for family in Family::BOTH {
                for (from, to) in [(router, other), (other, router)] {
                    let prefix = addressing::prefix(to.number, family);
                    let via = addressing::router_wan(to.number, family);
                    from.namespace.ip(&format!("route replace {prefix} via {via}"))?;
                }
            }
        }
        Ok(resident)
    }

    /// Takes the family's address and default route away from uplink `number`.
    pub fn unconfigure(&self, number: u8, family: Family) -> Result<()> {
        let (device, option) = (addressing::device(number), family.option());
        self.host.ip(&format!("{option} address flush dev {device} scope global"))?;
        self.host.ip(&format!("{option} route flush default dev {device}")).map(drop)
    }

    /// A guest behind the host, on prefixes that every router routes to it.
    pub fn guest(&self) -> Result<Namespace> {
        let guest = Namespace::create(&self.name, "guest", self.topology.keep)?;
        let mut host = format!(
            "link add name guests type veth peer name eth0 netns {}\nlink set guests up\n",
            guest.name()
        );
        let mut inside = String::from("link set eth0 up\n");
        for family in Family::BOTH {
            let length = addressing::prefix_length(family);
            let gateway = addressing::guest_gateway(family);
            let (guest, at_once) = (addressing::guest(family), addressing::at_once(family));
            host += &format!("address add {gateway}/{length} dev guests {at_once}\n");
            inside += &format!("address add {guest}/{length} dev eth0 {at_once}\n");
        }
        for family in Family::BOTH {
            let gateway = addressing::guest_gateway(family);
            inside += &format!("route add default via {gateway}\n");
            for router in &self.routers {
                let (prefix, via) =
                    (addressing::guests(family), addressing::host(router.number, family));
                router.namespace.ip(&format!("route add {prefix} via {via}"))?;
            }
        }
        self.host.ip_batch(&host)?;
        guest.ip_batch(&inside)?;
        Ok(guest)
    }

    /// What the stateless client sends to both shared addresses goes through router `number` now.
    pub fn steer_both(&self, number: u8) -> Result<()> {
        Family::BOTH.into_iter().try_for_each(|family| self.steer(number, family))
    }

    /// Likewise, to the one of a family.
    pub fn steer(&self, number: u8, family: Family) -> Result<()> {
        let (shared, router) = (addressing::shared(family), addressing::router_wan(number, family));
        self.client.ip(&format!("route replace {shared} via {router}")).map(drop)
    }

    /// `count` private namespaces on a bridge `pods` of the host, as containers have them: nobody
    /// else knows their addresses, [`addressing::pod`].
    pub fn pods(&self, count: u8) -> Result<Vec<Namespace>> {
        let mut host =
            String::from("link add name pods type bridge forward_delay 0\nlink set pods up\n");
        for family in Family::BOTH {
            let length = addressing::prefix_length(family);
            let (gateway, at_once) = (addressing::pod(0, family), addressing::at_once(family));
            host += &format!("address add {gateway}/{length} dev pods {at_once}\n");
        }
        self.host.ip_batch(&host)?;
        // Where the kernel has bridge netfilter, a hairpin would be translated twice.
        self.host.run(&[
            "sysctl",
            "-q",
            "-e",
            "-w",
            "net.bridge.bridge-nf-call-iptables=0",
            "net.bridge.bridge-nf-call-ip6tables=0",
        ])?;
        let mut pods = Vec::new();
        for number in 1..=count {
            let pod = Namespace::create(&self.name, &format!("pod{number}"), self.topology.keep)?;
            self.host.ip_batch(&format!(
                "link add name pod{number} type veth peer name eth0 netns {}\n\
                 link set pod{number} master pods up\n",
                pod.name()
            ))?;
            // A pod may ask itself through the host.
            self.host.run(&[
                "bridge",
                "link",
                "set",
                "dev",
                &format!("pod{number}"),
                "hairpin",
                "on",
            ])?;
            let mut inside = String::from("link set eth0 up\n");
            for family in Family::BOTH {
                let (address, length) =
                    (addressing::pod(number, family), addressing::prefix_length(family));
                let at_once = addressing::at_once(family);
                inside += &format!("address add {address}/{length} dev eth0 {at_once}\n");
            }
            for family in Family::BOTH {
                inside += &format!("route add default via {}\n", addressing::pod(0, family));
            }
            pod.ip_batch(&inside)?;
            pods.push(pod);
        }
        // A while after its first port is up.
        wait::until("the bridge has a carrier", CARRIER, || {
            let routes = self.host.run(&["ip", "route", "show", "table", "all", "dev", "pods"])?;
            Ok((!routes.contains("linkdown")).then_some(()))
        })?;
        Ok(pods)
    }
}
