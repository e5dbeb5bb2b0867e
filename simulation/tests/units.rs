//! The figures of `admin/units.json`, with which `admin plan` calculates, are those of the present code. A process can
//! measure once, so this is the only test here.

use std::collections::{BTreeMap, BTreeSet};

use simulation::units::{Units, Usage, WORDS, measure};

/// How much a figure may differ: what processes ask once a minute falls into one measurement or another.
const TOLERANCE: f64 = 0.1;
/// Of statistics, where commands of one moment conflict over the same sums, and by chance repeat their transactions or
/// leave them to the work queue, which reads everything again.
const TOLERANCE_OF_CONFLICTS: f64 = 0.5;
/// A difference in units that is none.
const UNITS_MIN: f64 = 0.3;
/// The same for statistics.
const UNITS_OF_CONFLICTS_MIN: f64 = 3.0;
/// The same in bytes of the bus: how many changes share a record is chance.
const BUS_BYTES_MIN: f64 = 300.0;

#[test]
fn commands_cost_what_the_plan_says() {
    let file: serde_json::Value = serde_json::from_str(include_str!("../../admin/units.json")).unwrap();
    let planned: Units = serde_json::from_value(file["commands"].clone()).unwrap();
    let measured = measure().unwrap();
    let mut wrong = Vec::new();
    for kind in planned.keys().chain(measured.keys()).collect::<BTreeSet<_>>() {
        let (planned, measured) = (planned.get(kind).cloned(), measured.get(kind).cloned());
        compare(kind, &planned.unwrap_or_default(), &measured.unwrap_or_default(), &mut wrong);
    }
    assert!(
        wrong.is_empty(),
        "put the output of `simulation --bin units` into admin/units.json:\n{}",
        wrong.join("\n")
    );
    assert_eq!(file["figures"]["search_words"]["value"].as_u64(), u64::try_from(WORDS).ok());
}

fn compare(kind: &str, planned: &Usage, measured: &Usage, wrong: &mut Vec<String>) {
    let (tolerance, units_min) = match kind.starts_with("statistics") {
        true => (TOLERANCE_OF_CONFLICTS, UNITS_OF_CONFLICTS_MIN),
        false => (TOLERANCE, UNITS_MIN),
    };
    let mut check = |what: &str, planned: f64, measured: f64, least: f64| {
        if (planned - measured).abs() > (planned.abs() * tolerance).max(least) {
            wrong.push(format!("{kind}, {what}: {planned} is planned, {measured} is measured"));
        }
    };
    let mut maps = |what: &str, planned: &BTreeMap<String, f64>, measured: &BTreeMap<String, f64>, least: f64| {
        for name in planned.keys().chain(measured.keys()).collect::<BTreeSet<_>>() {
            let of = |map: &BTreeMap<String, f64>| map.get(name).copied().unwrap_or_default();
            check(&format!("{what} of {name}"), of(planned), of(measured), least);
        }
    };
    maps("reads", &planned.reads, &measured.reads, units_min);
    maps("writes", &planned.writes, &measured.writes, units_min);
    maps("bytes", &planned.bytes, &measured.bytes, 20.0);
    maps("expiring bytes", &planned.expiring_bytes, &measured.expiring_bytes, 20.0);
    maps("invocations", &planned.invocations, &measured.invocations, units_min);
    check("reads of the command", planned.command[0], measured.command[0], units_min);
    check("writes of the command", planned.command[1], measured.command[1], units_min);
    check("bytes of the bus", planned.bus_bytes, measured.bus_bytes, BUS_BYTES_MIN);
}
