//! An explanation as JSON.

use crate::explain::{Explanation, Found, Kind, Leaves, Step, Way};
use crate::json::{
    ExplainJson, Format, LeavesJson, PartJson, RequestJson, StepJson, StepResultJson, VerdictJson,
    WayJson, protocol_name,
};

pub(super) fn of(explanation: &Explanation) -> ExplainJson {
    let question = &explanation.question;
    let number = question.number();
    ExplainJson {
        schema: Format::Explain.id(),
        request: RequestJson {
            protocol: protocol_name(number),
            protocol_number: number,
            client: question.client.ip(),
            client_port: question.client.port(),
            local: question.local.ip(),
            local_port: question.local.port(),
            iif: question.iif.clone(),
            flow: question.is_flow,
        },
        ways: explanation.ways.iter().map(way).collect(),
    }
}

fn way(way: &Way) -> WayJson {
    WayJson {
        iif: way.iif.clone(),
        uplink: way.uplink,
        steps: way.steps.iter().enumerate().map(|(at, it)| step(at + 1, it)).collect(),
        verdict: match way.verdict.kind {
            Kind::Answered => VerdictJson::Answered,
            Kind::WrongUplink => VerdictJson::WrongUplink,
            Kind::Dropped => VerdictJson::Dropped,
            Kind::Refused => VerdictJson::Refused,
            Kind::Unknown => VerdictJson::Unknown,
        },
        stops_at: way.verdict.stops_at,
        cause: way.verdict.cause.clone(),
        remedy: way.verdict.remedy.clone(),
        leaves: way.leaves.as_ref().map(leaves),
    }
}

fn step(n: usize, step: &Step) -> StepJson {
    StepJson {
        n,
        part: if step.stage.is_of_request() { PartJson::Request } else { PartJson::Reply },
        stage: step.stage.name(),
        result: match step.found {
            Found::Ok => StepResultJson::Ok,
            Found::Warn => StepResultJson::Warn,
            Found::Stop => StepResultJson::Stop,
            Found::Unknown => StepResultJson::Unknown,
            Found::Nothing => StepResultJson::None,
        },
        detail: step.detail.clone(),
        cause: step.cause.clone(),
        remedy: step.remedy.clone(),
        object: step.object.iter().cloned().collect(),
    }
}

fn leaves(leaves: &Leaves) -> LeavesJson {
    LeavesJson {
        device: leaves.device.clone(),
        via: leaves.via,
        lladdr: leaves.link_layer_address.clone(),
        moved: leaves.moved_from.is_some(),
        moved_from: leaves.moved_from.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::explain::text::tests::an_explanation;
    use crate::json::tests::expect_example;

    #[test]
    fn the_report_is_as_the_example_says() {
        expect_example("explain.json", &of(&an_explanation()));
    }
}
