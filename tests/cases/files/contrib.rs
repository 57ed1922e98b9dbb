//! What `contrib` offers for Prometheus and Grafana, checked by Prometheus' own tool, for cloud-init, and for Terraform.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ::prroute::cli::Cli;
use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;
use prroute_tests::scratch::Scratch;
use prroute_tests::{command, netns};
use serde_json::Value;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn promtool(words: &[&str], input: &str) -> Result<String> {
    let mut promtool = command::command(&[&["promtool"], words].concat())?;
    command::output_within(&mut promtool, command::DEADLINE, input)?.success()
}

#[test]
fn every_alert_fires_where_it_should_and_nowhere_else() -> Result<()> {
    let rules = file("contrib/prometheus/alerts.yaml").display().to_string();
    let tests = file("contrib/prometheus/alerts.test.yaml").display().to_string();
    promtool(&["check", "rules", &rules], "")?;
    promtool(&["test", "rules", &tests], "")?;

    // None is without a case in which it fires.
    let (rules, tests) = (std::fs::read_to_string(&rules)?, std::fs::read_to_string(&tests)?);
    let alerts: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    ensure!(alerts.len() > 5, "{alerts:?}");
    for alert in alerts {
        let fires = format!("alertname: {alert}\n        exp_alerts:\n          - exp_labels:");
        ensure!(tests.contains(&fires), "no case in which {alert} fires");
    }
    Ok(())
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() -> Result<()> {
    let metrics = std::fs::read_to_string(file("prroute/tests/formats/metrics.prom"))?;
    promtool(&["check", "metrics"], &metrics)?;
    // It does look.
    let without_help = metrics.replacen("# HELP prroute_up ", "# prroute_up ", 1);
    ensure!(promtool(&["check", "metrics"], &without_help).is_err(), "no complaint");
    Ok(())
}

#[test]
fn panels_and_alerts_ask_for_metrics_that_exist() -> Result<()> {
    let metrics = std::fs::read_to_string(file("prroute/tests/formats/metrics.txt"))?;
    let known = |name: &str| {
        metrics
            .lines()
            .any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
    };
    let dashboard = std::fs::read_to_string(file("contrib/grafana/prroute.json"))?;
    let dashboard: Value = serde_json::from_str(&dashboard).context("the dashboard is JSON")?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let mut asked = std::fs::read_to_string(file("contrib/prometheus/alerts.yaml"))?;
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array()).flatten() {
        asked += target["expr"].as_str().with_context(|| format!("no expression: {target}"))?;
        asked.push(' ');
    }
    let names = asked.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
    let names: Vec<_> = names.filter(|name| name.starts_with("prroute_")).collect();
    ensure!(names.len() > 20, "{names:?}");
    for name in names {
        ensure!(known(name), "{name} is no metric");
    }
    Ok(())
}

/// The options of the container's page are explained there, and tested with Docker.
#[test]
fn the_daemon_set_has_what_the_container_has() -> Result<()> {
    let page = std::fs::read_to_string(file("contrib/container/README.md"))?;
    let manifest = std::fs::read_to_string(file("contrib/kubernetes/prroute.yaml"))?;
    let command = page.split("docker run ").nth(1).context("no docker run")?;
    let command = command.split("```").next().unwrap_or_default();
    let words: Vec<&str> = command.split_whitespace().collect();
    let values = |option: &str| {
        let pairs = words.windows(2).filter(move |pair| pair[0] == option);
        pairs.map(|pair| pair[1]).collect::<Vec<_>>()
    };
    let added: Vec<_> =
        values("--cap-add").iter().map(|capability| format!("\"{capability}\"")).collect();
    let mut wanted = vec![
        "drop: [\"ALL\"]".to_owned(),
        format!("add: [{}]", added.join(", ")),
        "hostNetwork: true".to_owned(),
        "hostPID: true".to_owned(),
        "readOnlyRootFilesystem: true".to_owned(),
        "allowPrivilegeEscalation: false".to_owned(),
    ];
    ensure!(values("--security-opt").contains(&"apparmor=unconfined"), "{command}");
    wanted.push("appArmorProfile:\n              type: Unconfined\n".to_owned());
    let volumes = values("--volume");
    ensure!(added.len() == 3 && volumes.len() == 5, "{command}");
    for volume in volumes {
        let (there, here) = volume.split_once(':').context("a volume")?;
        let (here, read_only) = match here.split_once(':') {
            Some((here, "ro")) => (here, "\n              readOnly: true"),
            _ => (here, ""),
        };
        wanted.push(format!("mountPath: {here}{read_only}\n"));
        // The configuration is an object of the cluster.
        if here != "/etc/prroute" {
            wanted.push(format!("hostPath:\n            path: {there}\n"));
        }
    }
    for words in wanted {
        ensure!(manifest.contains(&words), "no {words:?} in the manifest");
    }
    Ok(())
}

