//! How long a million recorded flows take to be listed, and what that costs the packets meanwhile:
//!
//! ```text
//! cargo xtask build --release
//! cargo build --release -p prroute-tests --example many_flows
//! PRROUTE_BIN=target/release/prroute target/release/examples/many_flows
//! ```
//!
//! As root. The flows are confirmed TCP connections of IPv4, written into the table of a daemon that runs;
//! the packets are datagrams that a host behind a router sends, one after the other, and that are answered.
#![expect(clippy::print_stdout, reason = "it reports")]

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, Map, MapData};
use nix::time::{ClockId, clock_gettime};
use prroute_common::address::address4;
use prroute_common::flow::{Flow, FlowKey4};
use prroute_common::time::from_ns;
use prroute_common::{LAYOUT_VERSION, names};
use prroute_tests::echo::{self, Echo};
use prroute_tests::large::{LargeHost, Shape};
use prroute_tests::prroute::{self, Instance};
use prroute_tests::socket;

const FLOWS: u32 = 1_000_000;
/// Per family; half of them for confirmed TCP. An LRU map makes room before it is full.
const CAPACITY: u32 = 4_000_000;
const TIMES: usize = 5;
const LIMIT: Duration = Duration::from_secs(2);
/// For how long packets are watched in quiet.
const QUIET: Duration = Duration::from_secs(10);
const PORT: u16 = 7007;

fn main() -> Result<()> {
    let host = LargeHost::build(Shape { uplinks: 2, addresses: 2, one_subnet: false })?;
    let prroute = host.prroute()?.configured(&format!("flows = {CAPACITY}\n"))?;
    let daemon = prroute.run(&[])?;
    let start = Instant::now();
    fill(&prroute)?;
    println!("{FLOWS} flows written in {:.1?}", start.elapsed());

    let address: IpAddr = Ipv4Addr::new(10, 1, 0, 1).into();
    let _echo = Echo::start(&host.host, &[address], PORT)?;
    let is_over = AtomicBool::new(false);
    let times = thread::scope(|scope| -> Result<_> {
        let quiet = scope.spawn(|| exchanges(&host, address, &is_over));
        thread::sleep(QUIET);
        is_over.store(true, Ordering::Relaxed);
        report("packets in quiet", &mut joined(quiet)?);
        is_over.store(false, Ordering::Relaxed);
        let busy = scope.spawn(|| exchanges(&host, address, &is_over));
        let times = listed(&prroute);
        is_over.store(true, Ordering::Relaxed);
        report("packets while flows are listed", &mut joined(busy)?);
        times
    })?;
    for (words, time) in &times {
        println!("prroute {}: {time:.2?} (median of {TIMES})", words.join(" "));
    }
    let late: Vec<_> = times.into_iter().filter(|(_, time)| *time > LIMIT).collect();
    ensure!(late.is_empty(), "longer than {LIMIT:?}: {late:?}");
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

/// Writes confirmed connections of as many clients, seen just now.
fn fill(prroute: &Instance<'_>) -> Result<()> {
    let path = prroute::pins(prroute.name()).join(format!("v{LAYOUT_VERSION}"));
    let map = MapData::from_pin(path.join(names::FLOWS4)).context("open the table")?;
    let mut table: HashMap<MapData, FlowKey4, Flow> =
        Map::LruHashMap(map).try_into().context("a hash map")?;
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).context("read the clock")?;
    let now = from_ns(Duration::from(now).as_nanos() as u64);
    for number in 0..FLOWS {
        let [_, a, b, c] = number.to_be_bytes();
        let uplink = (1 + number % 2) as u16;
        let key = FlowKey4 {
            local: address4([10, uplink as u8 - 1, 0, 1]),
            remote: address4([198, 18 + a, b, c]),
            local_port: [443_u16, 80, 22][number as usize % 3].to_be_bytes(),
            remote_port: 40_000_u16.to_be_bytes(),
            protocol: 6,
            pad: [0; 3],
        };
        let flow = Flow::inbound(uplink, 1, now - number % 64).with_last_out(now);
        table.insert(key, flow, 0).with_context(|| format!("insert flow {number}"))?;
    }
    Ok(())
}

/// Each way to list, and how long it takes from the start of the command to its last byte.
fn listed(prroute: &Instance<'_>) -> Result<Vec<(Vec<&'static str>, Duration)>> {
    let mut all = Vec::new();
    for words in [
        vec!["flows", "-n", "0"],
        vec!["flows", "-s"],
        vec!["flows", "-n", "0", "--json"],
        vec!["flows", "-n", "200", "-t", "uplink", "up1"],
    ] {
        let mut times = Vec::new();
        for _ in 0..TIMES {
            let start = Instant::now();
            let mut command = prroute.command(&words)?;
            let mut child = command.stdout(Stdio::piped()).spawn().context("start prroute")?;
            let mut output = Vec::new();
            let mut stdout = child.stdout.take().context("its output")?;
            stdout.read_to_end(&mut output).context("read its output")?;
            ensure!(child.wait().context("wait for prroute")?.success(), "{words:?} failed");
            times.push(start.elapsed());
            if words == ["flows", "-n", "0"] {
                let lines = output.iter().filter(|byte| **byte == b'\n').count();
                ensure!(lines > FLOWS as usize, "{lines} lines of {FLOWS} flows");
            }
        }
        times.sort();
        all.push((words, times[TIMES / 2]));
    }
    Ok(all)
}

/// How long each exchange of two datagrams takes, until it is over.
fn exchanges(host: &LargeHost, target: IpAddr, is_over: &AtomicBool) -> Result<Vec<Duration>> {
    let client = socket::udp(&host.router, Ipv4Addr::new(10, 1, 255, 254).into(), 0)?;
    let mut times = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let start = Instant::now();
        let is_answered = echo::udp_round(&client, SocketAddr::new(target, PORT), 100)?;
        ensure!(is_answered, "a datagram was lost");
        times.push(start.elapsed());
    }
    Ok(times)
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked"))
}

fn report(title: &str, times: &mut [Duration]) {
    times.sort();
    let at = |part: f64| times[(times.len() as f64 * part) as usize];
    println!(
        "{title}: {} exchanges, none lost, median {:.1?}, 99 % within {:.1?}",
        times.len(),
        at(0.5),
        at(0.99)
    );
}
