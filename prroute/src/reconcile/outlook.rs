//! What follows from one look at the kernel, without changing anything.

use std::time::Instant;

use ipnet::IpNet;

use crate::datapath::Tables;
use crate::json::UplinkJson;
use crate::reconcile::{ReconcileError, Reconciler};
use crate::state::desired::{Desired, desire_with};
use crate::state::diff::{Collision, diff};
use crate::state::discover::discover;
use crate::state::findings::{Finding, findings};
use crate::state::ids::{allocate_recalling, follow_macs};
use crate::state::locals::{local_addresses, local_prefixes};
use crate::state::observed::Observed;
use crate::state::plan::Plan;
use crate::state::remembered::Recall;
use crate::state::share::{self, LeftOut};
use crate::state::succession;
use crate::state::uplink::{LocalAddress, Skipped, Uplink};

/// Everything that follows from one look at the kernel.
#[derive(Debug)]
pub struct Outlook {
    pub observed: Observed,
    pub uplinks: Vec<Uplink>,
    /// The host's addresses, as far as the datapath has room for them.
    pub locals: Vec<LocalAddress>,
    /// Prefixes that are local by a route, likewise.
    pub prefixes: Vec<IpNet>,
    /// What it has no room for.
    pub left_out: Vec<LeftOut>,
    pub skipped: Vec<Skipped>,
    pub desired: Desired,
    /// What brings rules, tables, neighbours and sysctls there, or whose objects are in the way.
    pub plan: Result<Plan, Collision>,
    /// What of others keeps it from working.
    pub findings: Vec<Finding>,
}

impl Reconciler {
    /// Looks at the kernel and plans, without changing anything.
    ///
    /// # Errors
    ///
    /// When the kernel or the pinned tables cannot be read.
    pub async fn look(&self) -> Result<Outlook, ReconcileError> {
        self.outlook(self.observe().await?)
    }

    pub(super) fn outlook(&self, observed: Observed) -> Result<Outlook, ReconcileError> {
        let (found, mut skipped) = discover(&self.config, &observed, self.gateways.health());
        let pins = &self.datapath.pins;
        let other = match &self.datapath.loaded {
            None => pins.predecessor()?,
            Some(_) => None,
        };
        let pinned = match &self.datapath.loaded {
            None if other.is_none() && pins.exists() => Some(Tables::open(pins)?),
            _ => None,
        };
        let tables =
            self.datapath.loaded.as_ref().map(|datapath| &datapath.tables).or(pinned.as_ref());
        let mut known = match (tables, &other) {
            (Some(tables), _) => tables.known_ids()?,
            (None, Some(other)) => other.known_ids()?,
            (None, None) => Vec::new(),
        };
        let in_force = tables.map(Tables::in_force).transpose()?.unwrap_or_default();
        let before: Vec<_> = self.records.report.uplinks.iter().map(UplinkJson::known).collect();
        follow_macs(&mut known, &before, &observed.links);
        let recall = Recall { remembered: &self.records.ids, links: &observed.links };
        let (mut uplinks, without_id) = allocate_recalling(&known, recall, found);
        skipped.extend(without_id);
        succession::keep(&mut uplinks, &observed, self.gateways.health(), &in_force);
        let mut locals = local_addresses(&observed, &uplinks);
        let mut prefixes = local_prefixes(&observed);
        let left_out = share::limit(&mut uplinks, &mut locals, &mut prefixes);
        let moves = self.repairs.moves.allowed(Instant::now());
        let desired =
            desire_with(&self.config, &observed, &uplinks, &self.records.journal.sysctls, moves);
        let plan = diff(&self.config, &desired, &observed);
        let findings = findings(&self.config, &observed, &uplinks, &desired);
        Ok(Outlook {
            observed,
            uplinks,
            locals,
            prefixes,
            left_out,
            skipped,
            desired,
            plan,
            findings,
        })
    }
}
