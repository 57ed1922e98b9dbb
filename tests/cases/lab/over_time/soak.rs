//! Flows that are opened, speak and are closed by the hundred thousand, beside a daemon that runs, while days
//! and weeks pass between them.
//!
//! Their packets are run through the daemon's own programs, on its tables (BPF_PROG_TEST_RUN), which takes
//! microseconds each; time passes by setting back what the programs noted. `PRROUTE_SOAK_FLOWS` says how many
//! flows there are.

use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::Pod;
use aya::maps::{HashMap, Map, MapData};
use nix::net::if_::if_nametoindex;
use prroute::datapath::Pins;
use prroute_common::flow::{Flow as FlowEntry, FlowKey4, FlowKey6};
use prroute_common::names;
use prroute_tests::addressing::{self, Family};
use prroute_tests::bpf::{self, Direction};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::probe;

use super::number_of;
use super::packet::{Flags, Packet};
use crate::sequences::pass;

const PATIENCE: Duration = Duration::from_secs(60);

/// Small tables: what is old makes room for what is new all the time. The programs are found by their links.
const CONFIGURATION: &str = "flows = 16384\nattach = \"tcx\"\n";

/// Flows that are open at once.
const OPEN: u64 = 1000;

/// What passes between two parts of the flows, in days. After 26 days a stamp of 24 bits comes round.
const DAYS: [u64; 11] = [1, 6, 13, 14, 20, 26, 27, 40, 52, 53, 60];

/// What passes before flows go on that were silent, each time: within 180 s for datagrams, within ten minutes for
/// connections to an own address that came in elsewhere, within two and a half hours for others.
const SILENCES: [Duration; 3] =
    [Duration::from_secs(150), Duration::from_secs(400), Duration::from_secs(2 * 3600)];

/// TCX_NEXT, and TC_ACT_REDIRECT: with two uplinks, by the one that the kernel chose, or by the other.
const PASS: i32 = -1;
const REDIRECT: i32 = 7;

const SERVICE: u16 = 443;

/// The uplinks, from 0.
type Uplink = usize;

/// The programs that the daemon attached, and where.
struct Datapath {
    ingress: OwnedFd,
    egress: OwnedFd,
    ifindexes: [u32; 2],
    macs: [[u8; 6]; 2],
}

impl Datapath {
    fn of(lab: &Lab) -> Result<Self> {
        let program = |direction| bpf::first_tcx_program(&lab.host, "up1", direction);
        let (ingress, egress) = (program(Direction::Ingress)?, program(Direction::Egress)?);
        let index = |name: &str| if_nametoindex(name).with_context(|| format!("find {name}"));
        let ifindexes = lab.host.inside(|| Ok([index("up1")?, index("up2")?]))?;
        let mac = |number| prroute_tests::frame::mac(&addressing::host_mac(number));
        Ok(Self { ingress, egress, ifindexes, macs: [mac(1)?, mac(2)?] })
    }

    fn came_in(&self, uplink: Uplink, packet: &mut Packet) -> Result<i32> {
        packet.set_destination_mac(self.macs[uplink]);
        bpf::run_on(self.ingress.as_fd(), self.ifindexes[uplink], packet.bytes(), 1)
    }

    fn leaves(&self, uplink: Uplink, packet: &Packet) -> Result<i32> {
        bpf::run_on(self.egress.as_fd(), self.ifindexes[uplink], packet.bytes(), 1)
    }
}

/// What became of all that the host answered.
#[derive(Debug, Default)]
struct Tally {
    flows: u64,
    replies: u64,
    lost: u64,
    astray: u64,
}

/// A flow: who asks, over which uplink, and which one the kernel chooses for the answers.
#[derive(Clone, Copy)]
struct Flow {
    number: u32,
    family: Family,
    local: IpAddr,
    came_by: Uplink,
    chosen: Uplink,
    is_tcp: bool,
}

impl Flow {
    /// Shared addresses and own ones, over each uplink, in both families, of both protocols.
    fn of(number: u32) -> Self {
        let bit = |at: u32| (number >> at & 1) as usize;
        let family = Family::BOTH[bit(0)];
        let (came_by, is_tcp) = (bit(1), bit(2) == 0);
        // Of an own address the kernel sends by its owner, for a shared one it has no better way.
        let (local, chosen) = match number >> 3 & 3 {
            0 => (addressing::host(1, family), 0),
            1 => (addressing::host(2, family), 1),
            way => (addressing::shared(family), way as usize - 2),
        };
        Self { number, family, local, came_by, chosen, is_tcp }
    }

