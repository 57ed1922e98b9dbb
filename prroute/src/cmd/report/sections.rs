//! The sections of the report, and where each comes from.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use nix::sys::utsname::uname;
use nix::unistd::Pid;

use super::{SECTION, Section, programs, tools};
use crate::build;
use crate::config::FileStamp;
use crate::datapath::Pins;
use crate::instance::Instance;
use crate::runtime::{RunDirectory, unit};

/// The last lines of the log.
const LOG_LINES: &str = "200";

pub(super) fn versions() -> Section {
    let mut lines = vec![build::InOneLine.to_string()];
    if let Ok(kernel) = uname() {
        let words = [kernel.sysname(), kernel.release(), kernel.version(), kernel.machine()];
        lines.push(words.map(|word| word.to_string_lossy()).join(" "));
    }
    let os = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = os.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    lines.extend(name.map(|name| name.trim_matches('"').to_owned()));
    let first_line = |program, words: &[&str]| {
        tools::output(program, words).ok()?.lines().next().map(str::to_owned)
    };
    lines.extend(first_line("getconf", &["GNU_LIBC_VERSION"]));
    lines.extend(first_line("systemctl", &["--version"]));
    lines.extend(first_line("ip", &["-V"]));
    Section {
        title: "versions",
        source: "uname, /etc/os-release, getconf, systemctl, ip".to_owned(),
        body: Ok(lines.join("\n")),
    }
}

pub(super) fn all(instance: &Instance, daemon: Option<Pid>) -> Vec<Section> {
    let own = |title, words: &str| own(title, words, instance);
    let ip = |title, words: &str| command(title, &format!("ip {words}"));
    let mut all = vec![
        own("status", "status -a"),
        own("status as JSON", "status --json"),
        own("doctor", "doctor"),
        own("plan", "plan"),
    ];
    all.extend(configuration(instance));
    for family in ["-4", "-6"] {
        let rules = ip("rules", &format!("{family} rule"));
        let tables = tables(rules.body.as_deref().unwrap_or_default());
        all.push(rules);
        let routes = |table| ip("routes", &format!("{family} route show table {table}"));
        all.extend(tables.iter().map(routes));
    }
    all.push(ip("interfaces", "-d link"));
    all.push(ip("addresses", "address"));
    all.push(ip("neighbours", "neighbour"));
    all.push(programs::section());
    all.push(pins(instance));
    all.push(own("counters, tables and findings", "metrics"));
    all.push(healed(instance));
    all.push(log(instance, daemon));
    let directory = RunDirectory::of(instance);
    all.push(file("what the daemon reports", &directory.path().join("report.json")));
    let mut journal = file("what is to be undone", &directory.path().join("journal.json"));
    journal.body = journal.body.map(|text| with_macs_as_text(&text));
    all.push(journal);
    all
}

/// MAC addresses as everywhere else, in place of lists of their bytes: `--hash-addresses` finds them, too.
fn with_macs_as_text(json: &str) -> String {
    const KEY: &str = "\"mac\":";
    let mut parts = json.split(KEY);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(KEY);
        let list = part.trim_start().strip_prefix('[');
        // What was cut off ends with the text.
        let split = list.map(|list| list.split_once(']').unwrap_or((list, "")));
        match split {
            None => text.push_str(part),
            Some((bytes, rest)) => {
                let bytes: Vec<String> = bytes
                    .split(',')
                    .map(|byte| byte.trim().parse::<u8>().map_or_else(|_| "?".to_owned(), hex))
                    .collect();
                text.push_str(&format!(" \"{}\"{rest}", bytes.join(":")));
            }
        }
    }
    text
}

fn hex(byte: u8) -> String {
    format!("{byte:02x}")
}

/// What a command of prroute prints.
fn own(title: &'static str, words: &str, instance: &Instance) -> Section {
    let name = instance.to_string();
    let words: Vec<&str> = words.split(' ').chain(["--instance", &name]).collect();
    let binary = std::env::current_exe().map_err(|error| format!("find prroute: {error}"));
    let body = binary.and_then(|binary| tools::output(&binary.to_string_lossy(), &words));
    Section { title, source: format!("prroute {}", words.join(" ")), body }
}

fn command(title: &'static str, line: &str) -> Section {
    let words: Vec<&str> = line.split(' ').collect();
    let body = match words.as_slice() {
        [program, words @ ..] => tools::output(program, words),
        [] => Ok(String::new()),
    };
    Section { title, source: line.to_owned(), body }
}

/// The tables that rules lead to, and main; not what is local.
fn tables(rules: &str) -> BTreeSet<String> {
    let word_after = |line: &str| {
        line.split_whitespace().skip_while(|it| *it != "lookup").nth(1).map(str::to_owned)
    };
    let tables = rules.lines().filter_map(word_after).chain(["main".to_owned()]);
    tables.filter(|table| table != "local").collect()
}

