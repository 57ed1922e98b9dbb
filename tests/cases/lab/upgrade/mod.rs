//! Another version, with another layout of its maps and other state files, takes the place of this one,
//! and this one of the other: nothing is lost, nothing leaves by the wrong uplink.

mod failed_start;
mod foreign_pins;
mod forgotten;

use anyhow::{Context as _, Result, ensure};
use prroute_common::LAYOUT_VERSION;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::{OwnSource, in_both_modes};
use prroute_tests::prroute::{self, Daemon, Instance};
use prroute_tests::snapshot::Snapshot;

use crate::conversations::{Conversations, Flood, expect_nothing_lost};

/// The layout of the other version.
const OTHER_LAYOUT: u32 = 1008;

/// How often each version takes the other's place.
const TIMES: usize = 2;

/// One instance as two versions see it.
struct Versions<'lab> {
    this: Instance<'lab>,
    other: Instance<'lab>,
}

impl<'lab> Versions<'lab> {
    fn of(lab: &'lab Lab, configuration: &str, own_source: OwnSource) -> Result<Self> {
        let instance = || lab.prroute()?.own_source(own_source)?.configured(configuration);
        Ok(Self { this: instance()?, other: instance()?.of_build(prroute::other_version()?) })
    }
}

/// The layouts that are pinned.
fn layouts(lab: &Lab) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(prroute::pins(lab.name()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with('v') {
            names.push(name);
        }
    }
    Ok(names)
}

fn ensure_only(lab: &Lab, layout: u32) -> Result<()> {
    let pinned = layouts(lab)?;
    ensure!(pinned == [format!("v{layout}")], "layouts: {pinned:?}");
    Ok(())
}

/// Ends one daemon, or kills it, and starts the other version's.
fn replace<'lab>(old: Daemon, new: &Instance<'lab>, kill: bool) -> Result<Daemon> {
    if kill {
        old.kill()?;
    } else {
        old.terminate()?;
    }
    new.run(&[])
}

fn both_ways(hook: &str, own_source: OwnSource) -> Result<()> {
    let lab = Lab::build(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    let before: Snapshot = lab.snapshot()?;
    let configuration = format!("attach = \"{hook}\"\n");
    let Versions { this, other } = Versions::of(&lab, &configuration, own_source)?;
    let mut daemon = this.run(&[])?;
    let mut conversations = Conversations::open(&lab)?;
    let mut floods = Flood::all(&lab)?;
    for time in 0..TIMES {
        for (new, layout) in [(&other, OTHER_LAYOUT), (&this, LAYOUT_VERSION)] {
            daemon = replace(daemon, new, time % 2 == 1)?;
            ensure_only(&lab, layout)?;
            conversations.host_speaks_first()?;
            conversations.go_on()?;
            for flood in &mut floods {
                flood.is_answered()?;
            }
        }
    }
    expect_nothing_lost(&lab, &conversations, floods)?;
    daemon.terminate()?;
    this.down()?;
    lab.expect_unchanged_since(&before).context("what the other version changed is undone, too")
}

#[test]
fn both_ways_by_tcx_links_nothing_is_lost() -> Result<()> {
    in_both_modes(|own_source| both_ways("tcx", own_source))
}

#[test]
fn both_ways_by_clsact_filters_nothing_is_lost() -> Result<()> {
    in_both_modes(|own_source| both_ways("clsact", own_source))
}

/// No filter can be attached to one of three uplinks, by either version.
#[test]
fn an_uplink_with_an_ingress_qdisc_of_others_makes_an_upgrade_forget_nothing() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    lab.host.run(&["tc", "qdisc", "add", "dev", "up2", "ingress"])?;
    let Versions { this, other } = Versions::of(&lab, "attach = \"clsact\"\n", OwnSource::Rules)?;
    let mut daemon = this.run(&[])?;
    for (new, layout) in [(&other, OTHER_LAYOUT), (&this, LAYOUT_VERSION)] {
        daemon = replace(daemon, new, false)?;
        ensure_only(&lab, layout)?;
        let log = daemon.process.log();
        ensure!(log.contains("with its flows"), "{log}");
        ensure!(!log.contains("flows that were opened before"), "{log}");
    }
    daemon.terminate()?;
    this.down().map(drop)
}
