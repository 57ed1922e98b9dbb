//! What prroute promises about its speed, and what a run found.

mod figure;
mod table;

use self::table::{Promise, ROWS, Row};
use crate::results::{Measurement, Memory, Mode, Target, Verdict};

/// Holds the promises against what was measured on a machine with this much memory, in bytes.
pub(crate) fn judge(
    measurements: &[Measurement],
    memory: &[Memory],
    machines_memory: f64,
) -> Vec<Target> {
    let judge = |row: &Row, mode, promise: &Promise| {
        let measured = measurements.iter().find(|measured| measured.name == row.measurement);
        let Promise { figure, limit } = *promise;
        let limit = match figure {
            figure::Figure::Maps(_) => limit.min(machines_memory / 1e8),
            _ => limit,
        };
        let baseline = measured.map_or("the baseline", |measured| &measured.baseline);
        let found = figure.of(measured, memory);
        Target {
            what: row.what,
            mode,
            promise: figure.promise(limit, baseline),
            measured: found.map(|(median, _)| median),
            confidence: found.map(|(_, confidence)| confidence),
            limit,
            unit: figure.unit(),
            verdict: verdict(found.map(|(_, confidence)| confidence), limit),
            measurement: row.measurement.to_owned(),
        }
    };
    let both = ROWS.iter().flat_map(|row| {
        let rules = row.rules.as_ref().map(|promise| judge(row, Mode::Rules, promise));
        let datapath = row.datapath.as_ref().map(|promise| judge(row, Mode::Datapath, promise));
        [rules, datapath]
    });
    both.flatten().collect()
}

/// A promise is kept only if all of the interval is within the limit, and broken only if all of
/// it is beyond.
fn verdict(confidence: Option<[f64; 2]>, limit: f64) -> Verdict {
    match confidence {
        None => Verdict::NotMeasured,
        Some([_, high]) if high <= limit => Verdict::Met,
        Some([low, _]) if low > limit => Verdict::Missed,
        Some(_) => Verdict::NotResolved,
    }
}

#[cfg(test)]
mod tests {
    use super::figure::Figure;
    use super::{ROWS, judge, verdict};
    use crate::results::{Contestant, Measurement, Memory, Mode, Verdict};
    use crate::{programs, scale, statistics, workloads};

    const BASE: &str = "source-rules";

    fn measurement(name: &str, adds: &[(&str, f64)]) -> Measurement {
        let base: Vec<f64> = (0..100).map(|round| 9000.0 + f64::from(round % 9)).collect();
        let contestants = [(BASE, 0.0)].iter().chain(adds).map(|(name, added)| {
            let samples: Vec<f64> = base.iter().map(|time| time + added).collect();
            let time = statistics::spread(&samples);
            Contestant { name: (*name).to_owned(), time, added: None, samples }
        });
        Measurement {
            name: name.to_owned(),
            title: name.to_owned(),
            unit: "ns".to_owned(),
            baseline: BASE.to_owned(),
            batch: 1,
            contestants: contestants.collect(),
        }
    }

    fn found(figure: Figure, measured: &Measurement) -> f64 {
        let (found, [low, high]) = figure.of(Some(measured), &[]).unwrap();
        assert!(low - 1e-9 <= found && found <= high + 1e-9, "{low} {found} {high}");
        (found * 1e6).round() / 1e6
    }

    #[test]
    fn a_promise_is_kept_when_all_of_the_interval_is_within_the_limit() {
        assert_eq!(verdict(Some([1.0, 6.0]), 6.0), Verdict::Met);
        assert_eq!(verdict(Some([5.0, 6.1]), 6.0), Verdict::NotResolved);
        assert_eq!(verdict(Some([6.1, 7.0]), 6.0), Verdict::Missed);
        assert_eq!(verdict(Some([-500.0, -300.0]), -350.0), Verdict::NotResolved);
        assert_eq!(verdict(None, 6.0), Verdict::NotMeasured);
    }

    #[test]
    fn figures_are_shares_of_connmark_or_what_is_left_of_parts() {
        let measured = measurement(
            "m",
            &[("prroute", 640.0), ("connmark-legacy", 2560.0), ("a", 350.0), ("b", 120.0)],
        );
        assert_eq!(found(Figure::ShareOfConnmark("prroute"), &measured), 25.0);
        let parts = &["a", "b"];
        assert_eq!(found(Figure::Beyond { of: "prroute", parts }, &measured), 170.0);
        assert_eq!(found(Figure::Beyond { of: "prroute", parts: &[] }, &measured), 640.0);
        let absent = Figure::Beyond { of: "prroute", parts: &["absent"] };
        assert!(absent.of(Some(&measured), &[]).is_none());
    }

    #[test]
    fn both_modes_are_judged_where_both_have_a_promise() {
        let measured = [measurement(
            "tcp-exchange-ipv4",
            &[("prroute", 140.0), ("prroute-datapath", 1000.0), ("connmark-legacy", 2500.0)],
        )];
        let memory =
            [Memory { name: "prroute-maps".to_owned(), bytes: 50e6, source: String::new() }];
        let targets = judge(&measured, &memory, 2e9);
        let one = |what: &str, mode| {
            targets.iter().find(|target| target.what.starts_with(what) && target.mode == mode)
        };
        assert_eq!(one("TCP request", Mode::Rules).unwrap().verdict, Verdict::Met);
        assert_eq!(one("TCP request", Mode::Datapath).unwrap().verdict, Verdict::Missed);
        assert!(one("a guest's", Mode::Rules).is_none());
        let maps = one("memory", Mode::Rules).unwrap();
        // A hundredth of a small machine's memory is less than the 93 MB of a large one.
        assert_eq!((maps.limit, maps.verdict), (20.0, Verdict::Missed));
        assert_eq!(one("memory", Mode::Datapath).unwrap().verdict, Verdict::NotMeasured);
    }

    #[test]
    fn what_is_promised_about_is_measured() {
        let of_hosts = workloads::all(false, Some(0)).into_iter().map(|workload| {
            let names = workload.variants.iter().map(|variant| variant.name.to_owned());
            (workload.name, names.collect())
        });
        let mut measured: Vec<(String, Vec<String>)> = of_hosts.collect();
        measured.extend(programs::measured());
        measured.extend(scale::measured());
        measured.push(("maps".to_owned(), Vec::new()));
        for row in &ROWS {
            let (_, names) = measured.iter().find(|(name, _)| name == row.measurement).unwrap();
            for promise in [&row.rules, &row.datapath].into_iter().flatten() {
                for name in promise.figure.contestants() {
                    let takes_part = names.iter().any(|found| found == name);
                    assert!(takes_part, "{}: {name} takes no part", row.measurement);
                }
            }
        }
    }
}
