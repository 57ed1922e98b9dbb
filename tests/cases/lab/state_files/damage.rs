//! What becomes of files.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

#[derive(Debug)]
pub(crate) struct Damage {
    pub(crate) name: &'static str,
    /// What the journal says of ranges still matters, and is lost.
    pub(crate) loses_ranges: bool,
    apply: fn(&Path) -> Result<()>,
}

impl Damage {
    pub(crate) fn apply(&self, file: &Path) -> Result<()> {
        (self.apply)(file).with_context(|| format!("{} of {}", self.name, file.display()))
    }
}

const fn damage(name: &'static str, apply: fn(&Path) -> Result<()>) -> Damage {
    Damage { name, loses_ranges: true, apply }
}

/// Of another time or place: what it says is of no use, and nothing of it is left.
const fn elsewhere(name: &'static str, apply: fn(&Path) -> Result<()>) -> Damage {
    Damage { name, loses_ranges: false, apply }
}

pub(crate) const DAMAGES: [Damage; 13] = [
    damage("empty", |file| Ok(fs::write(file, "")?)),
    damage("half", |file| {
        let text = fs::read(file)?;
        Ok(fs::write(file, &text[..text.len() / 2])?)
    }),
    damage("garbage", |file| Ok(fs::write(file, [0xff, 0x00, b'{', 0xfe])?)),
    damage("another type", |file| Ok(fs::write(file, "[1, 2, 3]")?)),
    damage("another version", |file| edit(file, |json| json["schema"] = json!("prroute.state/0"))),
    damage("unknown and missing fields", |file| {
        edit(file, |json| *json = json!({ "schema": json["schema"], "more": 1 }))
    }),
    damage("zeros", |file| Ok(fs::write(file, [0; 4096])?)),
    damage("directory", |file| {
        fs::remove_file(file)?;
        fs::create_dir(file)?;
        Ok(fs::write(file.join("x"), "x")?)
    }),
    damage("fifo", |file| {
        fs::remove_file(file)?;
        Ok(nix::unistd::mkfifo(file, nix::sys::stat::Mode::S_IRUSR)?)
    }),
    damage("device", |file| {
        fs::remove_file(file)?;
        Ok(symlink("/dev/zero", file)?)
    }),
    damage("too long", |file| Ok(File::options().write(true).open(file)?.set_len(1 << 40)?)),
    elsewhere("another boot", |file| {
        edit(file, |json| {
            json["origin"]["boot_id"] = json!("11111111-2222-3333-4444-555555555555");
        })
    }),
    // One that is gone: as long as it is there, every command refuses.
    elsewhere("another namespace", |file| {
        edit(file, |json| json["origin"]["namespace"] = json!("1-1"))
    }),
];

fn edit(file: &Path, change: impl FnOnce(&mut Value)) -> Result<()> {
    let mut json = serde_json::from_slice(&fs::read(file)?)?;
    change(&mut json);
    Ok(fs::write(file, serde_json::to_vec(&json)?)?)
}
