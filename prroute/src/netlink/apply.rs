//! Carrying out a plan: all of it or nothing, or as much as can be.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;

use super::request::{Refusal, Socket};
use super::{Kernel, device_name, encode, neighbours};
use crate::state::plan::{Op, Plan, RpFilterChange};
use crate::state::units::{Course, Reach, Units};
use crate::sysctl::{self, Outcome, SysctlError};

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum OpError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    #[error("{0} has another name now")]
    Renamed(String),
}

impl OpError {
    /// The link, its address or its gateway went while the plan was carried out. The kernel announces
    /// that, and the next look at it shows it.
    fn is_transient(&self, op: &Op) -> bool {
        match self {
            Self::Refused(refusal) => {
                // IPv6 was switched off on the link.
                let is_route = matches!(op, Op::AddRoute(_) | Op::ReplaceRoute { .. });
                refusal.is_transient() || (is_route && refusal.errno() == Some(Errno::EACCES))
            }
            Self::Sysctl(_) => false,
            Self::Renamed(_) => true,
        }
    }
}

/// A plan that could not be carried out, or not all of it. What was done of what belongs together was
/// taken back, except for `not_taken_back`.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}{operation}: {source}{}{}",
    uplink.as_ref().map(|name| format!("{name}: ")).unwrap_or_default(),
    and_more(*further),
    remains(not_taken_back)
)]
pub struct ApplyError {
    /// Whose operation it was.
    pub uplink: Option<String>,
    /// As a command.
    pub operation: String,
    pub source: OpError,
    /// How many operations more failed.
    pub further: usize,
    /// Operations whose inverse failed too, with the error.
    pub not_taken_back: Vec<String>,
    /// All of them failed because something went meanwhile.
    pub transient: bool,
}

impl ApplyError {
    /// The capability `CAP_NET_ADMIN` is missing.
    pub fn is_permission_denied(&self) -> bool {
        match &self.source {
            OpError::Refused(refusal) => refusal.is_permission_denied(),
            OpError::Sysctl(error) => error.is_permission_denied(),
            OpError::Renamed(_) => false,
        }
    }
}

fn and_more(further: usize) -> String {
    match further {
        0 => String::new(),
        1 => "; one more operation failed".to_owned(),
        count => format!("; {count} more operations failed"),
    }
}

fn remains(not_taken_back: &[String]) -> String {
    if not_taken_back.is_empty() {
        return String::new();
    }
    format!("; could not undo: {}", not_taken_back.join("; "))
}

/// What came of a plan.
#[derive(Debug)]
pub struct Applied {
    /// What is in force of it.
    pub in_force: Plan,
    /// What failed, was taken back, or waits for that.
    pub left: Plan,
    /// What there was no time for.
    pub rest: Plan,
    pub error: Option<ApplyError>,
}

impl Kernel {
    /// Carries out the plan in its order. When an operation fails, those before it are taken
    /// back, the last one first.
    ///
    /// Adding a rule that is there, and deleting what is not there, is no failure; such an
    /// operation is not taken back.
    pub async fn apply(&self, plan: &Plan) -> Result<(), ApplyError> {
        self.carry_out(plan, Reach::Plan, false, usize::MAX).await.error.map_or(Ok(()), Err)
    }

    /// Likewise, but a failure concerns its [unit](crate::state::units::Unit) alone: what else the plan
    /// says goes on. `refusable`: unless it fails for another reason than that something went
    /// meanwhile. Then all of it is taken back. After so many operations it stops.
    pub async fn apply_by_unit(
        &self,
        plan: &Plan,
        units: &Units,
        refusable: bool,
        limit: usize,
    ) -> Applied {
        self.carry_out(plan, Reach::Unit(units), refusable, limit).await
    }

    async fn carry_out(
        &self,
        plan: &Plan,
        reach: Reach<'_>,
        refusable: bool,
        limit: usize,
    ) -> Applied {
        let mut socket = self.socket.lock().await;
        let mut course = Course::new(reach);
        let mut failure: Option<ApplyError> = None;
        let mut ops = plan.ops.iter();
        let mut tried = 0;
        while tried < limit
            && let Some(op) = ops.next()
        {
            if !course.tries(op) {
                continue;
            }
            tried += 1;
            tracing::debug!("{op}");
            let source = match execute(&mut socket, op).await {
                Ok(true) => {
                    course.done(op.clone());
                    continue;
                }
                Ok(false) => {
                    tracing::debug!("nothing to do for: {op}");
                    continue;
                }
                Err(source) => source,
            };
            tracing::debug!("{op}: {source}");
            let transient = source.is_transient(op);
            let abandoned = refusable && !transient;
            let inverse = if abandoned { course.abandon(op) } else { course.failed(op) };
            let not_taken_back = take_back(&mut socket, &inverse).await;
            let further = failure.as_ref().map_or(0, |first| first.further + 1);
            match &mut failure {
                // What did not fail by itself is the one to tell.
                Some(first) if transient || !first.transient => {
                    first.further = further;
                    first.not_taken_back.extend(not_taken_back);
                }
                before => {
                    let earlier = before.take().map(|first| first.not_taken_back);
                    *before = Some(ApplyError {
                        uplink: uplink(reach, op),
                        operation: op.to_string(),
                        source,
                        further,
                        not_taken_back: earlier
                            .into_iter()
                            .flatten()
                            .chain(not_taken_back)
                            .collect(),
                        transient,
                    });
                }
            }
        }
        let (in_force, left) = course.end();
        let rest = Plan { ops: ops.cloned().collect() };
        Applied { in_force, left, rest, error: failure }
    }
}

