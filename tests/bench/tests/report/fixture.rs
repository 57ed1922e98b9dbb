//! Invented results: no figure here was measured.

use crate::results::{Contestant, Machine, Measurement, Memory, Results, SCHEMA, Target, Verdict};
use crate::statistics;

const ROUNDS: u32 = 200;

/// What each alternative adds over the baseline, in ns; `None`: it is the baseline.
const HOSTS: [(&str, Option<f64>); 8] = [
    ("nothing", Some(-41.0)),
    ("source-rules", None),
    ("prroute", Some(33.0)),
    ("prroute-last-hop", Some(71.0)),
    ("connmark-legacy", Some(1240.0)),
    ("connmark-nft", Some(1410.0)),
    ("ct-mark", Some(905.0)),
    ("conntrack", Some(690.0)),
];

/// A host's name, title and the like that would be markup if nobody took care.
pub(crate) const HOSTILE: &str = r#"<script>alert("&amp;")</script>"#;

pub(crate) fn results() -> Results {
    Results {
        schema: SCHEMA.to_owned(),
        command: "cargo xtask bench --report target/bench".to_owned(),
        finished: "2000-01-01T00:00:00Z".to_owned(),
        quick: true,
        machine: machine(),
        targets: targets(),
        measurements: measurements(),
        memory: memory(),
    }
}

fn machine() -> Machine {
    Machine {
        cpu: "Imaginary CPU 9000 @ 3.00GHz".to_owned(),
        cpus: 2,
        kernel: "6.18.0".to_owned(),
        virtualised: true,
        mitigations: vec![
            "spectre_v1: Mitigation: usercopy/swapgs barriers and __user pointer sanitization"
                .to_owned(),
            "spectre_v2: Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; RSB filling; \
             PBRSB-eIBRS: SW sequence; BHI: BHI_DIS_S"
                .to_owned(),
        ],
        real_time: true,
        pinned_to: 1,
        steal_percent: 2.345,
        version: "0.1.0".to_owned(),
    }
}

fn measurements() -> Vec<Measurement> {
    let each = "ns per request and response";
    let mut all = vec![
        measurement("udp-request-response-ipv4", "UDP request and response, IPv4", each, 1.0),
        measurement(
            "tcp-connect-ipv4",
            "TCP connect, request and close, IPv4",
            "ns per connection",
            14.0,
        ),
        measurement("tcp-request-response-ipv6", "TCP request and response, IPv6", each, 0.02),
    ];
    for (flows, factor) in [(1 << 10, 1.0), (1 << 16, 1.7), (1 << 20, 4.0)] {
        all.push(measurement(
            &format!("udp-random-flows-{flows}"),
            &format!("UDP over {flows} flows in random order"),
            "ns per datagram",
            factor,
        ));
    }
    let mut hostile = measurement("hostile", HOSTILE, "clock ticks per byte", 0.001);
    hostile.contestants[0].name = HOSTILE.to_owned();
    all.push(hostile);
    all
}

fn measurement(name: &str, title: &str, unit: &str, factor: f64) -> Measurement {
    let mut random = fastrand::Rng::with_seed(7);
    let base: Vec<f64> =
        (0..ROUNDS).map(|_| 6000.0 * factor * (1.0 + noise(&mut random))).collect();
    let contestants = HOSTS
        .iter()
        .map(|(host, added)| {
            let samples: Vec<f64> = match added {
                Some(added) => base
                    .iter()
                    .map(|time| time + factor * added + 60.0 * factor.max(0.4) * noise(&mut random))
                    .collect(),
                None => base.clone(),
            };
            Contestant {
                name: (*host).to_owned(),
                time: statistics::spread(&samples),
                added: added.map(|_| statistics::added(&samples, &base)),
                samples,
            }
        })
        .collect();
    Measurement {
        name: name.to_owned(),
        title: title.to_owned(),
        unit: unit.to_owned(),
        baseline: "source-rules".to_owned(),
        batch: 512,
        contestants,
    }
}

/// Between -1 and 1, mostly near 0.
fn noise(random: &mut fastrand::Rng) -> f64 {
    (0..3).map(|_| random.f64()).sum::<f64>() / 1.5 - 1.0
}

fn targets() -> Vec<Target> {
    let target =
        |what: &str, promise: &str, limit, unit: &str, measured: [f64; 3], verdict| Target {
            what: what.to_owned(),
            promise: promise.to_owned(),
            measured: (verdict != Verdict::NotMeasured).then_some(measured[1]),
            confidence: (verdict != Verdict::NotMeasured).then_some([measured[0], measured[2]]),
            limit,
            unit: unit.to_owned(),
            verdict,
            measurements: vec![
                "udp-request-response-ipv4".to_owned(),
                "not-in-this-run".to_owned(),
            ],
        };
    let marks = "of what CONNMARK adds";
    vec![
        target("TCP request and response", marks, 3.0, "%", [0.4, 1.12, 1.9], Verdict::Pass),
        target("UDP request and response", marks, 10.0, "%", [2.2, 2.66, 3.1], Verdict::Pass),
        target("TCP connect, request, close", marks, 20.0, "%", [23.0, 24.9, 27.1], Verdict::Miss),
        target(
            "Fast path, ingress",
            "<= an empty program + 10 ns",
            10.0,
            "ns",
            [9.4, 9.9, 10.6],
            Verdict::NotResolved,
        ),
        target(
            "Container reply from the wrong uplink",
            marks,
            25.0,
            "%",
            [0.0; 3],
            Verdict::NotMeasured,
        ),
    ]
}

fn memory() -> Vec<Memory> {
    [("prroute-ipv4", 96.3), ("prroute-ipv6", 120.4), ("conntrack", 320.0)]
        .map(|(name, bytes_per_flow)| Memory {
            name: name.to_owned(),
            bytes_per_flow,
            source: "invented for a test".to_owned(),
        })
        .into()
}
