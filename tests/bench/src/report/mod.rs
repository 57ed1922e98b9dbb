//! What was found: as text of at most 100 columns for people, as JSON for programs.

mod number;
mod targets;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use self::number::{added, grouped};
use crate::results::{Contestant, Machine, Measurement, Memory, Results};

/// Below this many, tenths of a unit are worth a column.
const SMALL: f64 = 1000.0;

/// Prints one measurement, when it is done.
pub(crate) fn show(measurement: &Measurement) {
    print!("\n{}", of_measurement(measurement));
}

/// Prints what all measurements together say.
pub(crate) fn show_summary(results: &Results) {
    if !results.memory.is_empty() {
        print!("\nMemory\n{}", results.memory.iter().map(of_memory).collect::<String>());
    }
    print!("\n{}\n{}", targets::table(&results.targets), of_machine(&results.machine));
    if results.quick {
        println!("A quick run: it shows that the bench works; its figures are not to be quoted.");
    }
}

/// Writes everything that was found, the raw samples included.
pub(crate) fn write_json(results: &impl Serialize, path: &Path) -> Result<()> {
    let write = || -> Result<()> {
        // Where everything is built elsewhere, nobody has made `target`.
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = BufWriter::new(File::create(path)?);
        serde_json::to_writer(&mut file, results)?;
        file.write_all(b"\n")?;
        Ok(file.flush()?)
    };
    write().with_context(|| format!("write {}", path.display()))
}

fn of_measurement(measurement: &Measurement) -> String {
    let Measurement { name, title, unit, baseline, batch, contestants } = measurement;
    let base = contestants.iter().find(|contestant| contestant.name == *baseline);
    let time = base.map_or(f64::NAN, |base| base.time.median);
    let rounds = base.map_or(0, |base| base.samples.len());
    let decimals = usize::from(time < SMALL);
    let mut text = format!("{title}\n  {name}, {unit}; {rounds} rounds of {batch}\n");
    text += &format!("  {:<27}{:>11}{:>22}{:>22}\n", "", "added", "95 % interval", "quartiles");
    text += &format!("  {baseline:<27}{:>11}  takes this\n", grouped(time, decimals));
    let others = contestants.iter().filter(|contestant| contestant.name != *baseline);
    text + &others.map(|contestant| of_contestant(contestant, decimals)).collect::<String>()
}

fn of_contestant(contestant: &Contestant, decimals: usize) -> String {
    let Contestant { name, added: Some(found), .. } = contestant else { return String::new() };
    let range = |low, high| format!("{} to {}", added(low, decimals), added(high, decimals));
    let ([low, high], spread) = (found.confidence, found.spread);
    let median = added(spread.median, decimals);
    let quartiles = range(spread.lower_quartile, spread.upper_quartile);
    let doubt = if found.resolved { "" } else { "  not resolved" };
    format!("  {name:<27}{median:>11}{:>22}{quartiles:>22}{doubt}\n", range(low, high))
}

fn of_memory(memory: &Memory) -> String {
    format!("  {:<28}{:>12} bytes\n", memory.name, grouped(memory.bytes, 0))
}

fn of_machine(machine: &Machine) -> String {
    let Machine { version, kernel, cpu, cpus, pinned_to, steal_percent, .. } = machine;
    let kind = if machine.virtualised { ", virtual" } else { "" };
    let real_time = if machine.real_time { "real-time priority" } else { "no real-time priority" };
    let gibibytes = machine.memory / f64::from(1 << 30);
    format!(
        "{version}, Linux {kernel}; {cpu}\n\
         {cpus} CPUs, {gibibytes:.0} GiB{kind}; on CPU {pinned_to}, {real_time}, {steal_percent:.3} % steal\n"
    )
}

#[cfg(test)]
mod tests {
    use super::{of_measurement, write_json};
    use crate::contestants;
    use crate::results::{Contestant, Measurement};
    use crate::statistics;

    /// Minutes after the start, when all is measured.
    #[test]
    fn the_folder_of_the_file_is_made() {
        let folder = std::env::temp_dir().join(format!("prroute-bench-{}", std::process::id()));
        let file = folder.join("target/figures.json");
        write_json(&[1, 2], &file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "[1,2]\n");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn lines_are_at_most_100_columns_wide() {
        let base: Vec<f64> = (0..50).map(|round| 123_456.0 + f64::from(round)).collect();
        let contestants = contestants::ALL.into_iter().map(|variant| {
            let is_baseline = variant == contestants::SOURCE_RULES;
            let samples: Vec<f64> = base.iter().map(|time| time - 12_345.6).collect();
            Contestant {
                name: variant.name.to_owned(),
                time: statistics::spread(&base),
                added: (!is_baseline).then(|| statistics::added(&samples, &base)),
                samples: base.clone(),
            }
        });
        let text = of_measurement(&Measurement {
            name: "container-tcp-stream-ipv4".to_owned(),
            title: "TCP stream".to_owned(),
            unit: "ns per MiB".to_owned(),
            baseline: "source-rules".to_owned(),
            batch: 512,
            contestants: contestants.collect(),
        });
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert_eq!(text.lines().count(), 3 + contestants::ALL.len());
        assert!(
            text.contains("prroute                        -12,346    -12,346 to -12,346"),
            "{text}"
        );
    }
}
