//! A chart of a scenario, as SVG: requests, lag and units, second by second.

use std::fmt::Write as _;

use super::report::Report;

const WIDTH: f64 = 860.0;
const PANEL: f64 = 130.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 60.0;
const GAP: f64 = 46.0;

/// Lines of a panel: what they are, which column of `by_second`, and their colour.
type Line = (&'static str, usize, &'static str);

const PANELS: [(&str, &[Line]); 4] = [
    ("requests/s", &[("answered", 0, "#2f6f4f"), ("failed", 1, "#b3261e")]),
    ("longest lag of rows written in this second, ms", &[("lag", 3, "#1f5fa8")]),
    ("DynamoDB units/s", &[("read", 4, "#7a5cb8"), ("write", 5, "#c07a12")]),
    ("throttled/s, and messages in the queue", &[("throttled", 2, "#b3261e"), ("messages", 6, "#4d4d4d")]),
];

/// The chart.
pub fn svg(report: &Report) -> String {
    let panels = PANELS.iter().enumerate().map(|(number, (title, lines))| {
        #[expect(clippy::cast_precision_loss, reason = "four panels")]
        panel(report, title, lines, TOP + number as f64 * (PANEL + GAP))
    });
    let panels: String = panels.collect();
    let height = TOP + 4.0 * (PANEL + GAP);
    let title = escape(&format!("{}: {}", report.scenario, report.title));
    let fraction = report.fraction;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"22\" font-size=\"14\">{}</text>\n\
         <text x=\"16\" y=\"40\" fill=\"#555555\">{fraction} of the load within {fraction} of AWS's limits; figures \
         are of the whole</text>\n{panels}</svg>\n",
        title.chars().take(120).collect::<String>()
    )
}

fn panel(report: &Report, title: &str, lines: &[Line], top: f64) -> String {
    let points = &report.by_second;
    let columns = || lines.iter().map(|(_, column, _)| *column);
    let most = points.iter().flat_map(|point| columns().map(|column| point[column])).fold(1.0, f64::max);
    let right = WIDTH - 20.0;
    let mut panel = String::new();
    let bottom = top + PANEL;
    // Writing to a string cannot fail.
    let _ = writeln!(
        panel,
        "<text x=\"{LEFT}\" y=\"{:.0}\">{}</text>\n<line x1=\"{LEFT}\" y1=\"{bottom}\" x2=\"{right}\" y2=\"{bottom}\" \
         stroke=\"#999999\"/>\n<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\n\
         <text x=\"{:.0}\" y=\"{bottom:.0}\" text-anchor=\"end\">0</text>",
        top - 6.0,
        escape(title),
        LEFT - 6.0,
        top + 10.0,
        short(most),
        LEFT - 6.0,
    );
    #[expect(clippy::cast_precision_loss, reason = "seconds of a scenario")]
    let step = (right - LEFT) / points.len().saturating_sub(1).max(1) as f64;
    for (number, (name, column, colour)) in lines.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "seconds of a scenario")]
        let at = |(second, point): (usize, &[f64; 7])| {
            format!("{:.1},{:.1}", LEFT + second as f64 * step, bottom - point[*column] / most * PANEL)
        };
        let path: Vec<_> = points.iter().enumerate().map(at).collect();
        #[expect(clippy::cast_precision_loss, reason = "two lines")]
        let x = right - 90.0 * (lines.len() - number) as f64;
        let _ = writeln!(
            panel,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>\n\
             <text x=\"{x:.0}\" y=\"{:.0}\" fill=\"{colour}\">{name}</text>",
            path.join(" "),
            top - 6.0,
        );
    }
    let _ =
        writeln!(panel, "<text x=\"{right}\" y=\"{:.0}\" text-anchor=\"end\">{} s</text>", bottom + 14.0, points.len());
    panel
}

fn short(value: f64) -> String {
    if value >= 10_000.0 { format!("{:.0}k", value / 1000.0) } else { format!("{value:.0}") }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
