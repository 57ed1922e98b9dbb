//! The whole way from configuration and observation to a plan, in files that can be read.
//!
//! Each folder below `tests/golden` has a `config.toml`, and for each step what others' objects
//! are at that time (`N-observed.json`), what follows from it (`N-desired.txt`), and what is done
//! (`N-plan.txt`). Our own objects are those that the plans before have made.
//!
//! `PRROUTE_WRITE_GOLDEN=1 cargo test golden` writes what comes out instead of comparing it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::desired::{Desired, desire};
use super::diff::diff;
use super::fixture::{carry_out, found};
use super::ids::{KnownId, allocate, follow_macs, remember};
use super::observed::{Family, Observed, PROTOCOL};
use super::rationale::reason;
use super::uplink::{Skipped, Uplink, WayOut};
use crate::config::Config;
use crate::state::saved_sysctls::SavedSysctls;

/// What stays from step to step.
#[derive(Default)]
struct Machine {
    kernel: Observed,
    known: Vec<KnownId>,
    uplinks: Vec<Uplink>,
    saved: SavedSysctls,
}

impl Machine {
    /// The next observation: others' objects as given, ours as they are. The kernel names an
    /// interface in a route by its index, in a rule as the rule was made.
    fn observe(&mut self, others: Observed) {
        let ours = std::mem::replace(&mut self.kernel, others);
        let kernel = &mut self.kernel;
        let is_there = |ifindex| kernel.links.iter().find(|link| link.ifindex == ifindex);
        for mut route in ours.routes.into_iter().filter(|route| route.protocol == PROTOCOL) {
            for hop in &mut route.next_hops {
                if let Some(link) = is_there(hop.ifindex) {
                    hop.device.clone_from(&link.name);
                }
            }
            // A route goes with its device, and while it is not up.
            let stays = route
                .next_hops
                .iter()
                .all(|hop| is_there(hop.ifindex).is_some_and(|link| link.admin_up && link.carrier));
            if stays {
                kernel.routes.push(route);
            }
        }
        kernel.rules.extend(ours.rules.into_iter().filter(|rule| rule.protocol == PROTOCOL));
        for neighbour in ours.neighbours.into_iter().filter(|n| n.protocol == PROTOCOL) {
            let known = kernel
                .neighbours
                .iter_mut()
                .find(|n| (n.ifindex, n.address) == (neighbour.ifindex, neighbour.address));
            match known {
                // Its state is the observation's; it is ours all the same.
                Some(known) => (known.protocol, known.managed) = (PROTOCOL, true),
                None if is_there(neighbour.ifindex).is_some() => kernel.neighbours.push(neighbour),
                None => {}
            }
        }
    }
}

fn text_of(config: &Config, uplinks: &[Uplink], skipped: &[Skipped], desired: &Desired) -> String {
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").unwrap();
    for Uplink { id, generation, device } in uplinks {
        line(format!("uplink {id} generation {generation}: {}", device.name));
        line(format!(
            "  up {} mtu {} hold {} reply {:?}",
            device.up, device.mtu, device.hold, device.reply
        ));
        for WayOut { gateway, usable, .. } in device.way_out.iter() {
            if let Some(gateway) = gateway {
                line(format!("  gateway {gateway} usable {usable} of {:?}", device.gateways));
            }
        }
        for subnet in &device.subnet_gateways {
            line(format!(
                "  gateway {} usable {} for {}",
                subnet.gateway, subnet.usable, subnet.net
            ));
        }
        for stacked in &device.stacked {
            line(format!("  below {}", stacked.name));
        }
        line(format!("  on link {:?}", device.on_link));
        if !device.main_routes.is_empty() {
            line(format!("  main routes {:?}", device.main_routes));
        }
    }
    for skipped in skipped.iter().filter(|skipped| skipped.name != "lo") {
        line(format!("skipped {}: {}", skipped.name, skipped.reason));
    }
    for found in &desired.recognised {
        line(format!("recognised {}: {}", found.address, found.by));
    }
    for family in Family::BOTH {
        for rule in desired.rules.iter().filter(|rule| rule.family == family) {
            line(format!("rule {rule}"));
        }
        for route in desired.routes.iter().filter(|route| route.family() == family) {
            line(format!("route {route}"));
        }
    }
    line(format!("ranges {} {}", config.ranges.rule_priority, config.ranges.table));
    text
}

/// One step: desired state and plan, as texts.
fn step(config: &Config, machine: &mut Machine) -> (String, String) {
    let (found, skipped) = found(config, &machine.kernel);
    let before = machine.uplinks.iter().map(|it| (it.into(), it.device.name.as_str()));
    follow_macs(&mut machine.known, &before.collect::<Vec<_>>(), &machine.kernel.links);
    let uplinks = allocate(&machine.known, found);
    machine.uplinks.clone_from(&uplinks);
    machine.known = remember(&machine.known, &uplinks);
    let desired = desire(config, &machine.kernel, &uplinks, &machine.saved);
    let plan = diff(config, &desired, &machine.kernel).unwrap();
    let mut text = String::new();
    for op in &plan.ops {
        writeln!(text, "{op}\n    # {}", reason(config, &uplinks, op)).unwrap();
    }
    machine.saved.begin(&plan, &machine.kernel);
    carry_out(&plan, &mut machine.kernel);
    machine.saved.commit(&plan);
    let again = desire(config, &machine.kernel, &uplinks, &machine.saved);
    let rest = diff(config, &again, &machine.kernel).unwrap();
    assert!(rest.is_empty(), "still to do after\n{plan}:\n{rest}");
    (text_of(config, &uplinks, &skipped, &desired), text)
}

/// Compares with a file, or writes it.
fn expect(file: &Path, text: &str, failures: &mut Vec<String>) {
    if std::env::var_os("PRROUTE_WRITE_GOLDEN").is_some() {
        fs::write(file, text).unwrap();
        return;
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    if expected != text {
        failures.push(format!("{}: now\n{text}", file.display()));
    }
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn golden_folders() {
    let mut failures = Vec::new();
    let folders = sorted(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"));
    assert!(folders.len() >= 8, "{folders:?}");
    for folder in folders {
        let config = Config::load(Some(&folder.join("config.toml"))).unwrap();
        let mut machine = Machine::default();
        for number in 1.. {
            let file = |what: &str| folder.join(format!("{number}-{what}"));
            let Ok(json) = fs::read(file("observed.json")) else {
                assert!(number > 1, "{}: no first step", folder.display());
                break;
            };
            let others = serde_json::from_slice(&json);
            machine.observe(others.unwrap_or_else(|e| panic!("{}: {e}", folder.display())));
            let (desired, plan) = step(&config, &mut machine);
            expect(&file("desired.txt"), &desired, &mut failures);
            expect(&file("plan.txt"), &plan, &mut failures);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
