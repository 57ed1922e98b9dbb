//! The configuration's page shows every key, with its default.

use ::prroute::config::Config;
use anyhow::{Context, Result, bail};
use prroute_tests::{netns, scratch::Scratch};
use serde_json::Value;

use crate::book::Page;

/// The block of the page that is fenced as TOML.
fn sample() -> Result<String> {
    let blocks = Page::read("docs/configuration.md")?.blocks;
    let block = blocks.into_iter().find(|block| block.language == "toml");
    Ok(block.context("the page has no TOML")?.text)
}

fn load(text: &str) -> Result<Config> {
    let scratch = Scratch::create(&netns::unique_name(), false)?;
    Ok(Config::load(Some(&scratch.write("prroute.toml", text)?))?)
}

#[test]
fn the_sample_is_valid_and_shows_the_defaults() -> Result<()> {
    let shown = load(&sample()?)?;
    assert_eq!(shown.exclude.len(), 1);
    let [uplink] = &shown.uplinks[..] else { bail!("not one uplink: {:?}", shown.uplinks) };
    assert_eq!((uplink.gateways.len(), uplink.to.len()), (1, 1));
    assert!(shown.flows.is_some());
    // These three have no default that could be shown.
    let rest = Config { exclude: Vec::new(), uplinks: Vec::new(), flows: None, ..shown };
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
        let sign = if key == "rule-priority" { "#" } else { "" };
        let shown = text.lines().any(|line| line.starts_with(&format!("{sign}{key} = ")));
        assert!(shown, "the page does not show {key}");
    }
    Ok(())
}
