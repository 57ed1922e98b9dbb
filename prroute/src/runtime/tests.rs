//! Whatever is in the place of a journal or report: it is read whole, or set aside.

mod examples;
mod ids;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use examples::report;
use proptest::prelude::*;

use super::directory::{Found, RunDirectory};
use super::files;
use super::format::{MAX_SIZE, Unusable, Versioned as _};
use super::journal::{AttachedDevice, Journal};
use super::origin::Origin;
use super::records::Records;
use super::report::DaemonReport;
use super::store::Store;
use super::unit::StartedBy;
use crate::config::Ranges;
use crate::datapath::attach::Hook;
use crate::instance::Instance;
use crate::state::saved_sysctls::SavedSysctl;
use crate::state::uplink::{Ifindex, UplinkId};

/// A directory of this test's own, removed with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("prroute-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn directory(&self) -> RunDirectory {
        let (run, lib) = (self.0.join("run"), self.0.join("lib"));
        RunDirectory::below(&run, &lib, &"it".parse::<Instance>().unwrap())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// With something in every field.
fn journal() -> Journal {
    let device = AttachedDevice {
        id: UplinkId(1),
        ifindex: Ifindex(2),
        name: "eth0".to_owned(),
        hook: Hook::Clsact,
        made_qdisc: true,
        stacked: false,
    };
    let mut journal = Journal::new(Ranges::default());
    journal.former_ranges = vec![Ranges { rule_priority: 9000, table: 9000 }];
    journal.attached = vec![device.clone(), AttachedDevice { stacked: true, ..device }];
    let (device, mac) = ("eth0".to_owned(), Some([2, 0, 0, 0, 0, 1]));
    let saved = SavedSysctl { device, mac, old: 1, set: 2, applied: true };
    journal.sysctls.rp_filter.insert(2, saved);
    journal
}

fn text(journal: &Journal) -> String {
    serde_json::to_string_pretty(journal).unwrap()
}

fn parse(text: &str) -> Result<Journal, Unusable> {
    Journal::parse(text.as_bytes(), &Origin::current())
}

#[test]
fn what_is_written_is_read() {
    let scratch = Scratch::new("written");
    let directory = scratch.directory();
    directory.create().unwrap();
    let mut store = Store::of(&directory);
    assert!(store.save_journal(&journal()));
    assert_eq!(directory.read_journal().usable(), Some(journal()));
    store.save_report(&report());
    assert_eq!(directory.read_report().usable(), Some(report()));
    let records = Records::take(&directory, Ranges::default(), true);
    assert_eq!(records.journal, journal());
    assert!(!records.journal.incomplete);
}

#[test]
fn what_another_version_wrote_is_read_as_far_as_it_is_known() {
    let theirs = text(&journal()).replacen(Journal::SCHEMA, "prroute.journal/7", 1);
    let read = parse(&theirs).unwrap();
    assert_eq!(read, journal(), "also its schema, when it is written again");
    let more = theirs.replacen("\"incomplete\"", "\"more\": {\"a\": 1}, \"incomplete\"", 1);
    let read = parse(&more).unwrap();
    assert_eq!(read.not_understood, ["more"]);
    assert!(read.incomplete, "what it does not understand is looked for in the kernel");
    assert_eq!((&read.attached, &read.sysctls), (&journal().attached, &journal().sysctls));
    let less = theirs.replacen("\"old\": 1,", "", 1);
    assert!(matches!(parse(&less).unwrap_err(), Unusable::OtherVersion(_)));
    let not_a_number = theirs.replacen("journal/7", "journal/next", 1);
    assert!(matches!(parse(&not_a_number).unwrap_err(), Unusable::OtherVersion(_)));
}

#[test]
fn what_another_version_boot_or_namespace_wrote_is_not_used() {
    let text = text(&journal());
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let replaced = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from} is not in {text}");
        parse(&changed).unwrap_err()
    };
    let version = replaced("prroute.journal/", "prroute.state/");
    assert!(matches!(version, Unusable::OtherVersion(_)), "{version}");
    let other = replaced(boot.trim(), "00000000-0000-0000-0000-000000000000");
    assert!(matches!(other, Unusable::OtherBoot), "{other}");
    let namespace = replaced("namespace\": \"4", "namespace\": \"5");
    assert!(matches!(namespace, Unusable::OtherNamespace(_)), "{namespace}");
    let unknown = replaced("\"incomplete\"", "\"more\": 1, \"incomplete\"");
    assert!(matches!(unknown, Unusable::Damaged(_)), "{unknown}");
    let missing = replaced("\"old\": 1,", "");
    assert!(matches!(missing, Unusable::Damaged(_)), "{missing}");
    assert!(matches!(parse(""), Err(Unusable::Empty)));
    let long = format!("{{\"schema\": \"{}\"}}", "x".repeat(1000));
    let message = parse(&long).unwrap_err().to_string();
    assert!(message.len() < 80, "bounded: {message}");
}

