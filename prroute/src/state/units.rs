//! What of a plan fails together: one uplink's trouble is not the others'.
//!
//! ```text
//!   an uplink           its tables' routes, the rules that lead to them, its gateways' neighbour
//!                       entries, its filter
//!   a shared source     its rules
//!   a table or device   of what is no uplink (any more)
//!   alone               a route of the shared table, a shortcut
//! ```

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::observed::{Rule, host_net, overlap};
use super::plan::{Op, Plan};
use super::subnet_tables::tables;
use super::uplink::{Ifindex, Uplink, UplinkId};
use crate::config::Ranges;

/// What is in force as a whole, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    Uplink(UplinkId),
    Source(IpNet),
    Table(u32),
    Device(Ifindex),
    Alone,
}

/// Whose operation is which.
#[derive(Clone, Debug, Default)]
pub struct Units {
    tables: BTreeMap<u32, UplinkId>,
    devices: BTreeMap<Ifindex, UplinkId>,
    addresses: Vec<(IpNet, UplinkId)>,
    names: BTreeMap<UplinkId, String>,
    shared_table: u32,
}

impl Units {
    pub fn of(ranges: Ranges, uplinks: &[Uplink]) -> Self {
        let mut units = Self { shared_table: ranges.table, ..Self::default() };
        for uplink in uplinks {
            units.tables.insert(uplink.table(ranges), uplink.id);
            units.devices.extend(uplink.device.devices().map(|ifindex| (ifindex, uplink.id)));
            let hosts = uplink.device.addresses.iter().map(|net| host_net(net.addr()));
            units.addresses.extend(hosts.map(|host| (host, uplink.id)));
            units.names.insert(uplink.id, uplink.device.name.clone());
        }
        let subnets = tables(ranges, uplinks);
        units.tables.extend(subnets.into_iter().map(|((id, _), table)| (table, id)));
        units
    }

    /// The name of the uplink whose operation it is.
    pub fn uplink(&self, op: &Op) -> Option<&str> {
        match self.unit(op) {
            Unit::Uplink(id) => self.names.get(&id).map(String::as_str),
            _ => None,
        }
    }

    pub fn unit(&self, op: &Op) -> Unit {
        match op {
            Op::LoosenRpFilter(change) | Op::RestoreRpFilter(change) => self.device(change.ifindex),
            Op::ManageNeighbour(key) | Op::ReleaseNeighbour(key) => self.device(key.ifindex),
            Op::AddRoute(route) | Op::DeleteRoute(route) | Op::ReplaceRoute { new: route, .. } => {
                self.table(route.table)
            }
            Op::AddRule(rule) | Op::DeleteRule(rule) => self.rule(rule),
        }
    }

    fn device(&self, ifindex: Ifindex) -> Unit {
        self.devices.get(&ifindex).map_or(Unit::Device(ifindex), |id| Unit::Uplink(*id))
    }

    fn table(&self, table: u32) -> Unit {
        match self.tables.get(&table) {
            Some(id) => Unit::Uplink(*id),
            None if table == self.shared_table => Unit::Alone,
            None => Unit::Table(table),
        }
    }

    fn rule(&self, rule: &Rule) -> Unit {
        if rule.goto.is_some() || rule.table == 0 {
            return Unit::Alone;
        }
        if let Some(id) = self.tables.get(&rule.table) {
            return Unit::Uplink(*id);
        }
        let Some(source) = rule.source else { return self.table(rule.table) };
        // Main's specific routes are asked for an uplink's own sources.
        let owner = self.addresses.iter().find(|(host, _)| source.contains(host));
        match owner {
            Some((_, id)) if rule.suppress_prefix_length.is_some() => Unit::Uplink(*id),
            _ => Unit::Source(source),
        }
    }
}

/// How far a failure reaches.
#[derive(Clone, Copy, Debug)]
pub enum Reach<'a> {
    /// The whole plan.
    Plan,
    /// The failed operation's unit.
    Unit(&'a Units),
}

