//! What stands before a packet on a link.

use std::fmt;

#[cfg(test)]
use serde::Deserialize;

/// `ARPHRD_INFINIBAND`.
const INFINIBAND: u16 = 32;

/// By the ARP hardware type of the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Deserialize))]
pub enum LinkLayer {
    #[default]
    Ethernet,
    /// Nothing: a packet is redirected there as it is.
    None,
    /// Another header, which the programs do not know. By its ARP hardware type.
    Other(u16),
}

impl LinkLayer {
    /// Of an ARP hardware type (`ARPHRD_*`). Those without a header are the ones to which the kernel redirects without one
    /// (`dev_is_mac_header_xmit`), but for what no interface with addresses has.
    pub const fn of(hardware: u16) -> Self {
        match hardware {
            // ARPHRD_ETHER.
            1 => Self::Ethernet,
            // PPP, RAWIP, TUNNEL, TUNNEL6, SIT, IPGRE, IP6GRE, NONE.
            512 | 519 | 768 | 769 | 776 | 778 | 823 | 0xfffe => Self::None,
            other => Self::Other(other),
        }
    }

    /// Whether packets can be sent to another one's next hop there.
    pub const fn is_known(self) -> bool {
        matches!(self, Self::Ethernet | Self::None)
    }
}

impl fmt::Display for LinkLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ethernet => write!(f, "Ethernet"),
            Self::None => write!(f, "none"),
            Self::Other(INFINIBAND) => write!(f, "InfiniBand"),
            Self::Other(hardware) => write!(f, "ARP hardware type {hardware}"),
        }
    }
}
