//! An explanation as text: each step of one way, or a line for each of several.

use crate::cmd::wrapped::{beside, wrapped};
use crate::explain::{Explanation, Found, Question, Step, Way};
use crate::json::protocol_name;

pub(super) fn of(explanation: &Explanation) -> String {
    match explanation.ways.as_slice() {
        [way] => whole(&explanation.question, way),
        ways => summary(ways),
    }
}

fn whole(question: &Question, way: &Way) -> String {
    let protocol = protocol_name(question.number());
    let (client, local) = match question.has_ports() {
        true => (question.client.to_string(), question.local.to_string()),
        false => (question.client.ip().to_string(), question.local.ip().to_string()),
    };
    let mut text =
        wrapped("         ", &format!("request {} {protocol} {client} -> {local}", way.iif));
    let mut is_reply = false;
    for (number, step) in (1..).zip(&way.steps) {
        if !is_reply && !step.stage.is_of_request() {
            is_reply = true;
            text += &wrapped("         ", &format!("reply {protocol} {local} -> {client}"));
        }
        text += &line(number, step);
    }
    text + &wrapped("  ", &way.verdict.line(&way.iif, way.leaves.as_ref()))
}

fn line(number: usize, step: &Step) -> String {
    let found = match step.found {
        Found::Ok => "ok",
        Found::Warn => "warn",
        Found::Stop => "STOP",
        Found::Unknown => "?",
        Found::Nothing => "-",
    };
    beside(&format!("{number:>3} {:<11} {found:<4} ", step.stage.name()), &step.detail)
}

/// A line for each.
fn summary(ways: &[Way]) -> String {
    let rows: Vec<[String; 4]> = ways.iter().map(row).collect();
    let head = ["VIA", "REQUEST", "REPLY", "RESULT"].map(str::to_owned);
    let width = |column: usize| {
        rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for row in [&head].into_iter().chain(&rows) {
        let [via, request, reply, result] = row;
        let [a, b, c] = widths;
        text += &beside(&format!("{via:<a$}  {request:<b$}  {reply:<c$}  "), result);
    }
    text
}

fn row(way: &Way) -> [String; 4] {
    let stopped = way.verdict.stops_at.and_then(|at| way.steps.get(at - 1));
    let stopped = stopped.filter(|step| matches!(step.found, Found::Stop | Found::Unknown));
    let request = match stopped {
        Some(step) if step.stage.is_of_request() => step.stage.name().to_owned(),
        _ => "ok".to_owned(),
    };
    let reply = match (&way.leaves, stopped) {
        (Some(leaves), _) => {
            let via = leaves.via.map(|via| format!(" via {via}")).unwrap_or_default();
            let how = if leaves.moved_from.is_some() { ", moved" } else { "" };
            format!("{}{via}{how}", leaves.device)
        }
        (None, Some(step)) if !step.stage.is_of_request() => step.stage.name().to_owned(),
        _ => "-".to_owned(),
    };
    let result = match &way.verdict.cause {
        Some(cause) => format!("{}: {cause}", way.verdict.word()),
        None => way.verdict.word().to_owned(),
    };
    [way.iif.clone(), request, reply, result]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cmd::wrapped::WIDTH;
    use crate::explain::{Kind, Leaves, Stage, Verdict};

    fn question() -> Question {
        let words = "tcp from 203.0.113.11:40000 to 198.51.100.10:8080 iif eth1";
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        Question::parse(&words, None).unwrap()
    }

    /// With something in every field.
    pub(in crate::cmd::explain) fn an_explanation() -> Explanation {
        let drops = "nft rule inet fwx o handle 3 drops it";
        let steps = vec![
            Step::ok(Stage::Uplink, "eth1 is up (uplink 2)"),
            Step::new(Stage::Nat, Found::Nothing, "no DNAT"),
            Step::new(Stage::Rule, Found::Warn, "none is known that leads to table 7")
                .object("table", 7),
            Step::stop(Stage::NetfilterOut, format!("sees oif eth0: {drops}"))
                .cause(format!("{drops}, before prroute sees it"))
                .remedy("see it with `nft -a list chain inet fwx o`")
                .object("rule", drops),
            Step::new(Stage::ProgramOut, Found::Unknown, "the programs cannot be asked"),
        ];
        let leaves = Leaves {
            device: "eth1".to_owned(),
            via: Some([10, 71, 1, 1].into()),
            link_layer_address: Some("9a:11:0c:5e:00:01".to_owned()),
            moved_from: Some("eth0".to_owned()),
            is_right: true,
            by_rule: false,
            has_flow: true,
        };
        let verdict = Verdict {
            kind: Kind::Dropped,
            stops_at: Some(4),
            cause: steps[3].cause.clone(),
            remedy: steps[3].remedy.clone(),
        };
        let way = Way {
            iif: "eth1".to_owned(),
            uplink: Some(2),
            steps,
            leaves: Some(leaves),
            verdict,
            lacks_programs: false,
        };
        Explanation { question: question(), ways: vec![way] }
    }

    #[test]
    fn each_step_has_a_line_and_the_end_one_sentence() {
        let text = of(&an_explanation());
        let begins = "request eth1 tcp 203.0.113.11:40000 -> 198.51.100.10:8080\n  1 uplink      ok   \
                      eth1 is up (uplink 2)\n  2 nat         -    no DNAT\n\
                      reply tcp 198.51.100.10:8080 -> 203.0.113.11:40000\n  3 rule        warn ";
        assert!(text.starts_with(begins), "{text}");
        assert!(text.contains("\nSTOPS AT 4: nft rule inet fwx o handle 3 drops it"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn several_ways_have_a_line_each() {
        let mut explanation = an_explanation();
        let mut answered = explanation.ways[0].clone();
        answered.verdict =
            Verdict { kind: Kind::Answered, stops_at: None, cause: None, remedy: None };
        let mut unheard = explanation.ways[0].clone();
        unheard.leaves = None;
        unheard.verdict.stops_at = Some(2);
        unheard.steps[1].found = Found::Stop;
        explanation.ways = vec![answered, unheard];
        let text = of(&explanation);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("VIA   REQUEST  REPLY"), "{text}");
        assert_eq!(lines[1], "eth1  ok       eth1 via 10.71.1.1, moved  answered");
        assert!(lines[2].starts_with("eth1  nat      -  "), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{text}");
    }
}
