//! One boot of a guest in QEMU, from its start to its certain end.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result};

use super::kernel::Files;
use crate::tally::Tally;
use crate::target::Architecture;

/// A guest that says nothing for so long hangs: emulated, its slowest test takes four minutes.
const SILENCE: Duration = Duration::from_secs(900);

/// Time to switch itself off.
const END: Duration = Duration::from_secs(60);

/// By how much an emulated processor is slower, for the deadlines of the tests.
const PATIENCE: (&str, &str) = ("PRROUTE_PATIENCE", "5");

/// How many lines of a guest's console are shown when it does not end by itself.
const CONSOLE_LINES: usize = 80;

/// What became of the cases in one guest.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) tally: Tally,
    /// Why the guest's word alone does not count.
    pub(crate) broken: Option<String>,
}

impl Report {
    pub(crate) fn is_good(&self) -> bool {
        self.broken.is_none()
            && self.tally.passed > 0
            && self.tally.failed + self.tally.ignored == 0
    }
}

/// QEMU, killed when dropped.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // It fails where the machine has ended by itself, which is as good.
        drop(self.0.kill());
        if let Err(error) = self.0.wait() {
            eprintln!("wait for the guest: {error}");
        }
    }
}

/// The variable by which tests know how patient they have to be.
pub(crate) fn patience() -> (&'static str, String) {
    let given = std::env::var(PATIENCE.0);
    (PATIENCE.0, given.unwrap_or_else(|_| PATIENCE.1.to_owned()))
}

/// What is booted.
#[derive(Debug)]
pub(crate) struct Boot<'a> {
    pub(crate) kernel: &'a Files,
    pub(crate) architecture: Architecture,
    /// The initramfs; written before the boot.
    pub(crate) archive: PathBuf,
    /// What the guest's console says is kept here.
    pub(crate) console: PathBuf,
    /// More words for the kernel's command line.
    pub(crate) options: &'a str,
    /// An image that the guest writes to, its first disk.
    pub(crate) disk: Option<&'a Path>,
    /// How long it may take until it first says something.
    pub(crate) patience: Duration,
}

impl Boot<'_> {
    /// Boots, and shows what the guest prints as it comes.
    pub(crate) fn run(&self, initramfs: &[u8]) -> Result<Report> {
        let archive = &self.archive;
        fs::write(archive, initramfs).with_context(|| format!("write {}", archive.display()))?;
        let mut machine = Machine(
            qemu(self).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("start QEMU")?,
        );
        let lines = follow(&mut machine.0)?;
        let mut report = Report::default();
        let ended = listen(&lines, self.patience, &mut report.tally);
        report.broken = match ended {
            Ok(0) => None,
            Ok(failed) => Some(format!("{failed} programs failed")),
            Err(reason) => {
                eprintln!("{}", tail(&self.console));
                Some(format!("{reason}; its console is in {}", self.console.display()))
            }
        };
        Ok(report)
    }
}

/// Reads until the guest's last line; how many programs failed, or why there is no such line.
fn listen(lines: &Receiver<String>, boot: Duration, tally: &mut Tally) -> Result<u64, String> {
    let mut patience = boot;
    loop {
        let line = match lines.recv_timeout(patience) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("the guest said nothing for {} s", patience.as_secs()));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err("the guest ended before its cases did".to_owned());
            }
        };
        patience = SILENCE;
        println!("{line}");
        tally.count(&line);
        if let Some(failed) = failed_programs(&line) {
            // Until it is off, or long enough.
            while lines.recv_timeout(END).is_ok() {}
            return Ok(failed);
        }
    }
}

/// The number in the last line of guest.sh and of system/agent.sh.
fn failed_programs(line: &str) -> Option<u64> {
    line.strip_prefix("vm: end, ")?.strip_suffix(" failed")?.parse().ok()
}

