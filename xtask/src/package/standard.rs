//! The texts of known licences, for crates that were published without a file of theirs.

use anyhow::{Context, Result};

/// prroute's own, which are the standard texts. MIT's has one line of its own, of whose the copyright is.
const MIT: &str = include_str!("../../../LICENSE-MIT");
const APACHE: &str = include_str!("../../../LICENSE-APACHE");
const OURS: &str = "Copyright (c) 2026 the prroute developers";

/// What a crate's licence (an SPDX expression) asks to be passed on: the texts of the first alternative that is
/// known as a whole.
///
/// # Errors
///
/// When there is none, also because the crate names nobody whose the copyright is.
pub(crate) fn texts(licence: &str, authors: &[String]) -> Result<Vec<String>> {
    // An older way to write OR.
    let expression = licence.replace('/', " OR ");
    let mut alternatives = expression.split(" OR ").filter_map(|all| {
        all.split(" AND ").map(|id| text(id.trim(), authors)).collect::<Option<Vec<String>>>()
    });
    alternatives.next().with_context(|| format!("no text is known for {licence:?} of {authors:?}"))
}

fn text(id: &str, authors: &[String]) -> Option<String> {
    match id {
        "MIT" => mit(authors),
        "Apache-2.0" => Some(APACHE.trim().to_owned()),
        _ => None,
    }
}

fn mit(authors: &[String]) -> Option<String> {
    let lines: Vec<String> = authors.iter().map(|name| format!("Copyright (c) {name}")).collect();
    (!lines.is_empty()).then(|| MIT.replace(OURS, &lines.join("\n")).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{OURS, texts};

    #[test]
    fn the_first_licence_that_is_known_is_passed_on_with_the_names_of_the_authors() {
        let authors = ["A <a@example.org>", "B"].map(str::to_owned);
        for licence in
            ["MIT", "MIT OR Apache-2.0", "Unlicense/MIT", "Apache-2.0 WITH LLVM-exception OR MIT"]
        {
            let texts = texts(licence, &authors).unwrap();
            assert_eq!(texts.len(), 1, "{licence}");
            let text = &texts[0];
            assert!(
                text.starts_with(
                    "MIT License\n\nCopyright (c) A <a@example.org>\nCopyright (c) B\n\n"
                ),
                "{text}"
            );
            assert!(
                text.contains("Permission is hereby granted") && !text.contains(OURS),
                "{text}"
            );
        }
        let text = texts("MIT OR Apache-2.0", &[]).unwrap().concat();
        assert!(text.contains("TERMS AND CONDITIONS") && !text.contains("prroute"), "{text}");
        assert_eq!(texts("MIT AND Apache-2.0", &authors).unwrap().len(), 2);
    }

    #[test]
    fn a_licence_that_is_not_known_is_an_error() {
        let authors = ["A".to_owned()];
        for licence in
            ["", "ISC", "MIT AND ISC", "(MIT OR ISC) AND Zlib", "Apache-2.0 WITH LLVM-exception"]
        {
            assert!(texts(licence, &authors).is_err(), "{licence}");
        }
        assert!(texts("MIT", &[]).is_err(), "nobody is named");
    }
}
