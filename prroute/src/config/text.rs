//! The text of a configuration file: of a regular file, of bounded size, without waiting.

use std::fs::{self, File, FileType};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::libc::{O_NOCTTY, O_NONBLOCK};
use nix::sys::stat::makedev;

use super::error::{Mistake, line_of};

/// Bytes. The largest number of destinations takes a third of it.
const MAX_SIZE: usize = 1 << 20;

/// Reads a file; what a link leads to counts, and `/dev/null` is an empty file.
///
/// # Errors
///
/// Names the file. What may block or never end (a FIFO, a device) is not opened.
pub(super) fn read(path: &Path) -> Result<String, Mistake> {
    let failed = |source| Mistake::Read { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.file_type().is_char_device() && metadata.rdev() == makedev(1, 3) {
        return Ok(String::new());
    }
    // Another file may come into its place between the two.
    match open(path, metadata.file_type()).map_err(failed)? {
        (Some(file), _) => read_from(path, file),
        (None, kind) => {
            let message = format!("is {}, not a regular file", name_of(kind));
            Err(invalid(path, None, message))
        }
    }
}

/// Reads what is to be called `path`, to its end.
///
/// # Errors
///
/// When it cannot be read, is too large or is no text.
pub(super) fn read_from(path: &Path, text: impl io::Read) -> Result<String, Mistake> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_SIZE).unwrap_or(u64::MAX).saturating_add(1);
    let read = text.take(limit).read_to_end(&mut bytes);
    read.map_err(|source| Mistake::Read { path: path.to_owned(), source })?;
    if bytes.len() > MAX_SIZE {
        return Err(invalid(path, None, format!("is larger than {} KiB", MAX_SIZE >> 10)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..at]);
        let message = format!("byte 0x{:02x} is not UTF-8", error.as_bytes()[at]);
        invalid(path, Some(line_of(&before, at)), message)
    })
}

fn invalid(path: &Path, line: Option<usize>, message: String) -> Mistake {
    Mistake::Invalid { path: path.to_owned(), line, key: None, message }
}

/// The file when it is a regular one; and what it is.
fn open(path: &Path, kind: FileType) -> io::Result<(Option<File>, FileType)> {
    if !kind.is_file() {
        return Ok((None, kind));
    }
    let file = File::options().read(true).custom_flags(O_NONBLOCK | O_NOCTTY).open(path)?;
    let kind = file.metadata()?.file_type();
    Ok((kind.is_file().then_some(file), kind))
}

fn name_of(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::super::{Config, Directories};
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = format!("prroute-text-{name}-{}", std::process::id());
            let folder = std::env::temp_dir().join(folder);
            fs::create_dir_all(folder.join("conf.d")).unwrap();
            Self(folder)
        }

        fn drop_in(&self) -> PathBuf {
            self.0.join("conf.d/50-odd.toml")
        }

        /// What is said of the drop-in, also where it is asked for by name.
        fn complaint(&self) -> String {
            let began = Instant::now();
            let listed = Config::load_from(&Directories::new([self.0.clone()])).unwrap_err();
            let named = Config::load(Some(&self.drop_in())).unwrap_err();
            assert!(began.elapsed() < Duration::from_secs(2), "it waited");
            let file = self.drop_in().display().to_string();
            let said = listed.to_string();
            assert_eq!(said, named.to_string());
            said.replace(&file, "FILE")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn only_a_regular_file_is_a_configuration() {
        let folder = Folder::new("kind");
        let file = folder.drop_in();
        mkfifo(&file, Mode::S_IRWXU).unwrap();
        assert_eq!(folder.complaint(), "FILE: is a FIFO, not a regular file");
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
        assert_eq!(folder.complaint(), "FILE: is a device, not a regular file");
        fs::remove_file(&file).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(&file).unwrap();
        assert_eq!(folder.complaint(), "FILE: is a socket, not a regular file");
        drop(socket);
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(folder.complaint(), "FILE: is a directory, not a regular file");
        fs::remove_dir(&file).unwrap();
        std::os::unix::fs::symlink("/dev/null", &file).unwrap();
        assert_eq!(read(&file).unwrap(), "");
    }

    #[test]
    fn what_is_no_text_or_too_large_is_refused() {
        let folder = Folder::new("text");
        let file = folder.drop_in();
        fs::write(&file, b"# \xc3\xa9t\xc3\xa9\n# \xe9t\xe9\n").unwrap();
        assert_eq!(folder.complaint(), "FILE:2: byte 0xe9 is not UTF-8");
        fs::write(&file, vec![b'\n'; MAX_SIZE + 1]).unwrap();
        assert_eq!(folder.complaint(), "FILE: is larger than 1024 KiB");
        fs::write(&file, vec![b'\n'; MAX_SIZE]).unwrap();
        assert_eq!(read(&file).unwrap().len(), MAX_SIZE);
    }
}
