//! Who is not root, under systemd: the group by the daemon's socket, Prometheus by a port or a file.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::lab::Lab;
use prroute_tests::{command, wait};

use crate::network::TWO_UPLINKS;
use crate::service::{JOB, Service, systemctl};

/// Where node_exporter reads.
const TEXTFILES: &str = "/var/lib/prometheus/node-exporter";

/// Units beside the daemon's, stopped and gone when dropped.
struct Units(&'static [&'static str]);

impl Units {
    fn install(names: &'static [&'static str]) -> Result<Self> {
        for name in names {
            let (from, to) = (Path::new("../packaging").join(name), installed(name));
            fs::copy(&from, &to).with_context(|| format!("copy {}", from.display()))?;
        }
        systemctl(&["daemon-reload"])?;
        Ok(Self(names))
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        for name in self.0 {
            let gone = systemctl(&["stop", name])
                .and_then(|_| fs::remove_file(installed(name)).context("remove the unit"));
            if let Err(error) = gone {
                eprintln!("{error:#}");
            }
        }
    }
}

fn installed(name: &str) -> String {
    format!("/etc/systemd/system/{name}")
}

/// What the exporter answers.
fn scrape() -> Result<String> {
    let mut stream = TcpStream::connect("127.0.0.1:9713").context("connect to the exporter")?;
    stream.set_read_timeout(Some(JOB))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn the_group_and_prometheus_ask_without_privileges() -> Result<()> {
    let _lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let group = fs::canonicalize("../packaging/prroute.sysusers").context("find the group")?;
    command::run(&["systemd-sysusers", &group.display().to_string()])?;
    let _units = Units::install(&["prroute-exporter.socket", "prroute-exporter.service"])?;
    let service = Service::start()?;
    let user = |groups: &str| {
        let groups = format!("--property=SupplementaryGroups={groups}");
        let run = ["systemd-run", "--quiet", "--pipe", "--wait", "--property=DynamicUser=yes"];
        let argv = [&run[..], &[&groups, "/usr/bin/prroute", "status", "-br"]].concat();
        command::output_within(&mut command::command(&argv)?, JOB, "")
    };
    let member = user("prroute")?;
    ensure!(member.stdout == "default ok up1:up up2:up\n", "{member:?}\n{}", service.journal(&[])?);
    member.success()?;
    let stranger = user("")?;
    ensure!(stranger.status.code() == Some(4) && stranger.stdout.is_empty(), "{stranger:?}");

    systemctl(&["start", "prroute-exporter.socket"])?;
    let answer = scrape()?;
    ensure!(answer.contains("prroute_up 1\n") && answer.ends_with("# EOF\n"), "{answer}");
    systemctl(&["stop", "prroute.service"])?;
    // What it saw serves for a while.
    wait::until("the exporter says that no daemon runs", JOB, || {
        Ok(scrape()?.contains("prroute_up 0\n").then_some(()))
    })
}

#[test]
fn the_timer_writes_a_file_for_node_exporter() -> Result<()> {
    let _lab = Lab::around_this_machine(TWO_UPLINKS)?;
    fs::create_dir_all(TEXTFILES).with_context(|| format!("create {TEXTFILES}"))?;
    let _units = Units::install(&["prroute-metrics.timer", "prroute-metrics.service"])?;
    let service = Service::start()?;
    systemctl(&["start", "prroute-metrics.timer"])?;
    let path = Path::new(TEXTFILES).join("prroute.prom");
    let text =
        wait::until("the timer has written the file", JOB, || Ok(fs::read_to_string(&path).ok()))
            .with_context(|| service.journal(&[]).unwrap_or_default())?;
    ensure!(text.contains("prroute_up 1\n"), "{text}");
    fs::remove_file(&path).context("remove the metrics")
}
