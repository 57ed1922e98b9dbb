//! Texts in lines that a terminal shows whole.

/// Columns of a line.
pub(super) const WIDTH: usize = 80;

/// Lines of a text, all but the first of which begin with `indent`. A word that is longer than a line
/// has one of its own.
pub(super) fn wrapped(indent: &str, text: &str) -> String {
    let start = text.len() - text.trim_start().len();
    let mut all = text[..start].to_owned();
    let mut column = start;
    let mut is_first = true;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if !is_first && column + 1 + width > WIDTH {
            all += "\n";
            all += indent;
            column = indent.len();
        } else if !is_first {
            all += " ";
            column += 1;
        }
        all += word;
        column += width;
        is_first = false;
    }
    all + "\n"
}

/// Words behind columns that stay as they are, and below each other.
pub(super) fn beside(columns: &str, text: &str) -> String {
    let indent = " ".repeat(columns.chars().count());
    let lines = wrapped(&indent, &format!("{indent}{text}"));
    format!("{columns}{}", lines.get(indent.len()..).unwrap_or("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_no_longer_than_a_terminal() {
        const INDENT: &str = "     ";
        let long = "word ".repeat(40);
        let lines = wrapped(INDENT, &long);
        assert!(lines.lines().count() > 2 && lines.lines().all(|line| line.len() <= WIDTH));
        assert!(lines.lines().skip(1).all(|line| line.starts_with(INDENT)), "{lines}");
        let word = "x".repeat(100);
        assert_eq!(wrapped("", &format!("a {word} b")), format!("a\n{word}\nb\n"));
    }

    #[test]
    fn a_column_of_words_stands_beside_others() {
        assert_eq!(beside("  1 uplink ok ", "eth1 is up"), "  1 uplink ok eth1 is up\n");
        assert_eq!(beside("  1 ", ""), "  1 \n");
        let long = beside("1   2 ", &"word ".repeat(30));
        assert!(long.lines().skip(1).all(|line| line.starts_with("      word")), "{long}");
        assert!(long.lines().all(|line| line.len() <= WIDTH), "{long}");
    }
}
