//! Which of the printed commands change what is prroute's alone: those that `doctor --fix` runs.

use std::fmt;

use crate::examine::Examination;
use crate::runtime::unit;
use crate::state::findings::Finding;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnFix {
    /// The daemon reads the configuration again.
    Reload(String),
    /// systemd starts the daemon, or starts it anew.
    Service { verb: &'static str, unit: String },
}

impl fmt::Display for OwnFix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reload(command) => f.write_str(command),
            Self::Service { verb, unit } => f.write_str(&unit::command(verb, unit)),
        }
    }
}

impl Examination {
    /// The one that does most: a daemon that is started anew has read the configuration, too.
    pub(crate) fn own_fix(&self, findings: &[Finding]) -> Option<OwnFix> {
        choose(&self.own_fixes(), findings)
    }

    /// The command that has the daemon read the configuration again; `None`: nobody would.
    pub(super) fn reload(&self) -> Option<String> {
        (self.daemon.is_some() && !self.report.trial).then(|| self.command("reload"))
    }

    fn own_fixes(&self) -> Vec<OwnFix> {
        let service = |verb| Some(OwnFix::Service { verb, unit: self.unit.clone()? });
        let reload = self.reload().map(OwnFix::Reload);
        [service("restart"), service("start"), reload].into_iter().flatten().collect()
    }
}

fn choose(own: &[OwnFix], findings: &[Finding]) -> Option<OwnFix> {
    let is_printed =
        |fix: &&OwnFix| findings.iter().any(|it| it.fix.as_ref() == Some(&fix.to_string()));
    own.iter().find(is_printed).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::findings::Kind;

    #[test]
    fn what_changes_something_of_others_is_not_ours() {
        let reload = OwnFix::Reload("prroute reload".to_owned());
        let restart = OwnFix::Service { verb: "restart", unit: "prroute.service".to_owned() };
        let own = [restart.clone(), reload.clone()];
        let printed = |fixes: &[&str]| {
            let finding = |fix: &&str| Finding {
                fix: Some((*fix).to_owned()),
                ..Finding::single(Kind::DaemonGone)
            };
            choose(&own, &fixes.iter().map(finding).collect::<Vec<_>>())
        };
        assert_eq!(printed(&["ip link set eth0 up", "nft list ruleset"]), None);
        assert_eq!(printed(&["ip link set eth0 up", "prroute reload"]), Some(reload));
        assert_eq!(printed(&["prroute reload", "systemctl restart prroute"]), Some(restart));
        assert_eq!(printed(&[]), None);
    }
}
