//! The unit of systemd that a process belongs to.

use std::fs;
use std::path::Path;

use nix::unistd::Pid;

use crate::instance::Instance;

/// That of the package.
const DEFAULT: &str = "prroute.service";

/// Where systemd runs (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";

/// The unit that starts the daemon of an instance: the package has one for the default instance.
pub(crate) fn that_starts(instance: &Instance) -> Option<String> {
    (instance.is_default() && Path::new(BOOTED).is_dir()).then(|| DEFAULT.to_owned())
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