fn follow(machine: &mut Child) -> Result<Receiver<String>> {
    let stdout = machine.stdout.take().context("the guest has no port")?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n') {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line).into_owned();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

fn qemu(boot: &Boot<'_>) -> Command {
    let mut qemu = Command::new("setpriv");
    // Whatever becomes of this task, its guest goes with it.
    qemu.args(["--pdeathsig", "KILL", "--"])
        .arg(format!("qemu-system-{}", boot.architecture.machine()))
        .args(["-nodefaults", "-display", "none", "-no-reboot", "-smp", "2", "-m", "3072"]);
    let processor = match (boot.architecture, is_virtualised(boot.architecture)) {
        (_, true) => ["-accel", "kvm", "-cpu", "host"],
        (Architecture::Amd64, false) => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        // The real algorithm of pointer authentication would take most of the time.
        (Architecture::Arm64, false) => {
            ["-accel", "tcg,thread=multi", "-cpu", "max,pauth-impdef=on"]
        }
    };
    let serial = match boot.architecture {
        Architecture::Amd64 => "ttyS0",
        Architecture::Arm64 => {
            qemu.args(["-machine", "virt"]);
            "ttyAMA0"
        }
    };
    qemu.args(processor);
    qemu.arg("-kernel").arg(&boot.kernel.image).arg("-initrd").arg(&boot.archive);
    // A panic ends the machine, and an oops is one.
    qemu.arg("-append")
        .arg(format!("console={serial} panic=-1 oops=panic quiet loglevel=4 {}", boot.options));
    qemu.arg("-serial").arg(format!("file:{}", boot.console.display()));
    if let Some(disk) = boot.disk {
        // The disk is a copy: what a crash of the host would leave of it does not matter.
        let file = format!("file={},if=none,id=disk,format=raw,cache=unsafe", disk.display());
        qemu.args(["-drive", &file, "-device", "virtio-blk-pci,drive=disk"]);
    }
    qemu.args([
        "-virtfs",
        "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
    ]);
    qemu.args(["-device", "virtio-serial", "-chardev", "file,id=port,path=/dev/stdout"])
        .args(["-device", "virtserialport,chardev=port,name=prroute"]);
    // Two network cards on a wire of their own.
    for card in ["1", "2"] {
        qemu.args(["-netdev", &format!("hubport,id=net{card},hubid=1")]).args([
            "-device",
            &format!("virtio-net-pci,netdev=net{card},mac=52:54:00:00:00:0{card},romfile="),
        ]);
    }
    qemu
}

/// A device node alone is no processor that can do it.
fn is_virtualised(architecture: Architecture) -> bool {
    if architecture.is_foreign() {
        return false;
    }
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = processor.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let able = flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    able && File::options().read(true).write(true).open("/dev/kvm").is_ok()
}

fn tail(console: &Path) -> String {
    let text = fs::read(console).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(CONSOLE_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::{Report, failed_programs, listen};
    use crate::tally::Tally;

    fn hear(lines: &[&str]) -> (Result<u64, String>, Tally) {
        let (sender, receiver) = mpsc::channel();
        for line in lines {
            sender.send((*line).to_owned()).unwrap();
        }
        drop(sender);
        let mut tally = Tally::default();
        (listen(&receiver, Duration::from_secs(1), &mut tally), tally)
    }

    #[test]
    fn a_guest_that_ends_early_is_no_success() {
        let ok = "test result: ok. 3 passed; 0 failed; 0 ignored";
        let (ended, tally) = hear(&["vm: 6.1 is up after 4 s", ok]);
        assert_eq!(tally.passed, 3);
        assert!(ended.unwrap_err().contains("before its cases"));
        assert!(hear(&[]).0.is_err());
    }

    #[test]
    fn a_guest_is_good_when_something_passed_and_nothing_failed() {
        assert_eq!(hear(&["vm: end, 0 failed"]).0, Ok(0));
        assert_eq!(hear(&["vm: end, 2 failed"]).0, Ok(2));
        assert_eq!(failed_programs("vm: end,"), None);
        let tally = Tally { passed: 1, ..Tally::default() };
        assert!(Report { tally, broken: None }.is_good());
        assert!(!Report { tally, broken: Some("hangs".to_owned()) }.is_good());
        assert!(!Report { tally: Tally { ignored: 1, ..tally }, broken: None }.is_good());
        assert!(!Report::default().is_good());
    }
}
