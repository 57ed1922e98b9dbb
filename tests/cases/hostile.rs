//! Somebody on uplink 2's segment sends what he likes in the name of a client that talks over
//! another uplink: not a byte of those flows comes to him, and none of them breaks.

use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::command;
use prroute_tests::echo::{self, Echo};
use prroute_tests::frame::{self, Flags, Way, Wire};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::prroute::{self, Instance};
use prroute_tests::{socket, wait};

const PORT: u16 = 7007;
const FLOODED: u16 = 7008;
const ATTACKER_MAC: &str = "02:00:00:00:02:66";

/// Entries of each table: the fewest that two processors allow.
const FLOWS: u16 = 4096;

/// Longer than a retransmission and `rebind-idle`.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection or datagram flow, as the attacker knows it: both ends.
struct Victim {
    /// The uplink it belongs to.
    uplink: u8,
    remote: SocketAddr,
    local: SocketAddr,
    tcp: TcpStream,
    udp: Option<(UdpSocket, u16)>,
}

impl Victim {
    /// A client of uplink `uplink` asks the shared address.
    fn inbound(lab: &Lab, uplink: u8, family: Family) -> Result<Self> {
        let (source, target) = (addressing::client(uplink, family), addressing::shared(family));
        let tcp = socket::tcp(&lab.client, source, target, PORT)?;
        let udp = socket::udp(&lab.client, source, 0)?;
        let port = udp.local_addr()?.port();
        let (remote, local) = (tcp.local_addr()?, tcp.peer_addr()?);
        let mut victim = Self { uplink, remote, local, tcp, udp: Some((udp, port)) };
        victim.tcp.set_read_timeout(Some(PATIENCE))?;
        for _ in 0..3 {
            victim.is_alive()?;
        }
        Ok(victim)
    }

    /// The host asks a client, by uplink 1.
    fn by_host(lab: &Lab, family: Family) -> Result<Self> {
        let (source, target) = (addressing::shared(family), addressing::client(1, family));
        let tcp = socket::tcp(&lab.host, source, target, PORT)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        let (local, remote) = (tcp.local_addr()?, tcp.peer_addr()?);
        let mut victim = Self { uplink: 1, remote, local, tcp, udp: None };
        victim.is_alive()?;
        Ok(victim)
    }

    fn is_alive(&mut self) -> Result<()> {
        self.tcp_is_alive()?;
        if let Some((udp, _)) = &self.udp {
            ensure!(
                echo::udp_round(udp, self.local, 64)?,
                "no answer to {} from {}",
                self.remote,
                self.local
            );
        }
        Ok(())
    }

    fn tcp_is_alive(&mut self) -> Result<()> {
        echo::tcp_round(&mut self.tcp, 64)
            .with_context(|| format!("{} with {}, uplink {}", self.remote, self.local, self.uplink))
    }
}

/// A host on uplink 2's segment.
struct Attacker {
    namespace: Namespace,
    wire: Wire,
}

impl Attacker {
    fn new(lab: &Lab) -> Result<Self> {
        let namespace = lab.stranger(2, "attacker")?;
        let wire = Wire::open(&namespace, "eth0")?;
        Ok(Self { namespace, wire })
    }

    fn way(source: IpAddr, target: IpAddr) -> Result<Way> {
        Ok(Way {
            source_mac: frame::mac(ATTACKER_MAC)?,
            target_mac: frame::mac(&addressing::host_mac(2))?,
            source,
            target,
        })
    }

