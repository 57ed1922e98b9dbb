//! Names of maps and programs, as they stand in the object and below the pin directory.

/// Ingress classifier.
pub const PROGRAM_INGRESS: &str = "prroute_ingress";
/// Egress classifier.
pub const PROGRAM_EGRESS: &str = "prroute_egress";

/// Confirmed flows.
pub const FLOWS4: &str = "FLOWS4";
pub const FLOWS6: &str = "FLOWS6";
/// Unconfirmed flows.
pub const NEW4: &str = "NEW4";
pub const NEW6: &str = "NEW6";
pub const FRAGMENTS: &str = "FRAGMENTS";
pub const ADDRESSES4: &str = "ADDRESSES4";
pub const ADDRESSES6: &str = "ADDRESSES6";
pub const ON_LINK4: &str = "ON_LINK4";
pub const ON_LINK6: &str = "ON_LINK6";
pub const IFINDEX_SLOTS: &str = "IFINDEX_SLOTS";
pub const ACTIVE_FACTS: &str = "ACTIVE_FACTS";
pub const UPLINK_FACTS: &str = "UPLINK_FACTS";
pub const EXPOSED: &str = "EXPOSED";
pub const COUNTERS: &str = "COUNTERS";

/// Every map that is pinned.
pub const MAPS: [&str; 14] = [
    FLOWS4,
    FLOWS6,
    NEW4,
    NEW6,
    FRAGMENTS,
    ADDRESSES4,
    ADDRESSES6,
    ON_LINK4,
    ON_LINK6,
    IFINDEX_SLOTS,
    ACTIVE_FACTS,
    UPLINK_FACTS,
    EXPOSED,
    COUNTERS,
];
