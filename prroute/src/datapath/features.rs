//! What the kernel must have for the programs, found out by trying: vendors add features to old
//! version numbers.

use aya::programs::ProgramType;
use aya::sys::{BpfHelper, is_helper_supported};

/// A helper that the programs call, and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    pub name: &'static str,
    /// The first kernel of kernel.org that has it.
    pub since: &'static str,
    helper: BpfHelper,
}

/// The helpers of the programs on uplinks that are younger than Linux 5.0.
pub const NEEDED: [Feature; 2] = [
    Feature { name: "bpf_jiffies64", since: "5.6", helper: BpfHelper::BPF_FUNC_jiffies64 },
    Feature {
        name: "bpf_redirect_neigh",
        since: "5.10",
        helper: BpfHelper::BPF_FUNC_redirect_neigh,
    },
];

/// Without it the programs read a finer clock.
pub const COARSE_CLOCK: Feature = Feature {
    name: "bpf_ktime_get_coarse_ns",
    since: "5.11",
    helper: BpfHelper::BPF_FUNC_ktime_get_coarse_ns,
};

/// Whether programs can read the coarse clock.
pub fn has_coarse_clock() -> bool {
    missing(&[COARSE_CLOCK]).is_empty()
}

/// Those of `features` that the kernel says it does not know. One that cannot be tried is not
/// among them: the kernel's own message says more then.
pub fn missing(features: &[Feature]) -> Vec<Feature> {
    let unknown = |feature: &&Feature| {
        matches!(is_helper_supported(ProgramType::SchedClassifier, feature.helper), Ok(false))
    };
    features.iter().filter(unknown).copied().collect()
}

/// `bpf_jiffies64 (Linux 5.6), bpf_redirect_neigh (Linux 5.10)`.
pub fn listing(features: &[Feature]) -> String {
    let name = |feature: &Feature| format!("{} (Linux {})", feature.name, feature.since);
    features.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{NEEDED, listing};

    #[test]
    fn what_is_missing_is_named_with_its_kernel() {
        assert_eq!(listing(&NEEDED), "bpf_jiffies64 (Linux 5.6), bpf_redirect_neigh (Linux 5.10)");
    }
}
