//! Locked memory: before Linux 5.11 maps count as such, and a process may often have 64 KB or 8 MB.

use aya::EbpfError;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use crate::datapath::error::DatapathError;

/// Why the object was not loaded. aya has tried to lift the limit, for which prroute's three capabilities are
/// not enough.
pub(super) fn explain(source: EbpfError) -> DatapathError {
    let limit = getrlimit(Resource::RLIMIT_MEMLOCK).map_or(RLIM_INFINITY, |(soft, _)| soft);
    explained(DatapathError::Object(source), limit)
}

fn explained(error: DatapathError, limit: u64) -> DatapathError {
    let may_be_the_limit = limit != RLIM_INFINITY && error.is_permission_denied();
    match error {
        DatapathError::Object(source) if may_be_the_limit => {
            DatapathError::LockedMemory { source, limit }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use aya::EbpfError;
    use aya::maps::MapError;
    use nix::sys::resource::RLIM_INFINITY;

    use super::explained;
    use crate::datapath::error::DatapathError;

    fn map(kind: io::ErrorKind) -> DatapathError {
        let (name, io_error) = ("FLOWS4".to_owned(), kind.into());
        DatapathError::Object(EbpfError::MapError(MapError::CreateError { name, io_error }))
    }

    #[test]
    fn a_map_that_is_not_permitted_may_be_more_memory_than_the_process_may_lock() {
        let error = explained(map(io::ErrorKind::PermissionDenied), 65_536);
        assert!(error.to_string().contains("65536 bytes"), "{error}");
        assert!(error.is_permission_denied());
        let unlimited = explained(map(io::ErrorKind::PermissionDenied), RLIM_INFINITY);
        assert!(!unlimited.to_string().contains("locked memory"));
        let other = explained(map(io::ErrorKind::OutOfMemory), 65_536);
        assert!(!other.to_string().contains("locked memory"));
    }
}
