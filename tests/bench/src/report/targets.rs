//! The table of targets, in both modes.

use super::number::grouped;
use crate::results::{Mode, Target, Verdict};

/// A line for each mode of each target, where either was measured.
pub(crate) fn table(targets: &[Target]) -> String {
    let mut text = String::from("Targets\n");
    for one in targets.chunk_by(|before, after| before.what == after.what) {
        if one.iter().any(|target| target.verdict != Verdict::NotMeasured) {
            text += &format!("  {}\n{}", one[0].what, one.iter().map(line).collect::<String>());
        }
    }
    text + &summary(targets)
}

fn line(target: &Target) -> String {
    let mode = match target.mode {
        Mode::Rules => "rules",
        Mode::Datapath => "datapath",
    };
    let number = |figure| grouped(figure, usize::from(target.unit != "ns"));
    let figure = target.measured.map(|found| format!("{} {}", number(found), target.unit));
    let interval =
        target.confidence.map(|[low, high]| format!("{} to {}", number(low), number(high)));
    format!(
        "    {mode:<9}{:<48}{:>10} {:>16}  {}\n",
        target.promise,
        figure.unwrap_or_default(),
        interval.unwrap_or_default(),
        words(target.verdict)
    )
}

fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::Missed => "MISSED",
        Verdict::NotResolved => "unresolved",
        Verdict::NotMeasured => "-",
    }
}

fn summary(targets: &[Target]) -> String {
    let count = |verdict| targets.iter().filter(|target| target.verdict == verdict).count();
    format!(
        "  {} met, {} missed, {} not resolved, {} not measured\n",
        count(Verdict::Met),
        count(Verdict::Missed),
        count(Verdict::NotResolved),
        count(Verdict::NotMeasured)
    )
}

#[cfg(test)]
mod tests {
    use super::table;
    use crate::results::Verdict;
    use crate::targets::judge;

    #[test]
    fn every_target_has_a_line_of_at_most_100_columns() {
        let mut targets = judge(&[], &[], 1e12);
        for target in &mut targets {
            let (found, low) =
                if target.unit == "ns" { (-1_234.0, -12_345.0) } else { (-12.3, -123.4) };
            target.measured = Some(found);
            target.confidence = Some([low, -found]);
            target.verdict = Verdict::NotResolved;
        }
        let text = table(&targets);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 100, "{widest}:\n{text}");
        assert_eq!(text.matches("unresolved").count(), targets.len());
        assert!(text.ends_with(&format!("{} not resolved, 0 not measured\n", targets.len())));
        // What a run was not to measure is counted, and not listed.
        assert_eq!(table(&judge(&[], &[], 1e12)).lines().count(), 2);
    }
}
