//! The packets that wait for a CPU (`net.core.netdev_max_backlog`): one queue for all namespaces, which floods of one
//! lab fill while another one counts what it lost.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

const SYSCTL: &str = "/proc/sys/net/core/netdev_max_backlog";

/// The kernel drops what is beyond its 1,000.
const PACKETS: u32 = 20_000;

/// A longer queue, until it is dropped.
#[derive(Debug)]
pub(crate) struct Backlog {
    file: PathBuf,
    before: u32,
}

impl Backlog {
    /// None where the queue is as long already, or is not this machine's to change (a container).
    pub(crate) fn lengthen() -> Result<Option<Self>> {
        Self::lengthen_at(Path::new(SYSCTL))
    }

    fn lengthen_at(file: &Path) -> Result<Option<Self>> {
        let Ok(before) = fs::read_to_string(file) else { return Ok(None) };
        let before = before.trim().parse().with_context(|| format!("parse {}", file.display()))?;
        if before >= PACKETS {
            return Ok(None);
        }
        match fs::write(file, PACKETS.to_string()) {
            Ok(()) => Ok(Some(Self { file: file.to_owned(), before })),
            Err(error) => {
                eprintln!("{} stays at {before}: {error}", file.display());
                Ok(None)
            }
        }
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        let now = fs::read_to_string(&self.file).unwrap_or_default();
        // Somebody else has set it meanwhile.
        if now.trim() != PACKETS.to_string() {
            return;
        }
        if let Err(error) = fs::write(&self.file, self.before.to_string()) {
            eprintln!("set {} back to {}: {error}", self.file.display(), self.before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Backlog;

    /// What the file says while it is lengthened, and afterwards.
    fn lengthened(before: &str, meanwhile: Option<&str>) -> (String, String) {
        let name =
            format!("prroute-backlog-{}-{before}-{}", std::process::id(), meanwhile.is_some());
        let file = std::env::temp_dir().join(name);
        let read = || std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{before}\n")).unwrap();
        let backlog = Backlog::lengthen_at(&file).unwrap();
        let during = read();
        if let Some(value) = meanwhile {
            std::fs::write(&file, value).unwrap();
        }
        drop(backlog);
        let after = read();
        std::fs::remove_file(&file).unwrap();
        (during, after)
    }

    #[test]
    fn the_queue_is_lengthened_and_put_back() {
        assert_eq!(lengthened("1000", None), ("20000".to_owned(), "1000".to_owned()));
        assert_eq!(lengthened("30000", None), ("30000\n".to_owned(), "30000\n".to_owned()));
        let by_others = lengthened("1000", Some("4000\n"));
        assert_eq!(by_others, ("20000".to_owned(), "4000\n".to_owned()));
        let none = std::env::temp_dir().join("prroute-backlog-of-nobody");
        assert!(Backlog::lengthen_at(&none).unwrap().is_none());
    }
}
