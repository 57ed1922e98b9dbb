//! Pages of the repository, as far as they can be checked: headings, links, blocks and code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::blocks::{Block, blocks};

/// A file in Markdown.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Seen from the root of the repository.
    pub(crate) path: String,
    /// What behind `#` leads to a heading of this page.
    pub(super) anchors: BTreeSet<String>,
    /// Where links and pictures lead to, as it is written.
    pub(super) links: Vec<String>,
    pub(crate) blocks: Vec<Block>,
    /// Between backticks, in running text.
    pub(super) codes: Vec<String>,
}

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of the repository, by its path from the root.
pub(super) fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(root().join(path)).with_context(|| format!("read {path}"))
}

impl Page {
    pub(crate) fn read(path: &str) -> Result<Self> {
        Ok(Self::parse(path, &read(path)?))
    }

    /// All pages of the repository.
    pub(super) fn all() -> Result<Vec<Self>> {
        let mut pages = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(root().join(&folder))? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = format!("{folder}{name}");
                if entry.file_type()?.is_dir() {
                    let is_source = name != "target" && !name.starts_with('.');
                    folders.extend(is_source.then(|| format!("{path}/")));
                } else if path.ends_with(".md") {
                    pages.push(Self::read(&path)?);
                }
            }
        }
        ensure!(pages.len() > 50, "{} pages", pages.len());
        Ok(pages)
    }

    /// Those of `docs`, which mdBook makes the book of.
    pub(super) fn is_of_the_book(&self) -> bool {
        self.path.starts_with("docs/")
    }

    fn parse(path: &str, text: &str) -> Self {
        let mut page = Self { path: path.to_owned(), blocks: blocks(text), ..Self::default() };
        let mut heading: Option<String> = None;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    page.add_anchor(&heading.take().unwrap_or_default());
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Text(text) => {
                    heading.iter_mut().for_each(|heading| heading.push_str(&text));
                }
                Event::Code(code) => {
                    heading.iter_mut().for_each(|heading| heading.push_str(&code));
                    page.codes.push(code.into_string());
                }
                _ => {}
            }
        }
        page
    }

    /// As GitHub and mdBook name a heading. The second one of a name has a number behind it.
    fn add_anchor(&mut self, heading: &str) {
        let kept = heading.trim().chars().filter_map(|c| match c {
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c),
            c if c.is_whitespace() => Some('-'),
            _ => None,
        });
        let anchor = kept.collect::<String>().to_lowercase();
        let numbered = (1..).map(|number| format!("{anchor}-{number}"));
        let mut names = std::iter::once(anchor.clone()).chain(numbered);
        let free = names.find(|name| !self.anchors.contains(name));
        self.anchors.extend(free);
    }
}

#[test]
fn headings_links_blocks_and_code_are_found() {
    let text = "# The `a-b` way: 2 (two)\n# Twice\n# Twice\n| a |\n|---|\n| `c\\|d` [e](f.md#g) |\n\
                ```console\nhost# h\n```\n";
    let page = Page::parse("x.md", text);
    let anchors: Vec<&str> = page.anchors.iter().map(String::as_str).collect();
    assert_eq!(anchors, ["the-a-b-way-2-two", "twice", "twice-1"]);
    assert_eq!(page.links, ["f.md#g"]);
    assert_eq!(page.codes, ["a-b", "c|d"]);
    let [Block { language, text }] = &page.blocks[..] else { panic!("{page:?}") };
    assert_eq!((language.as_str(), text.as_str()), ("console", "host# h\n"));
}
