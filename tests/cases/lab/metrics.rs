//! A real Prometheus scrapes `prroute metrics`, from a web server and through node_exporter, and
//! faults on the host change what it is told.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::process::Process;
use prroute_tests::prroute::{CAPABILITIES, Instance};
use prroute_tests::{command, wait};
use serde_json::Value;

/// From a change on the host to an answer of Prometheus.
const SOON: Duration = Duration::from_secs(60);
const API: &str = "http://127.0.0.1:9090/api/v1";

fn contrib(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib").join(name)
}

/// Prometheus on the lab's host, and what it scrapes there.
struct Monitoring<'a> {
    lab: &'a Lab,
    prroute: &'a Instance<'a>,
    /// What node_exporter reads.
    textfile: PathBuf,
    /// What the web server offers.
    page: PathBuf,
    _programs: [Process; 3],
}

impl<'a> Monitoring<'a> {
    fn start(lab: &'a Lab, prroute: &'a Instance<'a>) -> Result<Self> {
        let nginx = "daemon off; master_process off; user root; error_log stderr warn; pid @/pid;
            events {}
            http {
                access_log off; types {}
                default_type 'application/openmetrics-text; version=1.0.0; charset=utf-8';
                client_body_temp_path @/t1; proxy_temp_path @/t2; fastcgi_temp_path @/t3;
                uwsgi_temp_path @/t4; scgi_temp_path @/t5;
                server { listen 127.0.0.1:9101; root @/web; }
            }";
        let prometheus = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: ['{}']
scrape_configs:
  - {{ job_name: prroute, static_configs: [{{ targets: ['127.0.0.1:9101'] }}] }}
  - {{ job_name: node, static_configs: [{{ targets: ['127.0.0.1:9100'] }}] }}
",
            fs::canonicalize(contrib("prometheus/alerts.yaml"))?.display()
        );
        let directory = lab.scratch.path().display().to_string();
        let nginx = lab.scratch.write("web.conf", &nginx.replace('@', &directory))?;
        let prometheus = lab.scratch.write("prometheus.yaml", &prometheus)?;
        let page = lab.scratch.write("web/metrics", "# EOF\n")?;
        let textfile = lab.scratch.write("node/prroute.prom", "")?;
        let start = |words: &[&str]| lab.host.spawn(words);
        let programs = [
            start(&["nginx", "-c", &nginx.display().to_string()])?,
            start(&[
                "prometheus-node-exporter",
                "--collector.disable-defaults",
                "--collector.textfile",
                &format!("--collector.textfile.directory={directory}/node"),
                "--web.listen-address=127.0.0.1:9100",
            ])?,
            start(&[
                "prometheus",
                &format!("--config.file={}", prometheus.display()),
                &format!("--storage.tsdb.path={directory}/tsdb"),
                "--web.listen-address=127.0.0.1:9090",
            ])?,
        ];
        Ok(Self { lab, prroute, textfile, page, _programs: programs })
    }

    /// Has prroute say how it is now, as a timer does.
    fn tell(&self) -> Result<()> {
        let path = self.textfile.display().to_string();
        self.prroute.output(&["metrics", "--textfile", &path])?.success()?;
        let text = self.prroute.output(&["metrics"])?.success()?;
        let new = self.page.with_extension("new");
        fs::write(&new, text).and_then(|()| fs::rename(&new, &self.page)).context("write a page")
    }

    fn api(&self, path: &str, query: &str) -> Result<Value> {
        let (url, query) = (format!("{API}/{path}"), format!("query={query}"));
        let answer = self.lab.host.run(&["curl", "-sG", "--data-urlencode", &query, &url])?;
        let answer: Value =
            serde_json::from_str(&answer).with_context(|| format!("{url} {query}: {answer}"))?;
        ensure!(answer["status"] == "success", "{query}: {answer:#}");
        Ok(answer["data"].clone())
    }

    /// The series that an expression yields.
    fn ask(&self, expression: &str) -> Result<Vec<Value>> {
        let data = self.api("query", expression)?;
        Ok(data["result"].as_array().with_context(|| format!("no vector: {data}"))?.clone())
    }

    /// Waits until an expression yields `count` series.
    fn expect(&self, expression: &str, count: usize) -> Result<()> {
        let mut last = Vec::new();
        wait::until(&format!("{count} series of {expression}"), SOON, || {
            self.tell()?;
            last = self.ask(expression)?;
            Ok((last.len() == count).then_some(()))
        })
        .with_context(|| format!("{last:#?}"))
    }

    /// The expressions of the alerts by their names, as Prometheus has read them.
    fn alerts(&self) -> Result<Vec<(String, String)>> {
        let rules = self.api("rules", "")?;
        let rules = rules["groups"][0]["rules"].as_array().context("no rules")?.clone();
        let of = |rule: &Value, key: &str| -> Result<String> {
            Ok(rule[key].as_str().context("no text")?.to_owned())
        };
        rules.iter().map(|rule| Ok((of(rule, "name")?, of(rule, "query")?))).collect()
    }

    /// Waits until so many series meet the condition of this alert, and none that of others but those.
    fn expect_alerts(&self, expected: &[(&str, usize)]) -> Result<()> {
        let alerts = self.alerts()?;
        let mut met = Vec::new();
        wait::until(&format!("alerts {expected:?}"), SOON, || {
            self.tell()?;
            met.clear();
            for (name, expression) in &alerts {
                met.push((name.as_str(), self.ask(expression)?.len()));
            }
            met.retain(|(_, count)| *count > 0);
            Ok((met == expected).then_some(()))
        })
        .with_context(|| format!("{met:?}"))
    }
}