    /// After how many of the silences it goes on.
    fn silences(self) -> usize {
        let is_elsewhere =
            self.local != addressing::shared(self.family) && self.chosen != self.came_by;
        match (self.is_tcp, is_elsewhere) {
            (false, _) => 1,
            (true, true) => 2,
            (true, false) => 3,
        }
    }

    fn client_port(self) -> u16 {
        33_000 + (self.number >> 16) as u16
    }
}

/// A flow's packets, written over each other.
struct Conversation<'run> {
    datapath: &'run Datapath,
    flow: Flow,
    asks: Packet,
    answers: Packet,
}

impl<'run> Conversation<'run> {
    fn of(datapath: &'run Datapath, templates: &[[Packet; 2]; 4], flow: Flow) -> Self {
        let family = usize::from(flow.family == Family::V6);
        let [mut asks, mut answers] = templates[2 * family + usize::from(flow.is_tcp)].clone();
        let client = (flow.number & 0xffff) as u16;
        asks.set_ends((None, Some(client), flow.client_port()), (Some(flow.local), None, SERVICE));
        answers
            .set_ends((Some(flow.local), None, SERVICE), (None, Some(client), flow.client_port()));
        Self { datapath, flow, asks, answers }
    }

    fn ask(&mut self, flags: Flags, numbers: (u32, u32)) -> Result<()> {
        if self.flow.is_tcp {
            self.asks.set_tcp(flags, numbers);
        }
        let verdict = self.datapath.came_in(self.flow.came_by, &mut self.asks)?;
        ensure!(verdict == PASS, "a request that comes in is passed on, not {verdict}");
        Ok(())
    }

    fn answer(&mut self, tally: &mut Tally, flags: Flags, numbers: (u32, u32)) -> Result<()> {
        if self.flow.is_tcp {
            self.answers.set_tcp(flags, numbers);
        }
        let verdict = self.datapath.leaves(self.flow.chosen, &self.answers)?;
        let right = if self.flow.chosen == self.flow.came_by { PASS } else { REDIRECT };
        tally.replies += 1;
        tally.astray += u64::from(verdict != right && matches!(verdict, PASS | REDIRECT));
        tally.lost += u64::from(!matches!(verdict, PASS | REDIRECT));
        Ok(())
    }

    fn open(&mut self, tally: &mut Tally) -> Result<()> {
        tally.flows += 1;
        self.ask(Flags::SYN, (CLIENT_FIRST, 0))?;
        self.answer(tally, Flags::SYN_ACK, (HOST_FIRST, CLIENT_FIRST + 1))?;
        self.ask(Flags::ACK, (CLIENT_FIRST + 1, HOST_FIRST + 1))?;
        self.answer(tally, Flags::ACK, (HOST_FIRST + 1, CLIENT_FIRST + 1))
    }

    /// After a silence; of datagrams the client is the first to speak.
    fn go_on(&mut self, tally: &mut Tally) -> Result<()> {
        if !self.flow.is_tcp {
            self.ask(Flags::ACK, (0, 0))?;
        }
        self.answer(tally, Flags::ACK, (HOST_FIRST + 1, CLIENT_FIRST + 1))
    }

    /// Both ends say that they have nothing more to say.
    fn close(&mut self, tally: &mut Tally) -> Result<()> {
        if !self.flow.is_tcp {
            return Ok(());
        }
        self.ask(Flags::FIN, (CLIENT_FIRST + 1, HOST_FIRST + 1))?;
        self.answer(tally, Flags::FIN, (HOST_FIRST + 1, CLIENT_FIRST + 2))?;
        self.ask(Flags::ACK, (CLIENT_FIRST + 2, HOST_FIRST + 2))
    }

    /// A segment of a connection that nobody remembers takes the way that the kernel chose.
    fn expect_forgotten(&mut self) -> Result<()> {
        if !self.flow.is_tcp {
            return Ok(());
        }
        self.answers.set_tcp(Flags::ACK, (HOST_FIRST + 1, CLIENT_FIRST + 1));
        let verdict = self.datapath.leaves(self.flow.chosen, &self.answers)?;
        ensure!(verdict == PASS, "flow {} is remembered", self.flow.number);
        Ok(())
    }
}

