//! `prroute down` that does not get to its end.

use anyhow::{Context as _, Result};
use prroute_tests::lab::Lab;
use prroute_tests::own_source::OwnSource;

use super::{Moment, Scene, TOPOLOGY, before};

const MOMENTS: [Moment; 12] = [
    before("detach", 1),
    before("remove socket-sendmsg4", 1),
    before("detach", 5),
    before("delete rule", 7),
    before("delete route", 6),
    before("delete neighbour", 1),
    before("open rp_filter", 1),
    before("open rp_filter", 2),
    before("remove FLOWS4", 1),
    before("remove netns:", 1),
    before("remove journal.json", 1),
    before("remove report.json", 1),
];

#[test]
fn an_undo_that_is_killed_is_ended_by_the_next_or_repaired_by_a_start() -> Result<()> {
    let lab = Lab::with_services(TOPOLOGY)?;
    let scene = Scene::new(&lab, OwnSource::Rules, "")?;
    for moment in &MOMENTS {
        let killed = || {
            scene.prroute.run(&[])?.kill()?;
            scene.killed_down(*moment)?;
            scene.expect_no_worse()?;
            scene.expect_repaired()?;
            // Nor need there be another start.
            scene.prroute.run(&[])?.kill()?;
            scene.killed_down(*moment)?;
            scene.prroute.down()?;
            lab.expect_unchanged_since(&scene.before)
        };
        killed().with_context(|| format!("{moment:?}"))?;
    }
    Ok(())
}
