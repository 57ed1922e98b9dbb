//! Docker under systemd, with containers on its own network, on a user's, and on the host's.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::lab::Lab;
use prroute_tests::{command, image};

use crate::network::{PORT, TWO_UPLINKS, expect_routing_alone, serve, wait_for_answers};
use crate::service::{Service, run, systemctl};

const SETTINGS: &str = "/etc/docker/daemon.json";

/// The containers: name, port, and where they are.
const DEFAULT: (&str, u16, &[&str]) = ("inside", 7008, &[]);
const USERS: (&str, u16, &[&str]) = ("composed", 7009, &["--network=front"]);
const HOSTS: (&str, u16, &[&str]) = ("outside", 7010, &["--network=host"]);

/// What is asked: the containers, and the host's own servers.
const PORTS: [u16; 4] = [PORT, DEFAULT.1, USERS.1, HOSTS.1];

fn docker(words: &[&str]) -> Result<String> {
    run(&[&["docker"], words].concat())
}

/// The engine, without containers, networks and images of the case when dropped.
struct Engine;

impl Engine {
    fn start(lab: &Lab, userland_proxy: bool) -> Result<Self> {
        let engine = Self;
        engine.configure(userland_proxy)?;
        run(&["systemctl", "start", "docker.service"])?;
        let tar = image::build_echo(&lab.scratch)?.display().to_string();
        docker(&["import", &tar, image::NAME])?;
        let subnets = ["--subnet=172.31.0.0/24", "--subnet=fd00:31::/64"];
        docker(&[&["network", "create", "--ipv6"], &subnets[..], &["front"]].concat())?;
        for (name, port, options) in [DEFAULT, USERS, HOSTS] {
            let publish =
                [format!("--publish={port}:{port}"), format!("--publish={port}:{port}/udp")];
            let publish = publish.iter().map(String::as_str);
            let publish = publish.filter(|_| !options.contains(&"--network=host"));
            let name = format!("--name={name}");
            let mut words = vec!["run", "--detach", "--restart=unless-stopped", &name];
            words.extend(publish);
            words.extend(options);
            words.push(image::NAME);
            let servers = image::echo_servers(port);
            words.extend(servers.iter().map(String::as_str));
            docker(&words)?;
        }
        Ok(engine)
    }

    /// No live restore: a restart of the engine ends the containers, and starts them again.
    fn configure(&self, userland_proxy: bool) -> Result<()> {
        let settings = format!(
            "{{\"live-restore\": false, \"userland-proxy\": {userland_proxy}, \"ipv6\": true,\n\
             \"fixed-cidr-v6\": \"fd00:30::/64\", \"experimental\": true, \"ip6tables\": true}}\n"
        );
        fs::create_dir_all("/etc/docker").context("create /etc/docker")?;
        fs::write(SETTINGS, settings).with_context(|| format!("write {SETTINGS}"))
    }
}

impl Drop for Engine {
    /// What one step could not remove keeps nothing of the others: a bridge that stays has addresses that are
    /// tentative for ever.
    fn drop(&mut self) {
        let names = [DEFAULT.0, USERS.0, HOSTS.0];
        let units = ["docker.socket", "docker.service", "containerd.service"];
        let steps = [
            docker(&[&["rm", "--force"], &names[..]].concat()).map(drop),
            docker(&["network", "rm", "front"]).map(drop),
            systemctl(&[&["stop"], &units[..]].concat()).map(drop),
            command::run(&["ip", "link", "del", "docker0"]).map(drop),
            fs::remove_file(SETTINGS).with_context(|| format!("remove {SETTINGS}")),
        ];
        for error in steps.into_iter().filter_map(Result::err) {
            eprintln!("{error:#}");
        }
    }
}

#[test]
fn containers_answer_where_they_are_asked_also_after_the_engine_was_restarted() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let _echo = serve(&lab)?;
    let engine = Engine::start(&lab, true)?;
    expect_routing_alone(&lab, &PORTS).context("without prroute")?;

    let service = Service::start()?;
    let answered = |when: &str| {
        wait_for_answers(&lab, &PORTS)
            .with_context(|| format!("{when}\n{}", service.journal(&[]).unwrap_or_default()))
    };
    answered("with the userland proxy")?;
    run(&["systemctl", "restart", "docker.service"])?;
    answered("systemctl restart docker")?;
    engine.configure(false)?;
    run(&["systemctl", "restart", "docker.service"])?;
    answered("without the userland proxy")?;
    let complaints = service.journal(&["--priority=warning"])?;
    ensure!(complaints.is_empty(), "{complaints}");
    Ok(())
}
