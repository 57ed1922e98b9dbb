//! What a host with 64 uplinks and 1,000 addresses costs, against one with 2 uplinks:
//!
//! ```text
//! cargo xtask build --release
//! cargo build --release -p prroute-tests --example large_host
//! PRROUTE_BIN=target/release/prroute target/release/examples/large_host
//! ```
//!
//! As root. Sends alternate between the hosts every few milliseconds on one CPU; the medians are
//! of whole slices.
#![expect(clippy::print_stdout, reason = "it reports")]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use prroute_tests::large::{LargeHost, Shape, cpu_time};
use prroute_tests::prroute::{Daemon, Instance};
use prroute_tests::socket;

/// Few and many, with a subnet for each uplink, and with one for all.
const SHAPES: [Shape; 4] = [
    Shape { uplinks: 2, addresses: 2, one_subnet: false },
    Shape { uplinks: 64, addresses: 1_000, one_subnet: false },
    Shape { uplinks: 2, addresses: 2, one_subnet: true },
    Shape { uplinks: 64, addresses: 1_000, one_subnet: true },
];

/// Address events that are averaged.
const EVENTS: u16 = 20;
/// Datagrams per slice, and slices per host.
const SLICE: u32 = 1_000;
const SLICES: usize = 400;
/// For how long an idle daemon is watched.
const IDLE: Duration = Duration::from_secs(60);
/// Reports that are timed.
const REPORTS: usize = 5;

fn main() -> Result<()> {
    let hosts: Vec<LargeHost> = SHAPES.into_iter().map(LargeHost::build).collect::<Result<_>>()?;
    let mut cpus = CpuSet::new();
    cpus.set(0).context("choose a CPU")?;
    let any = sched_getaffinity(Pid::from_raw(0)).context("ask for the CPUs")?;
    sched_setaffinity(Pid::from_raw(0), &cpus).context("stay on a CPU")?;
    sends("without prroute", &hosts)?;
    sched_setaffinity(Pid::from_raw(0), &any).context("leave the CPU")?;
    let mut kept = Vec::new();
    for large in &hosts {
        let Shape { uplinks, addresses, one_subnet } = large.shape;
        let place = if one_subnet { "one subnet" } else { "a subnet each" };
        let prroute = large.prroute()?;
        let daemon = prroute.run(&[])?;
        let start = cpu_time(&daemon.process)?;
        for n in 0..EVENTS {
            large.add_address(&prroute, n).with_context(|| daemon.process.log())?;
        }
        let event = (cpu_time(&daemon.process)? - start) / u32::from(EVENTS);
        let rules = large.host.ip("rule show")?.lines().count();
        let passed = large.rules_passed_by_strangers()?;
        println!(
            "{uplinks} uplinks, {addresses} addresses, {place}: start {start:.0?} CPU, an address \
             {event:.1?} CPU, {rules} rules, {passed} passed by others"
        );
        idle(&daemon)?;
        for words in [&["status"][..], &["status", "--json"], &["doctor"], &["metrics"]] {
            report(&prroute, words)?;
        }
        kept.push((daemon, prroute));
    }
    sched_setaffinity(Pid::from_raw(0), &cpus).context("stay on a CPU")?;
    sends("with prroute", &hosts)?;
    for (daemon, prroute) in kept {
        daemon.terminate()?;
        prroute.down()?;
    }
    Ok(())
}

/// What the daemon uses while nothing happens.
fn idle(daemon: &Daemon) -> Result<()> {
    let before = cpu_time(&daemon.process)?;
    std::thread::sleep(IDLE);
    let used = cpu_time(&daemon.process)? - before;
    println!("  idle for {IDLE:.0?}: {used:.1?} CPU");
    Ok(())
}

/// How long a command takes, from its start to its end.
fn report(prroute: &Instance<'_>, words: &[&str]) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..REPORTS {
        let start = Instant::now();
        let output = prroute.output(words)?;
        times.push(start.elapsed());
        ensure!(!output.stdout.is_empty(), "{output:?}");
    }
    println!("  prroute {}: {:.0?}", words.join(" "), median(&mut times));
    Ok(())
}

/// Unconnected sends on every host, a slice here and a slice there.
fn sends(title: &str, hosts: &[LargeHost]) -> Result<()> {
    let sockets =
        hosts.iter().map(|large| socket::udp(&large.host, Ipv4Addr::UNSPECIFIED.into(), 0));
    let sockets: Vec<UdpSocket> = sockets.collect::<Result<_>>()?;
    let mut slices = vec![Vec::new(); hosts.len()];
    for _ in 0..SLICES {
        for (socket, slices) in sockets.iter().zip(&mut slices) {
            slices.push(slice(socket)?);
        }
    }
    let medians: Vec<Duration> = slices.iter_mut().map(|all| median(all)).collect();
    for (number, (host, time)) in hosts.iter().zip(&medians).enumerate() {
        let Shape { uplinks, addresses, one_subnet } = host.shape;
        let few = medians[number / 2 * 2];
        println!(
            "{title}: unconnected send, {uplinks} uplinks, {addresses} addresses, one subnet \
             {one_subnet}: {:.0} ns, {:+.1} %",
            time.as_secs_f64() * 1e9 / f64::from(SLICE),
            (time.as_secs_f64() / few.as_secs_f64() - 1.0) * 100.0,
        );
    }
    Ok(())
}

fn slice(socket: &UdpSocket) -> Result<Duration> {
    let target = SocketAddr::new(Ipv4Addr::new(198, 51, 100, 1).into(), 9);
    let start = Instant::now();
    for _ in 0..SLICE {
        socket.send_to(b"a datagram", target).context("send")?;
    }
    Ok(start.elapsed())
}

fn median(all: &mut [Duration]) -> Duration {
    all.sort();
    all[all.len() / 2]
}
