//! prroute.toml(5), from the sample configuration, which has every key with an explanation.
//!
//! Lines of the sample are prose (`# text`), keys (`key = value`, or `#key = value` where there is no
//! default), the table of an uplink (`#[[uplink]]`), or separate paragraphs.

use clap_mangen::roff::{Roff, bold, roman};
use prroute::config::SAMPLE;

use crate::Page;
use crate::text::{list, paragraph, tidy};

const NAME: &str = "prroute.toml";

/// Before the table of an uplink stand the settings of the whole host.
const UPLINK: &str = "[[uplink]]";

/// A line of the sample.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Blank,
    Prose(&'a str),
    Uplink,
    Key { name: &'a str, value: &'a str, is_default: bool },
}

fn classify(line: &str) -> Line<'_> {
    let (code, is_default) = match line.strip_prefix('#') {
        Some("") => return Line::Blank,
        Some(rest) if rest.starts_with(' ') => return Line::Prose(&rest[1..]),
        Some(rest) => (rest, false),
        None => (line, true),
    };
    match code.split_once(" = ") {
        Some((name, value)) => Line::Key { name, value, is_default },
        None if code == UPLINK => Line::Uplink,
        None => Line::Blank,
    }
}

pub(crate) fn page(date: &str) -> Page {
    let mut roff = Roff::new();
    let source = concat!("prroute ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", [NAME, "5", date, source, "prroute"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("prroute.toml - configuration of prroute")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(
        "Nothing has to be configured. The files are TOML. `prroute generate-config` prints one with \
         every key.",
    )]);
    // Its first paragraph says what kind of file the sample is.
    let body = SAMPLE.split_once("\n#\n").map_or(SAMPLE, |(_, rest)| rest);
    settings(&mut roff, body);
    roff.control("SH", ["FILES"]);
    list(
        &mut roff,
        &[(
            "/usr/share/doc/prroute/examples/prroute.toml",
            "the sample, where a package installed it",
        )],
    );
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("prroute(8), prroute-check(8), prroute-reload(8), prroute-plan(8)")]);
    Page { file: format!("{NAME}.5"), text: tidy(&roff.to_roff()) }
}

/// The keys, those of the host and those of an uplink, each with the prose before it.
fn settings(roff: &mut Roff, sample: &str) {
    let mut before_keys = true;
    // What no key has claimed yet; the last paragraph may be going on.
    let mut paragraphs: Vec<Vec<&str>> = vec![Vec::new()];
    let mut keys = Vec::new();
    for line in sample.lines().chain([""]) {
        match classify(line) {
            Line::Key { name, value, is_default } => {
                if std::mem::take(&mut before_keys) {
                    let about = paragraphs.pop();
                    flush(roff, &mut paragraphs);
                    paragraphs.extend(about);
                    roff.control("SH", ["SETTINGS OF THE HOST"]);
                }
                let word = if is_default { " (the default)" } else { " (an example)" };
                keys.push([bold(format!("{name} = {value}")), roman(word)]);
                continue;
            }
            // Those that stand together are explained together.
            _ if !keys.is_empty() => {
                let about = paragraphs.pop().unwrap_or_default();
                flush(roff, &mut paragraphs);
                for (number, key) in keys.drain(..).enumerate() {
                    roff.control(if number == 0 { "TP" } else { "TQ" }, []);
                    roff.text(key);
                }
                roff.text([roman(about.join(" "))]);
                paragraphs.push(Vec::new());
            }
            _ => {}
        }
        match classify(line) {
            Line::Prose(text) => match paragraphs.last_mut() {
                Some(last) => last.push(text),
                None => paragraphs.push(vec![text]),
            },
            Line::Uplink => {
                roff.control("SH", ["SETTINGS OF AN UPLINK"]);
                flush(roff, &mut paragraphs);
                paragraph(roff, &[bold(UPLINK)]);
            }
            Line::Blank | Line::Key { .. } => paragraphs.push(Vec::new()),
        }
    }
    flush(roff, &mut paragraphs);
}

/// Writes the paragraphs that belong to no key; what is indented in the sample is so here.
fn flush(roff: &mut Roff, paragraphs: &mut Vec<Vec<&str>>) {
    for lines in paragraphs.drain(..).filter(|lines| !lines.is_empty()) {
        let is_indented = lines.iter().all(|line| line.starts_with(' '));
        let text: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
        let text = [roman(text.join(" "))];
        match is_indented {
            true => {
                roff.control("RS", ["4"]);
                roff.text(text);
                roff.control("RE", []);
            }
            false => paragraph(roff, &text),
        }
    }
    paragraphs.push(Vec::new());
}

#[cfg(test)]
mod tests {
    use super::{Line, classify};

    #[test]
    fn prose_is_told_from_keys() {
        assert_eq!(classify("# a = b, say"), Line::Prose("a = b, say"));
        let key = |is_default| Line::Key { name: "table", value: "21000", is_default };
        assert_eq!(classify("table = 21000"), key(true));
        assert_eq!(classify("#table = 21000"), key(false));
        assert_eq!(classify("#[[uplink]]"), Line::Uplink);
        for separates in ["", "#"] {
            assert_eq!(classify(separates), Line::Blank);
        }
    }
}