/// What the kubelet runs in the container, the program takes.
#[test]
fn the_probes_of_the_daemon_set_are_commands_of_prroute() -> Result<()> {
    let manifest = std::fs::read_to_string(file("contrib/kubernetes/prroute.yaml"))?;
    let probes = manifest.lines().filter_map(|line| line.trim().strip_prefix("command: "));
    let probes: Vec<Vec<String>> = probes.map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(probes.len() == 3, "{probes:?}");
    for probe in &probes {
        ensure!(probe[0] == "/usr/bin/prroute", "{probe:?}");
        Cli::try_parse_from(probe).with_context(|| format!("{probe:?}"))?;
    }
    for kind in ["startupProbe:", "livenessProbe:", "readinessProbe:"] {
        ensure!(manifest.contains(kind), "no {kind}");
    }
    Ok(())
}

/// Beside the file that `cargo xtask package` writes.
#[test]
fn who_fills_in_the_user_data_gets_the_checksum_of_the_package() -> Result<()> {
    let (deb, other) = ("d".repeat(64), "e".repeat(64));
    let scratch = Scratch::create(&netns::unique_name(), false)?;
    scratch.write(
        "SHA256SUMS",
        &format!(
            "{deb}  prroute_0.1.0-1_amd64.deb\n\
             {other}  prroute-0.1.0-1.x86_64.rpm\n\
             {other}  prroute_0.1.0-1_amd64.deb.cdx.json\n"
        ),
    )?;
    for page in ["contrib/cloud-init/README.md", "docs/quick-starts/vpc.md"] {
        let text = std::fs::read_to_string(file(page))?;
        let line = text.lines().find(|line| line.contains("export package_sha256="));
        let line = line.with_context(|| format!("{page}: no checksum"))?;
        let script =
            format!("{}\nprintf %s \"$package_sha256\"", line.trim_start_matches("client$ "));
        let mut shell = command::command(&["sh", "-c", &script])?;
        let printed = command::output(shell.current_dir(scratch.path()))?.success()?;
        ensure!(printed == deb, "{page}: {printed:?}");
    }
    Ok(())
}

/// The words that follow `before` in a text, up to the first character that no name has.
fn names_after(text: &str, before: &str) -> BTreeSet<String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = |rest: &str| rest.chars().take_while(|c| is_of_name(*c)).collect();
    text.split(before).skip(1).map(name).collect()
}

#[test]
fn terraform_fills_in_what_the_user_data_asks_for() -> Result<()> {
    let read = |name: &str| std::fs::read_to_string(file(&format!("contrib/{name}")));
    let asked = names_after(&read("cloud-init/user-data.yaml")?, "${");
    let main = read("terraform/main.tf")?;
    let filled_in = main.split("cloud-init/user-data.yaml\", {\n").nth(1).context("no template")?;
    let filled_in = filled_in.split("})").next().unwrap_or_default();
    let filled_in: BTreeSet<String> = filled_in
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned()))
        .collect();
    ensure!(asked == filled_in && asked.len() > 3, "{asked:?}\n{filled_in:?}");

    let used = names_after(&(main + &read("terraform/outputs.tf")?), "var.");
    let declared = names_after(&read("terraform/variables.tf")?, "variable \"");
    ensure!(used == declared, "{used:?}\n{declared:?}");

    let described = read("cloud-init/README.md")?;
    let missing: Vec<_> =
        asked.iter().filter(|name| !described.contains(&format!("| `{name}` |"))).collect();
    ensure!(missing.is_empty(), "{missing:?}");
    Ok(())
}
