//! What the scripts of the packages do, in a directory tree instead of the machine's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use prroute_tests::command::{self, Output};
use prroute_tests::netns;
use prroute_tests::scratch::Scratch;

const UNITS: [&str; 3] = ["prroute.service", "prroute-metrics.timer", "prroute-exporter.socket"];

/// What the scripts name of the machine.
const PLACES: [&str; 5] = ["/etc/", "/run/", "/sys/fs/bpf/", "/usr/bin/prroute", "/var/lib/"];

/// Programs that would change the machine: here they write down how they are called.
const WRITTEN_DOWN: [&str; 3] = ["deb-systemd-invoke", "systemctl", "systemd-sysusers"];

/// While it exists, `systemctl is-active` says yes.
const ACTIVE: &str = "active";

/// A directory tree in which the package is installed.
struct Tree {
    scratch: Scratch,
}

impl Tree {
    fn create() -> Result<Self> {
        let tree = Self { scratch: Scratch::create(&netns::unique_name(), false)? };
        for unit in UNITS {
            let text =
                fs::read_to_string(packaging(unit)).with_context(|| format!("read {unit}"))?;
            tree.scratch.write(&format!("usr/lib/systemd/system/{unit}"), &text)?;
        }
        tree.scratch.write("usr/bin/prroute", "the program")?;
        fs::create_dir_all(tree.path("etc/systemd/system"))?;
        fs::create_dir_all(tree.path("var/lib/systemd"))?;
        fs::create_dir_all(tree.path("run/systemd/system"))?;
        for program in WRITTEN_DOWN {
            let file = tree.scratch.write(
                &format!("stubs/{program}"),
                &format!(
                    "#!/bin/sh\ncase \"$*\" in *is-active*) test -e {}; exit;; esac\n\
                     echo {program} \"$@\" >> {}\n",
                    tree.path(ACTIVE).display(),
                    tree.path("calls").display()
                ),
            )?;
            fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
        }
        Ok(tree)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.scratch.path().join(path)
    }

