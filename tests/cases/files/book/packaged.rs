//! Pages where packages put them.

use std::collections::BTreeSet;

use anyhow::Result;

use super::links::links;
use super::page::Page;
use crate::package::{assets, files};

const FOLDER: &str = "usr/share/doc/prroute/";

#[test]
fn a_page_of_a_package_leads_to_what_is_in_the_package() -> Result<()> {
    let pages = Page::all()?;
    let links = links(&pages)?;
    for package in ["deb", "generate-rpm"] {
        let mut assets = assets(package)?;
        // Pages and pictures stand there as they stand here.
        assets.retain(|asset| {
            let here = asset.source.rsplit_once('/').map_or("", |(folder, _)| folder);
            let there = asset.destination.rsplit_once('/').map_or("", |(folder, _)| folder);
            there == format!("{FOLDER}{here}").trim_end_matches('/')
        });
        let packaged = assets.iter().map(|asset| files(&asset.source));
        let packaged: BTreeSet<String> =
            packaged.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        let mut count = 0;
        for (page, name, target) in &links {
            if packaged.contains(&page.path) && !target.is_absolute {
                count += 1;
                let folder = format!("{}/", target.path);
                let is_there = |file: &String| *file == target.path || file.starts_with(&folder);
                assert!(packaged.iter().any(is_there), "{package}: {name} is not in the package");
            }
        }
        assert!(count > 100, "{package}: {count} links");
    }
    Ok(())
}
