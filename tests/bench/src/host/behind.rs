//! Who is behind the host: a container whose port it publishes, or a guest that it routes for.

use anyhow::Result;
use prroute_tests::addressing::{self, Family};
use prroute_tests::netns::Namespace;

use super::Host;

/// The container's port, published by the host under the same number.
pub(crate) const PUBLISHED: u16 = 9000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    Nobody,
    /// With addresses of its own, which the host forwards without translation.
    Guest,
    /// With destination address translation, which needs conntrack.
    Container,
}

impl Host {
    pub(super) fn connect_behind(&self, behind: Behind) -> Result<()> {
        let Some(inside) = &self.behind else { return Ok(()) };
        self.connect_inside(inside)?;
        if behind == Behind::Container { self.host.nft(&publishing()) } else { Ok(()) }
    }

    fn connect_inside(&self, inside: &Namespace) -> Result<()> {
        self.host.sysctl(&["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])?;
        let name = inside.name();
        let mut here = format!("link add name behind0 type veth peer name eth0 netns {name}\n");
        here += "link set behind0 up\n";
        let mut there = String::from("link set eth0 up\n");
        for family in Family::BOTH {
            let length = addressing::prefix_length(family);
            let gateway = addressing::guest_gateway(family);
            let guest = addressing::guest(family);
            here += &format!("addr add {gateway}/{length} dev behind0\n");
            there += &format!("addr add {guest}/{length} dev eth0\n");
            there += &format!("route add default via {gateway}\n");
        }
        self.host.ip_batch(&here)?;
        inside.ip_batch(&there)
    }
}

/// Rules that translate what is for the published port.
fn publishing() -> String {
    let rules = Family::BOTH.map(|family| {
        let guest = addressing::guest(family);
        let (table, address) = match family {
            Family::V4 => ("ip", format!("{guest}:{PUBLISHED}")),
            Family::V6 => ("ip6", format!("[{guest}]:{PUBLISHED}")),
        };
        let asked = Host::asked(family);
        format!(
            "table {table} published {{ chain c {{ type nat hook prerouting priority dstnat; \
             {table} daddr {asked} meta l4proto {{ tcp, udp }} th dport {PUBLISHED} dnat to {address}; }}; }}\n"
        )
    });
    rules.concat()
}
