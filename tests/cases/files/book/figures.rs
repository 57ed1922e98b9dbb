//! Figures of the bench that other pages quote are those of `docs/benchmarks.md`.

use anyhow::{Context as _, Result};

use super::page::{Page, read};

const MEASURED: &str = "docs/benchmarks.md";
const SECTION: &str = "Figures";
const LINK: &str = "benchmarks.md#figures";

/// Nanoseconds that are added: `+1,668`, without its bold type. What rounds another number is no such figure.
fn figures(text: &str) -> Vec<String> {
    let words = text.split([' ', '\n', '|', '(']);
    let numbers = words.map(|word| word.trim_matches(|c: char| "*).,;:".contains(c)));
    let is_figure = |word: &&str| {
        let digits = word.strip_prefix(['+', '-']).unwrap_or_default();
        digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.chars().all(|c| c.is_ascii_digit() || c == ',')
    };
    numbers.filter(is_figure).map(str::to_owned).collect()
}

fn has_nanoseconds(statement: &str) -> bool {
    statement.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == "ns")
}

/// Parts of a page, each with its heading's line.
fn sections(text: &str) -> Vec<String> {
    let mut sections = vec![String::new()];
    for line in text.lines() {
        if line.starts_with('#') {
            sections.push(String::new());
        }
        if let Some(section) = sections.last_mut() {
            *section += line;
            section.push('\n');
        }
    }
    sections
}

/// What is said at once: a row of a table or a sentence.
fn statements(section: &str) -> Vec<String> {
    let (rows, lines): (Vec<&str>, Vec<&str>) =
        section.lines().partition(|line| line.starts_with('|'));
    let text = lines.join(" ");
    rows.into_iter().chain(text.split(". ")).map(str::to_owned).collect()
}

/// The rows of the table that others quote.
fn measured() -> Result<Vec<Vec<String>>> {
    let text = read(MEASURED)?;
    let heading = format!("## {SECTION}\n");
    let section = sections(&text).into_iter().find(|section| section.starts_with(&heading));
    let section = section.context("no section of figures")?;
    let rows = section.lines().filter(|line| line.starts_with('|')).map(figures);
    Ok(rows.filter(|row| !row.is_empty()).collect())
}

/// All of these figures stand in the row; those of a table in the same order.
fn is_quoted_from(row: &[String], quoted: &[String], is_ordered: bool) -> bool {
    let mut places = quoted.iter().map(|figure| row.iter().position(|other| other == figure));
    if is_ordered {
        let places: Option<Vec<usize>> = places.collect();
        places.is_some_and(|places| places.is_sorted_by(|a, b| a < b))
    } else {
        places.all(|place| place.is_some())
    }
}

#[test]
fn quoted_figures_are_those_of_the_bench() -> Result<()> {
    let measured = measured()?;
    assert!(measured.len() > 10, "{} rows", measured.len());
    let mut count = 0;
    // A decision has the figures of its time.
    let pages = Page::all()?.into_iter().map(|page| page.path);
    let pages = pages.filter(|path| {
        (path == "README.md" || path.starts_with("docs/"))
            && path != MEASURED
            && !path.starts_with("docs/adr/")
    });
    for page in pages {
        for section in sections(&read(&page)?) {
            let of_section = statements(&section).into_iter();
            let of_section = of_section.filter(|statement| has_nanoseconds(statement));
            for statement in of_section {
                let quoted = figures(&statement);
                assert!(!quoted.is_empty(), "{page}: ns without a sign: {statement}");
                count += quoted.len();
                let is_ordered = statement.starts_with('|');
                let is_found = measured.iter().any(|row| is_quoted_from(row, &quoted, is_ordered));
                assert!(is_found, "{page}: not in one row of {MEASURED}: {statement}");
                assert!(section.contains(LINK), "{page}: no link to {LINK} beside: {statement}");
            }
        }
    }
    assert!(count > 15, "{count} figures");
    Ok(())
}

/// The pages say that only for containers CONNMARK costs less than rules, and nowhere less than the datapath.
#[test]
fn connmark_costs_less_where_the_pages_say_so() -> Result<()> {
    let text = read(MEASURED)?;
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.contains("| **+"));
    let mut count = 0;
    for row in rows {
        let cells =
            row.trim_matches('|').split('|').map(|cell| cell.trim().replace(['*', ','], ""));
        let cells: Vec<String> = cells.collect();
        let [name, .., rules, datapath, connmark] = &cells[..] else { continue };
        let [rules, datapath, connmark] =
            [rules, datapath, connmark].map(|cell| cell.parse::<i64>());
        let (rules, datapath, connmark) = (rules?, datapath?, connmark?);
        count += 1;
        assert_eq!(name.starts_with("container"), connmark < rules, "rules: {row}");
        assert!(datapath < connmark, "datapath: {row}");
    }
    assert!(count > 10, "{count} rows");
    Ok(())
}

#[test]
fn figures_are_found() {
    assert_eq!(figures("| a | 8,240 | -10 | **+1,176** |"), ["-10", "+1,176"]);
    assert_eq!(figures("(+499 to +171 ns), 5-10, +a."), ["+499", "+171"]);
    let row = ["+1", "+2", "+3"].map(str::to_owned);
    assert!(is_quoted_from(&row, &[row[2].clone(), row[0].clone()], false));
    assert!(!is_quoted_from(&row, &[row[2].clone(), row[0].clone()], true));
    assert!(!is_quoted_from(&row, &["+4".to_owned()], false));
}
