//! What the packages are made of: their lists of files, their scripts, the manual pages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ::prroute::managers::networkd::DROP_IN;
use anyhow::{Context, Result};
use prroute_tests::{command, netns, prroute, scratch::Scratch};
use toml::Value;

/// What `cargo xtask package` makes before the packages.
const GENERATED: &str = "target/package/stage/";

/// A file of a package: where it comes from, seen from the root of the repository, and where it goes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asset {
    pub(crate) source: String,
    pub(crate) destination: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(root().join(path)).with_context(|| format!("read {path}"))
}

fn metadata(package: &str) -> Result<Value> {
    let manifest: Value = toml::from_str(&read("prroute/Cargo.toml")?)?;
    Ok(manifest["package"]["metadata"][package].clone())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(crate) fn assets(package: &str) -> Result<BTreeSet<Asset>> {
    let metadata = metadata(package)?;
    let list = metadata["assets"].as_array().context("no assets")?;
    let asset = |entry: &Value| match entry {
        // cargo-deb's paths are relative to the folder of the crate.
        Value::Array(words) => {
            let source = text(&words[0]);
            let source = match source.strip_prefix("../") {
                Some(below_root) => below_root.to_owned(),
                None if source.starts_with("target/") => source,
                None => format!("prroute/{source}"),
            };
            Asset { source, destination: text(&words[1]) }
        }
        entry => Asset {
            source: text(&entry["source"]),
            destination: text(&entry["dest"]).trim_start_matches('/').to_owned(),
        },
    };
    Ok(list.iter().map(asset).collect())
}

/// The files that an asset's source stands for: one, or all of a folder that end alike.
pub(crate) fn files(source: &str) -> Result<Vec<String>> {
    let Some((folder, end)) = source.split_once('*') else { return Ok(vec![source.to_owned()]) };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join(folder)).with_context(|| format!("read {folder}"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        found.extend(name.ends_with(end).then(|| format!("{folder}{name}")));
    }
    Ok(found)
}

#[test]
fn every_file_of_the_packages_is_there() -> Result<()> {
    for asset in assets("deb")?.iter().chain(&assets("generate-rpm")?) {
        let source = &asset.source;
        if source.starts_with(GENERATED) || source == "target/release/prroute" {
            continue;
        }
        let files = files(source)?;
        assert!(!files.is_empty(), "{source}");
        assert!(files.iter().all(|file| root().join(file).is_file()), "{files:?}");
    }
    Ok(())
}

/// Below one folder as here, so that they find one another.
#[test]
fn the_whole_book_is_packaged() -> Result<()> {
    for package in ["deb", "generate-rpm"] {
        let mut packaged = BTreeSet::new();
        let mut assets = assets(package)?;
        assets.retain(|asset| asset.source.starts_with("docs/"));
        for Asset { source, destination } in assets {
            let folder = source.rsplit_once('/').context("no folder")?.0;
            assert_eq!(destination, format!("usr/share/doc/prroute/{folder}/"), "{source}");
            packaged.extend(files(&source)?);
        }
        let mut folders = vec!["docs".to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(root().join(&folder))? {
                let entry = entry?;
                let file = format!("{folder}/{}", entry.file_name().to_string_lossy());
                if entry.file_type()?.is_dir() {
                    folders.push(file);
                } else if file != "docs/book.toml" {
                    assert!(packaged.contains(&file), "{package} lacks {file}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn both_packages_have_the_same_files_but_for_what_one_kind_of_distribution_has_alone() -> Result<()>
{
    let (deb, rpm) = (assets("deb")?, assets("generate-rpm")?);
    let only = |one: &BTreeSet<Asset>, other: &BTreeSet<Asset>| -> Vec<String> {
        one.difference(other).map(|asset| asset.destination.clone()).collect()
    };
    assert_eq!(
        only(&deb, &rpm),
        [
            "usr/share/zsh/vendor-completions/_prroute",
            "usr/share/doc/prroute/copyright",
            "usr/share/lintian/overrides/prroute",
        ]
    );
    assert_eq!(
        only(&rpm, &deb),
        [
            "usr/share/licenses/prroute/LICENSE-APACHE",
            "usr/share/licenses/prroute/LICENSE-MIT",
            "usr/share/zsh/site-functions/_prroute",
        ]
    );
    Ok(())
}

#[test]
fn every_unit_is_packaged() -> Result<()> {
    let packaged = assets("deb")?;
    for entry in std::fs::read_dir(root().join("packaging"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_unit = [".service", ".socket", ".timer"].iter().any(|end| name.ends_with(end));
        let source = format!("packaging/{name}");
        assert!(!is_unit || packaged.iter().any(|asset| asset.source == source), "{name}");
    }
    Ok(())
}

/// Else the first boot of an image with the package would start them.
#[test]
fn a_preset_leaves_every_unit_disabled() -> Result<()> {
    let presets = read("packaging/98-prroute.preset")?;
    let disabled = |unit: &str| presets.lines().any(|line| line == format!("disable {unit}"));
    let mut units = 0;
    for Asset { source, destination } in assets("deb")? {
        let Some(unit) = destination.strip_prefix("usr/lib/systemd/system/") else { continue };
        if read(&source)?.contains("\n[Install]\n") {
            units += 1;
            assert!(disabled(unit), "{unit}: {presets}");
        }
    }
    assert_eq!(presets.lines().filter(|line| line.starts_with("disable ")).count(), units);
    Ok(())
}

/// So that `prroute import > /etc/prroute/conf.d/50-import.toml` finds a folder. Neither packager makes an empty one.
#[test]
fn the_folder_of_the_configuration_is_packaged() -> Result<()> {
    for package in ["deb", "generate-rpm"] {
        let assets = assets(package)?;
        let is_there = |asset: &Asset| asset.destination == "etc/prroute/conf.d/README";
        assert!(assets.iter().any(is_there), "{package}");
    }
    // A file of /etc that an upgrade does not replace where it was changed.
    let deb = metadata("deb")?;
    let listed = deb["conf-files"].as_array().context("no conf-files")?;
    let listed: BTreeSet<String> = listed.iter().map(text).collect();
    let below_etc = assets("deb")?.into_iter().map(|asset| format!("/{}", asset.destination));
    let below_etc: BTreeSet<String> = below_etc.filter(|path| path.starts_with("/etc/")).collect();
    assert_eq!(listed, below_etc);
    Ok(())
}

#[test]
fn the_readme_says_what_the_package_depends_on() -> Result<()> {
    let depends = text(&metadata("deb")?["depends"]);
    let (_, rest) = depends.split_once("libc6 (>= ").context("the package names no C library")?;
    let version = rest.split(')').next().unwrap_or_default();
    let readme = read("README.md")?;
    assert!(readme.contains(&format!("C library of {version} or later")), "{depends}");
    Ok(())
}

/// A tar has directories too, with owner and mode, and a directory of it takes the place of a link.
#[test]
fn the_tar_is_unpacked_without_a_change_to_directories() -> Result<()> {
    let readme = read("README.md")?;
    let commands = readme.lines().filter(|line| line.contains("tar -C /"));
    let commands: Vec<&str> = commands.collect();
    assert!(!commands.is_empty());
    for option in ["--no-overwrite-dir", "--keep-directory-symlink", "--strip-components=1"] {
        assert!(commands.iter().all(|command| command.contains(option)), "{commands:?}");
    }
    Ok(())
}

#[test]
fn the_scripts_of_the_packages_are_sound() -> Result<()> {
    let mut scripts: Vec<String> = Vec::new();
    for folder in ["packaging/debian", "packaging/rpm"] {
        for entry in std::fs::read_dir(root().join(folder))? {
            let path = entry?.path();
            let is_script = match path.extension() {
                Some(end) => end == "sh",
                None => std::fs::read_to_string(&path)?.starts_with("#!/bin/sh\n"),
            };
            scripts.extend(is_script.then(|| path.display().to_string()));
        }
    }
    assert_eq!(scripts.len(), 6, "{scripts:?}");
    for script in &scripts {
        command::run(&["sh", "-n", script])?;
        command::run(&["shellcheck", "--shell=sh", script])?;
    }
    Ok(())
}

#[test]
fn the_manual_pages_are_complete_and_formatters_find_nothing_wrong() -> Result<()> {
    let scratch = Scratch::create(&netns::unique_name(), false)?;
    let pages = prroute_man::pages("2026-01-31");
    let names: Vec<&str> = pages.iter().map(|page| page.file.as_str()).collect();
    for name in ["prroute.8", "prroute-status.8", "prroute-export-rules.8", "prroute.toml.5"] {
        assert!(names.contains(&name), "{names:?}");
    }
    for page in &pages {
        let file = scratch.write(&page.file, &page.text)?.display().to_string();
        command::run(&["mandoc", "-T", "lint", "-W", "warning", &file])?;
        let words =
            ["man", "--warnings=w", "--local-file", "--troff-device=utf8", "--ditroff", &file];
        let formatted = command::output(&mut command::command(&words)?)?;
        assert_eq!(formatted.stderr, "", "{}", page.file);
        let printed = command::run(&["mandoc", "-T", "ascii", "-O", "width=80", &file])?;
        // Bold is a letter printed twice.
        let width = |line: &str| line.chars().count() - 2 * line.matches('\u{8}').count();
        let widest = printed.lines().max_by_key(|line| width(line)).unwrap_or_default();
        assert!(width(widest) <= 80, "{}: {widest}", page.file);
    }
    Ok(())
}

#[test]
fn the_page_of_the_configuration_has_every_key() -> Result<()> {
    let pages = prroute_man::pages("2026-01-31");
    let page = pages.iter().find(|page| page.file == "prroute.toml.5").context("no page")?;
    let keys = ::prroute::config::SAMPLE.lines().filter_map(|line| {
        let (key, _) = line.trim_start_matches('#').split_once(" = ")?;
        (!key.contains(' ')).then_some(key)
    });
    let keys: Vec<&str> = keys.collect();
    assert!(keys.contains(&"mode") && keys.contains(&"mac"), "{keys:?}");
    for key in keys {
        let entry = format!("\\fB{} = ", key.replace('-', "\\-"));
        assert!(page.text.contains(&entry), "no {entry} in the page");
    }
    Ok(())
}

#[test]
fn the_changelog_of_the_package_is_of_this_version() -> Result<()> {
    let changelog = read("packaging/debian/changelog")?;
    let version = env!("CARGO_PKG_VERSION");
    let revision = text(&metadata("deb")?["revision"]);
    let first = format!("prroute ({version}-{revision}) ");
    assert!(changelog.starts_with(&first), "{changelog}");
    Ok(())
}

#[test]
fn a_purge_removes_the_file_that_setup_networkd_writes_and_the_rpm_names_it() -> Result<()> {
    for script in ["packaging/debian/postrm", "packaging/rpm/preun.sh"] {
        assert!(read(script)?.contains(DROP_IN), "{script}");
    }
    Ok(())
}

/// As the shells load them, with the program under test on the search path.
#[test]
fn the_completions_that_are_installed_are_those_of_the_program() -> Result<()> {
    let program = prroute::binary()?;
    let path = format!(
        "PATH={}:{}",
        program.parent().context("no folder")?.display(),
        std::env::var("PATH")?
    );
    let folder = root().join("packaging/completions").display().to_string();
    let bash = format!(
        "source {folder}/prroute.bash; COMP_WORDS=(prroute stat); COMP_CWORD=1; COMP_TYPE=9; \
         _clap_complete_prroute prroute stat; echo \"${{COMPREPLY[@]}}\""
    );
    let zsh = format!(
        "compdef() {{}}; _describe() {{ print -rl -- ${{(P)${{@[-1]}}}} }}; \
         fpath=({folder} $fpath); autoload -Uz _prroute; words=(prroute stat); CURRENT=2; _prroute"
    );
    let fish = format!("source {folder}/prroute.fish; complete --do-complete 'prroute stat'");
    let shells: [&[&str]; 3] = [
        &["env", &path, "bash", "-c", &bash],
        &["env", &path, "zsh", "-f", "-c", &zsh],
        &["env", &path, "fish", "--no-config", "-c", &fish],
    ];
    for shell in shells {
        let proposed = command::run(shell)?;
        assert!(proposed.trim().starts_with("status"), "{shell:?}: {proposed}");
    }
    Ok(())
}
