//! Measurements between a host and its peer.

use anyhow::{Context as _, Result};
use prroute_tests::netns;
use prroute_tests::scratch::Scratch;

use crate::contestants::{PRROUTE, PRROUTE_DATAPATH, Variant};
use crate::cpu::{self, RealTime};
use crate::host::Host;
use crate::instance::Running;
use crate::options::Options;
use crate::results::{Measurement, Memory};
use crate::rounds::{Subject, measure};
use crate::workloads::{self, Setting, Workload};
use crate::{conntrack, memory, report};

/// All of them, and the memory of the tables that they need.
pub(crate) fn measure_all(
    options: &Options,
    cpu: usize,
    other_cpu: Option<usize>,
) -> Result<(Vec<Measurement>, Vec<Memory>)> {
    let wanted: Vec<Workload> = workloads::all(options.quick, other_cpu)
        .into_iter()
        .filter(|workload| options.wants(&workload.name))
        .map(|workload| chosen(workload, options))
        .collect();
    let (mut measurements, mut memory) = (Vec::new(), Vec::new());
    if wanted.is_empty() {
        return Ok((measurements, memory));
    }
    cpu::pin(cpu)?;
    for setting in Setting::ALL {
        let group: Vec<&Workload> =
            wanted.iter().filter(|workload| workload.setting == setting).collect();
        let found = in_setting(setting, &group, options)?;
        measurements.extend(found.0);
        memory.extend(found.1);
    }
    memory.extend(memory::of_conntrack()?);
    Ok((measurements, memory))
}

/// With the contestants that the command line takes.
fn chosen(mut workload: Workload, options: &Options) -> Workload {
    let baseline = workload.baseline;
    workload.variants.retain(|variant| *variant == baseline || options.takes(*variant));
    workload
}

fn in_setting(
    setting: Setting,
    group: &[&Workload],
    options: &Options,
) -> Result<(Vec<Measurement>, Vec<Memory>)> {
    let takes_part =
        |variant: &Variant| group.iter().any(|workload| workload.variants.contains(variant));
    let hosts: Vec<Host> = crate::contestants::ALL
        .into_iter()
        .filter(takes_part)
        .map(|variant| {
            Host::build(variant, setting.behind())
                .with_context(|| format!("build {}", variant.name))
        })
        .collect::<Result<_>>()?;
    // Only now: conntrack is loaded by the first host that needs it.
    let _room = conntrack::Room::make()?;
    let scratch = Scratch::create(&netns::unique_name(), false)?;
    let mut running = Vec::new();
    let mut memory = Vec::new();
    for host in &hosts {
        let Some(prroute) = host.variant.prroute() else { continue };
        let started = Running::start(host, &scratch, prroute, setting.flows(), options)
            .with_context(|| format!("start {}", host.variant.name))?;
        if setting == Setting::Ordinary && [PRROUTE, PRROUTE_DATAPATH].contains(&host.variant) {
            memory.extend(memory::of_instance(host.variant.name, started.name())?);
        }
        running.push(started);
    }
    let mut measurements = Vec::new();
    for workload in group {
        let measured = one(workload, &hosts, options)?;
        report::show(&measured);
        measurements.push(measured);
    }
    Ok((measurements, memory))
}

fn one(workload: &Workload, hosts: &[Host], options: &Options) -> Result<Measurement> {
    prroute_tests::wait::check_interrupted()?;
    let hosts: Vec<&Host> =
        hosts.iter().filter(|host| workload.variants.contains(&host.variant)).collect();
    let named = |host: &Host| format!("{}: {}", workload.name, host.variant.name);
    let mut works = hosts
        .iter()
        .map(|host| workload.open(host).with_context(|| named(host)))
        .collect::<Result<Vec<_>>>()?;
    let before = hosts.iter().map(|host| host.left()).collect::<Result<Vec<_>>>()?;
    let subject = Subject {
        name: &workload.name,
        title: &workload.title,
        unit: workload.unit,
        baseline: workload.baseline.name,
        scale: workload.scale(),
    };
    let measured = {
        let _real_time = RealTime::ask();
        measure(subject, &mut works, options.effort())?
    };
    for (host, before) in hosts.into_iter().zip(before) {
        let checked = host.check().and_then(|()| {
            let expected = workload.leaves_by(host.variant);
            host.left()?.check(before, expected)
        });
        checked.with_context(|| named(host))?;
    }
    Ok(measured)
}