    /// Everything in the name of a victim's client; each time with other numbers.
    fn attack(&self, victim: &Victim, salt: u32) -> Result<()> {
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

    /// Fills the table of confirmed flows with flows of the attacker's own address.
    fn fill_the_table(&self, family: Family) -> Result<()> {
        let (source, target) = (addressing::neighbour(2, family), addressing::shared(family));
        for i in 0..3 * FLOWS {
            let udp = socket::udp(&self.namespace, source, 20_000 + i)?;
            for _ in 0..2 {
                ensure!(echo::udp_round(&udp, SocketAddr::new(target, PORT), 8)?, "no echo");
            }
        }
        Ok(())
    }
}

/// What leaves by uplink 2 for clients of the others.
fn leak(lab: &Lab) -> Result<Capture> {
    let mut clients = Vec::new();
    for family in Family::BOTH {
        clients.extend([1, 3].map(|n| format!("dst host {}", addressing::client(n, family))));
    }
    Capture::start(&lab.host, "up2", "out", &clients.join(" or "))
}

fn expect_no_leak(capture: Capture) -> Result<()> {
    let leaked = capture.stop()?;
    ensure!(leaked.is_empty(), "{} packets on the attacker's segment: {leaked:#?}", leaked.len());
    Ok(())
}

fn lab(syncookies: u8) -> Result<(Lab, [Echo; 2])> {
    let lab = Lab::build(Topology::DEFAULT)?;
    lab.host.sysctl(&[&format!("net.ipv4.tcp_syncookies={syncookies}")])?;
    // The servers that the host asks are at the client's end.
    let clients = Family::BOTH.map(|family| addressing::client(1, family));
    let echoes = [
        Echo::start(&lab.host, &Family::BOTH.map(addressing::shared), PORT)?,
        Echo::start(&lab.client, &clients, PORT)?,
    ];
    Ok((lab, echoes))
}

fn victims(lab: &Lab) -> Result<Vec<Victim>> {
    let mut victims = Vec::new();
    for family in Family::BOTH {
        victims.push(Victim::inbound(lab, 1, family)?);
        victims.push(Victim::inbound(lab, 3, family)?);
        victims.push(Victim::by_host(lab, family)?);
    }
    Ok(victims)
}

fn small_tables<'lab>(lab: &'lab Lab) -> Result<Instance<'lab>> {
    let mut prroute = lab.prroute()?;
    prroute.configure(&format!("flows = {FLOWS}\n"))?;
    Ok(prroute)
}

