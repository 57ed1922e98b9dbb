//! prroute as a container of the real Docker engine: it steers the host's replies as the service does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::docker::{Docker, Engine, Iptables};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::stream::Stream;
use prroute_tests::{command, probe, prroute, scratch, wait};

const PATIENCE: Duration = Duration::from_secs(60);
const PROGRAM: &str = "/usr/bin/prroute";

/// The commands of the page: one starts the daemon, the other one undoes what it did.
const FIRST: usize = 1;
const LAST: usize = 2;

fn contrib(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/container").join(name)
}

/// The image, of the program under test. That one is not static: its libraries come with it.
fn build(lab: &Lab, docker: &Docker) -> Result<()> {
    let context = lab.scratch.path().join("context");
    let root = context.join("rootfs");
    let program = prroute::binary()?;
    scratch::install(&program, &root.join("usr/bin/prroute"))?;
    let ldd = ["ldd", &program.display().to_string()];
    let libraries = command::output(&mut command::command(&ldd)?)?.stdout;
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        scratch::install(Path::new(library), &root.join(library.trim_start_matches('/')))?;
    }
    let (file, context) = (contrib("Containerfile"), context.display().to_string());
    docker.run(&["build", "--tag=prroute", "--file", &file.display().to_string(), &context])?;
    Ok(())
}

/// The words of a `docker run` that contrib's page shows, after `run` and up to the image. An engine before 23 has
/// another capability in place of two, and the configuration is this lab's.
fn options(docker: &Docker, number: usize, etc: &Path) -> Result<Vec<String>> {
    let page = std::fs::read_to_string(contrib("README.md")).context("read the page")?;
    let command = page.split("docker run ").nth(number).context("no such command on the page")?;
    let command = command.split("```").next().unwrap_or_default().replace("\\\n", " ");
    let version = docker.run(&["version", "--format", "{{.Server.Version}}"])?;
    let major: u32 = version.split('.').next().unwrap_or_default().parse().context("a version")?;
    let command = match major {
        ..23 => command.replace("--cap-add BPF --cap-add PERFMON", "--cap-add SYS_ADMIN"),
        _ => command,
    };
    let command = command.replace("/etc/prroute:/", &format!("{}:/", etc.display()));
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    let image = words.iter().rposition(|word| word == "prroute").context("no image")?;
    Ok(words[..image].to_vec())
}

/// Strict filters have to be loosened in it. A shared address is answered by the programs alone, an own one
/// by the rules.
#[test]
fn it_steers_as_the_service_does_and_what_it_made_outlives_it() -> Result<()> {
    let lab = Lab::with_services(Topology { uplinks: 2, rp_filter: 1, ..Topology::DEFAULT })?;
    let engine = Engine { iptables: Iptables::Nft, userland_proxy: false };
    let docker = Docker::start(&lab.host, &lab.scratch, lab.name(), engine, false)?;
    build(&lab, &docker)?;
    let etc = lab.scratch.path().join("etc-prroute");
    std::fs::create_dir(&etc)?;
    std::fs::write(etc.join("prroute.toml"), "gateway-probe = 1\n")?;
    let before = lab.snapshot()?;

    let instance = lab.prroute()?;
    // The directories of the volumes go with the last instance in them: without one of their own, another
    // lab's end takes them away before they are mounted.
    for parent in ["/run/prroute", "/var/lib/prroute"] {
        let own = Path::new(parent).join(instance.name());
        std::fs::create_dir_all(&own).with_context(|| format!("create {}", own.display()))?;
    }
    let run = |number: usize, command: &str| {
        let options = options(&docker, number, &etc)?;
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let words = ["prroute", command, "--instance", instance.name()];
        docker.run(&[&["run"], options.as_slice(), &words].concat())
    };
    let inside = |words: &[&str]| {
        let exec = [&["exec", "prroute", PROGRAM], words, &["--instance", instance.name()]];
        docker.run(&exec.concat())
    };
    let wait_ready = || {
        wait::until("the container is ready", PATIENCE, || Ok(inside(&["wait"]).ok()))
            .with_context(|| docker.logs("prroute").unwrap_or_default())
    };
    run(FIRST, "run")?;
    wait_ready()?;
    let all = probe::to_everything(2);
    probe::expect_all_answered(&lab.ask(&all)?)?;
    let status = inside(&["status"])?;
    ensure!(status.contains(": ok, 2 of 2 uplinks answer"), "{status}");
    ensure!(status.contains("config     /etc/prroute/prroute.toml"), "{status}");
    // What the DaemonSet's probe of life asks.
    inside(&["events", "--last", "1"])?;
    // The host's own program sees the same.
    instance.output(&["wait"])?.success()?;
    let log = docker.logs("prroute")?;
    ensure!(!log.contains("WARN"), "{log}");

    let (source, target) = (addressing::client(2, Family::V4), addressing::shared(Family::V4));
    let pings = Stream::start(&lab.client, source, target)?;
    docker.run(&["restart", "prroute"])?;
    wait_ready()?;
    docker.run(&["rm", "--force", "prroute"])?;
    probe::expect_all_answered(&lab.ask(&all)?).context("without a container")?;
    run(FIRST, "run")?;
    wait_ready()?;
    pings.lost_nothing()?;

    docker.run(&["rm", "--force", "prroute"])?;
    run(LAST, "down")?;
    lab.expect_unchanged_since(&before)
}
