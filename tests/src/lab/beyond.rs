//! What some labs have beside the topology: strangers on an uplink's segment, guests behind the
//! host, and a client that changes its way.

use anyhow::Result;

use super::Lab;
use crate::addressing::{self, Family};
use crate::netns::Namespace;
use crate::router;

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
            let at_once = if family == Family::V6 { "nodad" } else { "" };
            stranger.ip(&format!("address add {address}/{length} dev eth0 {at_once}"))?;
            let (shared, via) = (addressing::shared(family), addressing::host(number, family));
            stranger.ip(&format!("route add {shared} via {via} dev eth0"))?;
        }
        Ok(())
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
            host += &format!("address add {gateway}/{length} dev guests\n");
            inside += &format!("address add {}/{length} dev eth0\n", addressing::guest(family));
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

    /// What the stateless client sends to the shared address goes through router `number` now.
    pub fn steer(&self, number: u8, family: Family) -> Result<()> {
        let (shared, router) = (addressing::shared(family), addressing::router_wan(number, family));
        self.client.ip(&format!("route replace {shared} via {router}")).map(drop)
    }
}
