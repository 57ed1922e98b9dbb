//! Figures against the budget.

use super::figures::{Figures, ProgramSize};
use super::file::{Budget, KernelFamily};

/// Per cent below its budget from which on a figure should be recorded anew.
const WORTH_TIGHTENING: u32 = 10;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Each breaks the budget.
    pub(crate) excesses: Vec<String>,
    pub(crate) remarks: Vec<String>,
}

pub(crate) fn compare(budget: &Budget, kernel: &KernelFamily, measured: &Figures) -> Comparison {
    let mut comparison = Comparison::default();
    for (name, size) in &measured.programs {
        let Some(allowed) = allowed(budget, kernel, name, &mut comparison) else {
            comparison.excesses.push(format!("{name}: a program without a budget"));
            continue;
        };
        for (what, budgeted, found) in [
            ("verified instructions", allowed.verified_instructions, size.verified_instructions),
            ("translated bytes", allowed.translated_bytes, size.translated_bytes),
            ("jited bytes", allowed.jited_bytes, size.jited_bytes),
        ] {
            comparison.figure(&format!("{name}: {what}"), budgeted, found, budget.headroom);
        }
    }
    for (name, size) in &measured.maps {
        let Some(entry) = budget.maps.iter().find(|entry| entry.name == *name) else {
            comparison.excesses.push(format!("{name}: a map without a budget"));
            continue;
        };
        let keys = (entry.size.key_bytes, size.key_bytes);
        let values = (entry.size.value_bytes, size.value_bytes);
        for (what, (budgeted, found)) in [("bytes per key", keys), ("bytes per value", values)] {
            comparison.figure(&format!("{name}: {what}"), budgeted, found, 0);
        }
    }
    let programs = budget.programs.iter().map(|entry| &entry.name);
    let is_there = |name: &&String| measured.programs.contains_key(*name);
    let gone = programs.filter(|name| !is_there(name));
    let maps = budget.maps.iter().map(|entry| &entry.name);
    let gone = gone.chain(maps.filter(|name| !measured.maps.contains_key(*name)));
    comparison.excesses.extend(gone.map(|name| format!("{name}: has a budget and is not there")));
    comparison
}

/// The budget of a program on this kernel, or, where it has none, the largest of all kernels.
fn allowed(
    budget: &Budget,
    kernel: &KernelFamily,
    name: &str,
    comparison: &mut Comparison,
) -> Option<ProgramSize> {
    let entries: Vec<_> = budget.programs.iter().filter(|entry| entry.name == name).collect();
    if let Some(entry) = entries.iter().find(|entry| entry.kernel == *kernel) {
        return Some(entry.size);
    }
    let largest = entries.iter().map(|entry| entry.size).reduce(|a, b| ProgramSize {
        verified_instructions: a.verified_instructions.max(b.verified_instructions),
        translated_bytes: a.translated_bytes.max(b.translated_bytes),
        jited_bytes: a.jited_bytes.max(b.jited_bytes),
    })?;
    let KernelFamily(family) = kernel;
    comparison.remarks.push(format!("{name}: no budget for {family}, the largest counts"));
    Some(largest)
}

impl Comparison {
    fn figure(&mut self, what: &str, budgeted: u32, found: u32, headroom: u32) {
        let limit = u64::from(budgeted) * u64::from(100 + headroom) / 100;
        if u64::from(found) > limit {
            let growth = f64::from(found - budgeted) * 100.0 / f64::from(budgeted.max(1));
            self.excesses.push(format!("{what}: {found}, budget {budgeted} ({growth:+.1} %)"));
        } else if u64::from(found) * 100 < u64::from(budgeted) * u64::from(100 - WORTH_TIGHTENING) {
            self.remarks.push(format!("{what}: {found}, budget {budgeted}: tighten it"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::{Figures, MapSize, ProgramSize};
    use super::super::file::{Budget, KernelFamily};
    use super::compare;

    fn kernel(family: &str) -> KernelFamily {
        KernelFamily(family.to_owned())
    }

    fn figures(verified_instructions: u32, value_bytes: u32) -> Figures {
        let program =
            ProgramSize { verified_instructions, translated_bytes: 800, jited_bytes: 500 };
        Figures {
            programs: [("egress".to_owned(), program)].into(),
            functions: [].into(),
            maps: [("FLOWS".to_owned(), MapSize { key_bytes: 16, value_bytes })].into(),
        }
    }

    fn budget() -> Budget {
        let mut budget = Budget { headroom: 2, programs: Vec::new(), maps: Vec::new() };
        budget.record(&kernel("6.1 m"), &figures(2000, 24), "first");
        budget.record(&kernel("6.18 m"), &figures(1000, 24), "second");
        budget
    }

    #[test]
    fn growth_beyond_the_headroom_is_named_with_its_amount() {
        let within = compare(&budget(), &kernel("6.18 m"), &figures(1020, 24));
        assert!(within.excesses.is_empty(), "{within:?}");
        let beyond = compare(&budget(), &kernel("6.18 m"), &figures(1021, 32));
        assert_eq!(
            beyond.excesses,
            [
                "egress: verified instructions: 1021, budget 1000 (+2.1 %)",
                "FLOWS: bytes per value: 32, budget 24 (+33.3 %)",
            ]
        );
    }

    #[test]
    fn a_kernel_without_figures_is_held_to_the_largest() {
        let within = compare(&budget(), &kernel("7.0 m"), &figures(2000, 24));
        assert!(within.excesses.is_empty() && !within.remarks.is_empty(), "{within:?}");
        assert_eq!(compare(&budget(), &kernel("7.0 m"), &figures(2100, 24)).excesses.len(), 1);
    }

    #[test]
    fn what_has_no_budget_and_what_is_gone_are_told() {
        let mut measured = figures(1000, 24);
        let egress = measured.programs.remove("egress").unwrap_or_default();
        measured.programs.insert("ingress".to_owned(), egress);
        let told = compare(&budget(), &kernel("6.18 m"), &measured).excesses;
        assert!(told.contains(&"ingress: a program without a budget".to_owned()), "{told:?}");
        assert!(told.contains(&"egress: has a budget and is not there".to_owned()), "{told:?}");
    }

    #[test]
    fn an_improvement_asks_for_a_tighter_budget() {
        let better = compare(&budget(), &kernel("6.18 m"), &figures(800, 24));
        assert!(better.excesses.is_empty());
        assert_eq!(better.remarks, ["egress: verified instructions: 800, budget 1000: tighten it"]);
    }

    #[test]
    fn a_reason_is_kept_while_its_figures_are() {
        let mut budget = budget();
        budget.record(&kernel("6.18 m"), &figures(1000, 32), "third");
        let reasons: Vec<_> = budget.programs.iter().map(|entry| entry.reason.as_str()).collect();
        assert_eq!(reasons, ["first", "second"]);
        assert_eq!(budget.maps[0].reason, "third");
    }
}
