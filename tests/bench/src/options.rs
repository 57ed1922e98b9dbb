//! The command line: what is measured, with whom, and how long.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use crate::contestants::{self, Build, OwnSource, Variant};
use crate::rounds::Effort;

/// Measures prroute against its alternatives
#[derive(Clone, Debug, Parser)]
pub(crate) struct Options {
    /// Few rounds: shows that everything works; the figures mean little
    #[arg(long)]
    pub(crate) quick: bool,
    /// Write all results, with every sample, to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Only these contestants, beside the baseline of each measurement
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    only: Vec<String>,
    /// All contestants but these
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    without: Vec<String>,
    /// Another build of prroute, measured as prroute-before
    #[arg(long, env = "PRROUTE_BEFORE", value_name = "FILE")]
    pub(crate) before: Option<PathBuf>,
    /// Measure only what has one of these in its name
    filter: Vec<String>,
}

const THOROUGH: Effort = Effort { rounds: 400, turn: Duration::from_millis(2) };
const QUICK: Effort = Effort { rounds: 15, turn: Duration::from_millis(1) };

/// Programs alone are less disturbed.
const THOROUGH_PROGRAMS: Effort = Effort { rounds: 150, turn: Duration::from_millis(1) };

impl Options {
    /// From the command line; what it names exists.
    pub(crate) fn read() -> Result<Self> {
        let options = Self::parse();
        options.check()?;
        Ok(options)
    }

    fn check(&self) -> Result<()> {
        for name in self.only.iter().chain(&self.without) {
            ensure!(
                contestants::ALL.iter().any(|variant| variant.name == name),
                "there is no contestant {name}; there are {}",
                contestants::ALL.map(|variant| variant.name).join(", ")
            );
        }
        match &self.before {
            Some(before) => {
                ensure!(before.is_file(), "PRROUTE_BEFORE: {} is no file", before.display());
            }
            None => ensure!(
                !self.only.iter().any(|name| name.ends_with("-before")),
                "PRROUTE_BEFORE names no build for {}",
                self.only.join(",")
            ),
        }
        Ok(())
    }

    pub(crate) fn wants(&self, measurement: &str) -> bool {
        self.filter.is_empty() || self.filter.iter().any(|part| measurement.contains(part.as_str()))
    }

    /// Whether a contestant takes part where it is no baseline.
    pub(crate) fn takes(&self, variant: Variant) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name == variant.name);
        let is_there = match variant.prroute() {
            Some(prroute) if prroute.build == Build::Before => {
                let by_rules = prroute.own_source == OwnSource::Rules;
                self.before.is_some() && (by_rules || named(&self.only))
            }
            _ => true,
        };
        is_there && (self.only.is_empty() || named(&self.only)) && !named(&self.without)
    }

    pub(crate) fn effort(&self) -> Effort {
        if self.quick { QUICK } else { THOROUGH }
    }

    pub(crate) fn effort_of_programs(&self) -> Effort {
        if self.quick { QUICK } else { THOROUGH_PROGRAMS }
    }

    /// The build of prroute that `build` stands for.
    pub(crate) fn binary(&self, build: Build) -> Result<PathBuf> {
        match build {
            Build::UnderTest => prroute_tests::prroute::binary(),
            Build::Before => {
                let before = self.before.as_ref().context("PRROUTE_BEFORE names no build")?;
                std::path::absolute(before)
                    .with_context(|| format!("find the directory of {}", before.display()))
            }
        }
    }

    /// The command that repeats this run.
    pub(crate) fn command(&self) -> String {
        let mut command = String::from("cargo xtask bench");
        if self.quick {
            command += " --quick";
        }
        for (option, names) in [("--only", &self.only), ("--without", &self.without)] {
            if !names.is_empty() {
                command += &format!(" {option} {}", names.join(","));
            }
        }
        if !self.filter.is_empty() {
            command += &format!(" -- {}", self.filter.join(" "));
        }
        match &self.before {
            Some(before) => format!("PRROUTE_BEFORE={} {command}", before.display()),
            None => command,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::Options;
    use crate::contestants::{
        self, PRROUTE, PRROUTE_BEFORE, PRROUTE_DATAPATH, PRROUTE_DATAPATH_BEFORE,
    };

    fn options(words: &[&str]) -> Options {
        Options::parse_from([&["bench"], words].concat())
    }

    fn taken(words: &[&str]) -> Vec<&'static str> {
        let options = options(words);
        let taken = contestants::PRROUTES.into_iter().filter(|variant| options.takes(*variant));
        taken.map(|variant| variant.name).collect()
    }

    #[test]
    fn contestants_are_chosen_by_name() {
        assert_eq!(taken(&[]), [PRROUTE.name, PRROUTE_DATAPATH.name]);
        assert_eq!(taken(&["--only", "prroute,ct-mark"]), [PRROUTE.name]);
        assert_eq!(taken(&["--without", "prroute-datapath"]), [PRROUTE.name]);
        assert!(options(&["--only", "prroute,typo"]).check().is_err());
    }

    #[test]
    fn another_build_takes_part_when_there_is_one() {
        let before = ["--before", "/bin/sh"];
        assert!(taken(&before).contains(&PRROUTE_BEFORE.name));
        assert!(options(&["--only", "prroute-before"]).check().is_err());
        // Builds that do not know the mode exist: it has to be asked for.
        assert!(!taken(&before).contains(&PRROUTE_DATAPATH_BEFORE.name));
        let asked = [&before[..], &["--only", "prroute-datapath-before"]].concat();
        assert_eq!(taken(&asked), [PRROUTE_DATAPATH_BEFORE.name]);
        assert!(options(&["--before", "/nonexistent"]).check().is_err());
    }

    #[test]
    fn the_command_of_a_run_repeats_it() {
        let words = ["--quick", "--only", "prroute,nothing", "udp", "tcp"];
        assert_eq!(
            options(&words).command(),
            "cargo xtask bench --quick --only prroute,nothing -- udp tcp"
        );
    }
}
