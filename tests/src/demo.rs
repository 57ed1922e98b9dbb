//! The main job in front of a reader: the same questions without and with prroute.

mod keep;
mod screen;

use anyhow::{Context as _, Result};

use crate::addressing;
use crate::docker::{self, Docker, Engine, Iptables};
use crate::lab::{Lab, Topology};
use crate::probe::{self, Outcome, Probe, Question};
use crate::prroute::Daemon;
use crate::wait;

use screen::{Colours, Row, Screen};

/// How many providers the demo's host has.
const UPLINKS: u8 = 3;

/// Runs the demo. `true` when every probe was answered with prroute, and each that must fail
/// without it failed. `keep` leaves the lab for the reader to look inside.
pub fn run(keep: bool) -> Result<bool> {
    wait::interrupt_on_signals()?;
    let screen = Screen::new(Colours::detect());
    screen.topology(UPLINKS);

    let topology = Topology { uplinks: UPLINKS, keep, ..Topology::DEFAULT };
    let lab = Lab::with_services(topology).context("build the lab")?;
    if keep {
        keep::write_removal(&lab)?;
    }
    let outcome = show(&lab, &screen);
    if keep {
        keep::explain(&lab);
    }
    outcome
}

fn show(lab: &Lab, screen: &Screen) -> Result<bool> {
    let keep = lab.topology.keep;
    let engine = Engine { iptables: Iptables::Nft, userland_proxy: false };
    let docker = Docker::start(&lab.host, &lab.scratch, lab.name(), engine, keep)
        .context("start Docker in the lab")?;
    docker.publish_servers(&lab.host, &lab.scratch).context("publish containers")?;

    let probes = probes();
    lab.meet_default_gateway()?;
    let without = lab.ask(&probes)?;
    wait::check_interrupted()?;

    let mut instance = lab.prroute()?;
    if keep {
        instance = instance.kept();
    }
    lab.forget_neighbours()?;
    let daemon: Daemon = instance.run(&[])?;
    let with = lab.ask(&probes)?;
    wait::check_interrupted()?;

    screen.table(&rows(&without, &with));
    screen.installed(&lab.host, UPLINKS)?;
    screen.counters(&instance.status()?)?;
    let verdict = Verdict::of(&without, &with);
    screen.verdict(&verdict);
    if !keep {
        daemon.terminate()?;
        instance.down()?;
    }
    Ok(verdict.is_good())
}

/// Every question over every uplink: to its own address, to the shared one, to a container.
fn probes() -> Vec<Probe> {
    let published = [Question::Tcp(docker::TCP_PORT), Question::Udp(docker::UDP_PORT)];
    let mut probes = probe::to_everything(UPLINKS);
    probes.extend(probe::to_own_addresses(UPLINKS, &published));
    probes
}

fn rows(without: &[Outcome], with: &[Outcome]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (without, with) in without.iter().zip(with) {
        let probe = &without.probe;
        let family = addressing::Family::of(probe.target);
        let asked = match probe.question {
            Question::Tcp(docker::TCP_PORT) | Question::Udp(docker::UDP_PORT) => "container's port",
            _ if probe.target == addressing::shared(family) => "shared address",
            _ => "own address",
        };
        let uplink = probe.uplink();
        let position = rows.iter().position(|row| row.asked == asked && row.uplink == uplink);
        let position = position.unwrap_or_else(|| {
            rows.push(Row { asked, uplink, cells: Vec::new() });
            rows.len() - 1
        });
        let question = probe.question.name();
        rows[position].cells.push((family, question, without.answered(), with.answered()));
    }
    rows
}

/// What the probes showed.
struct Verdict {
    asked: usize,
    answered_without: usize,
    /// Must fail without prroute, and did not.
    answered_by_luck: Vec<Outcome>,
    /// Not answered with prroute.
    silent: Vec<Outcome>,
}

impl Verdict {
    fn of(without: &[Outcome], with: &[Outcome]) -> Self {
        let must_fail = |outcome: &&Outcome| outcome.probe.uplink() != 1;
        let answered = |outcome: &&Outcome| outcome.answered();
        Self {
            asked: with.len(),
            answered_without: without.iter().filter(answered).count(),
            answered_by_luck: without.iter().filter(must_fail).filter(answered).cloned().collect(),
            silent: with.iter().filter(|outcome| !outcome.answered()).cloned().collect(),
        }
    }

    fn is_good(&self) -> bool {
        self.asked > 0 && self.answered_by_luck.is_empty() && self.silent.is_empty()
    }
}