#[test]
fn a_configuration_of_another_version_takes_nothing_else_of_its_report_away() {
    let here = Origin::current();
    let read = |mode: &str| {
        let mut written = serde_json::to_value(report()).unwrap();
        written["in_force"]["mode"] = mode.into();
        DaemonReport::parse(written.to_string().as_bytes(), &here).unwrap()
    };
    assert_eq!(read("observe"), report());
    let mut without = report();
    without.in_force = None;
    assert_eq!(read("unheard-of"), without);
}

#[test]
fn a_report_of_an_earlier_version_says_not_what_started_its_daemon() {
    let here = Origin::current();
    let read = |started_by: Option<serde_json::Value>| {
        let mut written = serde_json::to_value(report()).unwrap();
        match started_by {
            Some(value) => written["started_by"] = value,
            None => drop(written.as_object_mut().unwrap().remove("started_by")),
        }
        DaemonReport::parse(written.to_string().as_bytes(), &here).unwrap().started_by
    };
    assert_eq!(read(None), None);
    assert_eq!(read(Some("a later version's".into())), None);
    assert_eq!(read(Some("command".into())), Some(StartedBy::Command));
    let unit = serde_json::json!({ "unit": "prroute@blue.service" });
    assert_eq!(read(Some(unit)), Some(StartedBy::Unit("prroute@blue.service".to_owned())));
}

#[test]
fn the_command_of_a_daemon_has_its_configuration_and_its_mode() {
    let mut report = DaemonReport::new(Vec::new());
    assert_eq!(report.run_words(), "run");
    report.config_file = Some("/root/my lab.toml".into());
    assert_eq!(report.run_words(), "run --config '/root/my lab.toml'");
    report.observe = true;
    assert_eq!(report.run_words(), "run --config '/root/my lab.toml' --observe");
}

/// A directory, a FIFO, a link to nowhere, a sparse file: nothing waits, nothing is read for long.
#[test]
fn whatever_is_in_the_place_is_set_aside_once() {
    let scratch = Scratch::new("place");
    let directory = scratch.directory();
    directory.create().unwrap();
    let path = directory.journal_path();
    let aside = path.with_extension("json.unreadable");
    let places: [(&str, &dyn Fn()); 6] = [
        ("directory", &|| {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("file"), "x").unwrap();
        }),
        ("fifo", &|| {
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        }),
        ("device", &|| symlink("/dev/zero", &path).unwrap()),
        ("loop", &|| symlink(&path, &path).unwrap()),
        ("long", &|| fs::File::create(&path).unwrap().set_len(MAX_SIZE + 1).unwrap()),
        ("bytes", &|| fs::write(&path, [0xff, 0xfe, b'{']).unwrap()),
    ];
    for (name, place) in places {
        place();
        assert!(matches!(directory.read_journal(), Found::Unusable(_)), "{name}");
        let records = Records::take(&directory, Ranges::default(), false);
        assert!(records.journal.incomplete, "{name}");
        assert!(matches!(directory.read_journal(), Found::Nothing), "{name}");
        assert!(fs::symlink_metadata(&aside).is_ok(), "{name}: kept");
        let left = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "{name}: nothing but the last one");
    }
}

/// The kernel started anew, or the namespace is another one: nothing is left to undo. With a
/// datapath that is there all the same, something is wrong with the file.
#[test]
fn a_journal_of_another_boot_is_no_loss() {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let other = text(&journal()).replace(boot.trim(), "another");
    let scratch = Scratch::new("boot");
    let directory = scratch.directory();
    directory.create().unwrap();
    for managed in [false, true] {
        fs::write(directory.journal_path(), &other).unwrap();
        let Records { journal, .. } = Records::take(&directory, Ranges::default(), managed);
        assert_eq!(journal.incomplete, managed);
        assert!(journal.sysctls.is_empty() && journal.attached.is_empty());
    }
}