/// Every expression of the dashboard, with its variables as Grafana replaces them.
fn panels() -> Result<Vec<String>> {
    let text = fs::read_to_string(contrib("grafana/prroute.json")).context("read the dashboard")?;
    let dashboard: Value = serde_json::from_str(&text).context("parse the dashboard")?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let replaced = |target: &Value| {
        let expression = target["expr"].as_str().context("no expression")?;
        Ok(expression.replace("$instance", ".*").replace("$__rate_interval", "1m"))
    };
    targets.map(replaced).collect()
}

#[test]
fn prometheus_sees_faults_and_every_expression_of_contrib_yields_series() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let mut prroute = lab.prroute()?;
    prroute.configure("gateway-probe = 1\nattach = \"clsact\"\n")?;
    let daemon = prroute.run(&[])?;
    let monitoring = Monitoring::start(&lab, &prroute)?;
    wait::until("Prometheus answers", SOON, || {
        Ok(monitoring.ask("up").is_ok_and(|up| !up.is_empty()).then_some(()))
    })?;
    // Both ways: each figure is there twice.
    monitoring.expect("up == 1", 2)?;
    monitoring.expect("prroute_up == 1", 2)?;
    monitoring.expect("prroute_build_info{hook=\"clsact\"}", 2)?;
    monitoring.expect("prroute_uplink_attached == 1", 8)?;
    monitoring.expect_alerts(&[])?;

    let gateway = addressing::gateway(2, Family::V4);
    let usable = format!("prroute_gateway_usable{{uplink=\"up2\", gateway=\"{gateway}\"}}");
    monitoring.expect(&format!("{usable} == 1"), 2)?;
    let router = lab.router(2);
    router.fall_silent()?;
    monitoring.expect(&format!("{usable} == 0"), 2)?;
    router.answer_again()?;
    monitoring.expect(&format!("{usable} == 1"), 2)?;
    monitoring.expect_alerts(&[])?;

    daemon.terminate()?;
    lab.host.run(&["tc", "filter", "del", "dev", "up2", "egress"])?;
    monitoring.expect("prroute_uplink_attached{uplink=\"up2\", direction=\"egress\"} == 0", 2)?;
    monitoring.expect("prroute_findings{severity=\"fault\", kind=\"program-missing\"}", 2)?;
    monitoring.expect_alerts(&[("PrrouteProgramDetached", 2), ("PrrouteDaemonDown", 2)])?;
    for expression in panels()? {
        let series = monitoring.ask(&expression)?;
        ensure!(!series.is_empty(), "nothing: {expression}");
    }
    prroute.down()?;
    Ok(())
}

#[test]
fn a_textfile_is_whole_for_everybody_to_read_and_says_also_that_nothing_is_there() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?;
    let path = lab.scratch.write("node/prroute.prom", "old")?;
    // As the unit has it: all is read-only but the place for the file.
    let script = "mount -o remount,bind,ro /sys/fs/bpf && mount --bind /run /run && \
                  mount -o remount,bind,ro /run && exec \"$@\"";
    let sandbox = [&["unshare", "--mount", "sh", "-ec", script, "sh"], &CAPABILITIES[..]].concat();
    let write = || -> Result<(Option<i32>, String)> {
        let words = ["metrics", "--textfile", &path.display().to_string()];
        let output = command::output(&mut prroute.command_with(&sandbox, &words)?)?;
        ensure!(output.stdout.is_empty(), "{output:?}");
        Ok((output.status.code(), fs::read_to_string(&path)?))
    };
    prroute.while_running(|_| {
        let (code, text) = write()?;
        ensure!(code == Some(0) && text.contains("} 1\n"), "{code:?} {text}");
        ensure!(text.contains("# TYPE prroute_packets_total counter\n"), "{text}");
        Ok(())
    })?;
    let mode = fs::metadata(&path)?.permissions().mode();
    ensure!(mode & 0o777 == 0o644, "{mode:o}");
    let beside = fs::read_dir(path.parent().context("a directory")?)?.count();
    ensure!(beside == 1, "{beside} files");

    // Nothing is left that could pass for a running prroute.
    prroute.down()?;
    let (code, text) = write()?;
    let up = text.lines().find(|line| line.starts_with("prroute_up")).context("no prroute_up")?;
    ensure!(code == Some(3) && up.ends_with(" 0"), "{code:?} {text}");

    let nowhere = prroute.output(&["metrics", "--textfile", "/nonexistent/prroute.prom"])?;
    ensure!(nowhere.stderr.contains("create /nonexistent/prroute.prom.new: "), "{nowhere:?}");
    Ok(())
}
