//! What prroute promises about its speed, a row for each.

use super::figure::Figure;
use crate::scale;

/// One promise, in both modes.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    /// Where it is measured; of memory, what.
    pub(crate) measurement: &'static str,
    /// With routing rules.
    pub(crate) rules: Option<Promise>,
    /// With `own-source = "datapath"`.
    pub(crate) datapath: Option<Promise>,
}

pub(crate) struct Promise {
    pub(crate) figure: Figure,
    /// At most this, in the figure's unit.
    pub(crate) limit: f64,
}

const fn promise(figure: Figure, limit: f64) -> Option<Promise> {
    Some(Promise { figure, limit })
}

const RULES: &str = "prroute";
const DATAPATH: &str = "prroute-datapath";

const fn share(of: &'static str, percent: f64) -> Option<Promise> {
    promise(Figure::ShareOfConnmark(of), percent)
}

/// What routing costs alone, what a redirect costs alone, and this many ns.
const fn beyond_a_redirect(limit: f64) -> Option<Promise> {
    let parts = &["prroute-rules-alone", "bare-redirect"];
    promise(Figure::Beyond { of: RULES, parts }, limit)
}

/// ns more than plain source rules.
const fn than_source_rules(limit: f64) -> Option<Promise> {
    promise(Figure::Beyond { of: DATAPATH, parts: &[] }, limit)
}

/// A program on the fast path: ns more than an empty one.
const fn fast_path(what: &'static str, measurement: &'static str) -> Row {
    const NANOSECONDS: f64 = 10.0;
    Row {
        what,
        measurement,
        rules: promise(Figure::Beyond { of: RULES, parts: &[] }, NANOSECONDS),
        datapath: promise(Figure::Beyond { of: DATAPATH, parts: &[] }, NANOSECONDS),
    }
}

/// A host with 64 uplinks and 1,000 addresses against one with two.
const fn growth(what: &'static str, measurement: &'static str) -> Row {
    const PERCENT: f64 = 10.0;
    Row {
        what,
        measurement,
        rules: promise(
            Figure::Growth { small: "prroute-2-uplinks", large: "prroute-64-uplinks" },
            PERCENT,
        ),
        datapath: promise(
            Figure::Growth {
                small: "prroute-datapath-2-uplinks",
                large: "prroute-datapath-64-uplinks",
            },
            PERCENT,
        ),
    }
}

pub(crate) const ROWS: [Row; 15] = [
    Row {
        what: "TCP request and response, established",
        measurement: "tcp-exchange-ipv4",
        rules: share(RULES, 6.0),
        datapath: share(DATAPATH, 20.0),
    },
    Row {
        what: "UDP request and response",
        measurement: "udp-exchange-ipv4",
        rules: promise(
            Figure::Beyond { of: RULES, parts: &["prroute-rules-alone", "empty-programs"] },
            100.0,
        ),
        datapath: share(DATAPATH, 10.0),
    },
    Row {
        what: "TCP connect, request, response, close",
        measurement: "tcp-connections-ipv4",
        rules: share(RULES, 13.0),
        datapath: share(DATAPATH, 18.0),
    },
    Row {
        what: "container over the wrong uplink, UDP",
        measurement: "container-udp-exchange-ipv4",
        rules: beyond_a_redirect(350.0),
        datapath: than_source_rules(-350.0),
    },
    Row {
        what: "container over the wrong uplink, TCP",
        measurement: "container-tcp-exchange-ipv4",
        rules: beyond_a_redirect(350.0),
        datapath: than_source_rules(-250.0),
    },
    Row {
        what: "last-hop mode, TCP request and response, established",
        measurement: "tcp-exchange-ipv4",
        rules: share("prroute-last-hop", 12.0),
        datapath: share("prroute-datapath-last-hop", 12.0),
    },
    Row {
        what: "a guest's datagram, forwarded",
        measurement: "forward-datagram-ipv4",
        rules: None,
        datapath: promise(Figure::Beyond { of: DATAPATH, parts: &[] }, 200.0),
    },
    Row {
        what: "a million concurrent flows in random order, UDP",
        measurement: "udp-exchange-ipv4-flows-1048576",
        rules: share(RULES, 30.0),
        datapath: share(DATAPATH, 25.0),
    },
    Row {
        what: "memory of all maps at start",
        measurement: "maps",
        rules: promise(Figure::Maps(RULES), MAPS_MB),
        datapath: promise(Figure::Maps(DATAPATH), MAPS_MB),
    },
    fast_path("ingress program on the fast path, IPv4", "program-ingress-tcp-ipv4"),
    fast_path("egress program on the fast path, IPv4", "program-egress-tcp-ipv4"),
    fast_path("ingress program on the fast path, IPv6", "program-ingress-tcp-ipv6"),
    fast_path("egress program on the fast path, IPv6", "program-egress-tcp-ipv6"),
    growth("unconnected UDP send, 64 uplinks and 1,000 addresses", scale::UNCONNECTED),
    growth("forwarding, 64 uplinks and 1,000 addresses", scale::FORWARDING),
];

/// And at most 1 % of the machine's memory.
const MAPS_MB: f64 = 93.0;
