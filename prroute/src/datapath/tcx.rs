//! Whether this kernel has tcx: asked, not told by its version, because vendors add features.

use aya::programs::tc::TcAttachType;
use aya::programs::{ProgramError, SchedClassifier};
use nix::errno::Errno;

/// `None`: it does not tell, for want of a capability. Asks about the loopback interface, which every
/// network namespace has.
pub fn is_supported() -> Option<bool> {
    match SchedClassifier::query_tcx("lo", TcAttachType::Ingress) {
        Ok(_) => Some(true),
        // It does not know the attach type.
        Err(ProgramError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(Errno::EINVAL as i32) =>
        {
            Some(false)
        }
        Err(_) => None,
    }
}
