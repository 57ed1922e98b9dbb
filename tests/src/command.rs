//! Commands that end: run with a deadline, and keep what is needed to run them again by hand.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

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

/// Runs `command`, feeds it `input`, and kills it after `deadline`.
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
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(input.as_bytes()).with_context(|| format!("write to {line}"))?;
    }
    let status = wait_or_kill(&mut child, deadline).with_context(|| line.clone())?;
    Ok(Output { command: line, status, stdout: collect(stdout)?, stderr: collect(stderr)? })
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
            child.kill().context("kill a child that hangs")?;
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
