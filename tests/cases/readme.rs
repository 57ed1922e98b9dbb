//! What the README says about the configuration is so.

use std::path::Path;

use anyhow::{Context, Result};
use prroute::config::Config;
use prroute_tests::{netns, scratch::Scratch};
use serde_json::Value;

/// The block of the README that is fenced as TOML.
fn sample() -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let (_, rest) = text.split_once("```toml\n").context("the README has no TOML")?;
    let (block, _) = rest.split_once("```").context("the TOML does not end")?;
    Ok(block.to_owned())
}

fn load(text: &str) -> Result<Config> {
    let scratch = Scratch::create(&netns::unique_name(), false)?;
    Ok(Config::load(Some(&scratch.write("prroute.toml", text)?))?)
}

#[test]
fn the_sample_is_valid_and_shows_the_defaults() -> Result<()> {
    let shown = load(&sample()?)?;
    assert_eq!(shown.exclude.len(), 1);
    assert_eq!(shown.uplinks.len(), 1);
    // These two have no default that could be shown.
    let rest = Config { exclude: Vec::new(), uplinks: Vec::new(), ..shown };
    assert_eq!(rest, Config::default());
    Ok(())
}

#[test]
fn the_sample_shows_every_key() -> Result<()> {
    let text = sample()?;
    let config = serde_json::to_value(load(&text)?)?;
    let keys =
        |value: &Value| value.as_object().into_iter().flatten().map(|(k, _)| k.clone()).collect();
    let mut all: Vec<String> = keys(&config);
    all.extend::<Vec<String>>(keys(&config["uplink"][0]));
    assert!(all.contains(&"rp-filter".to_owned()), "{all:?}");
    for key in all.iter().filter(|key| *key != "uplink") {
        let shown = text.lines().any(|line| line.starts_with(&format!("{key} = ")));
        assert!(shown, "the README does not show {key}");
    }
    Ok(())
}
