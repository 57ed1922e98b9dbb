//! Names are not devices: while two links swap theirs, programs go to uplinks only.

use anyhow::{Context as _, Result, ensure};
use nix::net::if_::if_nametoindex;
use prroute_tests::bpf::{self, Direction};
use prroute_tests::lab::Lab;
use prroute_tests::wait;

use super::traffic::{self, HEALED};

/// Starts of the daemon, and swaps during each.
const ROUNDS: u32 = 4;
const SWAPS: usize = 50;

/// Which devices have programs, both ways: `up1 up2` and no other.
fn devices_with_programs(lab: &Lab, hook: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for device in ["up1", "up2", "spare"] {
        for (direction, word) in [(Direction::Ingress, "ingress"), (Direction::Egress, "egress")] {
            let has = if hook == "tcx" {
                bpf::tcx_programs(&lab.host, device, direction)? > 0
            } else {
                let filters = lab.host.run(&["tc", "filter", "show", "dev", device, word])?;
                filters.contains("prroute_")
            };
            if has {
                found.push(format!("{device} {word}"));
            }
        }
    }
    Ok(found)
}

fn swaps_hit_no_other_device(hook: &str) -> Result<()> {
    let lab = traffic::lab()?;
    lab.host.ip("link add spare type veth peer name spare-peer")?;
    lab.host.ip("link set spare up")?;
    let index = |name| lab.host.inside(|| if_nametoindex(name).context("find a device"));
    let indexes = || -> Result<_> { Ok((index("up2")?, index("spare")?)) };
    let before = indexes()?;
    let swap = "link set dev up2 name other\nlink set dev spare name up2\n\
                link set dev other name spare\n";
    let swaps = swap.repeat(2 * SWAPS);
    let mut prroute = lab.prroute()?;
    prroute.configure(&format!("attach = \"{hook}\"\n"))?;
    for round in 1..=ROUNDS {
        let daemon = std::thread::scope(|scope| {
            let swapping = scope.spawn(|| lab.host.ip_batch(&swaps));
            let daemon = prroute.run(&[]);
            swapping.join().unwrap_or_else(|_| anyhow::bail!("panicked"))?;
            daemon
        })?;
        ensure!(indexes()? == before, "an odd number of swaps");
        let expected = ["up1 ingress", "up1 egress", "up2 ingress", "up2 egress"];
        let mut last = Vec::new();
        wait::until("every program is on an uplink", HEALED, || {
            last = devices_with_programs(&lab, hook)?;
            Ok((last == expected).then_some(()))
        })
        .with_context(|| format!("round {round}: {last:?}\n{}", daemon.process.log()))?;
        daemon.kill()?;
        prroute.down()?;
    }
    Ok(())
}

#[test]
fn links_that_swap_names_get_no_tcx_programs() -> Result<()> {
    swaps_hit_no_other_device("tcx")
}

#[test]
fn links_that_swap_names_get_no_filters() -> Result<()> {
    swaps_hit_no_other_device("clsact")
}