impl Kernel {
    /// Carries out every operation of a plan, whatever becomes of the others: what came of each, in
    /// their order. Taking something back needs no going back.
    pub async fn apply_each(&self, plan: &Plan) -> Vec<Result<(), ApplyError>> {
        let mut socket = self.socket.lock().await;
        let mut results = Vec::new();
        for op in &plan.ops {
            let failed = |source| ApplyError {
                uplink: None,
                operation: op.to_string(),
                source,
                further: 0,
                not_taken_back: Vec::new(),
                transient: false,
            };
            results.push(execute(&mut socket, op).await.map(drop).map_err(failed));
        }
        results
    }
}

fn uplink(reach: Reach<'_>, op: &Op) -> Option<String> {
    match reach {
        Reach::Plan => None,
        Reach::Unit(units) => units.uplink(op).map(str::to_owned),
    }
}

async fn take_back(socket: &mut Socket, inverse: &[Op]) -> Vec<String> {
    let mut failed = Vec::new();
    for op in inverse {
        match execute(socket, op).await {
            Err(error) if !error.is_transient(op) => failed.push(format!("{op}: {error}")),
            // What was there before went by itself.
            Err(error) => tracing::debug!("{op}: {error}"),
            Ok(_) => {}
        }
    }
    failed
}

/// `false`: the kernel was in the desired state already.
async fn execute(socket: &mut Socket, op: &Op) -> Result<bool, OpError> {
    let (message, flags, harmless): (_, _, &[Errno]) = match op {
        Op::LoosenRpFilter(change) | Op::RestoreRpFilter(change) => return rp_filter(op, change),
        Op::ManageNeighbour(key) => {
            neighbours::manage(socket, key).await?;
            return Ok(true);
        }
        Op::ReleaseNeighbour(key) => {
            let message = RouteNetlinkMessage::DelNeighbour(encode::neighbour_key(key));
            (message, 0, &[Errno::ENOENT, Errno::ENODEV])
        }
        Op::AddRule(rule) => {
            let message = RouteNetlinkMessage::NewRule(encode::rule(rule));
            (message, NLM_F_CREATE | NLM_F_EXCL, &[Errno::EEXIST])
        }
        Op::DeleteRule(rule) => {
            (RouteNetlinkMessage::DelRule(encode::rule(rule)), 0, &[Errno::ENOENT, Errno::ESRCH])
        }
        // What is there under the same key was made after we looked: no harmless thing.
        Op::AddRoute(route) => {
            let message = RouteNetlinkMessage::NewRoute(encode::route(route));
            (message, NLM_F_CREATE | NLM_F_EXCL, &[])
        }
        Op::ReplaceRoute { new, .. } => {
            let message = RouteNetlinkMessage::NewRoute(encode::route(new));
            (message, NLM_F_CREATE | NLM_F_REPLACE, &[])
        }
        // The kernel removes routes by itself when their device or address goes.
        Op::DeleteRoute(route) => {
            let message = RouteNetlinkMessage::DelRoute(encode::route(route));
            (message, 0, &[Errno::ENOENT, Errno::ESRCH, Errno::ENODEV, Errno::EADDRNOTAVAIL])
        }
    };
    match socket.change(message, flags).await {
        Ok(()) => Ok(true),
        Err(refusal) if refusal.errno().is_some_and(|errno| harmless.contains(&errno)) => Ok(false),
        Err(refusal) => Err(refusal.into()),
    }
}

fn rp_filter(op: &Op, change: &RpFilterChange) -> Result<bool, OpError> {
    let RpFilterChange { ifindex, device, from, to } = change;
    match sysctl::change_rp_filter(device, *ifindex, *from, *to) {
        Ok(Outcome::Written) => Ok(true),
        Ok(Outcome::LeftAt(value)) => {
            tracing::info!(
                event = "sysctl-left",
                uplink = Some(device.as_str()),
                "rp_filter of {device}: somebody else set it to {value}; left as it is"
            );
            Ok(false)
        }
        Err(error) if !error.is_gone() => Err(error.into()),
        // What is to be put back waits for the name that the device has now.
        Ok(Outcome::NotItsName) | Err(_) => match (op, device_name(*ifindex)) {
            (Op::RestoreRpFilter(_), Some(_)) => Err(OpError::Renamed(device.clone())),
            _ => Ok(false),
        },
    }
}
