//! Lines to the journal by its socket, with fields: systemd's native journal protocol, of which each
//! message is a datagram.
//!
//! Nothing waits here. The socket is that of all programs of the host: where the journal does not read
//! any more it is soon full, and a daemon that waited for it would follow nothing.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::line::Line;
use super::{priority, say};

const SOCKET: &str = "/run/systemd/journal/socket";
/// What the name of a field begins with.
const PREFIX: &str = "PRROUTE_";

pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// # Errors
    ///
    /// When there is no such socket.
    pub(super) fn open() -> io::Result<Self> {
        Self::at(Path::new(SOCKET))
    }

    fn at(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path: path.to_owned() })
    }

    fn send(&self, level: Level, line: &Line) {
        match self.socket.send_to(&encoded(line, level), &self.path) {
            // It is full.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // Too long for a datagram, or the journal starts anew.
            Err(_) => say(level, &line.message),
            Ok(_) => {}
        }
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.send(*event.metadata().level(), &Line::from(event));
    }
}

fn encoded(line: &Line, level: Level) -> Vec<u8> {
    let mut bytes = Vec::new();
    append(&mut bytes, "PRIORITY", &priority(level).to_string());
    append(&mut bytes, "SYSLOG_IDENTIFIER", "prroute");
    append(&mut bytes, "MESSAGE", &line.message);
    for (name, value) in &line.fields {
        append(&mut bytes, &format!("{PREFIX}{}", name.to_uppercase()), value);
    }
    bytes
}

/// Name, length and value: the form that holds any value.
fn append(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(b'\n');
    bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> Line {
        Line { message: message.to_owned(), fields: vec![("uplink", "eth0".to_owned())] }
    }

    #[test]
    fn a_message_is_fields_of_any_content() {
        let bytes = encoded(&line("a\nb"), Level::WARN);
        let field = |name: &str, value: &str| {
            let length = u64::try_from(value.len()).unwrap().to_le_bytes();
            [name.as_bytes(), b"\n", &length, value.as_bytes(), b"\n"].concat()
        };
        let expected = [
            field("PRIORITY", "4"),
            field("SYSLOG_IDENTIFIER", "prroute"),
            field("MESSAGE", "a\nb"),
            field("PRROUTE_UPLINK", "eth0"),
        ];
        assert_eq!(bytes, expected.concat());
    }

    /// This test ends.
    #[test]
    fn a_journal_that_does_not_read_keeps_nobody_waiting() {
        let path = std::env::temp_dir().join(format!("prroute-journal-{}", std::process::id()));
        drop(std::fs::remove_file(&path));
        assert!(Journal::at(&path).is_err());
        let hung = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::at(&path).unwrap();
        for _ in 0..10_000 {
            journal.send(Level::INFO, &line("a line"));
        }
        let mut first = [0; 256];
        let length = hung.recv(&mut first).unwrap();
        assert_eq!(first[..length], encoded(&line("a line"), Level::INFO));
        std::fs::remove_file(&path).unwrap();
    }
}
