//! What prroute promises about its speed, and what a run found.

use crate::results::{Measurement, Memory, Target, Verdict};
use crate::statistics::{differences, ratio};

const CONNMARK: &str = "connmark-legacy";
const PRROUTE: &str = "prroute";

/// A promise about the time that prroute adds.
struct Share {
    what: &'static str,
    measurement: &'static str,
    /// Of what CONNMARK adds over the same baseline, in per cent.
    limit: f64,
}

const SHARES: [Share; 5] = [
    Share {
        what: "time added per TCP request and response on an established connection",
        measurement: "tcp-exchange-ipv4",
        limit: 3.0,
    },
    Share {
        what: "time added per UDP request and response",
        measurement: "udp-exchange-ipv4",
        limit: 10.0,
    },
    Share {
        what: "time added per TCP connect, request, response and close",
        measurement: "tcp-connections-ipv4",
        limit: 20.0,
    },
    Share {
        what: "container's reply redirected from the wrong uplink, time added per round trip",
        measurement: "container-udp-exchange-ipv4",
        limit: 25.0,
    },
    Share {
        what: "a million concurrent flows in random order, time added per request and response",
        measurement: "udp-exchange-ipv4-flows-1048576",
        limit: 100.0 / 3.0,
    },
];

/// A promise about a program's own time, in ns more than an empty program takes.
const PROGRAMS: [(&str, &str); 4] = [
    ("ingress program on the fast path, IPv4", "program-ingress-tcp-ipv4"),
    ("egress program on the fast path, IPv4", "program-egress-tcp-ipv4"),
    ("ingress program on the fast path, IPv6", "program-ingress-tcp-ipv6"),
    ("egress program on the fast path, IPv6", "program-egress-tcp-ipv6"),
];
const PROGRAM_LIMIT: f64 = 10.0;

/// A promise that something stays as fast when a host grows, in per cent.
const GROWTH: [(&str, &str); 2] = [
    ("unconnected UDP send with 64 uplinks and 1,000 addresses", "scale-unconnected-send"),
    ("forwarding with 64 uplinks and 1,000 addresses", "scale-forwarding"),
];
const GROWTH_LIMIT: f64 = 10.0;

/// Holds the promises against what was measured.
pub(crate) fn judge(measurements: &[Measurement], memory: &[Memory]) -> Vec<Target> {
    let find = |name: &str| measurements.iter().find(|measured| measured.name == name);
    let mut targets: Vec<Target> = SHARES
        .iter()
        .map(|share| {
            let figure = find(share.measurement).and_then(share_of_connmark);
            let promise = format!("<= {:.0} % of what CONNMARK adds", share.limit);
            target(share.what, promise, figure, share.limit, "%", share.measurement)
        })
        .collect();
    targets.push(memory_target(memory));
    for (what, name) in PROGRAMS {
        let figure = find(name).and_then(|measured| {
            let prroute = contestant(measured, PRROUTE)?;
            let added = prroute.added?;
            Some((added.spread.median, added.confidence))
        });
        let promise = format!("<= an empty program + {PROGRAM_LIMIT} ns");
        targets.push(target(what, promise, figure, PROGRAM_LIMIT, "ns", name));
    }
    for (what, name) in GROWTH {
        let figure = find(name).and_then(growth);
        let promise = format!("within {GROWTH_LIMIT} % of a host with 2 uplinks");
        targets.push(target(what, promise, figure, GROWTH_LIMIT, "%", name));
    }
    targets
}

fn contestant<'m>(measured: &'m Measurement, name: &str) -> Option<&'m crate::results::Contestant> {
    measured.contestants.iter().find(|contestant| contestant.name == name)
}

type Figure = (f64, [f64; 2]);

fn share_of_connmark(measured: &Measurement) -> Option<Figure> {
    let base = &contestant(measured, &measured.baseline)?.samples;
    let prroute = differences(&contestant(measured, PRROUTE)?.samples, base);
    let connmark = differences(&contestant(measured, CONNMARK)?.samples, base);
    let (share, confidence) = ratio(&prroute, &connmark);
    Some((share * 100.0, confidence.map(|share| share * 100.0)))
}

/// How much more the largest host, the last contestant, needs than the smallest.
fn growth(measured: &Measurement) -> Option<Figure> {
    let base = &contestant(measured, &measured.baseline)?.samples;
    let large = &measured.contestants.last()?.samples;
    let (growth, confidence) = ratio(large, base);
    Some(((growth - 1.0) * 100.0, confidence.map(|growth| (growth - 1.0) * 100.0)))
}

fn memory_target(memory: &[Memory]) -> Target {
    const LIMIT: f64 = 100.0 / 3.0;
    let bytes = |name: &str| {
        memory.iter().find(|memory| memory.name == name).map(|memory| memory.bytes_per_flow)
    };
    let share = bytes("prroute-ipv4").zip(bytes("conntrack"));
    let share = share.map(|(prroute, conntrack)| 100.0 * prroute / conntrack);
    let figure = share.map(|share| (share, [share; 2]));
    let promise = "<= 33 % of a conntrack entry's".to_owned();
    Target {
        measurements: vec!["memory".to_owned()],
        ..target("memory per IPv4 flow", promise, figure, LIMIT, "%", "")
    }
}

fn target(
    what: &str,
    promise: String,
    figure: Option<Figure>,
    limit: f64,
    unit: &str,
    measurement: &str,
) -> Target {
    let verdict = match figure {
        None => Verdict::NotMeasured,
        Some((_, [_, high])) if high <= limit => Verdict::Pass,
        Some((_, [low, _])) if low > limit => Verdict::Miss,
        Some(_) => Verdict::NotResolved,
    };
    Target {
        what: what.to_owned(),
        promise,
        measured: figure.map(|(measured, _)| measured),
        confidence: figure.map(|(_, confidence)| confidence),
        limit,
        unit: unit.to_owned(),
        verdict,
        measurements: vec![measurement.to_owned()],
    }
}
