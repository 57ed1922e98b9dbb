//! What keeps the host's own sources by their uplinks: changing from one way to the other, and saying
//! what it costs.

use tracing::Level;

use crate::config::OwnSource;
use crate::netlink::{MainRoutes, NetlinkError, Wanted};
use crate::reconcile::{ENOUGH_UPLINKS, Outlook, Reconciler};
use crate::state::observed::{Family, Observed, PROTOCOL, Rule};
use crate::state::own_source::{Account, OwnSources, accounts, note_rules};
use crate::state::plan::Op;

/// Whether rules for sources are there that the datapath makes superfluous.
pub(super) fn leaves_rules(outlook: &Outlook) -> bool {
    let own_source = OwnSources::in_force(&outlook.uplinks);
    let is_left = |rule: &Rule| {
        rule.protocol == PROTOCOL && rule.source.is_some() && own_source.is_datapath(rule.family)
    };
    outlook.uplinks.len() >= ENOUGH_UPLINKS && outlook.observed.rules.iter().any(is_left)
}

/// The programs do not keep own sources yet: the rules for them stay, and what they look up.
pub(super) fn keep_rules(outlook: &mut Outlook) {
    let own_source = OwnSources::in_force(&outlook.uplinks);
    let Ok(plan) = &mut outlook.plan else { return };
    plan.ops.retain(|op| match op {
        Op::DeleteRule(rule) => !own_source.is_datapath(rule.family),
        Op::DeleteRoute(route) => !own_source.is_datapath(route.family()),
        _ => true,
    });
}

impl Reconciler {
    /// The state of the kernel, as far as the configuration asks for it.
    pub(super) async fn observe(&self) -> Result<Observed, NetlinkError> {
        let main_routes = match self.config.own_source {
            _ if self.config.observes() => MainRoutes::Skipped,
            OwnSource::Rules => MainRoutes::Skipped,
            OwnSource::Datapath => MainRoutes::Wanted,
        };
        self.kernel.observe_with(Wanted { ranges: self.config.ranges, main_routes }).await
    }

    /// What keeps own sources, and what it costs, in each family that an uplink speaks. Nothing does where packets
    /// are only observed.
    pub fn own_source_accounts(&self, outlook: &Outlook) -> Vec<Account> {
        if self.config.observes() {
            return Vec::new();
        }
        let Outlook { uplinks, observed, desired, .. } = outlook;
        let had_rules = self.records.report.own_source.had_rules;
        accounts(&self.config, observed, uplinks, &desired.rules, had_rules)
    }

    /// How own sources are kept, and what rules cost. With rules there is nothing to say: that is how
    /// it was always done.
    pub(super) fn own_source_sentences(&self, outlook: &Outlook) -> Vec<(Level, String)> {
        if self.config.own_source == OwnSource::Rules || outlook.uplinks.len() < ENOUGH_UPLINKS {
            return Vec::new();
        }
        let said = |account: &Account| {
            let cost = account.cost().map(|cost| (Level::WARN, cost));
            [Some((Level::INFO, account.to_string())), cost].into_iter().flatten()
        };
        self.own_source_accounts(outlook).iter().flat_map(said).collect()
    }

    /// Whether there were rules is remembered: the kernel goes on paying for them.
    pub(super) fn note_own_source(&mut self, outlook: &Outlook) {
        let report = &mut self.records.report.own_source;
        if !outlook.observed.unsteady {
            note_rules(&mut report.had_rules, &outlook.observed.rules);
            note_rules(&mut report.had_rules, &outlook.desired.rules);
        }
        report.asked = self.config.own_source;
    }

    /// What a change of the option by a reload cannot bring back: what the kernel has once had.
    pub(super) fn own_source_notes(&self, old: OwnSource) -> Vec<String> {
        if self.config.observes() {
            return Vec::new();
        }
        if (old, self.config.own_source) != (OwnSource::Rules, OwnSource::Datapath) {
            return Vec::new();
        }
        let had_rules = self.records.report.own_source.had_rules;
        let had = |family: &Family| had_rules[*family];
        let families: Vec<String> =
            Family::BOTH.iter().filter(|family| had(family)).map(ToString::to_string).collect();
        if families.is_empty() {
            return Vec::new();
        }
        vec![format!(
            "own-source = \"datapath\" is in force, but there were rules ({}): the kernel goes on \
             walking its rules for every packet that it routes until the next boot, or the end of \
             this network namespace",
            families.join(" and ")
        )]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::state::desired::desire;
    use crate::state::diff::diff;
    use crate::state::fixture::{carry_out, two_networks, uplinks};
    use crate::state::saved_sysctls::SavedSysctls;

    /// A host with our rules, for which another way to keep own sources is wanted.
    fn outlook(config: &Config) -> Outlook {
        let mut observed = two_networks().0;
        let by_rules = Config::default();
        let before = uplinks(&by_rules, &observed);
        let desired = desire(&by_rules, &observed, &before, &SavedSysctls::default());
        carry_out(&diff(&by_rules, &desired, &observed).unwrap(), &mut observed);
        let uplinks = uplinks(config, &observed);
        let desired = desire(config, &observed, &uplinks, &SavedSysctls::default());
        let plan = diff(config, &desired, &observed);
        Outlook {
            observed,
            uplinks,
            locals: Vec::new(),
            prefixes: Vec::new(),
            left_out: Vec::new(),
            skipped: Vec::new(),
            desired,
            plan,
            findings: Vec::new(),
        }
    }

    #[test]
    fn rules_stay_until_the_programs_keep_own_sources() {
        let config = Config { own_source: OwnSource::Datapath, ..Config::default() };
        let mut outlook = outlook(&config);
        assert!(leaves_rules(&outlook));
        assert!(outlook.plan.as_ref().unwrap().ops.len() > 12);
        keep_rules(&mut outlook);
        assert!(outlook.plan.unwrap().is_empty());
    }

    #[test]
    fn there_is_nothing_to_wait_for_where_rules_keep_own_sources() {
        assert!(!leaves_rules(&outlook(&Config::default())));
    }
}
