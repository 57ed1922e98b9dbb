//! The log: for people on a terminal; and for the journal, with fields, by its socket. Where standard
//! error leads to the journal and its socket is not there, a line's priority is at its beginning
//! (sd-daemon(3)). The journal adds the time itself.

mod journal;
mod line;
pub(super) mod recent;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use nix::sys::stat::fstat;
use tracing::field::Field;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use self::journal::Journal;

/// Begins to log. A line that cannot be written is lost: the daemon goes on.
pub(super) fn begin() {
    let filter = EnvFilter::try_from_env("PRROUTE_LOG")
        .unwrap_or_else(|_| EnvFilter::new("prroute=info,warn"));
    let kept = Targets::new().with_target("prroute", Level::INFO).with_default(Level::WARN);
    let registry = tracing_subscriber::registry().with(recent::Keeper.with_filter(kept));
    if is_journal() {
        std::panic::set_hook(Box::new(|panic| say(Level::ERROR, &describe(panic))));
        if let Ok(journal) = Journal::open() {
            return registry.with(journal.with_filter(filter)).init();
        }
    }
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .log_internal_errors(false)
        .fmt_fields(debug_fn(text_alone));
    if is_journal() {
        let lines = lines.with_ansi(false).event_format(ForJournal);
        registry.with(lines.with_filter(filter)).init();
    } else {
        let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let lines = lines.with_ansi(colour).with_target(false).without_time();
        registry.with(lines.with_filter(filter)).init();
    }
}

/// Fields beside the text are for the journal.
fn text_alone(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() == "message" {
        writer.write_str(&printable(&format!("{value:?}")))?;
    }
    Ok(())
}

/// Text that a terminal only shows: an interface's name may hold control characters (but neither
/// tabs nor newlines), which would move the cursor or colour what follows.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(is_hidden) {
        return text.into();
    }
    let escaped = |c: char| if is_hidden(c) { c.escape_default().to_string() } else { c.into() };
    text.chars().map(escaped).collect()
}

/// Writes a message to standard error. Where that cannot be written there is nobody to tell.
pub(super) fn say(level: Level, message: &str) {
    let message = printable(message);
    let prioritised = is_journal().then(|| with_priority(level, &message));
    drop(writeln!(io::stderr(), "{}", prioritised.as_deref().unwrap_or(&message)));
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let trace = Backtrace::capture();
    match trace.status() {
        BacktraceStatus::Captured => format!("{panic}\n{trace}"),
        _ => panic.to_string(),
    }
}

/// Whether standard error is what the service manager connected to the journal: somebody may have
/// redirected it since, and systemd.exec(5) says how to tell.
fn is_journal() -> bool {
    static IS_JOURNAL: OnceLock<bool> = OnceLock::new();
    *IS_JOURNAL.get_or_init(|| {
        let (Ok(stream), Ok(stderr)) =
            (std::env::var("JOURNAL_STREAM"), fstat(io::stderr().as_fd()))
        else {
            return false;
        };
        is_stream(&stream, stderr.st_dev, stderr.st_ino)
    })
}

/// `JOURNAL_STREAM` is a device number and an inode number, with a colon between.
fn is_stream(stream: &str, device: u64, inode: u64) -> bool {
    let numbers = stream.split_once(':');
    let numbers = numbers.and_then(|(dev, ino)| Some((dev.parse().ok()?, ino.parse().ok()?)));
    numbers == Some((device, inode))
}

/// syslog(3).
const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// The journal makes a message of each line.
fn with_priority(level: Level, message: &str) -> String {
    let priority = priority(level);
    let lines = message.lines().filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.map(|line| format!("<{priority}>{line}")).collect();
    lines.join("\n")
}

struct ForJournal;

impl<S, N> FormatEvent<S, N> for ForJournal
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut message = String::new();
        context.format_fields(Writer::new(&mut message), event)?;
        writeln!(writer, "{}", with_priority(*event.metadata().level(), &message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_a_message_has_its_priority() {
        assert_eq!(with_priority(Level::INFO, "ready"), "<6>ready");
        let refused = "load program: refused\n\n0: r0 = 1\n";
        assert_eq!(with_priority(Level::ERROR, refused), "<3>load program: refused\n<3>0: r0 = 1");
        assert_eq!(with_priority(Level::WARN, "x"), "<4>x");
        assert_eq!(with_priority(Level::DEBUG, "x"), "<7>x");
    }

    /// The kernel takes any byte but white space, `/` and `:` in the name of an interface.
    #[test]
    fn control_characters_of_a_name_do_not_reach_the_terminal() {
        assert_eq!(printable("eth0\x1b[31m: up\n"), "eth0\\u{1b}[31m: up\n");
        assert_eq!(printable("\u{9b}2J\x07\x7f"), "\\u{9b}2J\\u{7}\\u{7f}");
        assert!(matches!(printable("wän0\tup\n"), Cow::Borrowed("wän0\tup\n")));
    }

    #[test]
    fn the_stream_is_the_journals_only_if_both_numbers_agree() {
        assert!(is_stream("8:4242", 8, 4242));
        for other in ["8:4243", "9:4242", "8", "", "8:x", "8:4242:1"] {
            assert!(!is_stream(other, 8, 4242), "{other}");
        }
    }
}
