//! A start that does not get to its end: where nothing is, and where a daemon was killed.

use anyhow::{Context as _, Result};
use prroute_tests::lab::Lab;
use prroute_tests::own_source::OwnSource;

use super::{Moment, Scene, TOPOLOGY, before};

/// Maps, programs, and what they know.
const DATAPATH: [Moment; 11] = [
    before("create map", 1),
    before("pin", 10),
    before("load program prroute_ingress", 1),
    before("load program prroute_egress", 1),
    before("pin socket-sendmsg4_new", 1),
    before("rename socket-sendmsg4", 1),
    before("load program prroute_connect", 2),
    before("write to a map", 12),
    before("pin link-1-egress_new", 1),
    before("rename link-1-egress", 1),
    before("attach a program", 8),
];

/// Files, settings, rules and routes.
const OTHERS: [Moment; 11] = [
    before("open journal.json.new", 1),
    before("rename journal.json", 1),
    before("open rp_filter", 2),
    before("add neighbour", 1),
    before("add route", 1),
    before("add route", 6),
    before("add rule", 1),
    before("add rule", 7),
    before("open report.json.new", 1),
    before("rename journal.json", 3),
    before("rename report.json", 3),
];

/// Of a start that goes on with what there is.
const SECOND: [Moment; 6] = [
    before("write to a map", 3),
    before("load program prroute_ingress", 1),
    before("rename socket-connect4", 1),
    before("replace a program", 1),
    before("replace a program", 4),
    before("rename report.json", 1),
];

fn killed_at(moments: &[Moment], own_source: OwnSource) -> Result<()> {
    let lab = Lab::with_services(TOPOLOGY)?;
    let scene = Scene::new(&lab, own_source, "")?;
    for moment in moments {
        let killed = || {
            scene.killed_start(*moment)?;
            scene.expect_no_worse()?;
            scene.expect_repaired()?;
            // Nor need there be another start.
            scene.killed_start(*moment)?;
            scene.prroute.down()?;
            lab.expect_unchanged_since(&scene.before)
        };
        killed().with_context(|| format!("{moment:?}"))?;
    }
    Ok(())
}

#[test]
fn a_start_that_is_killed_in_the_datapath_is_repaired_by_the_next_and_undone() -> Result<()> {
    killed_at(&DATAPATH, OwnSource::Rules)
}

#[test]
fn a_start_that_is_killed_in_files_rules_and_routes_is_repaired_and_undone() -> Result<()> {
    killed_at(&OTHERS, OwnSource::Rules)
}

/// The programs of the first daemon go on: no reply is missed.
#[test]
fn a_second_start_that_is_killed_takes_nothing_from_the_first() -> Result<()> {
    let lab = Lab::with_services(TOPOLOGY)?;
    for own_source in OwnSource::BOTH {
        let scene = Scene::new(&lab, own_source, "")?;
        for moment in &SECOND {
            let killed = || {
                scene.prroute.run(&[])?.kill()?;
                scene.killed_start(*moment)?;
                scene.expect_all_answered()?;
                scene.expect_repaired()
            };
            killed().with_context(|| format!("{moment:?}, {own_source:?}"))?;
        }
    }
    Ok(())
}

/// The qdiscs are somebody else's: the filters are all there is to remove.
#[test]
fn filters_on_a_qdisc_of_others_are_removed_after_a_start_that_was_killed() -> Result<()> {
    let lab = Lab::with_services(TOPOLOGY)?;
    for device in ["up1", "up2"] {
        lab.host.run(&["tc", "qdisc", "add", "dev", device, "clsact"])?;
    }
    let scene = Scene::new(&lab, OwnSource::Rules, "attach = \"clsact\"\n")?;
    for number in 2..=4 {
        let moment = before("add filter", number);
        let killed = || {
            scene.killed_start(moment)?;
            scene.prroute.down()?;
            lab.expect_unchanged_since(&scene.before)
        };
        killed().with_context(|| format!("{moment:?}"))?;
    }
    Ok(())
}
