//! The name that a device has now.

use nix::net::if_::if_indextoname;

use crate::state::uplink::Ifindex;

/// Of the device with this index, in the network namespace of the thread; `None` where there is none.
#[must_use]
pub fn device_name(ifindex: Ifindex) -> Option<String> {
    // nix 0.31 takes a missing device for one whose name is empty, which none is.
    let name = if_indextoname(ifindex.0).ok()?.to_string_lossy().into_owned();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_does_not_exist_has_no_name() {
        assert_eq!(device_name(Ifindex(1)).as_deref(), Some("lo"));
        assert_eq!(device_name(Ifindex(i32::MAX.unsigned_abs())), None);
    }
}
