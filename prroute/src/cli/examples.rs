//! Examples, which a command's long help begins with. What stands behind `#` is for the reader.

/// Of every command: what it does, examples, how it is called.
pub(super) const TEMPLATE: &str = "\
{about-with-newline}
{before-help}{usage-heading} {usage}

{all-args}{after-help}";

pub(super) const PRROUTE: &str = "\
Examples:
  prroute doctor                   # what is wrong or unusual on this host
  prroute try                      # enforce, and undo unless you confirm
  prroute run                      # what the service does
  prroute status                   # is all well? what mends it?
  prroute flows -t state new       # TCP that clients have not confirmed yet
  prroute down                     # stop, and undo everything";

pub(super) const RUN: &str = "\
Examples:
  prroute run --dry-run            # what it would do, and why
  prroute run --observe            # count replies that leave astray; move none
  prroute run --config ./test.toml --undo-on-exit";

pub(super) const TRY: &str = "\
Examples:
  prroute try                      # Enter within 60 s keeps it
  prroute try 5m --config ./new.toml";

pub(super) const DOWN: &str = "\
Examples:
  prroute down
  prroute down --instance blue     # in its network namespace";

pub(super) const STATUS: &str = "\
Examples:
  prroute status
  prroute status -br               # one line
  prroute status dev eth1 -s -d    # one uplink, with counters and addresses
  prroute status -w 5              # anew every 5 s";

pub(super) const WAIT: &str = "\
Examples:
  prroute wait                     # for 10 s at most
  prroute wait --timeout 2m";

pub(super) const VERSION: &str = "\
Examples:
  prroute version
  prroute version --json | jq -r .bpf_object.sha256";

pub(super) const METRICS: &str = "\
Examples:
  prroute metrics
  prroute metrics --listen 127.0.0.1:9713
  prroute metrics --textfile /var/lib/node_exporter/prroute.prom";

pub(super) const DOCTOR: &str = "\
Examples:
  prroute doctor
  prroute doctor --probe           # ask gateways; try large packets
  prroute doctor dev eth1 -q       # findings about one interface
  prroute doctor --fix             # mend what is prroute's own";

pub(super) const EXPLAIN: &str = "\
Examples:
  prroute explain tcp from 203.0.113.11 to 198.51.100.10:8080 iif eth1
  prroute explain udp from [2001:db8::11]:4000 to [2001:db8:1::10]:53
  prroute explain icmp from 203.0.113.11 to 198.51.100.10
  prroute explain flow 198.51.100.10:8080 203.0.113.11:40000";

pub(super) const FLOWS: &str = "\
Examples:
  prroute flows                                  # those that live
  prroute flows -t uplink eth1                   # TCP of one uplink
  prroute flows src 192.0.2.10:443 and not dst 198.51.100.0/24
  prroute flows 'state new and (sport = 53 or sport > 1024)'
  prroute flows state fall                       # their uplink cannot be used
  prroute flows -s -w 5                          # what they come to, every 5 s";

pub(super) const MONITOR: &str = "\
Examples:
  prroute monitor                  # uplinks, and what others remove
  prroute monitor flow local 192.0.2.10
  prroute monitor packet host 203.0.113.9 tcp count 20
  prroute monitor packet verdict passed dev eth1 for 30s -w replies.pcapng";

pub(super) const EVENTS: &str = "\
Examples:
  prroute events -n 20
  prroute events -f                # go on with each new one
  prroute events --json";

pub(super) const PLAN: &str = "\
Examples:
  prroute plan
  prroute plan --config ./new.toml # with another configuration
  prroute plan --json";

pub(super) const REPORT: &str = "\
Examples:
  prroute report -o fault.txt
  prroute report --hash-addresses  # with pseudonyms for addresses";

pub(super) const RELOAD: &str = "\
Examples:
  prroute reload
  prroute reload --instance blue   # in its network namespace";

pub(super) const CHECK: &str = "\
Examples:
  prroute check                    # the files that a daemon reads
  prroute check ./new.toml
  prroute check --offline -        # standard input, and not this host
  prroute check --in-force         # the daemon works with it";

pub(super) const GENERATE_CONFIG: &str = "\
Examples:
  prroute generate-config          # on standard output";

pub(super) const SCHEMA: &str = "\
Examples:
  prroute schema config            # for editors, and what writes files
  prroute schema status            # for what reads `status --json`";

pub(super) const SETUP: &str = "\
Examples:
  prroute setup networkd --dry-run # print the file
  prroute setup networkd           # write it";

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _, Parser as _};

    use crate::cli::Cli;

    /// All commands, by the words that name them.
    fn commands() -> Vec<(String, Command)> {
        let mut found = Vec::new();
        let mut cli = Cli::command();
        cli.build();
        let mut rest = vec![("prroute".to_owned(), cli)];
        while let Some((name, command)) = rest.pop() {
            let children = command.get_subcommands().filter(|child| child.get_name() != "help");
            rest.extend(
                children.map(|child| (format!("{name} {}", child.get_name()), child.clone())),
            );
            found.push((name, command));
        }
        found
    }

    /// As a shell does, as far as examples need it.
    fn words(line: &str) -> Vec<String> {
        let parts = line.split('\'').enumerate();
        let words = parts.map(|(number, part)| match number % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        words.collect::<Vec<Vec<_>>>().concat()
    }

    #[test]
    fn every_help_begins_with_examples_that_work_and_fits_a_terminal() {
        let commands = commands();
        assert!(commands.len() > 15, "{} commands", commands.len());
        for (name, mut command) in commands {
            let help = command.render_long_help().to_string();
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{name}: {line}");
            }
            let (_, examples) = help
                .split_once("\nExamples:\n")
                .unwrap_or_else(|| panic!("`{name} --help` has no examples:\n{help}"));
            let (examples, rest) = examples.split_once("\n\n").unwrap();
            assert!(rest.contains("Usage:"), "{name}: examples come first");
            let told = name.split(' ').take(2).map(str::to_owned).collect::<Vec<_>>();
            for example in examples.lines() {
                let typed = example.split(" # ").next().unwrap_or_default();
                // What it is fed with, and where its output goes, are the shell's.
                let of_prroute =
                    typed.split(" | ").map(str::trim).find(|it| it.starts_with("prroute"));
                let of_prroute = of_prroute.unwrap_or_else(|| panic!("{name}: {example}"));
                let words: Vec<String> =
                    words(of_prroute).into_iter().take_while(|it| it != ">").collect();
                assert!(words.starts_with(&told), "{name}: {example}");
                if let Err(error) = Cli::try_parse_from(&words) {
                    panic!("{typed}: {error}");
                }
            }
        }
    }
}
