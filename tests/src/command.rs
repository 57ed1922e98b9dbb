//! Commands that end: run with a deadline, and keep what is needed to run them again by hand.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::wait;

/// No command of the lab needs longer; one that does hangs.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// What a command did.
#[derive(Debug)]
pub struct Output {
    /// The command as it can be pasted into a shell.
    pub command: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Standard output, or an error that shows the whole run when the exit code is not 0.
    pub fn success(self) -> Result<String> {
        if !self.status.success() {
            bail!("{}: {}\n{}{}", self.command, self.status, self.stdout, self.stderr);
        }
        Ok(self.stdout)
    }
}

/// Runs `command` with the default deadline.
pub fn output(command: &mut Command) -> Result<Output> {
    output_within(command, DEADLINE, "")
}

/// Runs `command`, feeds it `input`, and kills it, with what it started, after `deadline`.
pub fn output_within(command: &mut Command, deadline: Duration, input: &str) -> Result<Output> {
    let line = command_line(command);
    let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
    // A group of its own: Ctrl-C is for us, and taking the lab down needs commands to work.
    let mut child = command
        .process_group(0)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {line}"))?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    // Beside it: a program that hangs takes no input either.
    let writer = child.stdin.take().map(|mut pipe| {
        let input = input.to_owned();
        std::thread::spawn(move || pipe.write_all(input.as_bytes()))
    });
    let status = wait_or_kill(&mut child, deadline).with_context(|| line.clone())?;
    let (stdout, stderr) = (collect(stdout)?, collect(stderr)?);
    if let Some(writer) = writer {
        let Ok(written) = writer.join() else { bail!("the thread that writes to a pipe panicked") };
        // Who fails tells why, and need not have read all.
        if status.success() {
            written.with_context(|| format!("write to {line}"))?;
        }
    }
    Ok(Output { command: line, status, stdout, stderr })
}

/// Runs a program of the outer namespace; its standard output, or an error.
pub fn run(argv: &[&str]) -> Result<String> {
    output(&mut command(argv)?)?.success()
}

/// A command from its words.
pub fn command(argv: &[&str]) -> Result<Command> {
    let (program, arguments) = argv.split_first().context("empty command")?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

/// The command as it can be pasted into a shell.
pub fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quote(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn wait_or_kill(child: &mut Child, deadline: Duration) -> Result<ExitStatus> {
    let deadline = wait::patience(deadline);
    let end = Instant::now() + deadline;
    loop {
        if let Some(status) = child.try_wait().context("wait for a child")? {
            return Ok(status);
        }
        if Instant::now() > end {
            let group = Pid::from_raw(child.id().cast_signed());
            killpg(group, Signal::SIGKILL).context("kill a child that hangs")?;
            child.wait().context("reap a child")?;
            bail!("no end within {deadline:?}, killed");
        }
        std::thread::sleep(wait::POLL);
    }
}

fn drain<R: Read + Send + 'static>(
    pipe: Option<R>,
) -> Option<JoinHandle<std::io::Result<Vec<u8>>>> {
    pipe.map(|mut pipe| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).map(|_| bytes)
        })
    })
}

fn collect(reader: Option<JoinHandle<std::io::Result<Vec<u8>>>>) -> Result<String> {
    let Some(reader) = reader else { return Ok(String::new()) };
    let Ok(bytes) = reader.join() else { bail!("the thread that reads a pipe panicked") };
    Ok(String::from_utf8_lossy(&bytes.context("read a pipe")?).into_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::{command, output_within};

    /// More than a pipe holds.
    const INPUT: usize = 1 << 20;

    #[test]
    fn a_program_that_takes_no_input_and_hangs_is_gone_with_what_it_started() {
        let file = std::env::temp_dir().join(format!("prroute-command-{}", std::process::id()));
        for (number, input) in ["exec 0<&-", ":"].iter().enumerate() {
            let script = format!("{input}; sleep 60 & echo $$ $! > {}; wait", file.display());
            let mut sh = command(&["sh", "-c", &script]).unwrap();
            let deadline = Duration::from_millis(500);
            let error = output_within(&mut sh, deadline, &"x".repeat(INPUT)).unwrap_err();
            assert!(format!("{error:#}").contains("no end within"), "{number}: {error:#}");
            let pids = std::fs::read_to_string(&file).unwrap();
            let pids: Vec<&str> = pids.split_whitespace().collect();
            assert_eq!(pids.len(), 2);
            // Whoever has its child now reaps it.
            let lives = |pid: &&&str| {
                let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
                stat.is_ok_and(|stat| !stat.contains(") Z "))
            };
            let gone = || Ok((pids.iter().filter(lives).count() == 0).then_some(()));
            crate::wait::until("their end", Duration::from_secs(10), gone).unwrap();
        }
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn a_program_that_ends_before_its_input_is_heard_when_it_fails() {
        let end = |code: u8| {
            let script = format!("echo why >&2; exit {code}");
            let mut sh = command(&["sh", "-c", &script]).unwrap();
            output_within(&mut sh, super::DEADLINE, &"x".repeat(INPUT))
        };
        let failed = end(3).unwrap();
        assert_eq!((failed.status.code(), failed.stderr.as_str()), (Some(3), "why\n"));
        assert!(end(0).unwrap_err().to_string().contains("write to sh"));
    }
}