#[test]
fn a_journal_that_is_missing_is_a_loss_only_where_there_is_a_datapath() {
    let scratch = Scratch::new("missing");
    for managed in [false, true] {
        let records = Records::take(&scratch.directory(), Ranges::default(), managed);
        assert_eq!(records.journal.incomplete, managed);
    }
}

/// A file that somebody damages is written anew, one that is as it was is left alone.
#[test]
fn the_store_writes_what_changed_on_either_side() {
    let scratch = Scratch::new("store");
    let directory = scratch.directory();
    directory.create().unwrap();
    let path = directory.journal_path();
    let mut store = Store::of(&directory);
    assert!(store.save_journal(&journal()));
    let modified = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    let first = modified(&path);
    assert!(store.save_journal(&journal()));
    assert_eq!(modified(&path), first, "not written again");
    fs::write(&path, "{").unwrap();
    assert!(store.save_journal(&journal()));
    assert_eq!(directory.read_journal().usable(), Some(journal()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn what_cannot_be_written_leaves_the_old_file_and_no_part_of_the_new_one() {
    let scratch = Scratch::new("unwritable");
    let path = scratch.0.join("file");
    fs::write(&path, "old").unwrap();
    // The new file cannot take the place of a directory that is not empty.
    let taken = scratch.0.join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("x"), "").unwrap();
    let error = files::write(&taken, b"new", 0o644, files::Durability::Synced).unwrap_err();
    assert!(error.to_string().starts_with("rename to "), "{error}");
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 2, "the part is removed");
    files::write(&path, b"new", 0o644, files::Durability::Synced).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
}

/// One byte more, less or another, or the rest cut off.
fn mutated(text: &[u8], at: usize, byte: u8, kind: u8) -> Vec<u8> {
    let mut text = text.to_vec();
    let at = at % text.len();
    match kind % 4 {
        0 => text[at] = byte,
        1 => text.insert(at, byte),
        2 => drop(text.remove(at)),
        _ => text.truncate(at),
    }
    text
}

proptest! {
    #[test]
    fn random_bytes_are_never_a_journal_or_report(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let here = Origin::current();
        prop_assert!(Journal::parse(&bytes, &here).is_err());
        prop_assert!(DaemonReport::parse(&bytes, &here).is_err());
    }

    /// What is still read is a journal that can be written and read again.
    #[test]
    fn a_mutated_journal_is_read_whole_or_not(
        mutations in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..4)
    ) {
        let here = Origin::current();
        let mut bytes = text(&journal()).into_bytes();
        for (at, byte, kind) in mutations {
            if !bytes.is_empty() {
                bytes = mutated(&bytes, at, byte, kind);
            }
        }
        if let Ok(read) = Journal::parse(&bytes, &here) {
            prop_assert_eq!(parse(&text(&read)).unwrap(), read);
        }
        drop(DaemonReport::parse(&bytes, &here));
    }

    #[test]
    fn a_mutated_report_is_read_whole_or_not(at in any::<usize>(), byte in any::<u8>(), kind in any::<u8>()) {
        let here = Origin::current();
        let bytes = mutated(&serde_json::to_vec_pretty(&report()).unwrap(), at, byte, kind);
        if let Ok(read) = DaemonReport::parse(&bytes, &here) {
            let again = serde_json::to_vec(&read).unwrap();
            prop_assert_eq!(DaemonReport::parse(&again, &here).unwrap(), read);
        }
    }
}

#[test]
fn a_private_file_is_its_owners_and_never_takes_the_place_of_a_device() {
    let scratch = Scratch::new("private");
    let (path, elsewhere) = (scratch.0.join("report.txt"), scratch.0.join("elsewhere"));
    // Somebody waits for it to be written through a link.
    symlink(&elsewhere, scratch.0.join("report.txt.new")).unwrap();
    files::publish_private(&path, b"text").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"text");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!elsewhere.exists());
    let device = scratch.0.join("null");
    symlink("/dev/null", &device).unwrap();
    assert!(files::publish_private(&device, b"text").is_err());
    assert!(files::publish(&scratch.0, b"text").is_err(), "a directory");
    assert_eq!(fs::read_link(&device).unwrap(), PathBuf::from("/dev/null"));
}
