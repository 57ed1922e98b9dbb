//! podman with netavark: ports that it publishes.

use anyhow::{Context as _, Result};
use prroute_tests::image;
use prroute_tests::lab::Lab;

use crate::network::{TWO_UPLINKS, expect_routing_alone, serve, wait_for_answers};
use crate::service::{Service, run};

const PORT: u16 = 7011;
const CONTAINER: &str = "web";
const NETWORK: &str = "front";

fn podman(words: &[&str]) -> Result<String> {
    run(&[&["podman"], words].concat())
}

/// A container on a network of its own, both gone when dropped.
struct Container;

impl Container {
    fn run(lab: &Lab) -> Result<Self> {
        let tar = image::build_echo(&lab.scratch)?.display().to_string();
        podman(&["import", "--quiet", &tar, image::NAME])?;
        let container = Self;
        // Names are not asked for.
        let subnets = ["--subnet=172.29.0.0/24", "--subnet=fd00:29::/64"];
        let create = ["network", "create", "--ipv6", "--disable-dns"];
        podman(&[&create[..], &subnets, &[NETWORK]].concat())?;
        let (tcp, udp) =
            (format!("--publish={PORT}:{PORT}"), format!("--publish={PORT}:{PORT}/udp"));
        let (name, network) = (format!("--name={CONTAINER}"), format!("--network={NETWORK}"));
        let image = format!("localhost/{}", image::NAME);
        let servers = image::echo_servers(PORT);
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        let run = ["run", "--detach", &name, &network, &tcp, &udp, &image];
        podman(&[&run[..], &servers].concat())?;
        Ok(container)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        for words in [&["rm", "--force", "--time=1", CONTAINER][..], &["network", "rm", NETWORK]] {
            if let Err(error) = podman(words) {
                eprintln!("{error:#}");
            }
        }
    }
}

#[test]
fn a_published_port_is_answered_over_both_uplinks() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let _echo = serve(&lab)?;
    let _container = Container::run(&lab)?;
    expect_routing_alone(&lab, &[PORT]).context("without prroute")?;

    let service = Service::start()?;
    let answered = |when: &str| {
        wait_for_answers(&lab, &[PORT])
            .with_context(|| format!("{when}\n{}", service.journal(&[]).unwrap_or_default()))
    };
    answered("prroute started")?;
    podman(&["restart", "--time=1", CONTAINER])?;
    answered("podman restart")
}
