//! A namespace per case, its peers, and the steps of one reconciliation.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use prroute::config::Config;
use prroute::netlink::{Kernel, Monitor};
use prroute::state::gateways::Gateways;
use prroute::state::observed::Observed;
use prroute::state::plan::Plan;
use prroute::state::saved_sysctls::SavedSysctls;
use prroute::state::uplink::Uplink;
use prroute::state::{desired, diff, discover, ids, undo};

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Runs a case in a fresh network namespace with a runtime of its own.
pub(crate) fn in_namespace<F: Future<Output = ()>>(case: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root");
        ip("link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(case());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) fn run(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split_whitespace()).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn ip(arguments: &str) -> String {
    run("ip", arguments)
}

/// Runs many commands of `ip` in one process.
pub(crate) fn ip_batch(lines: &str) {
    batch(&["-batch", "-"], lines);
}

/// Likewise, of IPv6 where they do not say which.
pub(crate) fn ip6_batch(lines: &str) {
    batch(&["-6", "-batch", "-"], lines);
}

fn batch(options: &[&str], lines: &str) {
    let mut ip = Command::new("ip").args(options).stdin(Stdio::piped()).spawn().unwrap();
    ip.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(ip.wait().unwrap().success(), "{lines}");
}

/// Runs the commands that a plan prints.
pub(crate) fn sh(plan: &Plan) {
    let script = plan.to_string();
    let result = Command::new("sh").args(["-ec", &script]).output().unwrap();
    assert!(result.status.success(), "{script}{}", String::from_utf8_lossy(&result.stderr));
}

/// What must be as before after undoing.
pub(crate) fn dumps() -> String {
    let families = ["-4 rule", "-6 rule", "-4 route show table all", "-6 route show table all"];
    families.map(ip).join("--\n")
}

/// A namespace for the other ends of the links.
pub(crate) struct Peer(Child);

impl Peer {
    pub(crate) fn new() -> Self {
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let peer = Self(child);
        let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let theirs = format!("/proc/{}/ns/net", peer.0.id());
        until("the peer namespace", || std::fs::read_link(&theirs).is_ok_and(|ns| ns != own));
        peer
    }

    pub(crate) fn try_run(&self, command: &str) -> bool {
        let inside = format!("--net=/proc/{}/ns/net {command}", self.0.id());
        let mut nsenter = Command::new("nsenter");
        nsenter.args(inside.split(' ')).stdout(Stdio::null()).stderr(Stdio::null());
        nsenter.status().unwrap().success()
    }

    pub(crate) fn ip(&self, arguments: &str) -> String {
        run("nsenter", &format!("--net=/proc/{}/ns/net ip {arguments}", self.0.id()))
    }

    /// A veth whose other end has the gateway's addresses.
    pub(crate) fn link(&self, name: &str, gateways: &[&str]) {
        ip(&format!("link add {name} type veth peer name {name}p netns {}", self.0.id()));
        for (sysctl, value) in [("accept_dad", "0"), ("accept_ra", "0")] {
            let path = format!("/proc/sys/net/ipv6/conf/{name}/{sysctl}");
            std::fs::write(path, value).unwrap();
        }
        ip(&format!("link set {name} up"));
        self.ip(&format!("link set {name}p up"));
        for gateway in gateways {
            self.ip(&format!("addr add {gateway} dev {name}p nodad"));
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Two uplinks on two networks, both families.
pub(crate) fn two_networks() -> Peer {
    let peer = Peer::new();
    for n in [1, 2] {
        let gateways = [format!("10.0.{n}.1/24"), format!("2001:db8:{n}::1/64")];
        peer.link(&format!("up{n}"), &gateways.each_ref().map(String::as_str));
        ip(&format!("addr add 10.0.{n}.10/24 dev up{n}"));
        ip(&format!("addr add 2001:db8:{n}::10/64 dev up{n} nodad"));
        ip(&format!("route add default via 10.0.{n}.1 dev up{n} metric {n}"));
        ip(&format!("-6 route add default via 2001:db8:{n}::1 dev up{n} metric {n}"));
    }
    settled();
    // The kernel makes them a moment after the addresses.
    until("routes to the addresses themselves", || {
        let local = ip("-6 route show table local");
        [1, 2].iter().all(|n| local.contains(&format!("local 2001:db8:{n}::10 ")))
    });
    peer
}

/// Link-local addresses come by themselves, with routes.
pub(crate) fn settled() {
    until("IPv6 addresses", || {
        let all = ip("-6 -o addr show scope link");
        let links = ip("-o link show up type veth").lines().count();
        all.lines().filter(|line| !line.contains("tentative")).count() >= links
    });
}

/// The steps of one reconciliation.
pub(crate) struct Loop {
    pub(crate) kernel: Kernel,
    pub(crate) config: Config,
    pub(crate) saved: SavedSysctls,
    pub(crate) gateways: Gateways,
}

impl Loop {
    pub(crate) async fn new() -> Self {
        let kernel = Kernel::connect().await.unwrap();
        Self {
            kernel,
            config: Config::default(),
            saved: SavedSysctls::default(),
            gateways: Gateways::new(Instant::now()),
        }
    }

    pub(crate) async fn plan(&self) -> (Observed, Vec<Uplink>, Plan) {
        let observed = self.kernel.observe().await.unwrap();
        let (found, _) = discover::discover(&self.config, &observed, self.gateways.health());
        let uplinks = ids::allocate(&[], found);
        let desired = desired::desire(&self.config, &observed, &uplinks, &self.saved);
        let plan = diff::diff(&self.config, &desired, &observed).unwrap();
        (observed, uplinks, plan)
    }

    /// Looks as the daemon does, and tells the state of each uplink.
    pub(crate) async fn look(&mut self, monitor: &mut Monitor) -> (Observed, Vec<Uplink>) {
        let observed = self.kernel.observe().await.unwrap();
        self.gateways.look(&observed, Instant::now());
        let (found, _) = discover::discover(&self.config, &observed, self.gateways.health());
        let uplinks = ids::allocate(&[], found);
        let desired = desired::desire(&self.config, &observed, &uplinks, &self.saved);
        self.gateways.watch(&observed, &uplinks, &desired.neighbours, None, Instant::now());
        monitor.watch_neighbours(self.gateways.watched());
        (observed, uplinks)
    }

    /// Listens until the IPv4 gateway of an uplink is usable, or is not. Looks again only when there is
    /// news.
    pub(crate) async fn until_usable(&mut self, monitor: &mut Monitor, name: &str, usable: bool) {
        let change = async {
            loop {
                let (_, uplinks) = self.look(monitor).await;
                let uplink = uplinks.iter().find(|u| u.device.name == name).unwrap();
                if uplink.device.way_out.v4.usable == usable {
                    break;
                }
                while !self.hears_news(monitor).await {}
            }
        };
        tokio::time::timeout(DEADLINE, change).await.expect("it is announced");
    }

    async fn hears_news(&mut self, monitor: &mut Monitor) -> bool {
        let due = self.gateways.next_due().unwrap_or_else(|| Instant::now() + DEADLINE);
        match tokio::time::timeout_at(due.into(), monitor.next()).await {
            Ok(announced) => {
                let announced = announced.unwrap();
                self.gateways.hear(&announced.neighbours) || announced.change.is_any()
            }
            Err(_) => self.gateways.expire(Instant::now()),
        }
    }

    pub(crate) async fn apply(&mut self, observed: &Observed, plan: &Plan) {
        self.saved.begin(plan, observed);
        self.kernel.apply(plan).await.unwrap();
        self.saved.commit(plan);
    }

    /// Brings the desired state about, and insists that nothing is left to do.
    pub(crate) async fn reconcile(&mut self) -> Plan {
        let (observed, _, plan) = self.plan().await;
        self.apply(&observed, &plan).await;
        let (_, _, rest) = self.plan().await;
        assert!(rest.is_empty(), "still to do after\n{plan}:\n{rest}");
        plan
    }

    pub(crate) async fn undo(&mut self) {
        let observed = self.kernel.observe().await.unwrap();
        let plan = undo::undo(&self.config, &observed, &self.saved);
        self.apply(&observed, &plan).await;
        assert!(self.saved.is_empty());
    }
}

pub(crate) fn configured(text: &str) -> Config {
    let name = format!("prroute-kernel-{}-{:?}", std::process::id(), std::thread::current().id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, text).unwrap();
    let config = Config::load(Some(&file));
    std::fs::remove_file(&file).unwrap();
    config.unwrap()
}

/// The interface and gateway the kernel takes for a packet of the host's own.
pub(crate) fn way(to: &str, from: &str) -> String {
    let out = ip(&format!("route get {to} from {from}"));
    let words: Vec<&str> = out.split_whitespace().collect();
    let after = |word: &str| {
        let at = words.iter().position(|w| *w == word);
        at.map_or("-", |at| words[at + 1]).to_owned()
    };
    format!("{} {}", after("via"), after("dev"))
}
