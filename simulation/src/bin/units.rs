//! Prints what commands cost with everything that follows from them, as JSON for `admin/units.json`.

fn main() -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(&simulation::units::measure()?)?);
    Ok(())
}
