//! Other programs, and prroute itself, asked for what they print: never for long, and never for too much.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// So long may a program take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is asked whether it has ended.
const POLL: Duration = Duration::from_millis(10);
/// So much of what it prints is read, in bytes.
const MOST: u64 = 256 * 1024;

/// What a program printed, then what it complained of, and how it ended unless that was success.
///
/// # Errors
///
/// A sentence, when it cannot be started.
pub(super) fn output(program: &str, words: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(words).env("LC_ALL", "C").env("NO_COLOR", "1").env("SYSTEMD_COLORS", "0");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("{program} is not installed"),
        _ => format!("run {program}: {error}"),
    })?;
    let limit = Instant::now() + PATIENCE;
    let streams = (child.stdout.take().map(read), child.stderr.take().map(read));
    let end = end(&mut child, limit);
    let said = [streams.0, streams.1].into_iter().flatten().map(|it| text(&it)).chain(end);
    let mut all = String::new();
    for said in said.filter(|said| !said.is_empty()) {
        if !all.is_empty() && !all.ends_with('\n') {
            all.push('\n');
        }
        all.push_str(&said);
    }
    Ok(all)
}

/// Reads while the program writes: it would wait otherwise. One that writes too much finds the pipe
/// closed.
fn read(stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is told.
        drop(stream.take(MOST).read_to_end(&mut bytes));
        // Nobody may wait for it any more.
        drop(sender.send(bytes));
    });
    receiver
}

/// Processes that the program has left behind may hold the stream open.
fn text(stream: &Receiver<Vec<u8>>) -> String {
    let bytes = stream.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for the end; `None`: it was a success.
fn end(child: &mut Child, limit: Instant) -> Option<String> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return None,
            Ok(Some(status)) => return Some(format!("({status})\n")),
            Err(error) => return Some(format!("(wait for it: {error})\n")),
            Ok(None) if Instant::now() < limit => thread::sleep(POLL),
            Ok(None) => {
                // It may have ended just now.
                drop(child.kill().and_then(|()| child.wait()));
                return Some(format!("(stopped after {} s)\n", PATIENCE.as_secs()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_is_told_with_its_end() {
        let said = output("sh", &["-c", "echo one; echo two >&2; exit 3"]);
        assert_eq!(said.as_deref(), Ok("one\ntwo\n(exit status: 3)\n"));
        assert_eq!(output("sh", &["-c", "echo one"]).as_deref(), Ok("one\n"));
    }

    #[test]
    fn a_program_that_is_not_there_is_a_sentence() {
        let said = output("prroute-no-such-program", &[]);
        assert_eq!(said, Err("prroute-no-such-program is not installed".to_owned()));
    }

    #[test]
    fn a_program_that_prints_without_end_is_cut() {
        let said = output("sh", &["-c", "yes"]).unwrap();
        assert!(said.len() as u64 >= MOST && said.len() as u64 <= MOST + 1_000, "{}", said.len());
    }
}
