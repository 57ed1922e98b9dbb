//! What can go wrong between the loader and the kernel's BPF side.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use crate::causes::with_causes;
use crate::namespace::NamespaceError;
use crate::netlink::NetlinkError;

/// An operation on the datapath that failed, and on what.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    #[error("{}: not a BPF file system; mount one: mount -t bpf bpf {}", path.display(), path.display())]
    NoBpffs { path: PathBuf },
    #[error(
        "{}: this BPF file system belongs to a private mount namespace, and the datapath would \
         vanish with it (`ip netns exec` mounts its own /sys: enter the namespace with `nsenter \
         --net=/run/netns/NAME` instead)",
        path.display()
    )]
    PrivateBpffs { path: PathBuf },
    #[error(
        "{}: this directory belongs to user {owner}, not to root, and that user could change what \
         prroute keeps there; remove it (rm -r {}), and mount bpffs with mode=0700",
        path.display(), path.display()
    )]
    ForeignDirectory { path: PathBuf, owner: u32 },
    #[error(
        "{}: {what}: prroute neither uses nor removes it; find out who made it, and remove it \
         (rm -r {})",
        path.display(), path.display()
    )]
    Foreign { path: PathBuf, what: String },
    #[error(
        "{}: a prroute in another network namespace has just taken this instance; use another \
         --instance",
        path.display()
    )]
    Claimed { path: PathBuf },
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error("{operation} {}: {source}", path.display())]
    File { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("load the BPF object: {}", with_causes(.0))]
    Object(#[from] aya::EbpfError),
    #[error(
        "load the BPF object: {}; before Linux 5.11 maps count as locked memory, of which this process \
         may have {limit} bytes: run prroute by its unit, or after `ulimit -l unlimited`",
        with_causes(source)
    )]
    LockedMemory { source: aya::EbpfError, limit: u64 },
    #[error("{operation} {object}: {}", with_causes(source.as_ref()))]
    Program { operation: &'static str, object: String, source: Box<aya::programs::ProgramError> },
    #[error("{operation} {object}: {source}")]
    Bpf { operation: &'static str, object: String, source: io::Error },
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error("{operation} {object}: {}", with_causes(source))]
    Pin { operation: &'static str, object: String, source: aya::pin::PinError },
    #[error("{operation} {object}: {}", with_causes(source))]
    Map { operation: &'static str, object: String, source: aya::maps::MapError },
    #[error("pinned map {}: {what} is {found}, this version expects {expected}; `prroute down` removes it", path.display())]
    Layout { path: PathBuf, what: &'static str, found: String, expected: String },
    #[error("this kernel is too old for the datapath: it lacks {missing}")]
    OldKernel { missing: String },
    #[error(
        "{name}: attach = \"tcx\", but this kernel has no tcx (Linux 6.6); \"auto\" and \"clsact\" \
         attach by clsact filters"
    )]
    NoTcx { name: String },
    #[error(
        "{name}: its {kind} qdisc has the place of the clsact qdisc that prroute's filters need; move \
         its filters to a clsact qdisc, which has all that it has (tc qdisc del dev {name} {kind}; tc \
         qdisc add dev {name} clsact)"
    )]
    OtherQdisc { name: String, kind: String },
    #[error("cgroup v2 is not mounted")]
    NoCgroup2,
    #[error("read the cookie of the network namespace (SO_NETNS_COOKIE, Linux 5.14): {source}")]
    Cookie { source: io::Error },
    #[error("open the decision log: {}", with_causes(.0))]
    DecisionLog(#[source] aya_log::Error),
    #[error("{}: nothing is pinned there: no daemon has loaded the programs", path.display())]
    NotLoaded { path: PathBuf },
    #[error(
        "{}: the programs of another version of prroute are in force, with maps in another layout (this \
         version's is v{this}): ask with that version's prroute, or start or restart the daemon, which \
         takes their flows over",
        path.display()
    )]
    OtherInForce { path: PathBuf, this: u32 },
    #[error("make up a packet: {what}")]
    Packet { what: String },
    #[error("the BPF object has no {0}")]
    Missing(&'static str),
    #[error("{name}: the interface (index {ifindex}) is gone")]
    Gone { name: String, ifindex: u32 },
    #[error("{name}: no room in the interface table for index {ifindex}")]
    NoSlot { name: String, ifindex: u32 },
}

impl DatapathError {
    /// Whether the kernel answered a request about a link or a filter so.
    pub(super) fn is_errno(&self, errno: Errno) -> bool {
        let found = match self {
            Self::Bpf { source, .. } => source.raw_os_error().map(Errno::from_raw),
            Self::Netlink(NetlinkError::Refused { source, .. }) => source.errno(),
            _ => None,
        };
        found == Some(errno)
    }

    /// Whether the kernel refused for want of a capability.
    pub fn is_permission_denied(&self) -> bool {
        // The verifier refuses a program with the same error number.
        if let Self::Program { source, .. } = self
            && matches!(**source, aya::programs::ProgramError::LoadError { .. })
        {
            return false;
        }
        self.is_caused_by(|io| io.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Whether the kernel will refuse again however often it is asked.
    pub fn is_old_kernel(&self) -> bool {
        matches!(self, Self::OldKernel { .. })
    }

    /// Whether something of others keeps the programs from one device, and nothing from any other.
    pub fn is_of_one_device(&self) -> bool {
        matches!(self, Self::OtherQdisc { .. })
    }

    /// The device went since it was looked at.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Gone { .. }) || self.is_caused_by(crate::netlink::is_transient)
    }

    fn is_caused_by(&self, is_it: impl Fn(&io::Error) -> bool) -> bool {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = source {
            if error.downcast_ref::<io::Error>().is_some_and(&is_it) {
                return true;
            }
            source = error.source();
        }
        false
    }
}

/// A result of this module.
pub type Result<T> = std::result::Result<T, DatapathError>;

#[cfg(test)]
mod tests {
    use aya::sys::SyscallError;

    use super::*;

    /// What aya's errors say for themselves is "`bpf_link_create` failed".
    #[test]
    fn the_kernels_error_number_is_told() {
        let io_error = io::Error::from_raw_os_error(19);
        let call = SyscallError { call: "bpf_link_create", io_error };
        let source = Box::new(aya::programs::ProgramError::SyscallError(call));
        let error = DatapathError::Program { operation: "load", object: "x".to_owned(), source };
        assert_eq!(
            error.to_string(),
            "load x: `bpf_link_create` failed: No such device (os error 19)"
        );
        let call = SyscallError { call: "bpf_map_create", io_error: io::Error::other("no room") };
        let source = Box::new(aya::programs::ProgramError::SyscallError(call));
        let error = DatapathError::Program { operation: "load", object: "x".to_owned(), source };
        assert_eq!(error.to_string(), "load x: `bpf_map_create` failed: no room");
    }
}
