use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicU32, Ordering};

use super::known::KNOWN;
use super::networkd::{DROP_IN_TEXT, Foreign, write_drop_in};
use super::*;
use crate::config::DEFAULT_RULE_PRIORITY;

/// A tree that looks like a machine; gone when dropped.
struct Tree(PathBuf);

impl Tree {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("prroute-machine-{}-{number}", std::process::id());
        let tree = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&tree.0).unwrap();
        tree
    }

    fn file(&self, path: &str, text: &str) -> &Self {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn process(&self, pid: u32, comm: &str) -> &Self {
        self.file(&format!("proc/{pid}/comm"), &format!("{comm}\n"))
    }

    fn machine(&self) -> Machine {
        Machine::at(&self.0)
    }

    fn foreign(&self) -> (bool, bool) {
        let Foreign { rules, routes } = Foreign::effective(&self.machine());
        (rules, routes)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

const RULES_NO: &str = "[Network]\nManageForeignRoutingPolicyRules=no\n";
const RULES_YES: &str = "[Network]\nManageForeignRoutingPolicyRules = Yes\n";

#[test]
fn networkd_deletes_what_is_foreign_unless_told_otherwise() {
    let tree = Tree::new();
    assert_eq!(tree.foreign(), (true, true), "no configuration");
    tree.file("etc/systemd/networkd.conf", RULES_NO);
    assert_eq!(tree.foreign(), (false, true));
    tree.file("usr/lib/systemd/networkd.conf.d/10-vendor.conf", RULES_YES);
    assert_eq!(tree.foreign(), (true, true), "a drop-in overrides the main file");
    tree.file("run/systemd/networkd.conf.d/20-run.conf", "[Network]\nManageForeignRoutes=0\n");
    tree.file("etc/systemd/networkd.conf.d/15-etc.conf", RULES_NO);
    assert_eq!(tree.foreign(), (false, false), "by name over all directories");
}

#[test]
fn a_file_of_the_administrator_masks_the_vendors() {
    let tree = Tree::new();
    tree.file("usr/lib/systemd/networkd.conf.d/50-a.conf", RULES_NO);
    assert_eq!(tree.foreign(), (false, true));
    fs::create_dir_all(tree.0.join("etc/systemd/networkd.conf.d")).unwrap();
    symlink("/dev/null", tree.0.join("etc/systemd/networkd.conf.d/50-a.conf")).unwrap();
    assert_eq!(tree.foreign(), (true, true));
    tree.file("usr/lib/systemd/networkd.conf", RULES_NO);
    assert_eq!(tree.foreign(), (false, true), "the vendor's main file");
    tree.file("etc/systemd/networkd.conf", "[Network]\n");
    assert_eq!(tree.foreign(), (true, true), "only one main file is read");
}

#[test]
fn only_the_right_section_and_real_booleans_count() {
    let tree = Tree::new();
    let says = |text: &str| {
        tree.file("etc/systemd/networkd.conf", text);
        tree.foreign().0
    };
    assert!(says("[DHCPv4]\nManageForeignRoutingPolicyRules=no\n"));
    assert!(says("ManageForeignRoutingPolicyRules=no\n"));
    assert!(says("[Network]\n#ManageForeignRoutingPolicyRules=no\n"));
    assert!(says("[Network]\nManageForeignRoutingPolicyRules=perhaps\n"));
    assert!(says(&format!("{RULES_NO}ManageForeignRoutingPolicyRules=\n")), "nothing: default");
    for no in ["no", "0", "OFF", "false", "n", "f"] {
        assert!(!says(&format!("[Network]\nManageForeignRoutingPolicyRules={no}\n")), "{no}");
    }
}

#[test]
fn the_likely_culprit_is_the_one_that_runs_and_deletes() {
    let rules = Losses { rules: 3, ..Losses::default() };
    let routes = Losses { routes: 1, ..Losses::default() };
    let tree = Tree::new();
    assert_eq!(tree.machine().likely_culprit(rules), Culprit::Unknown);
    tree.process(1, "systemd").process(77, "systemd-network");
    assert_eq!(tree.machine().likely_culprit(rules), Culprit::Networkd);
    tree.file("etc/systemd/networkd.conf", RULES_NO);
    assert_eq!(tree.machine().likely_culprit(rules), Culprit::Unknown, "it was told not to");
    assert_eq!(tree.machine().likely_culprit(routes), Culprit::Networkd);
    tree.process(78, "NetworkManager");
    assert_eq!(tree.machine().likely_culprit(rules), Culprit::NetworkManager);
    assert!(Culprit::Networkd.to_string().contains("`prroute setup networkd`"));
}

#[test]
fn who_manages_hooks_is_the_likely_culprit_there() {
    let tree = Tree::new();
    tree.process(77, "systemd-network");
    assert_eq!(tree.machine().likely_culprit_on_hooks(), Culprit::Unknown);
    tree.process(78, "cilium-agent");
    let culprit = tree.machine().likely_culprit_on_hooks();
    assert_eq!(culprit.to_string(), "likely by Cilium, which attaches programs, too");
}

#[test]
fn the_drop_in_is_written_once_and_does_what_it_says() {
    let tree = Tree::new();
    assert!(write_drop_in(&tree.machine()).unwrap());
    assert!(!write_drop_in(&tree.machine()).unwrap(), "it is there");
    assert_eq!(tree.foreign(), (false, false));
    let path = tree.0.join("etc/systemd/networkd.conf.d/50-prroute.conf");
    assert_eq!(fs::read_to_string(&path).unwrap(), DROP_IN_TEXT);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
    tree.file("etc/systemd/networkd.conf.d/90-late.conf", RULES_YES);
    assert!(Foreign::effective(&tree.machine()).is_any(), "a later file still overrides it");
}

/// networkd is not root: `f` in a thread with this umask, which is its own.
fn with_umask_077(f: impl FnOnce() + Send) {
    use nix::sched::{CloneFlags, unshare};
    use nix::sys::stat::{Mode, umask};
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_FS).unwrap();
            umask(Mode::from_bits_truncate(0o077));
            f();
        });
        thread.join().unwrap();
    });
}