/// To set a note back is to write its entry anew, and in a full table each of these writes takes the place of
/// another entry. So there is room before time passes.
fn forget_the_closed(lab: &Lab) -> Result<()> {
    let pins = Pins::of(&lab.name().parse().map_err(anyhow::Error::msg)?);
    for name in [names::FLOWS4, names::DATAGRAMS4, names::NEW4] {
        empty::<FlowKey4>(&pins.map(name)).with_context(|| name.to_owned())?;
    }
    for name in [names::FLOWS6, names::DATAGRAMS6, names::NEW6] {
        empty::<FlowKey6>(&pins.map(name)).with_context(|| name.to_owned())?;
    }
    Ok(())
}

fn empty<K: Pod>(pin: &Path) -> Result<()> {
    let mut table: HashMap<MapData, K, FlowEntry> =
        Map::LruHashMap(MapData::from_pin(pin)?).try_into()?;
    let keys = table.keys().collect::<Result<Vec<K>, _>>()?;
    keys.iter().try_for_each(|key| Ok(table.remove(key)?))
}

/// The sequence numbers of both ends' SYNs.
const CLIENT_FIRST: u32 = 1_000_000;
const HOST_FIRST: u32 = 2_000_000;

/// Questions and answers of a flow, by family and protocol.
fn templates() -> Result<[[Packet; 2]; 4]> {
    let both = |family, is_tcp| -> Result<[Packet; 2]> {
        let (client, host) =
            (CLIENTS[usize::from(family == Family::V6)], addressing::shared(family));
        let client = client.parse().context("an address")?;
        Ok([Packet::between(client, host, is_tcp)?, Packet::between(host, client, is_tcp)?])
    };
    let [v4, v6] = [Family::V4, Family::V6];
    Ok([both(v4, false)?, both(v4, true)?, both(v6, false)?, both(v6, true)?])
}

/// The last 16 bits of a client's address are the flow's.
const CLIENTS: [&str; 2] = ["198.18.0.0", "2001:db8:77::"];

#[test]
fn with_tcx_no_reply_of_flows_that_come_and_go_for_months_is_lost_or_leaves_by_the_wrong_uplink()
-> Result<()> {
    let wanted = number_of("PRROUTE_SOAK_FLOWS", 60_000)?;
    let lab = Lab::with_services(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let mut tally = Tally::default();
    lab.with_configuration(CONFIGURATION, |prroute| {
        lab.expect_answered_within(PATIENCE, &probe::to_everything(2))?;
        let (datapath, templates) = (Datapath::of(&lab)?, templates()?);
        let of = |number| Conversation::of(&datapath, &templates, Flow::of(number));
        let parts = DAYS.len() as u64;
        for (part, days) in (0..).zip(DAYS) {
            let mut first = part * wanted / parts;
            let end = (part + 1) * wanted / parts;
            while first < end {
                let open = first as u32..end.min(first + OPEN) as u32;
                first = u64::from(open.end);
                let is_last = first == end;
                if is_last {
                    forget_the_closed(&lab)?;
                }
                lab.host.inside(|| open.clone().try_for_each(|n| of(n).open(&mut tally)))?;
                for (silences, silence) in (1..).zip(SILENCES) {
                    if is_last {
                        pass(&lab, silence)?;
                    }
                    let silent = open.clone().filter(|n| Flow::of(*n).silences() == silences);
                    lab.host.inside(|| silent.clone().try_for_each(|n| of(n).go_on(&mut tally)))?;
                }
                lab.host.inside(|| open.clone().try_for_each(|n| of(n).close(&mut tally)))?;
                if is_last {
                    pass(&lab, Duration::from_secs(days * 86_400))?;
                    let all = || open.clone().try_for_each(|n| of(n).expect_forgotten());
                    lab.host.inside(all).with_context(|| format!("after {days} days"))?;
                }
            }
            // What really is sent, too.
            probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?)
                .with_context(|| format!("after {days} days"))?;
            ensure!(tally.lost == 0 && tally.astray == 0, "after {days} days: {tally:?}");
        }
        let health = prroute.status()?["health"].clone();
        ensure!(health == "ok", "{health}:\n{}", prroute.status_text(&[])?);
        println!("{tally:?}");
        Ok(())
    })
}
