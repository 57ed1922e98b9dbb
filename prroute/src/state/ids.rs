//! Allocation of uplink ids.

use crate::state::uplink::{Ifindex, UplinkId};

/// An id that the datapath knows, with the device it is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownId {
    pub id: UplinkId,
    pub generation: u16,
    pub ifindex: Ifindex,
    pub mac: Option<[u8; 6]>,
}
