//! Names of maps and programs, as they stand in the object and below the pin directory.

/// Ingress classifier.
pub const PROGRAM_INGRESS: &str = "prroute_ingress";
/// Egress classifier.
pub const PROGRAM_EGRESS: &str = "prroute_egress";

/// Confirmed flows of TCP.
pub const FLOWS4: &str = "FLOWS4";
pub const FLOWS6: &str = "FLOWS6";
/// Confirmed flows of everything else.
pub const DATAGRAMS4: &str = "DATAGRAMS4";
pub const DATAGRAMS6: &str = "DATAGRAMS6";
/// Unconfirmed flows.
pub const NEW4: &str = "NEW4";
pub const NEW6: &str = "NEW6";
/// SYNs on the owner of their address.
pub const SYN_CACHE: &str = "SYN_CACHE";
pub const FRAGMENTS: &str = "FRAGMENTS";
pub const ADDRESSES4: &str = "ADDRESSES4";
pub const ADDRESSES6: &str = "ADDRESSES6";
/// Prefixes that are local by a route.
pub const LOCAL_PREFIXES4: &str = "LOCAL_PREFIXES4";
pub const LOCAL_PREFIXES6: &str = "LOCAL_PREFIXES6";
pub const ON_LINK4: &str = "ON_LINK4";
pub const ON_LINK6: &str = "ON_LINK6";
/// Prefixes that `main` routes over an uplink, more specific than a default route.
pub const MAIN_ROUTES4: &str = "MAIN_ROUTES4";
pub const MAIN_ROUTES6: &str = "MAIN_ROUTES6";
pub const IFINDEX_SLOTS: &str = "IFINDEX_SLOTS";
pub const ACTIVE_FACTS: &str = "ACTIVE_FACTS";
pub const UPLINK_FACTS: &str = "UPLINK_FACTS";
/// Which device each id was given to: for the next daemon, no program reads it.
pub const UPLINK_IDS: &str = "UPLINK_IDS";
pub const EXPOSED: &str = "EXPOSED";
pub const DEVICES: &str = "DEVICES";
pub const COUNTERS: &str = "COUNTERS";
/// Where packets are only observed: those that left by the wrong uplink.
pub const WRONG_UPLINK: &str = "WRONG_UPLINK";
/// Which packets are reported while somebody asks, how many were, and the ring buffer they go to.
pub const TRACE_FILTER: &str = "TRACE_FILTER";
pub const TRACE_RATE: &str = "TRACE_RATE";
pub const TRACE_REPORTS: &str = "TRACE_REPORTS";

/// Every map that is pinned. They belong together: where one is missing, the others are of no use to
/// a new daemon. So a new one raises `LAYOUT_VERSION`.
pub const MAPS: [&str; 27] = [
    FLOWS4,
    FLOWS6,
    DATAGRAMS4,
    DATAGRAMS6,
    NEW4,
    NEW6,
    SYN_CACHE,
    FRAGMENTS,
    ADDRESSES4,
    ADDRESSES6,
    LOCAL_PREFIXES4,
    LOCAL_PREFIXES6,
    ON_LINK4,
    ON_LINK6,
    MAIN_ROUTES4,
    MAIN_ROUTES6,
    IFINDEX_SLOTS,
    ACTIVE_FACTS,
    UPLINK_FACTS,
    UPLINK_IDS,
    EXPOSED,
    DEVICES,
    COUNTERS,
    WRONG_UPLINK,
    TRACE_FILTER,
    TRACE_RATE,
    TRACE_REPORTS,
];

/// What is not made anew when another layout takes over: what programs have seen, and the ids that it
/// refers to. A change of what is in them raises `MEMORY_VERSION`. Everything else the daemon writes, from
/// what it sees.
pub const REMEMBERED: [&str; 18] = [
    FLOWS4,
    FLOWS6,
    DATAGRAMS4,
    DATAGRAMS6,
    NEW4,
    NEW6,
    SYN_CACHE,
    FRAGMENTS,
    UPLINK_IDS,
    EXPOSED,
    COUNTERS,
    WRONG_UPLINK,
    UDP_ORIGIN4,
    UDP_ORIGIN6,
    HOST_PEERS4,
    HOST_PEERS6,
    WILDCARD_PORTS,
    SOCKET_COUNTERS,
];

/// Sets the source of datagrams that name none.
pub const PROGRAM_SENDMSG4: &str = "prroute_sendmsg4";
pub const PROGRAM_SENDMSG6: &str = "prroute_sendmsg6";
/// Counts servers that connect to their clients.
pub const PROGRAM_CONNECT4: &str = "prroute_connect4";
pub const PROGRAM_CONNECT6: &str = "prroute_connect6";

/// Every program on sockets.
pub const SOCKET_PROGRAMS: [&str; 4] =
    [PROGRAM_SENDMSG4, PROGRAM_SENDMSG6, PROGRAM_CONNECT4, PROGRAM_CONNECT6];

pub const UDP_ORIGIN4: &str = "UDP_ORIGIN4";
pub const UDP_ORIGIN6: &str = "UDP_ORIGIN6";
pub const HOST_PEERS4: &str = "HOST_PEERS4";
pub const HOST_PEERS6: &str = "HOST_PEERS6";
pub const WILDCARD_PORTS: &str = "WILDCARD_PORTS";
pub const SOCKET_COUNTERS: &str = "SOCKET_COUNTERS";

/// Every pinned map of the socket programs.
pub const SOCKET_MAPS: [&str; 6] =
    [UDP_ORIGIN4, UDP_ORIGIN6, HOST_PEERS4, HOST_PEERS6, WILDCARD_PORTS, SOCKET_COUNTERS];

/// Every map that is pinned, of all programs.
pub fn pinned_maps() -> impl Iterator<Item = &'static str> {
    MAPS.into_iter().chain(SOCKET_MAPS)
}

/// The network namespace whose sockets are helped, by its cookie; 0 for none.
pub const GLOBAL_NETNS_COOKIE: &str = "NETNS_COOKIE";

/// The first and the last of the ports that the kernel gives to sockets which ask for none, in the
/// high and the low half of a word: who speaks from there is a client.
pub const GLOBAL_CLIENT_PORTS: &str = "CLIENT_PORTS";

/// What the keys of the SYN cache are hashed with.
pub const GLOBAL_SYN_CACHE_SECRET: &str = "SYN_CACHE_SECRET";

/// What egress writes to the control block of a packet that it redirects; 0 for nothing.
pub const GLOBAL_REDIRECT_NOTE: &str = "REDIRECT_NOTE";

/// Not 0: packets are observed, and left as they are (`mode = "observe"`).
pub const GLOBAL_OBSERVE: &str = "OBSERVE";

/// 0: the kernel has no coarse clock for programs.
pub const GLOBAL_COARSE_CLOCK: &str = "COARSE_CLOCK";
