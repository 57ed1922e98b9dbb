//! Every configuration that a page shows is one that `prroute check --offline` takes.

use std::path::Path;

use ::prroute::config::Config;
use anyhow::{Context as _, Result};

use super::page::Page;

#[test]
fn every_configuration_that_a_page_shows_is_valid() -> Result<()> {
    let mut count = 0;
    for page in Page::all()? {
        for block in &page.blocks {
            let is_ours = block.text.starts_with("# /etc/prroute/");
            assert!(!is_ours || block.language == "toml", "{}: {}", page.path, block.text);
            if block.language == "toml" {
                count += 1;
                Config::read_from(Path::new("the block"), block.text.as_bytes())
                    .with_context(|| format!("{}:\n{}", page.path, block.text))?;
            }
        }
    }
    assert!(count > 6, "{count} blocks");
    Ok(())
}
