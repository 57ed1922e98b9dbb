//! Who attacks, and with what.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo;
use prroute_tests::frame::{self, Flags, Way, Wire};
use prroute_tests::lab::Lab;
use prroute_tests::netns::Namespace;
use prroute_tests::socket;

use super::victim::Victim;
use super::{FLOWS, PORT};

pub(crate) const ATTACKER_MAC: &str = "02:00:00:00:02:66";

/// A host on uplink 2's segment.
pub(crate) struct Attacker {
    pub(crate) namespace: Namespace,
    pub(crate) wire: Wire,
}

impl Attacker {
    pub(crate) fn new(lab: &Lab) -> Result<Self> {
        let namespace = lab.stranger(2, "attacker")?;
        let wire = Wire::open(&namespace, "eth0")?;
        Ok(Self { namespace, wire })
    }

    pub(crate) fn way(source: IpAddr, target: IpAddr) -> Result<Way> {
        Ok(Way {
            source_mac: frame::mac(ATTACKER_MAC)?,
            target_mac: frame::mac(&addressing::host_mac(2))?,
            source,
            target,
        })
    }

    /// Everything in the name of a victim's client; each time with other numbers.
    pub(crate) fn attack(&self, victim: &Victim, salt: u32) -> Result<()> {
        let way = Self::way(victim.remote.ip(), victim.local.ip())?;
        let ports = (victim.remote.port(), victim.local.port());
        let none = Flags::default();
        let kinds = [
            Flags { syn: true, ..none },
            Flags { syn: true, ack: true, ..none },
            Flags { ack: true, ..none },
            Flags { rst: true, ..none },
            Flags { rst: true, ack: true, ..none },
            Flags { fin: true, ack: true, ..none },
        ];
        for flags in kinds {
            for step in 0..4 {
                let number = salt.wrapping_mul(0x9e37_79b9).wrapping_add(step << 30);
                let numbers = (number, number.rotate_left(16));
                self.wire.send(&way.tcp(ports, flags, numbers, &[])?)?;
                if !flags.rst {
                    self.wire.send(&way.tcp(ports, flags, numbers, b"spoofed")?)?;
                }
            }
        }
        // The second half of a segment, of both halves, and alone.
        let numbers = (salt, salt);
        let whole = way.tcp(ports, Flags { ack: true, ..none }, numbers, &[0; 1_000])?;
        let [first, second] = way.fragments(&whole, 512)?;
        self.wire.send(&second)?;
        self.wire.send(&first)?;
        self.wire.send(&second)?;
        self.wire.send(&way.unreachable(6, (victim.local.port(), victim.remote.port()))?)?;
        if let Some((_, port)) = victim.udp {
            let ports = (port, victim.local.port());
            self.wire.send(&way.udp(ports, b"spoofed")?)?;
            let [first, second] = way.fragments(&way.udp(ports, &[0; 1_000])?, 512)?;
            self.wire.send(&first)?;
            self.wire.send(&second)?;
            self.wire.send(&way.unreachable(17, (victim.local.port(), port))?)?;
        }
        Ok(())
    }

    /// Fills the table of confirmed flows with flows of the attacker's own address, with other
    /// ports in each turn.
    pub(crate) fn fill_the_table(&self, family: Family, turn: u16) -> Result<()> {
        const FIRST: u16 = 20_000;
        let (source, target) = (addressing::neighbour(2, family), addressing::shared(family));
        let first = FIRST + turn % 3 * (3 * FLOWS);
        for port in first..first + 3 * FLOWS {
            let udp = socket::udp(&self.namespace, source, port)?;
            for _ in 0..2 {
                ensure!(echo::udp_round(&udp, SocketAddr::new(target, PORT), 8)?, "no echo");
            }
        }
        Ok(())
    }

    /// Pings from addresses and with identifiers of all kinds, each twice, with the answers between.
    pub(crate) fn ping_the_table_full(&self, family: Family) -> Result<()> {
        const BATCH: usize = 256;
        let numbers: Vec<u16> = (0..3 * FLOWS).collect();
        for batch in numbers.chunks(BATCH) {
            for _ in 0..2 {
                for number in batch {
                    let [high, low] = number.to_be_bytes();
                    let source = match family {
                        Family::V4 => IpAddr::from([198, 18, high, low]),
                        Family::V6 => format!("2001:db8:bad::{number:x}").parse()?,
                    };
                    let way = Self::way(source, addressing::shared(family))?;
                    self.wire.send(&way.echo_request(*number)?)?;
                }
            }
        }
        Ok(())
    }

    /// A datagram in the name of `source`, once to every port that the kernel gives to clients.
    pub(crate) fn ask_every_client_port(&self, source: SocketAddr, target: IpAddr) -> Result<()> {
        let way = Self::way(source.ip(), target)?;
        for port in 32_768..=60_999 {
            self.wire.send(&way.udp((source.port(), port), b"?")?)?;
        }
        Ok(())
    }
}
