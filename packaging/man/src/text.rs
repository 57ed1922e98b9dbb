//! Plain text, as the help and the sample configuration have it, in the language of man(7).

use clap_mangen::roff::{Inline, Roff, bold, roman};

/// A page as it was generated, with words between backticks made bold, and without the requests that
/// do nothing where they stand: formatters warn of them.
pub(crate) fn tidy(page: &str) -> String {
    let mut out = String::new();
    let mut after_heading = false;
    for line in page.replace(".br\n\n.br\n", ".sp\n").lines() {
        // The first paragraph of a section begins by itself.
        let is_idle = after_heading && line == ".PP";
        after_heading = line.starts_with(".SH");
        if !is_idle {
            out.push_str(&embolden(line));
            out.push('\n');
        }
    }
    out
}

fn embolden(line: &str) -> String {
    let words: Vec<&str> = line.split('`').collect();
    // A request to the formatter, or a backtick that has no partner.
    if line.starts_with('.') || words.len().is_multiple_of(2) {
        return line.to_owned();
    }
    let parts = words.iter().enumerate().map(|(number, part)| match number % 2 {
        0 => (*part).to_owned(),
        _ => format!("\\fB{part}\\fR"),
    });
    parts.collect()
}

/// One paragraph, in a section that has begun.
pub(crate) fn paragraph(roff: &mut Roff, text: &[Inline]) {
    roff.control("PP", []);
    roff.text(text.to_vec());
}

/// A section that consists of lines which stay as they are.
pub(crate) fn verbatim(roff: &mut Roff, heading: &str, lines: &str) {
    roff.control("SH", [heading]);
    roff.control("nf", []);
    // The lines are as wide as a terminal: less indentation than usual.
    roff.control("in", ["2n"]);
    for line in lines.lines() {
        roff.text([roman(line.trim_start())]);
    }
    roff.control("in", []);
    roff.control("fi", []);
}

/// A list of names in bold with what they are.
pub(crate) fn list(roff: &mut Roff, items: &[(&str, &str)]) {
    for (name, what) in items {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*what)]);
    }
}

#[cfg(test)]
mod tests {
    use super::tidy;

    #[test]
    fn words_between_backticks_are_bold_and_requests_stay() {
        assert_eq!(tidy("see `ip rule` and `x`\n"), "see \\fBip rule\\fR and \\fBx\\fR\n");
        for as_it_was in [".SH \"`a`\"\n", "one ` alone\n"] {
            assert_eq!(tidy(as_it_was), as_it_was);
        }
    }

    #[test]
    fn requests_that_do_nothing_are_left_out() {
        assert_eq!(tidy(".SH A\n.PP\nb\n.PP\nc\n"), ".SH A\nb\n.PP\nc\n");
        assert_eq!(tidy("a\n.br\n\n.br\nb\n"), "a\n.sp\nb\n");
    }
}
