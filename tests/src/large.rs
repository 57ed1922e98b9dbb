//! Hosts with many uplinks and many addresses, and what prroute costs there.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::netns::{self, Namespace};
use crate::process::Process;
use crate::prroute::Instance;
use crate::scratch::Scratch;
use crate::wait;

/// How many, and how they are spread.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// 1 to 200.
    pub uplinks: u16,
    /// IPv4 addresses of all uplinks together, at least one for each.
    pub addresses: u16,
    /// All uplinks are on one link, and their addresses take turns in its subnet: no prefix is one
    /// uplink's. Otherwise each has a subnet of its own.
    pub one_subnet: bool,
}

/// A host with its uplinks, and a router at the other end of all of them.
#[derive(Debug)]
pub struct LargeHost {
    // Dropped in this order.
    pub host: Namespace,
    pub router: Namespace,
    scratch: Scratch,
    name: String,
    pub shape: Shape,
}

/// The gateway of uplink `number`, from 0.
fn gateway(shape: Shape, number: u16) -> String {
    if shape.one_subnet { "10.200.255.254".to_owned() } else { format!("10.{number}.255.254") }
}

/// Address number `n`, which is on uplink `n % uplinks`.
fn address(shape: Shape, n: u16) -> String {
    if shape.one_subnet {
        let [high, low] = (n + 1).to_be_bytes();
        return format!("10.200.{high}.{low}/16");
    }
    let [high, low] = (n / shape.uplinks + 1).to_be_bytes();
    format!("10.{}.{high}.{low}/16", n % shape.uplinks)
}

impl LargeHost {
    /// Builds it; nothing runs in it yet.
    pub fn build(shape: Shape) -> Result<Self> {
        ensure!((1..=200).contains(&shape.uplinks), "1 to 200 uplinks");
        ensure!((shape.uplinks..=20_000).contains(&shape.addresses), "an address for each uplink");
        netns::sweep()?;
        let name = netns::unique_name();
        let host = Namespace::create(&name, "host", false)?;
        let router = Namespace::create(&name, "router", false)?;
        let scratch = Scratch::create(&name, false)?;
        let large = Self { host, router, scratch, name, shape };
        large.connect()?;
        Ok(large)
    }

    fn connect(&self) -> Result<()> {
        let shape = self.shape;
        let (mut links, mut host, mut router) = (String::new(), String::new(), String::new());
        if shape.one_subnet {
            router += "link add lan type bridge forward_delay 0 mcast_snooping 0\n";
            router += &format!("link set lan up\naddress add {}/16 dev lan\n", gateway(shape, 0));
        }
        for n in 0..shape.uplinks {
            let far = self.router.name();
            links += &format!("link add name up{n} type veth peer name to{n} netns {far}\n");
            links += &format!("link set up{n} up\n");
            router += &match shape.one_subnet {
                true => format!("link set to{n} master lan up\n"),
                false => {
                    format!("link set to{n} up\naddress add {}/16 dev to{n}\n", gateway(shape, n))
                }
            };
        }
        for n in 0..shape.addresses {
            host += &format!("address add {} dev up{}\n", address(shape, n), n % shape.uplinks);
        }
        for n in 0..shape.uplinks {
            let metric = u32::from(n) + 1;
            host +=
                &format!("route add default via {} dev up{n} metric {metric}\n", gateway(shape, n));
        }
        self.host.ip_batch(&links)?;
        self.router.ip_batch(&router)?;
        self.host.ip_batch(&host)
    }

    /// An instance of prroute on the host, not started yet.
    pub fn prroute(&self) -> Result<Instance<'_>> {
        Instance::new(&self.host, &self.scratch, &self.name)
    }

    /// Adds one more address to the first uplink, and waits until prroute has noted it.
    pub fn add_address(&self, prroute: &Instance<'_>, n: u16) -> Result<()> {
        let first = self.shape.addresses.next_multiple_of(self.shape.uplinks);
        let address = address(self.shape, first + n * self.shape.uplinks);
        self.host.ip(&format!("address add {address} dev up0"))?;
        let state = crate::prroute::state(prroute.name()).join("report.json");
        let noted = || -> Result<Option<()>> {
            let text = fs::read_to_string(&state);
            let text = text.with_context(|| format!("read {}", state.display()))?;
            Ok(text.contains(&format!("\"{address}\"")).then_some(()))
        };
        wait::until("the address is noted", Duration::from_secs(60), noted)
    }

    /// With how many rules a packet of the host's own is compared that has no source yet, or one
    /// of no uplink: it is never `from` anything, and always `not from` it.
    pub fn rules_passed_by_strangers(&self) -> Result<usize> {
        let list = self.host.ip("rule show")?;
        let rules: Vec<(&str, &str)> =
            list.lines().filter_map(|line| line.split_once(':')).collect();
        let (mut at, mut passed) = (0, 0);
        while let Some((_, rule)) = rules.get(at) {
            passed += 1;
            at += 1;
            let target = rule.trim().strip_prefix("not from").and_then(|r| r.split_once("goto "));
            if let Some(target) = target.and_then(|(_, rest)| rest.split_whitespace().next()) {
                let found = rules.iter().position(|(priority, _)| *priority == target);
                at = found.with_context(|| format!("no rule {target}:\n{list}"))?;
            }
        }
        Ok(passed)
    }
}

/// The time for which a process has been on a CPU.
pub fn cpu_time(process: &Process) -> Result<Duration> {
    let tasks = format!("/proc/{}/task", process.pid());
    let mut total = 0;
    for task in fs::read_dir(&tasks).with_context(|| format!("read {tasks}"))? {
        let path = task.with_context(|| format!("read {tasks}"))?.path().join("schedstat");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        total += nanoseconds.with_context(|| format!("{}: {text}", path.display()))?;
    }
    Ok(Duration::from_nanos(total))
}
