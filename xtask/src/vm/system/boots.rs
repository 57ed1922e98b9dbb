//! Which cases run in which boot of one guest.

/// Those before the guest is started again: modules of the test program `guest`, and single
/// tests of them.
const FIRST: [&str; 23] = [
    "package::",
    "unit::",
    "sandbox::",
    "faults::",
    "ready::",
    "wg_quick::",
    "firewalld::",
    "networkd::",
    "networkd_foreign::",
    "networkd_dhcp::",
    "network_manager::",
    "network_manager_changes::",
    "ifupdown::",
    "netplan::",
    "socket::",
    "cloud_init::",
    "ufw::",
    "wg_quick_uplink::",
    "ec2_net_utils::",
    "docker::",
    "podman::",
    "ansible::",
    "reboot::before",
];

/// And those after it.
const SECOND: [&str; 1] = ["reboot::after"];

/// The tests to run in each boot, as parts of their names. `wanted` is a module, or a part of
/// its tests' names; all when empty.
pub(crate) fn plan(wanted: &[String]) -> Vec<Vec<String>> {
    if wanted.is_empty() {
        return vec![FIRST.map(str::to_owned).to_vec(), SECOND.map(str::to_owned).to_vec()];
    }
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for want in wanted {
        if want == "reboot" || want.starts_with("reboot::") {
            first.push("reboot::before".to_owned());
            second.push("reboot::after".to_owned());
        } else {
            first.push(if want.contains("::") { want.clone() } else { format!("{want}::") });
        }
    }
    let boots = [first, second].into_iter();
    boots.filter(|filter| !filter.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::plan;

    #[test]
    fn what_comes_after_a_reboot_runs_in_the_second_boot() {
        let wanted = |names: &[&str]| plan(&names.map_to_owned());
        assert_eq!(wanted(&["unit"]), [["unit::"]]);
        assert_eq!(wanted(&["unit::down"]), [["unit::down"]]);
        let both = [vec!["unit::", "reboot::before"], vec!["reboot::after"]];
        assert_eq!(wanted(&["unit", "reboot"]), both);
        assert_eq!(plan(&[]).len(), 2);
    }

    #[test]
    fn no_file_of_cases_is_left_out() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/guest");
        let all: Vec<String> = plan(&[]).concat();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let has_tests = std::fs::read_to_string(&path).unwrap().contains("#[test]");
            let runs = all.iter().any(|part| part.starts_with(&format!("{name}::")));
            assert_eq!(has_tests, runs, "{name}");
        }
    }

    trait MapToOwned {
        fn map_to_owned(&self) -> Vec<String>;
    }

    impl MapToOwned for [&str] {
        fn map_to_owned(&self) -> Vec<String> {
            self.iter().map(|name| (*name).to_owned()).collect()
        }
    }
}
