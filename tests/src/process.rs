//! Programs that run in the background until their owner is dropped.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::command::command_line;
use crate::wait;

/// A background program: killed with its process group and reaped on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    command: String,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    keep: bool,
    /// Neither the program nor its group is there: the number may be another's by now.
    gone: bool,
}

impl Process {
    /// Starts `command` in a process group of its own; what it prints is collected.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        Self::spawn_with(command, Stdio::null())
    }

    /// Likewise, with a standard input on which nothing comes, and which does not end.
    pub fn spawn_with_open_input(command: &mut Command) -> Result<Self> {
        Self::spawn_with(command, Stdio::piped())
    }

    /// Writes to an input that [is open](Self::spawn_with_open_input), which does not end.
    pub fn write_input(&mut self, text: &str) -> Result<()> {
        let command = &self.command;
        let input = self.child.stdin.as_mut();
        let input = input.with_context(|| format!("{command} has no open standard input"))?;
        input.write_all(text.as_bytes()).with_context(|| format!("write to {command}"))
    }

    fn spawn_with(command: &mut Command, input: Stdio) -> Result<Self> {
        let line = command_line(command);
        let mut child = command
            .process_group(0)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {line}"))?;
        let log = Arc::new(Mutex::new(String::new()));
        let readers = vec![
            child.stdout.take().map(|pipe| follow(pipe, Arc::clone(&log))),
            child.stderr.take().map(|pipe| follow(pipe, Arc::clone(&log))),
        ];
        let readers = readers.into_iter().flatten().collect();
        Ok(Self { child, command: line, log, readers, keep: false, gone: false })
    }

    /// Starts a program that outlives this process; nothing it prints is collected.
    pub fn spawn_kept(command: &mut Command) -> Result<Self> {
        let line = command_line(command);
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start {line}"))?;
        let (log, readers) = (Arc::default(), Vec::new());
        Ok(Self { child, command: line, log, readers, keep: true, gone: false })
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// The command as it can be pasted into a shell.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Everything it printed so far, standard output and error in the order they were read.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How it ended, once it has. From then on its number is free, unless something of its group lives.
    fn end(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait().context("wait for a process")?;
        self.gone |= status.is_some() && killpg(self.pid(), None).is_err();
        Ok(status)
    }

    /// Fails with what it printed when it has ended.
    pub fn check_running(&mut self) -> Result<()> {
        if let Some(status) = self.end()? {
            bail!("{} ended with {status}:\n{}", self.command, self.last_log());
        }
        Ok(())
    }

    /// Waits until `look` finds something in what it printed; fails when it ends before.
    pub fn wait_log<T>(
        &mut self,
        what: &str,
        deadline: Duration,
        look: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let found = wait::until(what, deadline, || {
            if let Some(found) = look(&self.log()) {
                return Ok(Some(found));
            }
            self.check_running()?;
            Ok(None)
        });
        found.with_context(|| format!("{}:\n{}", self.command, self.log()))
    }

    /// What it printed, after it ended; of a program whose children hold the pipes open, what
    /// there is.
    fn last_log(&self) -> String {
        self.finished_log(Duration::from_secs(1)).unwrap_or_else(|_| self.log())
    }

    /// Sends `signal` to the program itself, not to its children.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        ensure!(!self.gone, "{signal} cannot be sent: ended before: {}", self.command);
        kill(self.pid(), signal).with_context(|| format!("send {signal} to {}", self.command))
    }

    /// Waits for the end; an error that shows the log after `deadline`.
    pub fn wait_end(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let status = wait::until_done("the end of the process", deadline, || self.end());
        status.with_context(|| format!("{}:\n{}", self.command, self.log()))
    }

    /// Asks it to end and waits for that.
    pub fn stop(&mut self, signal: Signal, deadline: Duration) -> Result<ExitStatus> {
        self.signal(signal)?;
        self.wait_end(deadline)
    }

    /// Kills it (SIGKILL) and reaps it.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.end()? {
            return Ok(status);
        }
        // The kernel first ends what it does for the process: the verifier's work, or the release of maps.
        self.stop(Signal::SIGKILL, Duration::from_secs(60))
    }

    /// Everything it printed, once its pipes are closed.
    ///
    /// They stay open while a child of the program lives, hence the deadline.
    pub fn finished_log(&self, deadline: Duration) -> Result<String> {
        wait::until_done("the end of the output", deadline, || {
            Ok(self.readers.iter().all(JoinHandle::is_finished).then_some(()))
        })
        .with_context(|| self.command.clone())?;
        Ok(self.log())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.keep || self.gone {
            return;
        }
        // The group also holds what the program started and left behind. ESRCH: all gone.
        if let Err(error) = killpg(self.pid(), Signal::SIGKILL)
            && error != nix::errno::Errno::ESRCH
        {
            eprintln!("kill the group of {}: {error}", self.command);
        }
        if let Err(error) = self.child.wait() {
            eprintln!("reap {}: {error}", self.command);
        }
    }
}

/// Whether a process was ended by `signal`.
pub fn ended_by(status: ExitStatus, signal: Signal) -> bool {
    status.signal() == Some(signal as i32)
}

fn follow(pipe: impl Read + Send + 'static, log: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { return };
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&String::from_utf8_lossy(&line));
            log.push('\n');
        }
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use nix::sys::signal::Signal;

    use super::Process;

    const DEADLINE: Duration = Duration::from_secs(10);

    /// Other programs take numbers as well: several tries.
    const TRIES: u32 = 200;

    /// A program that gets the number of one that has ended; the kernel counts on from the number in this file.
    fn successor(of: &Process) -> Process {
        let number = of.pid().as_raw();
        for _ in 0..TRIES {
            std::fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string()).unwrap();
            let process = Process::spawn(Command::new("sleep").arg("60")).unwrap();
            if process.pid().as_raw() == number {
                return process;
            }
        }
        panic!("no program got the number {number}");
    }

    #[test]
    fn what_has_ended_kills_nobody_who_has_its_number_now() {
        let mut ended = Process::spawn(&mut Command::new("true")).unwrap();
        assert!(ended.wait_end(DEADLINE).unwrap().success());
        let mut other = successor(&ended);
        assert!(ended.signal(Signal::SIGKILL).is_err());
        drop(ended);
        // Killed, it would end at once.
        assert!(other.wait_end(Duration::from_millis(300)).is_err());
        other.check_running().unwrap();
    }

    #[test]
    fn what_a_program_left_behind_goes_with_it() {
        let mut shell =
            Process::spawn(Command::new("sh").args(["-c", "sleep 60 & echo $!"])).unwrap();
        let number = shell.wait_log("a number", DEADLINE, |log| log.trim().parse::<u32>().ok());
        let left = format!("/proc/{}/stat", number.unwrap());
        shell.wait_end(DEADLINE).unwrap();
        let lives = || std::fs::read_to_string(&left).is_ok_and(|stat| !stat.contains(") Z "));
        assert!(lives());
        drop(shell);
        crate::wait::until("its end", DEADLINE, || Ok((!lives()).then_some(()))).unwrap();
    }
}