/// The course of a plan whose operations may fail.
#[derive(Debug)]
pub struct Course<'a> {
    reach: Reach<'a>,
    done: Vec<Op>,
    /// What failed, was not tried, or was taken back, in this order.
    left: Vec<Op>,
    failed: BTreeSet<Unit>,
}

impl<'a> Course<'a> {
    pub const fn new(reach: Reach<'a>) -> Self {
        Self { reach, done: Vec::new(), left: Vec::new(), failed: BTreeSet::new() }
    }

    /// Whether an operation is to be tried now. One that is not is left for another plan.
    pub fn tries(&mut self, op: &Op) -> bool {
        let waits = match self.reach {
            Reach::Plan => !self.left.is_empty(),
            Reach::Unit(units) => {
                self.failed.contains(&units.unit(op))
                    || self.left.iter().any(|missing| needs(op, missing))
            }
        };
        if waits {
            self.left.push(op.clone());
        }
        !waits
    }

    /// The operation was carried out and has an effect.
    pub fn done(&mut self, op: Op) {
        self.done.push(op);
    }

    /// The operation failed. Returns what is to be done to take back what belongs to it.
    ///
    /// Additions precede deletions: what failed to be added leaves its unit as it was. What failed
    /// to be deleted is too much, not too little: it goes another time.
    pub fn failed(&mut self, op: &Op) -> Vec<Op> {
        let taken_back = match self.reach {
            Reach::Plan => std::mem::take(&mut self.done),
            Reach::Unit(units) => {
                let unit = units.unit(op);
                if unit != Unit::Alone {
                    self.failed.insert(unit);
                }
                let is_same = |done: &mut Op| unit != Unit::Alone && units.unit(done) == unit;
                match op.is_addition() {
                    true => self.done.extract_if(.., is_same).collect(),
                    false => Vec::new(),
                }
            }
        };
        let inverse = taken_back.iter().rev().map(Op::inverse).collect();
        self.left.push(op.clone());
        self.left.extend(taken_back);
        inverse
    }

    /// The operation failed, and the whole plan with it. Returns what is to be done to take it back.
    pub fn abandon(&mut self, op: &Op) -> Vec<Op> {
        self.reach = Reach::Plan;
        self.failed(op)
    }

    /// What is in force, and what is left to do.
    pub fn end(self) -> (Plan, Plan) {
        (Plan { ops: self.done }, Plan { ops: self.left })
    }
}

/// Whether an operation would do harm as long as another one, of whatever unit, is not done.
///
/// A shortcut may not skip rules that have not moved yet; a rule goes when its successor is there,
/// and no old shortcut skips that; a route goes when no rule leads to it any more.
fn needs(op: &Op, missing: &Op) -> bool {
    match (op, missing) {
        (Op::AddRule(shortcut), Op::AddRule(rule)) => {
            shortcut.is_shortcut() && !rule.is_shortcut() && shortcut.family == rule.family
        }
        (Op::AddRule(new), Op::DeleteRule(old)) => {
            new.is_shortcut() && old.is_shortcut() && new.family == old.family
        }
        (Op::DeleteRule(rule), Op::DeleteRule(shortcut)) => {
            !rule.is_shortcut() && shortcut.is_shortcut() && rule.family == shortcut.family
        }
        (Op::DeleteRule(rule), Op::AddRule(other)) => {
            !rule.is_shortcut() && !other.is_shortcut() && concern_the_same(rule, other)
        }
        (Op::DeleteRoute(route), Op::DeleteRule(rule)) => {
            rule.table == route.table && rule.family == route.family()
        }
        _ => false,
    }
}

/// Whether both are about packets of the same source, or both of none.
fn concern_the_same(a: &Rule, b: &Rule) -> bool {
    let sources = match (&a.source, &b.source) {
        (Some(a), Some(b)) => overlap(a, b),
        (None, None) => true,
        _ => false,
    };
    a.family == b.family && sources
}

#[cfg(test)]
mod tests;
