//! The daemon, and `prroute down`, killed at named moments: what was answered before is answered
//! still, the next start ends where an undisturbed one does, and `prroute down` leaves nothing.

mod running;
mod start;
mod undo;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use prroute_tests::attend::{Attended, Verdict};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::OwnSource;
use prroute_tests::probe::{self, Outcome, Probe};
use prroute_tests::process::ended_by;
use prroute_tests::prroute::{Daemon, Instance, START};
use prroute_tests::snapshot::Snapshot;
use prroute_tests::wait;

const TOPOLOGY: Topology = Topology { uplinks: 2, rp_filter: 1, ..Topology::DEFAULT };

/// A moment: immediately before a step that changes something.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Words that are all in the step's description.
    step: &'static str,
    /// The how many-th of these steps.
    number: usize,
}

const fn before(step: &'static str, number: usize) -> Moment {
    Moment { step, number }
}

impl Moment {
    /// Kills the program at this moment, counted from when `armed` is set.
    fn kill(self, armed: &Arc<AtomicBool>) -> impl FnMut(&str) -> Verdict + Send + 'static {
        let (armed, mut seen) = (Arc::clone(armed), 0);
        move |step| {
            let is_one = self.step.split_whitespace().all(|word| step.contains(word));
            seen += usize::from(is_one && armed.load(Ordering::Relaxed));
            if is_one && seen == self.number { Verdict::Kill } else { Verdict::Go }
        }
    }
}

fn armed() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(true))
}

/// A host, and what is to hold of it.
struct Scene<'lab> {
    lab: &'lab Lab,
    prroute: Instance<'lab>,
    before: Snapshot,
    /// After a start that nothing disturbed.
    installed: Snapshot,
    /// What is answered without prroute.
    bare: Vec<Probe>,
}

impl<'lab> Scene<'lab> {
    fn new(lab: &'lab Lab, own_source: OwnSource, configuration: &str) -> Result<Self> {
        lab.meet_default_gateway()?;
        let outcomes = lab.ask(&probe::to_everything(lab.topology.uplinks))?;
        let bare = outcomes.iter().filter(|it| it.answered()).map(|it| it.probe).collect();
        let before = lab.snapshot()?;
        let prroute = lab.prroute()?.own_source(own_source)?.configured(configuration)?;
        let daemon = prroute.run(&[])?;
        let installed = lab.snapshot()?.of_any_programs();
        daemon.terminate()?;
        prroute.down()?;
        lab.expect_unchanged_since(&before)?;
        Ok(Self { lab, prroute, before, installed, bare })
    }

    /// What kernel routing answers by itself.
    fn expect_no_worse(&self) -> Result<()> {
        let outcomes = self.lab.ask(&self.bare)?;
        ensure!(outcomes.iter().all(Outcome::answered), "{}", probe::listing(&outcomes));
        Ok(())
    }

    fn expect_all_answered(&self) -> Result<()> {
        let outcomes = self.lab.ask(&probe::to_everything(self.lab.topology.uplinks))?;
        probe::expect_all_answered(&outcomes)
    }

    /// The next daemon ends where an undisturbed one does, and `down` where none was.
    fn expect_repaired(&self) -> Result<()> {
        let daemon = self.prroute.run(&[])?;
        self.expect_all_answered()?;
        let changes = self.lab.snapshot()?.of_any_programs().changes_since(&self.installed);
        ensure!(changes.is_empty(), "not as after an undisturbed start:\n{changes}");
        let plan = self.prroute.output(&["plan"])?.success()?;
        ensure!(plan.contains("# nothing to change"), "{plan}");
        daemon.kill()?;
        self.prroute.down()?;
        self.lab.expect_unchanged_since(&self.before)
    }

    /// Starts a daemon that does not get beyond `moment`.
    fn killed_start(&self, moment: Moment) -> Result<()> {
        let (daemon, attended) = self.prroute.start_attended(moment.kill(&armed()))?;
        expect_killed(daemon, attended)
    }

    /// `prroute down` that does not get beyond `moment`.
    fn killed_down(&self, moment: Moment) -> Result<()> {
        let (output, steps) = self.prroute.output_attended(&["down"], moment.kill(&armed()))?;
        ensure!(ended_by(output.status, Signal::SIGKILL), "{output:?}\n{}", steps.join("\n"));
        Ok(())
    }
}

/// The daemon is killed before it is ready, or by what it does next.
fn expect_killed(mut daemon: Daemon, attended: Attended) -> Result<()> {
    let said_before = daemon.said()?.matches("READY=1").count();
    wait::until("the daemon is killed", START, || {
        if daemon.process.check_running().is_err() {
            return Ok(Some(()));
        }
        if daemon.said()?.matches("READY=1").count() > said_before {
            bail!("it went on:\n{}", attended.steps().join("\n"));
        }
        Ok(None)
    })
    .with_context(|| attended.steps().join("\n"))?;
    let status = daemon.process.wait_end(START)?;
    ensure!(ended_by(status, Signal::SIGKILL), "{status}:\n{}", daemon.process.log());
    attended.finish().map(drop)
}
