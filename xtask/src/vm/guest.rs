//! A guest: QEMU with one kernel, from its start to its certain end.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result};

use super::cases::Case;
use super::initramfs;
use super::kernel::{self, Files, Kernel};
use crate::project;
use crate::tally::Tally;

/// A guest that says nothing for so long does not boot, or hangs: emulated, it boots within
/// ten seconds, and its slowest test takes four minutes.
const BOOT: Duration = Duration::from_secs(180);
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

/// Boots the kernel, runs the cases and shows what they print as it comes.
pub(crate) fn run(kernel: &Kernel, files: &Files, binary: &Path, cases: &[Case]) -> Result<Report> {
    let directory = kernel::directory();
    let archive = directory.join(format!("initramfs-{}", kernel.name));
    let content = initramfs::build(files, &environment(files, binary), &list(cases, kernel))?;
    fs::write(&archive, content).with_context(|| format!("write {}", archive.display()))?;
    let console = directory.join(format!("console-{}", kernel.name));
    let mut machine = Machine(
        qemu(files, &archive, &console)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start qemu-system-x86_64")?,
    );
    let lines = follow(&mut machine.0)?;
    let mut report = Report::default();
    let ended = listen(&lines, &mut report.tally);
    report.broken = match ended {
        Ok(0) => None,
        Ok(failed) => Some(format!("{failed} programs failed")),
        Err(reason) => {
            eprintln!("{}", tail(&console));
            Some(format!("{reason}; its console is in {}", console.display()))
        }
    };
    Ok(report)
}

/// Reads until the guest's last line; how many programs failed, or why there is no such line.
fn listen(lines: &Receiver<String>, tally: &mut Tally) -> Result<u64, String> {
    let mut patience = BOOT;
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
        tally.add(&line);
        if let Some(failed) = failed_programs(&line) {
            // Until it is off, or long enough.
            while lines.recv_timeout(END).is_ok() {}
            return Ok(failed);
        }
    }
}

/// The number in the last line of guest.sh.
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

fn qemu(files: &Files, archive: &Path, console: &Path) -> Command {
    let mut qemu = Command::new("setpriv");
    // Whatever becomes of this task, its guest goes with it.
    qemu.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64", "-nodefaults"]).args([
        "-display",
        "none",
        "-no-reboot",
        "-smp",
        "2",
        "-m",
        "3072",
    ]);
    if has_virtualisation() {
        qemu.args(["-accel", "kvm", "-cpu", "host"]);
    } else {
        qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max"]);
    }
    qemu.arg("-kernel").arg(&files.image).arg("-initrd").arg(archive);
    // A panic ends the machine, and an oops is one.
    qemu.args(["-append", "console=ttyS0 panic=-1 oops=panic quiet loglevel=4"]);
    qemu.arg("-serial").arg(format!("file:{}", console.display()));
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
fn has_virtualisation() -> bool {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = processor.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let able = flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    able && File::options().read(true).write(true).open("/dev/kvm").is_ok()
}

/// What guest.sh and the tests find in their environment.
fn environment(files: &Files, binary: &Path) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let patience = std::env::var(PATIENCE.0).unwrap_or_else(|_| PATIENCE.1.to_owned());
    // Where cargo runs the tests of a package.
    let directory: PathBuf = project::root().join("tests");
    let variables = [
        ("PATH", path),
        ("HOME", "/root".to_owned()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("TMPDIR", "/run/tmp".to_owned()),
        ("MODULES", files.modules.display().to_string()),
        ("DIRECTORY", directory.display().to_string()),
        ("PRROUTE_BIN", binary.display().to_string()),
        (PATIENCE.0, patience),
    ];
    let export = |(name, value): &(&str, String)| {
        format!("export {name}='{}'\n", value.replace('\'', r"'\''"))
    };
    variables.iter().map(export).collect()
}

/// A line for each case: its name, its program, and arguments.
fn list(cases: &[Case], kernel: &Kernel) -> String {
    let line = |case: &Case| {
        let skip = kernel.not_here.iter().flat_map(|part| ["--skip", part]);
        let words: Vec<&str> = case.filter.iter().map(String::as_str).chain(skip).collect();
        format!("{}\t{}\t{}\n", case.name, case.program.display(), words.join(" "))
    };
    cases.iter().map(line).collect()
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

    use super::{Report, failed_programs, listen};
    use crate::tally::Tally;

    fn hear(lines: &[&str]) -> (Result<u64, String>, Tally) {
        let (sender, receiver) = mpsc::channel();
        for line in lines {
            sender.send((*line).to_owned()).unwrap();
        }
        drop(sender);
        let mut tally = Tally::default();
        (listen(&receiver, &mut tally), tally)
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
