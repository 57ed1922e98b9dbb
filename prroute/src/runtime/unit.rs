//! The unit of systemd that a process belongs to.

use std::fs;
use std::path::Path;

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::instance::Instance;

/// That of the package.
const DEFAULT: &str = "prroute.service";

/// Where systemd runs (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";

/// Where files of units are (systemd.unit(5)).
const FILES: [&str; 7] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/transient",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// What started a daemon, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StartedBy {
    Unit(String),
    /// Somebody's command, or another program's.
    Command,
}

impl StartedBy {
    /// Of this process.
    pub(crate) fn here() -> Self {
        of_process(Pid::this()).map_or(Self::Command, Self::Unit)
    }
}

/// The unit that starts a daemon as the last one of this instance was; `None`: its command does. `before`: what
/// that one says; where it does not, the package's unit starts the default instance, if it is installed.
pub(crate) fn that_starts(instance: &Instance, before: Option<&StartedBy>) -> Option<String> {
    let unit = match before {
        Some(StartedBy::Unit(unit)) => unit.clone(),
        Some(StartedBy::Command) => return None,
        None => of_package(instance)?,
    };
    is_installed(&FILES.map(Path::new), &unit).then_some(unit)
}

/// What starts the first daemon of this instance, from now on.
pub(crate) fn first_start(instance: &Instance) -> String {
    match that_starts(instance, None) {
        Some(unit) => command("enable --now", &unit),
        None if instance.is_default() => "prroute run".to_owned(),
        None => format!("prroute run --instance {instance}"),
    }
}

/// The package has one for the default instance, where systemd runs.
pub(crate) fn of_package(instance: &Instance) -> Option<String> {
    (instance.is_default() && Path::new(BOOTED).is_dir()).then(|| DEFAULT.to_owned())
}

/// Whether it has a file, or its template (`NAME@.service`) has.
fn is_installed(directories: &[&Path], unit: &str) -> bool {
    let template = unit.split_once('@').map(|(name, _)| format!("{name}@.service"));
    let names = [Some(unit.to_owned()), template];
    let mut names = names.iter().flatten();
    names.any(|name| directories.iter().any(|directory| directory.join(name).exists()))
}

/// The unit whose process this is; `None`: systemd did not start it, though it may be in a unit's control
/// group, as what a runner of jobs starts is.
pub(crate) fn of_process(pid: Pid) -> Option<String> {
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).ok();
    if !is_started_by_systemd(pid, &read("stat")?, &read("environ").unwrap_or_default()) {
        return None;
    }
    named_in(&String::from_utf8_lossy(&read("cgroup")?))
}

/// Whether this process is in the unit's control group.
pub(crate) fn is_own(unit: &str) -> bool {
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    named_in(&cgroups).as_deref() == Some(unit)
}

/// What an administrator types.
pub(crate) fn command(verb: &str, unit: &str) -> String {
    format!("systemctl {verb} {}", unit.strip_suffix(".service").unwrap_or(unit))
}

/// Its parent is the first process; and what inherits the variable (systemd 248) has another id.
fn is_started_by_systemd(pid: Pid, stat: &[u8], environ: &[u8]) -> bool {
    let stat = String::from_utf8_lossy(stat);
    // The name may have spaces and brackets; then come the state and the parent.
    let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
    let mut variables = environ.split(|byte| *byte == 0);
    let started = variables.find_map(|it| it.strip_prefix(b"SYSTEMD_EXEC_PID="));
    parent == Some("1") && started.is_none_or(|started| started == pid.to_string().as_bytes())
}

/// Lines are `0::/system.slice/NAME.service`; with cgroup v1 the second field is `name=systemd`.
fn named_in(cgroups: &str) -> Option<String> {
    let path = cgroups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, kind, path) = (fields.next()?, fields.next()?, fields.next()?);
        (kind.is_empty() || kind == "name=systemd").then_some(path)
    })?;
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    // A shell of a user is in a scope of `user.slice`; what a user's own manager runs, too.
    if parts.clone().next() != Some("system.slice") {
        return None;
    }
    parts.rfind(|part| part.ends_with(".service")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_unit_started_is_told_from_what_only_runs_in_one() {
        let is = |stat: &str, environ: &[u8]| {
            is_started_by_systemd(Pid::from_raw(42), stat.as_bytes(), environ)
        };
        assert!(is("42 (a) b) S 1 42 42", b"A=1\0SYSTEMD_EXEC_PID=42\0B=2"));
        assert!(is("42 (prroute) S 1 42 42", b""), "of an older systemd");
        assert!(!is("42 (prroute) S 1 42 42", b"SYSTEMD_EXEC_PID=7\0"), "left by a job");
        assert!(!is("42 (prroute) S 7 42 42", b"SYSTEMD_EXEC_PID=7\0"));
        assert!(!is("", b""));
        assert_eq!(of_process(Pid::this()), None);
    }

    /// A command of somebody had another configuration, and was never a unit.
    #[test]
    fn what_started_the_last_daemon_starts_the_next() {
        let instance: Instance = "default".parse().unwrap();
        assert_eq!(that_starts(&instance, Some(&StartedBy::Command)), None);
        let unit = StartedBy::Unit("prroute-of-nobody.service".to_owned());
        assert_eq!(that_starts(&instance, Some(&unit)), None, "it was deleted");
        let other: Instance = "blue".parse().unwrap();
        assert_eq!(that_starts(&other, None), None, "no unit is known");
        assert_eq!(first_start(&other), "prroute run --instance blue");
        let starts_default = first_start(&instance);
        let of_systemd = that_starts(&instance, None).is_some();
        assert_eq!(starts_default == "systemctl enable --now prroute", of_systemd);
        assert_eq!(starts_default == "prroute run", !of_systemd);
        assert_eq!(StartedBy::here(), StartedBy::Command);
    }

    #[test]
    fn a_unit_is_installed_with_its_file_or_that_of_its_template() {
        let directory = std::env::temp_dir().join(format!("prroute-units-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("prroute@.service"), "").unwrap();
        let is = |unit| is_installed(&[Path::new("/nonexistent"), &directory], unit);
        assert!(is("prroute@blue.service"));
        assert!(!is("prroute.service"));
        fs::write(directory.join("prroute.service"), "").unwrap();
        assert!(is("prroute.service"));
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_process_of_a_unit_is_told_from_one_of_a_shell() {
        let named = |text| named_in(text);
        assert_eq!(named("0::/system.slice/prroute.service\n").as_deref(), Some("prroute.service"));
        let instance = "0::/system.slice/system-prroute.slice/prroute@blue.service\n";
        assert_eq!(named(instance).as_deref(), Some("prroute@blue.service"));
        let v1 = "12:cpu:/\n1:name=systemd:/system.slice/prroute.service\n0::/\n";
        assert_eq!(named(v1).as_deref(), Some("prroute.service"));
        for text in [
            "0::/user.slice/user-0.slice/session-3.scope\n",
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n",
            "0::/\n",
            "0::/docker/0123\n",
            "",
        ] {
            assert_eq!(named(text), None, "{text}");
        }
    }
}