    /// Runs a script of `packaging`, as dpkg or rpm calls it.
    fn run(&self, script: &str, arguments: &[&str]) -> Result<Output> {
        let mut text =
            fs::read_to_string(packaging(script)).with_context(|| format!("read {script}"))?;
        for place in PLACES {
            let here = self.path(place.trim_start_matches('/')).display().to_string();
            let end = if place.ends_with('/') { "/" } else { "" };
            text = text.replace(place, &format!("{}{end}", here.trim_end_matches('/')));
        }
        let file = self.scratch.write(&format!("scripts/{script}"), &text)?.display().to_string();
        let path = format!(
            "PATH={}:{}",
            self.path("stubs").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let root = format!("DPKG_ROOT={}", self.scratch.path().display());
        // Without it deb-systemd-helper does nothing.
        let package = "DPKG_MAINTSCRIPT_PACKAGE=prroute";
        let words = [&["env", &path, &root, package, "sh", &file], arguments].concat();
        command::output(&mut command::command(&words)?)
    }

    /// The calls since the last time.
    fn calls(&self) -> Result<Vec<String>> {
        let file = self.path("calls");
        let Ok(calls) = fs::read_to_string(&file) else { return Ok(Vec::new()) };
        fs::remove_file(&file)?;
        Ok(calls.lines().map(str::to_owned).collect())
    }

    fn is_enabled(&self, unit: &str) -> bool {
        self.link(unit).is_symlink()
    }

    fn is_masked(&self, unit: &str) -> bool {
        self.path("etc/systemd/system").join(unit).is_symlink()
    }

    /// As `systemctl enable` makes it.
    fn enable(&self, unit: &str) -> Result<()> {
        let link = self.link(unit);
        fs::create_dir_all(link.parent().context("no folder")?)?;
        std::os::unix::fs::symlink(format!("/usr/lib/systemd/system/{unit}"), link)
            .with_context(|| format!("enable {unit}"))
    }

    fn link(&self, unit: &str) -> PathBuf {
        let target = match unit.rsplit_once('.') {
            Some((_, "timer")) => "timers",
            Some((_, "socket")) => "sockets",
            _ => "multi-user",
        };
        self.path("etc/systemd/system").join(format!("{target}.target.wants/{unit}"))
    }
}

fn packaging(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(file)
}

/// What is said while nothing runs, and what starts what is enabled.
const NOT_STARTED: &str = "prroute.service is installed, and not started.";

fn start() -> String {
    format!("deb-systemd-invoke start {}", UNITS.join(" "))
}

#[test]
fn a_first_installation_enables_no_unit_and_a_later_one_those_that_were() -> Result<()> {
    let tree = Tree::create()?;
    let said = tree.run("debian/postinst", &["configure"])?.success()?;
    ensure!(said.contains(NOT_STARTED), "{said}");
    for unit in UNITS {
        ensure!(!tree.is_enabled(unit), "{unit} was enabled");
    }
    ensure!(!tree.calls()?.iter().any(|call| call.contains("start")), "something was started");

    // An upgrade keeps it so, as what an administrator enabled, and starts nothing that was stopped.
    tree.enable("prroute.service")?;
    tree.scratch.write(ACTIVE, "")?;
    let said = tree.run("debian/postinst", &["configure", "0.0.1-1"])?.success()?;
    ensure!(!said.contains(NOT_STARTED), "{said}");
    ensure!(!tree.calls()?.contains(&start()), "an upgrade starts what was stopped");
    tree.run("debian/prerm", &["remove"])?.success()?;
    tree.run("debian/postrm", &["remove"])?.success()?;
    ensure!(tree.is_masked("prroute.service"), "a removal masks");
    fs::remove_file(tree.path(ACTIVE))?;
    tree.calls()?;
    let said = tree.run("debian/postinst", &["configure", "0.0.1-1"])?.success()?;
    for unit in UNITS {
        ensure!(!tree.is_masked(unit), "{unit} stays masked");
        ensure!(tree.is_enabled(unit) == (unit == "prroute.service"), "{unit}");
    }
    // It does not start what is not enabled; what runs in the end is what is said.
    ensure!(tree.calls()?.contains(&start()), "what is enabled stays stopped");
    ensure!(said.contains(NOT_STARTED), "{said}");
    Ok(())
}

const UNDO: &str = "var/lib/prroute/undo";
const METRICS: &str = "var/lib/prometheus/node-exporter/prroute.prom";

/// What removes a package, as dpkg or rpm calls it.
const REMOVALS: [(&str, &str); 2] = [("debian/prerm", "remove"), ("rpm/preun.sh", "0")];

fn calls_a_stop(calls: &[String]) -> bool {
    calls.iter().any(|call| call.contains(" stop ") || call.contains(" disable "))
}

/// By which an instance is known: what it wrote down, and what is left of it after `systemctl clean`.
const KNOWN_BY: [&str; 2] = ["run/prroute", "sys/fs/bpf/prroute"];

#[test]
fn a_removal_leaves_the_program_that_undoes_and_no_metrics_that_nobody_renews() -> Result<()> {
    for (script, argument) in REMOVALS {
        for place in KNOWN_BY {
            let tree = Tree::create()?;
            fs::create_dir_all(tree.path(place).join("default"))?;
            tree.scratch.write(METRICS, "prroute_up 1\n")?;
            tree.run(script, &[argument])?.success()?;
            ensure!(calls_a_stop(&tree.calls()?), "{script} stops nothing");
            let undo = fs::read_to_string(tree.path(UNDO))
                .with_context(|| format!("{script}: {place}"))?;
            ensure!(undo == "the program", "{script}");
            ensure!(!tree.path(METRICS).exists(), "{script} leaves metrics");
        }

        // Nothing of it is in the kernel: nothing has to be undone. A lock of a network namespace is no instance.
        let tree = Tree::create()?;
        fs::create_dir_all(tree.path("sys/fs/bpf/prroute/netns:4026531840-1"))?;
        tree.run(script, &[argument])?.success()?;
        ensure!(calls_a_stop(&tree.calls()?), "{script} stops nothing");
        ensure!(!tree.path(UNDO).exists(), "{script}");
    }
    Ok(())
}

#[test]
fn a_removal_that_cannot_leave_the_program_fails_before_it_stops_anything() -> Result<()> {
    for (script, argument) in REMOVALS {
        let tree = Tree::create()?;
        fs::create_dir_all(tree.path("run/prroute/default"))?;
        // Nothing can be written there, as on a full disk.
        tree.scratch.write("var/lib/prroute", "")?;
        let output = tree.run(script, &[argument])?;
        ensure!(!output.status.success(), "{script}: {output:?}");
        ensure!(!calls_a_stop(&tree.calls()?), "{script} has stopped something");
    }
    // Whatever else ended it: what dpkg calls then starts what is enabled, and removes the copy.
    let tree = Tree::create()?;
    tree.scratch.write(UNDO, "a part of the program")?;
    tree.run("debian/postinst", &["abort-remove"])?.success()?;
    ensure!(tree.calls()?.contains(&start()), "nothing is started again");
    ensure!(!tree.path(UNDO).exists(), "the copy stays");
    Ok(())
}

#[test]
fn a_purge_undoes_every_instance_and_fails_before_it_removes_what_undoes() -> Result<()> {
    let tree = Tree::create()?;
    for place in KNOWN_BY {
        fs::create_dir_all(tree.path(place).join("default"))?;
    }
    fs::create_dir_all(tree.path("run/prroute/written"))?;
    fs::create_dir_all(tree.path("sys/fs/bpf/prroute/pinned"))?;
    fs::create_dir_all(tree.path("sys/fs/bpf/prroute/netns:4026531840-1"))?;
    let done = tree.path("done").display().to_string();
    let refuse = tree.scratch.write("refuse", "")?;
    let refuses = format!("[ \"$3\" = pinned ] && [ -e {} ] && exit 1", refuse.display());
    let program = format!("#!/bin/sh\n{refuses}\necho \"$@\" >> {done}\n");
    tree.scratch.write("usr/bin/prroute", &program)?;
    tree.run("debian/prerm", &["remove"])?.success()?;
    let purged = tree.run("debian/postrm", &["purge"])?;
    ensure!(!purged.status.success() && tree.path(UNDO).exists(), "{purged:?}");
    fs::remove_file(&refuse)?;
    fs::remove_file(&done)?;
    tree.run("debian/postrm", &["purge"])?.success()?;
    let done = fs::read_to_string(&done)?;
    let all = ["default", "pinned", "written"].map(|name| format!("down --instance {name}\n"));
    ensure!(done == all.concat(), "{done}");
    ensure!(!tree.path("var/lib/prroute").exists(), "the program stays");
    Ok(())
}

/// As in an image: the links that enable units would lead to none.
#[test]
fn a_removal_of_the_rpm_disables_units_also_where_no_systemd_runs() -> Result<()> {
    for runs in [true, false] {
        let tree = Tree::create()?;
        if !runs {
            fs::remove_dir(tree.path("run/systemd/system"))?;
        }
        tree.run("rpm/preun.sh", &["0"])?.success()?;
        let calls = tree.calls()?;
        let disables = calls.iter().any(|call| {
            call.contains("systemctl") && call.ends_with(&format!("disable {}", UNITS.join(" ")))
        });
        ensure!(disables, "{calls:?}");
        let stops = |unit: &str| {
            calls.iter().any(|call| call.contains(" stop ") && call.contains(unit)) == runs
        };
        ensure!(UNITS.iter().all(|unit| stops(unit)), "{calls:?}");
    }
    Ok(())
}

const DROP_IN: &str = "etc/systemd/networkd.conf.d/50-prroute.conf";

/// The lines of what a script says that are commands.
fn commands(said: &str) -> Vec<&str> {
    said.lines().skip_while(|line| !line.starts_with("  ")).collect()
}

/// What is printed is run by an administrator. The program to undo goes last.
#[test]
fn what_a_removal_of_the_rpm_prints_undoes_every_instance() -> Result<()> {
    let tree = Tree::create()?;
    for (place, instance) in KNOWN_BY.iter().zip(["blue", "default"]) {
        fs::create_dir_all(tree.path(place).join(instance))?;
    }
    let done = tree.path("done").display().to_string();
    let refuses = "[ \"$3\" = blue ] && [ -e REFUSE ] && exit 1";
    let refuse = tree.scratch.write("refuse", "")?.display().to_string();
    let program =
        format!("#!/bin/sh\n{}\necho \"$@\" >> {done}\n", refuses.replace("REFUSE", &refuse));
    tree.scratch.write("usr/bin/prroute", &program)?;
    tree.scratch.write(DROP_IN, "")?;
    let said = tree.run("rpm/preun.sh", &["0"])?.success()?;
    let commands = commands(&said);
    ensure!(commands.len() == 4, "{said}");
    let printed = commands.join("\n");
    let shell = || command::output(&mut command::command(&["sh", "-c", &printed])?);

    // One of another network namespace is not undone here, and nothing else then.
    ensure!(!shell()?.status.success() && tree.path(UNDO).exists(), "{printed}");
    fs::remove_file(&refuse)?;
    shell()?.success()?;
    let done = fs::read_to_string(&done)?;
    ensure!(done == "down --instance blue\ndown --instance default\n", "{done}");
    ensure!(!tree.path("var/lib/prroute").exists(), "{printed}");
    ensure!(!tree.path(DROP_IN).exists(), "{printed}");
    Ok(())
}

#[test]
fn a_removal_of_the_rpm_names_the_file_of_setup_networkd_where_nothing_else_is_left() -> Result<()>
{
    let tree = Tree::create()?;
    ensure!(commands(&tree.run("rpm/preun.sh", &["0"])?.success()?).is_empty(), "nothing is left");
    let file = tree.scratch.write(DROP_IN, "")?;
    let said = tree.run("rpm/preun.sh", &["0"])?.success()?;
    ensure!(commands(&said) == [format!("  rm {}", file.display())], "{said}");
    Ok(())
}