/// Attacks while the flows are in use.
fn active_flows_stay(syncookies: u8) -> Result<()> {
    let (lab, _echoes) = lab(syncookies)?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let attacker = Attacker::new(&lab)?;
    let mut victims = victims(&lab)?;
    let capture = leak(&lab)?;
    for salt in 1..=20 {
        for victim in &mut victims {
            attacker.attack(victim, salt)?;
            victim.is_alive()?;
        }
    }
    expect_no_leak(capture)?;
    assert!(prroute.count("rebind_refused")? > 0, "the attack did not even arrive");
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

#[test]
fn active_flows_stay_where_they_are() -> Result<()> {
    active_flows_stay(1)
}

#[test]
fn active_flows_stay_where_they_are_with_syn_cookies() -> Result<()> {
    active_flows_stay(2)
}

/// Attacks after ten times `rebind-idle` of TCP without a packet: no handshake, no
/// acknowledgement that is not guessed, no byte.
fn silent_flows_stay(syncookies: u8) -> Result<()> {
    let (lab, _echoes) = lab(syncookies)?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let attacker = Attacker::new(&lab)?;
    let mut victims = victims(&lab)?;
    for victim in &mut victims {
        // A datagram proves nothing: after 30 s silence its sender may be anywhere.
        victim.udp = None;
        victim.tcp_is_alive()?;
    }
    let silent_until = Instant::now() + Duration::from_secs(30);
    wait::until("ten times rebind-idle", Duration::from_secs(60), || {
        Ok((Instant::now() >= silent_until).then_some(()))
    })?;
    let capture = leak(&lab)?;
    for salt in 1..=20 {
        for victim in &victims {
            attacker.attack(victim, salt)?;
        }
    }
    for victim in &mut victims {
        victim.tcp_is_alive()?;
    }
    expect_no_leak(capture)?;
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

#[test]
fn silent_flows_stay_where_they_are() -> Result<()> {
    silent_flows_stay(1)
}

#[test]
fn silent_flows_stay_where_they_are_with_syn_cookies() -> Result<()> {
    silent_flows_stay(2)
}

/// A connection over uplink 1 whose end at the host can abort it.
struct Abortable {
    client: TcpStream,
    server: TcpStream,
}

impl Abortable {
    const PORT: u16 = 7010;

    fn connect(lab: &Lab, family: Family) -> Result<Self> {
        let (source, target) = (addressing::client(1, family), addressing::shared(family));
        let listener = socket::listen(&lab.host, target, Self::PORT)?;
        let client = socket::tcp(&lab.client, source, target, Self::PORT)?;
        let (server, _) = listener.accept().context("accept")?;
        Ok(Self { client, server })
    }

    fn as_victim(&self) -> Result<Victim> {
        let (remote, local) = (self.client.local_addr()?, self.client.peer_addr()?);
        let tcp = self.client.try_clone()?;
        Ok(Victim { uplink: 1, remote, local, tcp, udp: None })
    }

    /// Sends RST, and waits until the client has it.
    fn abort(mut self) -> Result<()> {
        socket::abort(self.server)?;
        let end = std::io::Read::read(&mut self.client, &mut [0; 8]);
        let kind = end.err().map(|error| error.kind());
        ensure!(kind == Some(std::io::ErrorKind::ConnectionReset), "instead of a reset: {kind:?}");
        Ok(())
    }
}

/// The attacker first makes prroute forget the flows.
fn evicted_flows_leak_nothing(syncookies: u8) -> Result<()> {
    let (lab, _echoes) = lab(syncookies)?;
    let prroute = small_tables(&lab)?;
    let daemon = prroute.run(&[])?;
    let attacker = Attacker::new(&lab)?;
    let mut victims = victims(&lab)?;
    for victim in &mut victims {
        victim.udp = None;
    }
    let aborted = Family::BOTH
        .into_iter()
        .map(|family| Abortable::connect(&lab, family))
        .collect::<Result<Vec<_>>>()?;
    lab.settle(&attacker.namespace, 2)?;
    for family in Family::BOTH {
        attacker.fill_the_table(family)?;
    }
    let known = prroute.flows(|flow| flow["protocol"] == 6 && flow["confirmed"] == true)?;
    assert!(known.is_empty(), "not evicted: {known:#?}");
    let capture = leak(&lab)?;
    for salt in 1..=20 {
        for victim in &victims {
            attacker.attack(victim, salt)?;
        }
        for aborted in &aborted {
            attacker.attack(&aborted.as_victim()?, salt)?;
        }
    }
    for aborted in aborted {
        aborted.abort()?;
    }
    for victim in &mut victims {
        victim.tcp_is_alive()?;
    }
    expect_no_leak(capture)?;
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

#[test]
fn evicted_flows_leak_nothing_to_who_evicted_them() -> Result<()> {
    evicted_flows_leak_nothing(1)
}

#[test]
fn evicted_flows_leak_nothing_with_syn_cookies() -> Result<()> {
    evicted_flows_leak_nothing(2)
}

/// The host's own attempt to connect is not answered for seconds; the attacker's SYN comes first.
#[test]
fn an_attempt_of_the_host_leaks_nothing() -> Result<()> {
    let (lab, _echoes) = lab(1)?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let attacker = Attacker::new(&lab)?;
    lab.host.run(&["sysctl", "-qew", "net.ipv4.tcp_syn_linear_timeouts=0"])?;
    for family in Family::BOTH {
        let (local, remote) = (
            SocketAddr::new(addressing::shared(family), 40_000),
            SocketAddr::new(addressing::client(1, family), 7_070),
        );
        // Nobody is there, and nobody says so.
        lab.client.nft(
            "table inet nobody {
                chain in {
                    type filter hook input priority 0;
                    tcp dport 7070 drop
                }
            }",
        )?;
        let syns = || lab.router(1).arrived(local.ip(), remote.ip());
        let capture = std::thread::scope(|scope| -> Result<Capture> {
            scope.spawn(|| socket::tcp_from(&lab.host, local, remote, PATIENCE));
            // After one, three and seven seconds the host tries again: there is a time in which
            // the flow was silent for longer than `rebind-idle`.
            wait::until("an attempt that waits", PATIENCE, || {
                let waits = prroute.flows(|flow| {
                    flow["local_port"] == 40_000
                        && flow["local"] == local.ip().to_string()
                        && flow["idle_seconds"].as_f64().is_some_and(|idle| idle > 3.2)
                })?;
                Ok((!waits.is_empty()).then_some(()))
            })?;
            let capture = leak(&lab)?;
            let way = Attacker::way(remote.ip(), local.ip())?;
            let mut number = 0;
            wait::until("more attempts", PATIENCE, || {
                number += 1_000;
                let syn = Flags { syn: true, ..Flags::default() };
                let ports = (remote.port(), local.port());
                attacker.wire.send(&way.tcp(ports, syn, (number, 0), &[])?)?;
                Ok((syns()? >= 4).then_some(()))
            })?;
            Ok(capture)
        })?;
        expect_no_leak(capture).with_context(|| family.to_string())?;
    }
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

/// Memory of all pinned maps, in bytes.
fn memory(lab: &Lab) -> Result<u64> {
    let mut bytes = 0;
    let directory = prroute::pins(lab.name());
    let mut pending = vec![directory];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let show = ["bpftool", "-j", "map", "show", "pinned", &path.display().to_string()];
            let output = command::output(&mut command::command(&show)?)?;
            // Programs and links are pinned there too.
            if let Ok(map) = serde_json::from_str::<serde_json::Value>(&output.stdout) {
                bytes += map["bytes_memlock"].as_u64().unwrap_or_default();
            }
        }
    }
    ensure!(bytes > 0, "no maps");
    Ok(bytes)
}

/// Ten times as many openings as both tables hold, in other people's names.
#[test]
fn a_flood_of_openings_harms_no_confirmed_flow() -> Result<()> {
    let (lab, _echoes) = lab(1)?;
    let prroute = small_tables(&lab)?;
    let daemon = prroute.run(&[])?;
    let attacker = Attacker::new(&lab)?;
    let mut victims = Vec::new();
    for family in Family::BOTH {
        for uplink in 1..=3 {
            for _ in 0..5 {
                victims.push(Victim::inbound(&lab, uplink, family)?);
            }
        }
    }
    // A socket of its own: the victims' would overflow.
    let shared = Family::BOTH.map(addressing::shared);
    let _flooded = Echo::start(&lab.host, &shared, FLOODED)?;
    let before = memory(&lab)?;
    let capture = leak(&lab)?;
    let syn = Flags { syn: true, ..Flags::default() };
    for family in Family::BOTH {
        let target = addressing::shared(family);
        let openings = 10 * 2 * u32::from(FLOWS);
        let turn = openings / u32::try_from(victims.len())?;
        for i in 0..openings {
            let [_, _, high, low] = i.to_be_bytes();
            let source: IpAddr = match family {
                Family::V4 => [198, 18, 0, low].into(),
                Family::V6 => {
                    format!("2001:db8:bad::{low:x}").parse().context("a spoofed source")?
                }
            };
            let way = Attacker::way(source, target)?;
            let port = 1_024 + u16::from(high) * 100 + (i >> 16) as u16;
            attacker.wire.send(&way.tcp((port, FLOODED), syn, (i, 0), &[])?)?;
            attacker.wire.send(&way.udp((port, FLOODED), b"x")?)?;
            if i % turn == turn - 1 {
                let next = (i / turn) as usize % victims.len();
                victims[next].is_alive().with_context(|| format!("after {i} openings"))?;
            }
        }
    }
    for victim in &mut victims {
        victim.is_alive()?;
    }
    expect_no_leak(capture)?;
    for uplink in 1..=3 {
        for family in Family::BOTH {
            let client = addressing::client(uplink, family);
            for router in lab.routers.iter().filter(|router| router.number != uplink) {
                let arrived = router.arrived(addressing::shared(family), client)?;
                assert_eq!(arrived, 0, "for {client} by uplink {}", router.number);
            }
        }
    }
    assert!(prroute.count("opened_inbound")? >= 20 * u64::from(FLOWS), "most were recorded");
    assert_eq!(memory(&lab)?, before, "bytes of maps");
    assert_eq!(prroute.count("held")?, 0);
    assert_eq!(prroute.count("table_full")?, 0);
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}
