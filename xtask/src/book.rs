//! `cargo xtask book`: the pages of docs/ as a web site, by mdBook.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::project::{self, quietly};
use crate::setup::{self, Scope};

/// How a page has a browser get a script, a picture, a style or a font. Links to other sites are asked for by
/// the reader.
const LOADED: [&str; 3] = ["src=\"", "<link rel=\"stylesheet\" href=\"", "url(\""];

pub(crate) fn task() -> Result<bool> {
    setup::ensure(Scope::Book)?;
    let book = project::target().join("book");
    let mdbook = project::tools().join("bin/mdbook");
    let pages = project::root().join("docs");
    quietly(Command::new(mdbook).arg("build").arg("--dest-dir").arg(&book).arg(pages))?;
    let mut files = Vec::new();
    collect(&book, &mut files)?;
    for file in &files {
        let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let elsewhere = from_elsewhere(&text);
        ensure!(elsewhere.is_empty(), "{} loads {}", file.display(), elsewhere.join(", "));
    }
    println!("{}: {} pages and styles", book.join("index.html").display(), files.len());
    Ok(true)
}

/// Everything below a directory that can have a browser load something.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let what = || format!("list {}", directory.display());
    for entry in fs::read_dir(directory).with_context(what)? {
        let path = entry.with_context(what)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "html" || end == "css") {
            files.push(path);
        }
    }
    Ok(())
}

/// The addresses of other hosts from which something is loaded.
fn from_elsewhere(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for way in LOADED {
        for (at, _) in text.match_indices(way) {
            let rest = &text[at + way.len()..];
            let address = rest.split('"').next().unwrap_or_default();
            if address.starts_with("http") || address.starts_with("//") {
                found.push(address);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::from_elsewhere;

    #[test]
    fn only_what_the_browser_loads_by_itself_counts() {
        let page = r#"<script src="toc.js"></script><a href="https://example.net">"#;
        assert!(from_elsewhere(page).is_empty());
        let loads =
            r#"<img src="https://example.net/a.png"><link rel="stylesheet" href="//b/c.css">"#;
        assert_eq!(from_elsewhere(loads), ["https://example.net/a.png", "//b/c.css"]);
        let font = r#"@font-face { src: url("https://example.net/d") }"#;
        assert_eq!(from_elsewhere(font), ["https://example.net/d"]);
    }
}
