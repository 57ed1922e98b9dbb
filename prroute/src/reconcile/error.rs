//! Why the desired state was not reached.

use std::io::ErrorKind;

use crate::datapath::DatapathError;
use crate::netlink::{ApplyError, NetlinkError};
use crate::reconcile::attachments::Unfit;
use crate::runtime::RuntimeError;
use crate::state::diff::Collision;

/// Why the desired state was not reached.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Datapath(#[from] DatapathError),
    #[error(transparent)]
    Collision(#[from] Collision),
    #[error(transparent)]
    Apply(Box<ApplyError>),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(
        "other programs change addresses, rules or routes each time they are read: some of prroute's may be \
         left; undo again when these programs have ended or are calm"
    )]
    Unsteady,
    #[error("watch the decision log: {0}")]
    DecisionLog(#[source] std::io::Error),
    /// Each of them was tried whatever became of the others.
    #[error("{first}{}", also(further))]
    Several { first: Box<ReconcileError>, further: Vec<ReconcileError> },
}

fn also(further: &[ReconcileError]) -> String {
    further.iter().map(|error| format!("; {error}")).collect()
}

impl From<ApplyError> for ReconcileError {
    fn from(error: ApplyError) -> Self {
        Self::Apply(error.into())
    }
}

impl ReconcileError {
    /// Whether the kernel refused for want of a capability.
    pub fn is_permission_denied(&self) -> bool {
        match self {
            Self::Netlink(error) => error.is_permission_denied(),
            Self::Datapath(error) => error.is_permission_denied(),
            Self::Apply(error) => error.is_permission_denied(),
            Self::Runtime(error) => error.source.kind() == ErrorKind::PermissionDenied,
            Self::Several { first, .. } => first.is_permission_denied(),
            Self::Collision(_) | Self::DecisionLog(_) | Self::Unfit(_) | Self::Unsteady => false,
        }
    }

    /// Whether the kernel is too old, or the tables are larger than prroute's memory: trying again changes
    /// nothing.
    pub fn is_unfit(&self) -> bool {
        match self {
            Self::Unfit(_) => true,
            Self::Datapath(error) => error.is_old_kernel(),
            Self::Several { first, .. } => first.is_unfit(),
            _ => false,
        }
    }

    /// Whether something of others keeps the programs from one device, while everything else is in place.
    pub fn is_of_one_device(&self) -> bool {
        matches!(self, Self::Datapath(error) if error.is_of_one_device())
    }

    /// Whether something went while the kernel was being changed: what is announced of that leads to
    /// another round, which knows of it.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Netlink(NetlinkError::Refused { source, .. }) => source.is_transient(),
            Self::Datapath(error) => error.is_transient(),
            Self::Apply(error) => error.transient,
            _ => false,
        }
    }
}

/// The first error that will not go by itself, or else the first; one of a single device only where there
/// is no other.
pub(super) fn first_failure<const N: usize>(
    results: [Result<(), ReconcileError>; N],
) -> Result<(), ReconcileError> {
    let (one_device, others): (Vec<_>, Vec<_>) =
        results.into_iter().filter_map(Result::err).partition(ReconcileError::is_of_one_device);
    let mut errors = others.into_iter().chain(one_device);
    let Some(first) = errors.next() else { return Ok(()) };
    let lasting = first.is_transient().then(|| errors.find(|error| !error.is_transient()));
    Err(lasting.flatten().unwrap_or(first))
}
