//! Links lead somewhere: in a clone, in the book that mdBook makes, and where packages put the pages.

use anyhow::{Context as _, Result};

use super::page::{Page, root};

const REPOSITORY: &str = "https://github.com/prroute/prroute";

/// What a link leads to, if that is in this repository.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Seen from the root of the repository.
    pub(super) path: String,
    anchor: Option<String>,
    /// By an address of the web, not from file to file.
    pub(super) is_absolute: bool,
}

/// # Errors
///
/// If the link leaves the repository by `..`.
fn target(page: &str, link: &str) -> Result<Option<Target>> {
    let (path, anchor) = match link.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor.to_owned())),
        None => (link, None),
    };
    if let Some(rest) = path.strip_prefix(REPOSITORY) {
        // Issues, releases and the like are not files.
        let file = ["/blob/main/", "/tree/main/"].iter().find_map(|begin| rest.strip_prefix(begin));
        let file = if rest.is_empty() { Some("README.md") } else { file };
        // GitHub's own name for the README on the repository's page.
        let anchor = anchor.filter(|anchor| anchor != "readme");
        return Ok(file.map(|file| Target { path: file.to_owned(), anchor, is_absolute: true }));
    }
    if path.contains(':') {
        return Ok(None);
    }
    let mut words: Vec<&str> = page.split('/').collect();
    if !path.is_empty() {
        words.pop();
    }
    for word in path.split('/').filter(|word| !word.is_empty() && *word != ".") {
        if word == ".." {
            words.pop().context("leaves the repository")?;
        } else {
            words.push(word);
        }
    }
    Ok(Some(Target { path: words.join("/"), anchor, is_absolute: false }))
}

/// All links of all pages to what is in this repository, with a name for each that a person finds it by.
pub(super) fn links(pages: &[Page]) -> Result<Vec<(&Page, String, Target)>> {
    let mut found = Vec::new();
    for page in pages {
        for link in &page.links {
            let name = format!("{}: {link}", page.path);
            let target = target(&page.path, link).with_context(|| name.clone())?;
            found.extend(target.map(|target| (page, name, target)));
        }
    }
    Ok(found)
}

#[test]
fn every_link_leads_to_a_file_and_every_anchor_to_a_heading() -> Result<()> {
    let pages = Page::all()?;
    let links = links(&pages)?;
    assert!(links.len() > 200, "{} links", links.len());
    let mut dead = Vec::new();
    for (_, name, Target { path, anchor, .. }) in links {
        let page = pages.iter().find(|page| page.path == path);
        let leads = match (&anchor, page) {
            (None, _) => root().join(&path).exists(),
            (Some(anchor), Some(page)) => page.anchors.contains(anchor),
            (Some(_), None) => false,
        };
        dead.extend((!leads).then_some(name));
    }
    assert!(dead.is_empty(), "{dead:#?}");
    Ok(())
}

/// mdBook makes pages of what is in `docs`, and of nothing else: what is outside has an address of the web.
#[test]
fn links_of_the_book_stay_in_the_book() -> Result<()> {
    let pages = Page::all()?;
    for (page, name, target) in links(&pages)? {
        if page.is_of_the_book() && !target.is_absolute {
            let is_page = target.path.starts_with("docs/") && root().join(&target.path).is_file();
            assert!(is_page, "{name} is not in the book");
        }
    }
    Ok(())
}

#[test]
fn targets_are_found() -> Result<()> {
    let of = |path: &str, anchor: Option<&str>, is_absolute| {
        Some(Target { path: path.to_owned(), anchor: anchor.map(str::to_owned), is_absolute })
    };
    let page = "docs/adr/0001.md";
    assert_eq!(target(page, "../b.md#c")?, of("docs/b.md", Some("c"), false));
    assert_eq!(target(page, "#c")?, of(page, Some("c"), false));
    assert_eq!(
        target(page, &format!("{REPOSITORY}#install"))?,
        of("README.md", Some("install"), true)
    );
    assert_eq!(
        target(page, &format!("{REPOSITORY}/tree/main/contrib"))?,
        of("contrib", None, true)
    );
    assert_eq!(target(page, &format!("{REPOSITORY}/security/advisories/new"))?, None);
    assert_eq!(target(page, "https://example.net/a")?, None);
    assert!(target(page, "../../../a.md").is_err());
    Ok(())
}
