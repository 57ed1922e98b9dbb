//! `prroute report`: what somebody needs who is to find a fault from afar, in one text.
//!
//! Each section is what one command prints, or what one file holds; it is cut at [`SECTION`] bytes, and
//! when it fails it says why.

mod programs;
mod pseudonyms;
mod sections;
mod tools;

use anyhow::Result;

use self::pseudonyms::Pseudonyms;
use crate::cli::BugReportArgs;
use crate::cmd::{belongs, log, output};
use crate::runtime;

/// So many bytes of a section are kept, to a whole line: all of them are below two megabytes.
const SECTION: usize = 64 * 1024;

/// A part of the report.
#[derive(Debug)]
struct Section {
    title: &'static str,
    /// The command or file that it came from.
    source: String,
    /// What that said, or why it could not be asked.
    body: Result<String, String>,
}

pub(super) fn run(args: &BugReportArgs) -> Result<()> {
    let instance = &args.instance.instance;
    let found = belongs::find_present(instance, "report");
    let daemon = found.as_ref().ok().and_then(|found| found.daemon);
    let mut sections = vec![sections::versions()];
    if let Err(error) = found {
        let (title, source) = ("instance", format!("instance {instance}"));
        sections.push(Section { title, source, body: Err(format!("{error:#}")) });
    }
    sections.extend(sections::all(instance, daemon));
    let text = text(&sections, args.hash_addresses);
    // It is read on terminals, and as a file.
    let text = log::printable(&text);
    match &args.output {
        Some(path) => runtime::publish_private(path, text.as_bytes())?,
        None => output::text(&text)?,
    }
    output::remark(remark(args));
    Ok(())
}

/// What to know before it is sent.
fn remark(args: &BugReportArgs) -> String {
    let what = match &args.output {
        Some(path) => format!("{} holds", path.display()),
        None => "the report holds".to_owned(),
    };
    let (addresses, how) = if args.hash_addresses {
        ("", "addresses and MAC addresses are pseudonyms; some names of interfaces contain one")
    } else {
        ("addresses, ", "--hash-addresses replaces addresses by pseudonyms")
    };
    format!(
        "{what} {addresses}names of interfaces, configuration, rules, routes and the last lines of the log \
         of this host. Read it before you send it ({how})"
    )
}

fn text(sections: &[Section], hash_addresses: bool) -> String {
    let mut text = String::new();
    for Section { title, source, body } in sections {
        text.push_str(&format!("===== {title}: {source} =====\n"));
        match body {
            Ok(body) if body.trim().is_empty() => text.push_str("(nothing)\n"),
            Ok(body) => text.push_str(&bounded(body)),
            Err(why) => text.push_str(&format!("(not available: {why})\n")),
        }
        text.push('\n');
    }
    if !hash_addresses {
        return text;
    }
    let mut pseudonyms = Pseudonyms::default();
    let text = pseudonyms.replace(&text);
    let neighbours = pseudonyms.neighbours();
    format!("{text}===== pseudonyms: addresses above =====\n{}", bounded(&neighbours))
}

/// Whole lines, and how many are left out.
fn bounded(body: &str) -> String {
    let mut kept = String::new();
    let mut lines = body.lines();
    for line in lines.by_ref() {
        if kept.len() + line.len() >= SECTION {
            kept.push_str(&format!("({} more lines are left out)\n", lines.count() + 1));
            return kept;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_cut_at_a_line_and_says_how_much_is_left_out() {
        let line = "x".repeat(999);
        let long = vec![line.as_str(); 100].join("\n");
        let kept = bounded(&long);
        assert!(kept.len() <= SECTION + 100, "{}", kept.len());
        assert!(
            kept.ends_with(&format!("\n({} more lines are left out)\n", 100 - 65)),
            "{}",
            &kept[kept.len() - 60..]
        );
        assert_eq!(bounded("a\nb"), "a\nb\n");
    }

    #[test]
    fn a_section_that_fails_says_why_and_the_rest_goes_on() {
        let section = |title, body| Section { title, source: "ip 10.0.0.1".to_owned(), body };
        let sections =
            [section("one", Err("no".to_owned())), section("two", Ok("at 10.0.0.1/24".to_owned()))];
        let expected = "===== one: ip 10.0.0.1 =====\n(not available: no)\n\n\
                        ===== two: ip 10.0.0.1 =====\nat 10.0.0.1/24\n\n";
        assert_eq!(text(&sections, false), expected);
        let hashed = text(&sections, true);
        assert!(hashed.contains("two: ip ipv4-1 =====\nat ipv4-1/24\n"), "{hashed}");
        assert!(!hashed.contains("10.0.0.1"), "{hashed}");
    }
}
