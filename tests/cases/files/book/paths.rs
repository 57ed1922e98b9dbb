//! Files of the repository that a page names without a link.

use anyhow::Result;

use super::page::{Page, root};

const FOLDERS: [&str; 8] = [
    ".ci/",
    "contrib/",
    "docs/",
    "packaging/",
    "prroute-common/",
    "prroute-ebpf/",
    "tests/",
    "xtask/",
];

/// Where `*` stands for a part of a name the folder has to be there.
fn is_there(path: &str) -> bool {
    let folder = path.split('*').next().unwrap_or_default();
    let folder = if folder == path { path } else { folder.rsplit_once('/').map_or("", |it| it.0) };
    root().join(folder).exists()
}

#[test]
fn every_file_that_a_page_names_exists() -> Result<()> {
    let (mut missing, mut count) = (Vec::new(), 0);
    // The changelog may name what is gone.
    for page in Page::all()?.iter().filter(|page| page.path != "CHANGELOG.md") {
        for code in &page.codes {
            let path = code.split(['#', ' ', ':', '{', '<']).next().unwrap_or_default();
            if FOLDERS.iter().any(|folder| path.starts_with(folder)) {
                count += 1;
                missing.extend((!is_there(path)).then(|| format!("{}: {code}", page.path)));
            }
        }
    }
    assert!(count > 50, "{count} files");
    assert!(missing.is_empty(), "{missing:#?}");
    Ok(())
}
