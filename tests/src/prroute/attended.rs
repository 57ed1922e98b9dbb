//! A daemon, and commands, that are held at each step.

use anyhow::Result;

use super::{Daemon, Instance, STOP};
use crate::attend::{Attended, Verdict};
use crate::command::{self, Output};

impl Instance<'_> {
    /// Starts the daemon; `judge` says what becomes of each of its steps.
    pub fn start_attended(
        &self,
        judge: impl FnMut(&str) -> Verdict + Send + 'static,
    ) -> Result<(Daemon, Attended)> {
        let mut command = self.command(&["run"])?;
        let attended = Attended::prepare(&mut command, judge)?;
        let socket = self.directory.join(format!("{}.notify", self.name));
        Ok((Daemon::spawn(command, socket, self.keep)?, attended))
    }

    /// Runs `prroute WORDS` to its end, whatever its exit code, or until `judge` kills it.
    pub fn output_attended(
        &self,
        words: &[&str],
        judge: impl FnMut(&str) -> Verdict + Send + 'static,
    ) -> Result<(Output, Vec<String>)> {
        let mut command = self.command(words)?;
        let attended = Attended::prepare(&mut command, judge)?;
        let output = command::output_within(&mut command, STOP, "");
        // The pipe to who waits for the program is closed with it.
        drop(command);
        Ok((output?, attended.finish()?))
    }
}
