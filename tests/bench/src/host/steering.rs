//! The one thing in which hosts differ.

use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use prroute_tests::addressing::{self, Family};
use prroute_tests::bpf::{self, Direction, Place};
use prroute_tests::command::output_within;

use super::Host;
use crate::contestants::{Attached, Marker, Steering};

/// Routing table of uplink 2 in the variants that need one.
const TABLE: u32 = 102;

impl Host {
    /// Rules and marks; prroute makes its own.
    pub(super) fn steer(&self) -> Result<()> {
        match self.variant.steering {
            Steering::Nothing | Steering::Prroute(_) => {}
            Steering::SourceRules => self.source_rules()?,
            Steering::Marks(marker) => {
                self.mark_rules()?;
                match marker {
                    Marker::IptablesLegacy => self.connmark("legacy")?,
                    Marker::IptablesNft => self.connmark("nft")?,
                    Marker::Nftables => self.host.nft(CT_MARK)?,
                }
            }
        }
        if self.variant.tracked {
            self.host.nft(TRACKED)?;
        }
        Ok(())
    }

    /// Programs that are not prroute's.
    pub(super) fn attach(&mut self) -> Result<()> {
        match self.variant.attached {
            Attached::Nothing => Ok(()),
            Attached::Empty => self.attach_empty_programs(),
            Attached::Redirect => self.redirect_everything(),
        }
    }

    fn attach_empty_programs(&mut self) -> Result<()> {
        let program = bpf::empty_program()?;
        for number in [1, 2] {
            let device = addressing::device(number);
            for direction in [Direction::Ingress, Direction::Egress] {
                let place = Place::Head;
                let link = bpf::attach(&self.host, &device, direction, place, program.as_fd())?;
                self.links.push(link);
            }
        }
        Ok(())
    }

    fn redirect_everything(&mut self) -> Result<()> {
        let [from, to] = [1, 2].map(addressing::device);
        let IpAddr::V4(gateway) = addressing::gateway(2, Family::V4) else {
            bail!("the gateway of IPv4 is none");
        };
        // What waits for an answer to ARP would go to the wrong address then.
        let mac = addressing::gateway_mac(2);
        self.host.ip(&format!("neigh replace {gateway} lladdr {mac} dev {to} nud permanent"))?;
        let ifindex = self.host.inside(|| Ok(nix::net::if_::if_nametoindex(to.as_str())?))?;
        let program = bpf::redirecting_program(ifindex, gateway)?;
        let (direction, place) = (Direction::Egress, Place::Head);
        self.links.push(bpf::attach(&self.host, &from, direction, place, program.as_fd())?);
        Ok(())
    }

    fn source_rules(&self) -> Result<()> {
        self.second_table()?;
        for family in Family::BOTH {
            let from = Self::asked(family);
            self.host.ip(&format!("{} rule add from {from} lookup {TABLE}", family.option()))?;
        }
        Ok(())
    }

    fn mark_rules(&self) -> Result<()> {
        self.second_table()?;
        for family in Family::BOTH {
            self.host.ip(&format!("{} rule add fwmark 0x1 lookup {TABLE}", family.option()))?;
        }
        Ok(())
    }

    fn second_table(&self) -> Result<()> {
        for family in Family::BOTH {
            let (gateway, up) = (addressing::gateway(2, family), addressing::device(2));
            self.host.ip(&format!("route add default via {gateway} dev {up} table {TABLE}"))?;
        }
        Ok(())
    }

    fn connmark(&self, flavour: &str) -> Result<()> {
        let up = addressing::device(2);
        let rules = format!(
            "*mangle\n\
             -A PREROUTING -m conntrack ! --ctstate NEW --ctdir REPLY -m connmark ! --mark 0x0 \
             -j CONNMARK --restore-mark\n\
             -A OUTPUT -m conntrack ! --ctstate NEW --ctdir REPLY -m connmark ! --mark 0x0 \
             -j CONNMARK --restore-mark\n\
             -A PREROUTING -i {up} -m conntrack --ctstate NEW --ctdir ORIGINAL \
             -j CONNMARK --set-mark 0x1\n\
             COMMIT\n"
        );
        for program in ["iptables", "ip6tables"] {
            let restore = format!("{program}-{flavour}-restore");
            output_within(&mut self.host.command(&[&restore]), Duration::from_secs(30), &rules)
                .and_then(prroute_tests::command::Output::success)
                .with_context(|| format!("mark connections with {restore}"))?;
        }
        Ok(())
    }
}

/// Conntrack, for something else than replies.
const TRACKED: &str = "
table inet tracked {
    chain input {
        type filter hook input priority 0;
        ct state established accept
    }
}";

/// The marks of CONNMARK in nftables' own words.
const CT_MARK: &str = "
table inet marks {
    chain prerouting {
        type filter hook prerouting priority mangle;
        ct state != new ct direction reply ct mark != 0 meta mark set ct mark
        iifname up2 ct state new ct direction original ct mark set 1
    }
    chain output {
        type route hook output priority mangle;
        ct state != new ct direction reply ct mark != 0 meta mark set ct mark
    }
}";
