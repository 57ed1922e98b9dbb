//! A host on which prroute was never started.

use anyhow::{Result, ensure};
use prroute_tests::lab::Lab;

use super::{DOCTOR, Said, TWO, expect_clean, expect_named};

#[test]
fn before_the_installation_asymmetric_uplinks_are_named() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let prroute = lab.prroute()?;
    let before = lab.snapshot()?;
    let finding = expect_named(&prroute, DOCTOR, "asymmetric:up2", 3)?;
    ensure!(
        finding["what"] == "requests to 10.0.2.10 on up2 are answered over up1: asymmetric",
        "{finding:#}"
    );
    // The unit would start another instance, and not in this namespace.
    let start = format!("prroute run --instance {}", prroute.name());
    ensure!(finding["fix"] == *start, "{finding:#}");
    let said = Said::by(&prroute, DOCTOR)?;
    ensure!(said.finding("asymmetric:up1").is_none(), "{said:#?}");
    let first = said.first_lines();
    ensure!(
        first.contains("prroute does not run here. This host has 2 uplinks: up1, up2."),
        "{first}"
    );
    lab.expect_unchanged_since(&before)?;

    // What the unit does.
    prroute.while_running(|prroute| expect_clean(prroute, DOCTOR)).map(drop)
}