/// The files that the daemon reads.
fn configuration(instance: &Instance) -> Vec<Section> {
    let title = "configuration";
    let file_of_daemon = RunDirectory::of(instance).read_report().usable();
    let file_of_daemon = file_of_daemon.and_then(|report| report.config_file);
    match FileStamp::of_configuration(file_of_daemon.as_deref()) {
        Ok(files) if files.is_empty() => {
            let body = Ok("no file: all is default".to_owned());
            vec![Section { title, source: "/etc/prroute, /usr/lib/prroute".to_owned(), body }]
        }
        Ok(files) => files.iter().map(|stamp| file(title, &stamp.path)).collect(),
        Err(error) => {
            let (source, body) = ("list the files".to_owned(), Err(error.to_string()));
            vec![Section { title, source, body }]
        }
    }
}

fn file(title: &'static str, path: &Path) -> Section {
    Section { title, source: path.display().to_string(), body: read(path) }
}

/// Waits for nobody, whatever is in its place.
fn read(path: &Path) -> Result<String, String> {
    let is_file = fs::metadata(path).map_err(|error| error.to_string())?.is_file();
    if !is_file {
        return Err("is no regular file".to_owned());
    }
    let open = fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    // One byte more than is shown: it is cut, and says so.
    let most = 4 * SECTION as u64;
    open.take(most).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Names alone.
fn pins(instance: &Instance) -> Section {
    let pins = Pins::of(instance);
    let mut names = Vec::new();
    let body = list(pins.instance(), &mut names).map(|()| {
        names.sort();
        names.join("\n")
    });
    Section { title: "pins", source: pins.instance().display().to_string(), body }
}

/// bpffs has two levels of an instance's.
fn list(directory: &Path, names: &mut Vec<String>) -> Result<(), String> {
    let entries = fs::read_dir(directory).map_err(|error| error.to_string())?;
    for entry in entries.flatten() {
        let path: PathBuf = entry.path();
        names.push(path.display().to_string());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(&path, names)?;
        }
    }
    Ok(())
}

/// What others deleted, and the daemon put back.
fn healed(instance: &Instance) -> Section {
    let directory = RunDirectory::of(instance);
    let body = match directory.read_report().usable().map(|report| report.healed) {
        Some(Some(healed)) => {
            serde_json::to_string_pretty(&healed).map_err(|error| error.to_string())
        }
        Some(None) => Ok("nothing was put back".to_owned()),
        None => Err("there is no report of a daemon".to_owned()),
    };
    let source = format!("`healed` of {}", directory.path().join("report.json").display());
    Section { title: "healed", source, body }
}

fn log(instance: &Instance, daemon: Option<Pid>) -> Section {
    let unit = match daemon {
        Some(pid) => unit::of_process(pid),
        // Of the one that ended.
        None => {
            let before = RunDirectory::of(instance).read_report().usable();
            unit::that_starts(instance, before.and_then(|report| report.started_by).as_ref())
        }
    };
    let Some(unit) = unit else {
        let why = "the daemon is no unit of systemd: its log is where its standard error leads";
        let source = "journalctl".to_owned();
        return Section { title: "log", source, body: Err(why.to_owned()) };
    };
    let options = "--no-pager --no-hostname --output short-iso";
    command("log", &format!("journalctl {options} --lines {LOG_LINES} --unit {unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_concerned_are_those_that_rules_lead_to() {
        let rules = "0:\tfrom all lookup local\n21001:\tfrom 10.0.1.10 lookup 21001 proto 213\n\
                     21002:\tfrom all goto 21099\n32767:\tfrom all lookup default\n";
        let expected = ["21001", "default", "main"].map(str::to_owned);
        assert_eq!(tables(rules), BTreeSet::from(expected));
        assert_eq!(tables("ip is not installed"), BTreeSet::from(["main".to_owned()]));
    }

    #[test]
    fn the_journals_mac_addresses_are_written_as_everywhere_else() {
        let journal = include_str!("../../../tests/formats/journal.json");
        let text = with_macs_as_text(journal);
        assert!(text.contains("\"mac\": \"02:00:00:00:00:01\",\n      \"old\": 1,"), "{text}");
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        for (other, expected) in [
            ("{\"mac\": null, \"old\": [1]}", "{\"mac\": null, \"old\": [1]}"),
            ("{\"mac\":[2,0,\n94", "{\"mac\": \"02:00:5e\""),
            ("", ""),
        ] {
            assert_eq!(with_macs_as_text(other), expected);
        }
    }

    #[test]
    fn a_file_is_read_as_it_is_and_nothing_else_is_waited_for() {
        assert!(read(Path::new("/proc/self/status")).unwrap().contains("Name:"));
        assert_eq!(read(Path::new("/dev/zero")), Err("is no regular file".to_owned()));
        assert!(read(Path::new("/nonexistent")).is_err());
    }
}
