//! Routes and rules that come and go while they are read.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use prroute::state::observed::{Family, Observed, Route, Rule, TABLE_MAIN};

use super::harness::*;

const ROUTES: u32 = 5_000;
const RULES: u32 = 2_000;

/// So many readings are enough, and so many where they take a busy machine longer than this.
const READINGS: u32 = 60;
const FEW: u32 = 10;
const ENOUGH: Duration = Duration::from_secs(20);

/// Time for everything to go and come back meanwhile. Others take the lock that all namespaces share, too.
const LIMIT: Duration = Duration::from_secs(300);

/// Each of the two keeps a CPU busy, and the lock that all namespaces share taken.
static TURN: Mutex<()> = Mutex::new(());

fn routes(verb: &str, numbers: Range<u32>) -> String {
    numbers
        .map(|n| format!("route {verb} 2001:db8:f:{n:x}::/64 via 2001:db8:2::1 dev up2\n"))
        .collect()
}

/// They stand before ours.
fn rules(verb: &str, numbers: Range<u32>) -> String {
    numbers.map(|n| format!("rule {verb} pref {} iif lo lookup 4711\n", 10 + n)).collect()
}

/// Deletes some and adds them again, until it is dropped.
struct Flapping {
    sh: Child,
    file: PathBuf,
    /// A line for each time that all were deleted and added.
    passes: PathBuf,
}

impl Flapping {
    /// A tenth of `count` goes and comes back at once.
    fn start(lines: impl Fn(&str, Range<u32>) -> String, count: u32) -> Self {
        let name = format!("prroute-flapping-{count}-{}", std::process::id());
        let file = std::env::temp_dir().join(name);
        let blocks = (0..count).step_by(count as usize / 10).map(|n| n..n + count / 10);
        let all: String =
            blocks.map(|block| lines("del", block.clone()) + &lines("add", block)).collect();
        fs::write(&file, all).unwrap();
        // For a moment between two passes nothing changes.
        let pass = format!("ip -6 -batch {} > /dev/null && echo; sleep 0.05", file.display());
        let mut sh = Command::new("setpriv");
        sh.args(["--pdeathsig", "KILL", "sh", "-c", &format!("while :; do {pass}; done")]);
        let passes = file.with_extension("passes");
        sh.stdout(File::create(&passes).unwrap()).stdin(Stdio::null()).process_group(0);
        Self { sh: sh.spawn().unwrap(), file, passes }
    }

    /// How often everything has gone and come back.
    fn passes(&self) -> u64 {
        fs::metadata(&self.passes).unwrap().len()
    }
}

impl Drop for Flapping {
    fn drop(&mut self) {
        // With the `ip` that it has started.
        killpg(Pid::from_raw(self.sh.id().cast_signed()), Signal::SIGKILL).unwrap();
        self.sh.wait().unwrap();
        for file in [&self.file, &self.passes] {
            fs::remove_file(file).unwrap();
        }
    }
}

/// Reads while others come and go, often enough and for long enough; `read` tells whether it was a reading of
/// what there is, and not of what there was before.
async fn while_flapping(flapping: &Flapping, mut read: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    let (mut readings, mut steady) = (0, 0);
    let is_enough =
        |readings| readings >= READINGS || (readings >= FEW && start.elapsed() > ENOUGH);
    while !is_enough(readings) || steady == 0 || flapping.passes() == 0 {
        assert!(start.elapsed() < LIMIT, "{steady} of {readings}, {} passes", flapping.passes());
        steady += u32::from(read().await);
        readings += 1;
    }
    eprintln!("{steady} steady readings of {readings} in {} passes", flapping.passes());
}

/// main's default routes and ours.
fn that_matter(observed: &Observed) -> Vec<&Route> {
    let of_family = observed.routes.iter().filter(|route| route.family() == Family::V6);
    let mut routes: Vec<&Route> = of_family
        .filter(|route| {
            let ours = route.protocol == 213;
            ours || (route.table == TABLE_MAIN && route.is_default())
        })
        .collect();
    routes.sort();
    routes
}

/// The kernel tells of IPv6 routes in several parts. It leaves out some when others go between two of them, and
/// tells some twice when others come; the default route is the last one.
#[test]
fn default_routes_and_ours_are_read_once_each_while_others_come_and_go() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    in_namespace(|| async {
        let peer = two_networks();
        ip6_batch(&routes("add", 0..ROUTES));
        let mut reconciler = Loop::new().await;
        reconciler.reconcile().await;
        let before = reconciler.kernel.observe().await.unwrap();
        let before = that_matter(&before);
        assert!(before.len() > 4, "{before:?}");
        let flapping = Flapping::start(routes, ROUTES);
        while_flapping(&flapping, async || {
            let observed = reconciler.kernel.observe().await.unwrap();
            assert!(!observed.unsteady);
            assert_eq!(that_matter(&observed), before);
            true
        })
        .await;
        drop((flapping, peer));
    });
}

/// The kernel tells of rules in several parts too, and counts how many it has told of.
#[test]
fn our_rules_are_read_once_each_while_others_come_and_go() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    in_namespace(|| async {
        let peer = two_networks();
        ip6_batch(&rules("add", 0..RULES));
        let mut reconciler = Loop::new().await;
        reconciler.reconcile().await;
        let ours = |observed: &Observed| {
            let ours = observed.rules.iter().filter(|rule| rule.protocol == 213);
            ours.cloned().collect::<Vec<Rule>>()
        };
        let before = ours(&reconciler.kernel.observe().await.unwrap());
        assert!(before.len() > 4, "{before:?}");
        let flapping = Flapping::start(rules, RULES);
        while_flapping(&flapping, async || {
            let observed = reconciler.kernel.observe().await.unwrap();
            assert_eq!(ours(&observed), before);
            // Otherwise they are those of an earlier reading.
            !observed.unsteady
        })
        .await;
        drop((flapping, peer));
    });
}
