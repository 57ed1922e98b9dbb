//! What is in the place of a pin and is not prroute's is refused by name, and left as it is.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use aya::maps::MapData;
use prroute_common::{LAYOUT_VERSION, names};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::OwnSource;
use prroute_tests::prroute::{self, Instance};

use super::Versions;

const NOBODY: u32 = 65534;

/// Something in the place of a pin, and what is said of it.
struct Foreign {
    name: &'static str,
    /// `prroute down` leaves it. A map of ours with another shape goes with the rest.
    stays: bool,
    says: &'static str,
    put: fn(&Path) -> Result<()>,
}

const FOREIGN: [Foreign; 7] = [
    Foreign {
        name: "a symbolic link",
        stays: true,
        says: "symbolic link",
        put: |pin| Ok(symlink("/etc/passwd", pin)?),
    },
    Foreign {
        name: "a directory",
        stays: true,
        says: "directory",
        put: |pin| Ok(fs::create_dir(pin)?),
    },
    Foreign {
        name: "another user's map",
        stays: true,
        says: "belongs to user 65534",
        put: |pin| {
            pin_copy(pin, names::FLOWS4)?;
            Ok(chown(pin, Some(NOBODY), None)?)
        },
    },
    Foreign {
        name: "a map that others may write",
        stays: true,
        says: "mode 0666",
        put: |pin| {
            pin_copy(pin, names::FLOWS4)?;
            Ok(fs::set_permissions(pin, fs::Permissions::from_mode(0o666))?)
        },
    },
    Foreign {
        name: "a link",
        stays: false,
        says: "a BPF link is pinned in the place of a map",
        put: |pin| {
            let links = fs::read_dir(pin.with_file_name(""))?.flatten().map(|entry| entry.path());
            let is_link = |path: &std::path::PathBuf| {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("link-"))
            };
            let mut links: Vec<_> = links.filter(is_link).collect();
            fs::rename(links.pop().context("no link is pinned")?, pin)?;
            Ok(())
        },
    },
    Foreign {
        name: "a map of another type",
        stays: false,
        says: "type is",
        put: |pin| pin_copy(pin, names::COUNTERS),
    },
    Foreign {
        name: "a map with other values",
        stays: false,
        says: "key size is",
        put: |pin| pin_copy(pin, names::FLOWS6),
    },
];

/// Pins the map that stands aside, or another one beside `pin`, at `pin`.
fn pin_copy(pin: &Path, name: &str) -> Result<()> {
    let aside = pin.with_file_name(format!("{name}_aside"));
    let source = if aside.exists() { aside } else { pin.with_file_name(name) };
    Ok(MapData::from_pin(source)?.pin(pin)?)
}

/// Who owns it, its mode and its inode: whether it is what it was.
fn state(path: &Path) -> Result<(u32, u32, u64)> {
    let metadata = fs::symlink_metadata(path).with_context(|| path.display().to_string())?;
    Ok((metadata.uid(), metadata.mode(), metadata.ino()))
}

fn expect_refused(instance: &Instance<'_>, pin: &Path, says: &str) -> Result<()> {
    let before = state(pin)?;
    let output = instance.output(&["run"])?;
    let said = output.stderr;
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    for word in [&pin.display().to_string(), says] {
        ensure!(said.contains(word), "nothing about {word:?} in:\n{said}");
    }
    ensure!(state(pin)? == before, "it is another one now");
    Ok(())
}

#[test]
fn what_is_not_prroutes_is_refused_by_name_and_left_as_it_is() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let Versions { this, other } = Versions::of(&lab, "attach = \"tcx\"\n", OwnSource::Rules)?;
    let layout = prroute::pins(lab.name()).join(format!("v{LAYOUT_VERSION}"));
    let pin = layout.join(names::FLOWS4);
    let aside = layout.join(format!("{}_aside", names::FLOWS4));
    for Foreign { name, stays, says, put } in FOREIGN {
        this.run(&[])?.terminate()?;
        fs::rename(&pin, &aside)?;
        put(&pin).context(name)?;
        expect_refused(&this, &pin, says).context(name)?;
        let down = this.output(&["down"])?;
        ensure!(down.status.success() != stays, "{name}: {}\n{}", down.status, down.stderr);
        if stays {
            let path = pin.display().to_string();
            ensure!(down.stderr.contains(&path), "{name}: named:\n{}", down.stderr);
            ensure!(fs::symlink_metadata(&pin).is_ok(), "{name}: `down` leaves it");
            if pin.is_dir() {
                fs::remove_dir(&pin)?;
            } else {
                fs::remove_file(&pin)?;
            }
            this.down()?;
        }
        ensure!(!prroute::pins(lab.name()).exists(), "{name}: nothing is left");
    }
    // Likewise where another version's pins are to be taken over.
    this.run(&[])?.terminate()?;
    chown(&pin, Some(NOBODY), None)?;
    expect_refused(&other, &pin, "belongs to user 65534").context("of another version")?;
    chown(&pin, Some(0), None)?;
    other.run(&[])?.terminate()?;
    other.down()?;
    Ok(())
}
