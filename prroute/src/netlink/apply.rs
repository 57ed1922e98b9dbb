//! Carrying out a plan, all or nothing.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;

use super::request::{Refusal, Socket};
use super::{Kernel, encode, neighbours};
use crate::state::plan::{Op, Plan, RpFilterChange};
use crate::sysctl::{self, Change, SysctlError};

const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EEXIST: i32 = 17;
const ENODEV: i32 = 19;
const EADDRNOTAVAIL: i32 = 99;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum OpError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
}

/// A plan that could not be carried out. What was done of it was taken back, except for
/// `not_taken_back`.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {source}{}", remains(not_taken_back))]
pub struct ApplyError {
    /// As a command.
    pub operation: String,
    pub source: OpError,
    /// Operations whose inverse failed too, with the error.
    pub not_taken_back: Vec<String>,
}

impl ApplyError {
    /// The capability `CAP_NET_ADMIN` is missing.
    pub fn is_permission_denied(&self) -> bool {
        match &self.source {
            OpError::Refused(refusal) => refusal.is_permission_denied(),
            OpError::Sysctl(error) => error.is_permission_denied(),
        }
    }
}

fn remains(not_taken_back: &[String]) -> String {
    if not_taken_back.is_empty() {
        return String::new();
    }
    format!("; could not take back: {}", not_taken_back.join("; "))
}

impl Kernel {
    /// Carries out the plan in its order. When an operation fails, those before it are taken
    /// back, the last one first.
    ///
    /// Adding a rule that is there, and deleting what is not there, is no failure; such an
    /// operation is not taken back.
    pub async fn apply(&self, plan: &Plan) -> Result<(), ApplyError> {
        let mut socket = self.socket.lock().await;
        let mut done: Vec<&Op> = Vec::new();
        for op in &plan.ops {
            match execute(&mut socket, op).await {
                Ok(true) => done.push(op),
                Ok(false) => tracing::debug!("nothing to do for: {op}"),
                Err(source) => {
                    let not_taken_back = take_back(&mut socket, &done).await;
                    return Err(ApplyError { operation: op.to_string(), source, not_taken_back });
                }
            }
        }
        Ok(())
    }
}

async fn take_back(socket: &mut Socket, done: &[&Op]) -> Vec<String> {
    let mut failed = Vec::new();
    for op in done.iter().rev().map(|op| op.inverse()) {
        if let Err(error) = execute(socket, &op).await {
            failed.push(format!("{op}: {error}"));
        }
    }
    failed
}

/// `false`: the kernel was in the desired state already.
async fn execute(socket: &mut Socket, op: &Op) -> Result<bool, OpError> {
    let (message, flags, harmless): (_, _, &[i32]) = match op {
        Op::LoosenRpFilter(change) | Op::RestoreRpFilter(change) => return rp_filter(change),
        Op::ManageNeighbour(key) => {
            neighbours::manage(socket, key).await?;
            return Ok(true);
        }
        Op::ReleaseNeighbour(key) => {
            let message = RouteNetlinkMessage::DelNeighbour(encode::neighbour_key(key));
            (message, 0, &[ENOENT, ENODEV])
        }
        Op::AddRule(rule) => {
            let message = RouteNetlinkMessage::NewRule(encode::rule(rule));
            (message, NLM_F_CREATE | NLM_F_EXCL, &[EEXIST])
        }
        Op::DeleteRule(rule) => {
            (RouteNetlinkMessage::DelRule(encode::rule(rule)), 0, &[ENOENT, ESRCH])
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
            (message, 0, &[ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL])
        }
    };
    match socket.change(message, flags).await {
        Ok(()) => Ok(true),
        Err(refusal) if refusal.errno().is_some_and(|n| harmless.contains(&n)) => Ok(false),
        Err(refusal) => Err(refusal.into()),
    }
}

fn rp_filter(change: &RpFilterChange) -> Result<bool, OpError> {
    match sysctl::change_rp_filter(&change.device, change.from, change.to) {
        Ok(Change::Written) => Ok(true),
        Ok(Change::LeftAt(value)) => {
            let device = &change.device;
            tracing::info!("rp_filter of {device} is {value} by somebody else's choice; left");
            Ok(false)
        }
        Err(error) if error.is_gone() => Ok(false),
        Err(error) => Err(error.into()),
    }
}
