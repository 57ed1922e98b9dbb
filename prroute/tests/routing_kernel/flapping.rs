//! Routes and rules that come and go while they are read.

use std::ops::Range;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use prroute::state::observed::{Family, Observed, Route, Rule, TABLE_MAIN};

use super::harness::*;

const ROUTES: u32 = 5_000;
const RULES: u32 = 2_000;
const READINGS: u32 = 60;

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
}

impl Flapping {
    /// A tenth of `count` goes and comes back at once.
    fn start(lines: impl Fn(&str, Range<u32>) -> String, count: u32) -> Self {
        let name = format!("prroute-flapping-{count}-{}", std::process::id());
        let file = std::env::temp_dir().join(name);
        let blocks = (0..count).step_by(count as usize / 10).map(|n| n..n + count / 10);
        let all: String =
            blocks.map(|block| lines("del", block.clone()) + &lines("add", block)).collect();
        std::fs::write(&file, all).unwrap();
        let forever = format!("while :; do ip -6 -force -batch {} 2>&1; done", file.display());
        let mut sh = Command::new("setpriv");
        sh.args(["--pdeathsig", "KILL", "sh", "-c", &forever]).stdout(Stdio::null());
        Self { sh: sh.spawn().unwrap(), file }
    }
}

impl Drop for Flapping {
    fn drop(&mut self) {
        self.sh.kill().unwrap();
        self.sh.wait().unwrap();
        std::fs::remove_file(&self.file).unwrap();
    }
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
    in_namespace(|| async {
        let peer = two_networks();
        ip_batch(&routes("add", 0..ROUTES));
        let mut reconciler = Loop::new().await;
        reconciler.reconcile().await;
        let before = reconciler.kernel.observe().await.unwrap();
        let before = that_matter(&before);
        assert!(before.len() > 4, "{before:?}");
        let flapping = Flapping::start(routes, ROUTES);
        for _ in 0..READINGS {
            let observed = reconciler.kernel.observe().await.unwrap();
            assert!(!observed.unsteady);
            assert_eq!(that_matter(&observed), before);
        }
        drop((flapping, peer));
    });
}

/// The kernel tells of rules in several parts too, and counts how many it has told of.
#[test]
fn our_rules_are_read_once_each_while_others_come_and_go() {
    in_namespace(|| async {
        let peer = two_networks();
        ip_batch(&rules("add", 0..RULES));
        let mut reconciler = Loop::new().await;
        reconciler.reconcile().await;
        let ours = |observed: Observed| {
            let ours = observed.rules.into_iter().filter(|rule| rule.protocol == 213);
            ours.collect::<Vec<Rule>>()
        };
        let before = ours(reconciler.kernel.observe().await.unwrap());
        assert!(before.len() > 4, "{before:?}");
        let flapping = Flapping::start(rules, RULES);
        for _ in 0..READINGS {
            assert_eq!(ours(reconciler.kernel.observe().await.unwrap()), before);
        }
        drop((flapping, peer));
    });
}
