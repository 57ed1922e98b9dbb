//! The real Docker engine, inside a lab's namespace.
//!
//! It gets a mount namespace of its own with the data directory on a tmpfs, so that its mounts
//! and images vanish with its last process, and a cgroup parent of its own, by which whatever
//! survives is found and killed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use crate::cgroup;
use crate::command::{self, Output};
use crate::image;
use crate::netns::Namespace;
use crate::process::Process;
use crate::scratch::Scratch;
use crate::wait;

/// Which generation of packet filter the engine drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Iptables {
    Legacy,
    Nft,
    /// None: only the userland proxy brings packets to containers.
    Unused,
}

impl Iptables {
    fn suffix(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Nft | Self::Unused => "nft",
        }
    }
}

/// How the engine is set up.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    pub iptables: Iptables,
    pub userland_proxy: bool,
}

/// A running engine; stopped, with its containers, when dropped.
#[derive(Debug)]
pub struct Docker {
    daemon: Process,
    socket: PathBuf,
    cgroup: String,
    keep: bool,
}

/// The ports that [`Docker::publish_servers`] publishes.
pub const TCP_PORT: u16 = 8080;
pub const UDP_PORT: u16 = 5353;

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(60);

impl Docker {
    /// Starts the engine in `namespace` and waits until it answers. `cgroup` names its cgroup
    /// parent; `keep` leaves it running.
    pub fn start(
        namespace: &Namespace,
        scratch: &Scratch,
        cgroup: &str,
        engine: Engine,
        keep: bool,
    ) -> Result<Self> {
        let programs = iptables_directory(scratch, engine.iptables)?;
        let root = scratch.path().join("docker");
        std::fs::create_dir(&root).with_context(|| format!("create {}", root.display()))?;
        let socket = scratch.path().join("docker.sock");
        let path = std::env::var("PATH").unwrap_or_default();
        let script = "mount -t tmpfs -o mode=755 docker \"$1\" && shift && exec \"$@\"";
        let root_text = root.display().to_string();
        let daemon = namespace.spawn(&[
            "env",
            &format!("PATH={}:{path}", programs.display()),
            "unshare",
            "--mount",
            "--propagation=private",
            "sh",
            "-c",
            script,
            "sh",
            &root_text,
            "dockerd",
            &format!("--data-root={root_text}/data"),
            &format!("--exec-root={root_text}/exec"),
            &format!("--pidfile={}", scratch.path().join("docker.pid").display()),
            &format!("--host=unix://{}", socket.display()),
            &format!("--cgroup-parent=/{cgroup}"),
            // The engine's other driver wants systemd to run the machine.
            "--exec-opt=native.cgroupdriver=cgroupfs",
            "--bip=172.30.0.1/24",
            "--ipv6",
            "--fixed-cidr-v6=fd00:30::/64",
            // 20.10 calls its IPv6 filter rules an experiment.
            "--experimental",
            &format!("--iptables={}", engine.iptables != Iptables::Unused),
            &format!("--ip6tables={}", engine.iptables != Iptables::Unused),
            &format!("--userland-proxy={}", engine.userland_proxy),
        ])?;
        let mut docker = Self { daemon, socket, cgroup: cgroup.to_owned(), keep };
        wait::until("dockerd answers", START, || {
            docker.daemon.check_running()?;
            let answers = client(&docker.socket, &["version"])?.status.success();
            Ok(answers.then_some(()))
        })
        .with_context(|| docker.daemon.log())?;
        Ok(docker)
    }

    /// Runs the engine's client.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        client(&self.socket, arguments)?.success()
    }

    /// What a container wrote, to both outputs.
    pub fn logs(&self, container: &str) -> Result<String> {
        let Output { stdout, stderr, .. } = client(&self.socket, &["logs", container])?;
        Ok(stdout + &stderr)
    }

    /// Publishes a web server on TCP port 8080 and a DNS server on UDP port 5353, and waits
    /// until both containers answer the host.
    pub fn publish_servers(&self, namespace: &Namespace, scratch: &Scratch) -> Result<()> {
        let tar = image::build(scratch)?;
        self.run(&["import", &tar.display().to_string(), image::NAME])?;
        let tcp = format!("{TCP_PORT}:{TCP_PORT}");
        let udp = format!("{UDP_PORT}:{UDP_PORT}/udp");
        let web = image::web_server(TCP_PORT);
        let dns = image::dns_server(UDP_PORT);
        let web: Vec<&str> = web.iter().map(String::as_str).collect();
        let dns: Vec<&str> = dns.iter().map(String::as_str).collect();
        self.run(
            &[&["run", "--detach", "--name=web", "--publish", &tcp, image::NAME][..], &web]
                .concat(),
        )?;
        self.run(
            &[&["run", "--detach", "--name=dns", "--publish", &udp, image::NAME][..], &dns]
                .concat(),
        )?;
        self.wait_ready(namespace)
    }

    /// The containers' addresses are tentative for a second, and the servers take a moment.
    fn wait_ready(&self, namespace: &Namespace) -> Result<()> {
        let fields = "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.GlobalIPv6Address}}";
        let web = self.run(&["inspect", "--format", fields, "web"])?;
        let dns = self.run(&["inspect", "--format", fields, "dns"])?;
        wait::until("the containers answer", START, || {
            for address in web.split_whitespace() {
                let host =
                    if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
                let url = format!("http://{host}:{TCP_PORT}/");
                let curl = ["curl", "-sf", "--noproxy", "*", "-m", "1", &url];
                if !namespace.output(&curl)?.status.success() {
                    return Ok(None);
                }
            }
            for address in dns.split_whitespace() {
                let (at, port) = (format!("@{address}"), UDP_PORT.to_string());
                let dig = ["dig", "+short", "+tries=1", "+time=1", "-p", &port, &at, "probe.test"];
                if !namespace.output(&dig)?.status.success() {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .with_context(|| self.daemon.log())
    }

    fn stop(&mut self) -> Result<()> {
        let containers = self.run(&["ps", "--all", "--quiet"])?;
        let containers: Vec<&str> = containers.split_whitespace().collect();
        if !containers.is_empty() {
            self.run(&[&["rm", "--force"], containers.as_slice()].concat())?;
        }
        self.daemon.stop(Signal::SIGTERM, STOP).map(drop)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Err(error) = self.stop() {
            eprintln!("stop dockerd: {error:#}");
        }
        if let Err(error) = cgroup::remove(&self.cgroup) {
            eprintln!("{error:#}");
        }
    }
}

fn client(socket: &Path, arguments: &[&str]) -> Result<Output> {
    let mut docker = Command::new("docker");
    docker.arg(format!("--host=unix://{}", socket.display())).args(arguments);
    // A minute: the first import of a machine reads many cold pages.
    command::output_within(&mut docker, Duration::from_secs(60), "")
}

/// A directory in which `iptables` and `ip6tables` are those of one generation.
fn iptables_directory(scratch: &Scratch, iptables: Iptables) -> Result<PathBuf> {
    let directory = scratch.path().join("iptables");
    std::fs::create_dir(&directory).with_context(|| format!("create {}", directory.display()))?;
    for name in ["iptables", "ip6tables"] {
        for action in ["", "-save", "-restore"] {
            let program = format!("/usr/sbin/{name}-{}{action}", iptables.suffix());
            let link = directory.join(format!("{name}{action}"));
            std::os::unix::fs::symlink(&program, &link)
                .with_context(|| format!("link {} to {program}", link.display()))?;
        }
    }
    Ok(directory)
}