#[test]
fn networkd_may_read_the_drop_in_whatever_the_umask_says() {
    use std::os::unix::fs::PermissionsExt as _;
    let tree = Tree::new();
    let mode = |path: &str| fs::metadata(tree.0.join(path)).unwrap().permissions().mode() & 0o777;
    let set = |path: &str, mode| {
        fs::set_permissions(tree.0.join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    let (folder, file) =
        ("etc/systemd/networkd.conf.d", "etc/systemd/networkd.conf.d/50-prroute.conf");
    with_umask_077(|| assert!(write_drop_in(&tree.machine()).unwrap()));
    assert_eq!((mode("etc/systemd"), mode(folder), mode(file)), (0o755, 0o755, 0o644));
    // What an earlier version left is mended, and then it is there.
    for closed in [folder, file] {
        set(closed, 0o700);
        with_umask_077(|| {
            assert!(write_drop_in(&tree.machine()).unwrap(), "{closed}");
            assert!(!write_drop_in(&tree.machine()).unwrap(), "{closed}");
        });
        assert_eq!((mode(folder), mode(file)), (0o755, 0o644), "{closed}");
    }
    assert_eq!(tree.foreign(), (false, false));
    // Files of root are passed over where only root may read them.
    if nix::unistd::geteuid().is_root() {
        set(file, 0o600);
        assert_eq!(tree.foreign(), (true, true));
    }
}

#[test]
fn programs_are_known_by_what_they_leave() {
    use crate::state::fixture::{net, rule, two_networks};
    use crate::state::observed::Family;
    let names = |tree: &Tree, observed: &crate::state::observed::Observed| -> Vec<&str> {
        known::recognised(&tree.machine(), observed).iter().map(|known| known.id).collect()
    };
    let tree = Tree::new();
    let host = two_networks();
    assert_eq!(names(&tree, &host.0), [""; 0]);
    tree.process(1, "systemd").process(77, "systemd-network").process(78, "keepalived");
    tree.file("etc/ufw/ufw.conf", "# a comment\nENABLED=yes\n");
    tree.file("run/cloud-init/instance-data.json", "{}");
    assert_eq!(names(&tree, &host.0), ["systemd-networkd", "cloud-init", "ufw", "keepalived"]);
    let tree = Tree::new();
    tree.file("etc/ufw/ufw.conf", "ENABLED=no\n");
    let mut host = two_networks().nic("docker0").nic("cilium_host").nic("wt0").nic("cali1234");
    let source = Some(net("10.0.0.2/32"));
    host.0.rules.push(rule(Family::V4, 30_200, source, 30_200, 4));
    host.0.rules.push(rule(Family::V4, 5230, None, 254, 3));
    let expected = ["nm-cloud-setup", "docker", "tailscale", "netbird", "calico", "cilium"];
    assert_eq!(names(&tree, &host.0), expected);
}

#[test]
fn a_program_of_another_network_namespace_is_not_here() {
    let tree = Tree::new();
    for (pid, comm, namespace) in [("self", "prroute", "net:[1]"), ("9", "keepalived", "net:[2]")] {
        tree.file(&format!("proc/{pid}/comm"), &format!("{comm}\n"));
        let ns = tree.0.join(format!("proc/{pid}/ns"));
        fs::create_dir_all(&ns).unwrap();
        symlink(namespace, ns.join("net")).unwrap();
    }
    let observed = crate::state::observed::Observed::default();
    assert!(known::recognised(&tree.machine(), &observed).is_empty());
}

/// `what` says of other programs' rules for sources on which side of prroute's they are.
#[test]
fn what_is_said_of_rules_agrees_with_their_priorities() {
    for (id, first) in [("ec2-net-utils", 10_000), ("nm-cloud-setup", 30_200)] {
        let known = KNOWN.iter().find(|known| known.id == id).unwrap();
        let is_said_to_come_later = known.what.contains("which prroute's stand before");
        assert_eq!(is_said_to_come_later, first > DEFAULT_RULE_PRIORITY, "{}", known.what);
    }
}
