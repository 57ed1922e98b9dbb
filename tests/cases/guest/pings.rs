//! What is lost of 100 pings a second to each address, while another program configures the network.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::Lab;
use prroute_tests::netns::Namespace;
use prroute_tests::process::Process;
use prroute_tests::stream::{Stream, Tally};
use prroute_tests::wait;

/// Every own address of two uplinks, as uplink and family.
pub(crate) const EVERY_ADDRESS: [Target; 4] =
    [(1, Family::V4), (1, Family::V6), (2, Family::V4), (2, Family::V6)];

/// Those of the first uplink.
pub(crate) const FIRST_UPLINK: [Target; 2] = [(1, Family::V4), (1, Family::V6)];

pub(crate) type Target = (u8, Family);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A client behind the uplink's router, which passes no answer that came by another uplink.
    Client,
    /// The uplink's router itself. The host answers it on the link, with and without prroute: what
    /// it misses was lost because the address was away.
    Router,
}

/// What became of the pings to one address.
#[derive(Debug)]
struct Outcome {
    address: IpAddr,
    tally: Tally,
    /// The uplink had the address all the time.
    stayed: bool,
}

/// What became of all of them.
#[derive(Debug)]
pub(crate) struct Outcomes(Vec<Outcome>);

/// Pings while `change` is made, until every address is answered afterwards; prints what was lost.
pub(crate) fn during(
    lab: &Lab,
    what: &str,
    asker: Asker,
    targets: &[Target],
    change: impl FnOnce() -> Result<()>,
) -> Result<Outcomes> {
    let watch = Watch::start(&lab.host)?;
    let mut streams = Vec::new();
    for &(n, family) in targets {
        let address = addressing::host(n, family);
        let (from, source) = match asker {
            Asker::Client => (&lab.client, addressing::client(n, family)),
            Asker::Router => (&lab.router(n).namespace, addressing::gateway(n, family)),
        };
        streams.push((address, Stream::start(from, source, address)?));
    }
    change().with_context(|| what.to_owned())?;
    let mut tallies = Vec::new();
    for (address, stream) in streams {
        let tally = stream.tally().with_context(|| format!("{what}: {address}"))?;
        tallies.push((address, tally));
    }
    let removed = watch.removed()?;
    let outcomes = tallies.into_iter().map(|(address, tally)| {
        let stayed = !removed.contains(&address);
        Outcome { address, tally, stayed }
    });
    let outcomes = Outcomes(outcomes.collect());
    outcomes.print(what, asker);
    Ok(outcomes)
}

impl Outcomes {
    /// Nothing was lost where the address stayed, and at least so many did.
    pub(crate) fn none_lost_where_addresses_stayed(&self, at_least: usize) -> Result<()> {
        let stayed = || self.0.iter().filter(|outcome| outcome.stayed);
        ensure!(stayed().count() >= at_least, "{at_least} addresses should stay: {:?}", self.0);
        for Outcome { address, tally, .. } in stayed() {
            let missing = &tally.missing;
            ensure!(missing.is_empty(), "{address}: no answer to {missing:?} of {}", tally.sent);
        }
        Ok(())
    }

    fn print(&self, what: &str, asker: Asker) {
        for Outcome { address, tally: Tally { sent, missing }, stayed } in &self.0 {
            let from = match asker {
                Asker::Client => "behind the router",
                Asker::Router => "the router itself",
            };
            let away = if *stayed { "" } else { ", which was taken away meanwhile" };
            println!("{what}: {from} lost {} of {sent} to {address}{away}", missing.len());
        }
    }
}

/// Hears of each address that is removed.
struct Watch<'a> {
    host: &'a Namespace,
    monitor: Process,
}

impl<'a> Watch<'a> {
    fn start(host: &'a Namespace) -> Result<Self> {
        let monitor = host.spawn(&["ip", "-o", "monitor", "address"])?;
        let mut watch = Self { host, monitor };
        watch.catch_up("127.0.3.1")?;
        Ok(watch)
    }

    /// Waits until it has heard of everything so far: then it hears of a loopback address that
    /// means nothing.
    fn catch_up(&mut self, mark: &str) -> Result<()> {
        wait::until("the monitor has heard a mark", Duration::from_secs(30), || {
            self.monitor.check_running()?;
            for operation in ["add", "del"] {
                self.host.ip(&format!("address {operation} {mark}/32 dev lo scope host"))?;
            }
            Ok(self.monitor.log().contains(mark).then_some(()))
        })
    }

    fn removed(mut self) -> Result<Vec<IpAddr>> {
        self.catch_up("127.0.3.2")?;
        let log = self.monitor.log();
        let address = |line: &str| {
            let mut words = line.strip_prefix("Deleted ")?.split_whitespace();
            words.find(|word| word.starts_with("inet"))?;
            words.next()?.split('/').next()?.parse().ok()
        };
        Ok(log.lines().filter_map(address).collect())
    }
}
