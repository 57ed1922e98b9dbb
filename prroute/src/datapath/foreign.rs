//! What is in the place of our pins and is not ours: refused by name, not used, and not removed.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;

use prroute_common::names;

use crate::datapath::bpf;
use crate::datapath::directory::{self, file_error};
use crate::datapath::error::{DatapathError, Result};
use crate::datapath::pins::{Pins, is_link};

impl Pins {
    /// Looks at every pin of the instance before one of them is used, replaced or removed.
    ///
    /// # Errors
    ///
    /// Names the first that somebody else made or could change, that is no pin, or is a pin of another kind.
    pub fn refuse_foreign(&self) -> Result<()> {
        directory::check(&directory::of_prroute())?;
        directory::check(self.instance())?;
        let mut layouts = self.other_layouts()?;
        layouts.push(self.layout());
        for layout in layouts {
            directory::check(&layout)?;
            for pin in self.entries(&layout)? {
                directory::refuse_foreign(&pin)?;
                refuse_other_kind(&pin)?;
            }
        }
        Ok(())
    }
}

/// Refuses a program in the place of a map, and the like.
fn refuse_other_kind(pin: &Path) -> Result<()> {
    let name = pin.file_name().unwrap_or_default();
    let expected = if is_link(name) {
        "link"
    } else if names::pinned_maps().any(|map| name == map) {
        "map"
    } else {
        return Ok(());
    };
    let kind = match kind(pin) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|error| file_error("open the pin", pin, error))?,
    };
    if kind == expected {
        return Ok(());
    }
    let what = format!("a BPF {kind} is pinned in the place of a {expected}");
    Err(DatapathError::Foreign { path: pin.to_owned(), what })
}

/// What is pinned, by the name of the kernel's anonymous file: `bpf-map`, `bpf-prog`, `bpf-link` or, from
/// the descriptor that a link was made with, `bpf_link`.
fn kind(pin: &Path) -> io::Result<&'static str> {
    let fd = bpf::open_pin(pin)?;
    let file = fs::read_link(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))?;
    let file = file.to_string_lossy();
    let kinds =
        [("bpf-map", "map"), ("bpf-prog", "program"), ("bpf-link", "link"), ("bpf_link", "link")];
    let known = kinds.iter().find(|(suffix, _)| file.ends_with(suffix));
    Ok(known.map_or("object of another kind", |(_, kind)| kind))
}
