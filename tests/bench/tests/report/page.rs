//! What a reader must find on the page, whatever the results.

use std::fs;

use super::fixture;
use crate::report::{page, series, targets, write};
use crate::results::{Results, SCHEMA, Verdict};

fn page(results: &Results) -> String {
    page::page(results).into_string()
}

/// The drawings of a page, each with those inside it.
fn drawings(page: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find("<svg") {
        let mut depth = 0;
        let mut end = start;
        loop {
            let Some(length) = rest[end..].find("</svg>") else { panic!("no end: {rest}") };
            let close = end + length + "</svg>".len();
            depth += rest[end..close].matches("<svg").count();
            depth -= 1;
            end = close;
            if depth == 0 {
                break;
            }
        }
        found.push(&rest[start..end]);
        rest = &rest[end..];
    }
    found
}

/// What a reader sees: text without tags.
fn text(page: &str) -> String {
    let mut text = String::new();
    for part in page.split('<').skip(1) {
        text.push_str(part.split_once('>').map_or("", |(_, text)| text));
    }
    text
}

#[test]
fn every_target_has_its_verdict_in_words_its_figure_and_its_limit() {
    let results = fixture::results();
    let page = page(&results);
    for target in &results.targets {
        let start = page.find(&format!("scope=\"row\">{}<br>", target.what)).unwrap();
        let row = text(&page[start..start + page[start..].find("</tr>").unwrap()]);
        assert!(row.ends_with(targets::word(target.verdict)), "{row}");
        let limit = format!("≤ {} {}", target.limit, target.unit);
        assert!(row.contains(&limit), "{row} lacks {limit}");
    }
    let verdicts = [Verdict::Pass, Verdict::Miss, Verdict::NotResolved, Verdict::NotMeasured];
    for verdict in verdicts {
        assert!(results.targets.iter().any(|target| target.verdict == verdict), "{verdict:?}");
    }
    for figure in ["1.1 %", "0.4 … 1.9", "24.9 %", "9.9 ns", "9.4 … 10.6"] {
        assert!(text(&page).contains(figure), "{figure}");
    }
}

#[test]
fn every_alternative_of_every_measurement_is_in_its_chart_and_its_table() {
    let results = fixture::results();
    let page = page(&results);
    for measurement in &results.measurements {
        let start = page.find(&format!("id=\"m-{}\"", measurement.name)).unwrap();
        let section = &page[start..start + page[start..].find("</section>").unwrap()];
        let (chart, table) = section.split_once("<table").unwrap();
        for contestant in &measurement.contestants {
            let name = maud::html! { (contestant.name) }.into_string();
            assert!(table.contains(&name), "table of {}: {name}", measurement.name);
            let timed = contestant.added.is_some();
            let drawn = chart.contains(&format!(">{name}</text>"));
            assert_eq!(drawn, timed, "chart of {}: {name}", measurement.name);
        }
    }
}

#[test]
fn a_difference_within_the_noise_is_called_not_resolved_in_chart_and_table() {
    let mut results = fixture::results();
    results.measurements.truncate(1);
    let count = |results: &Results| text(&page(results)).matches("not resolved").count();
    for contestant in &mut results.measurements[0].contestants {
        contestant.added.iter_mut().for_each(|added| added.resolved = true);
    }
    let before = count(&results);
    results.measurements[0].contestants[2].added.as_mut().unwrap().resolved = false;
    // The title of its row, its figure in the chart, the chart's description, the table; and the
    // paragraph before all of them.
    assert_eq!(count(&results), before + 4);
    assert!(page(&results).contains("too little for this run to resolve"));
}

#[test]
fn what_results_say_is_text_and_never_markup() {
    let page = page(&fixture::results());
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(&quot;&amp;amp;&quot;)&lt;/script&gt;"));
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = page(&fixture::results());
    for elsewhere in ["http:", "https:", "//", "url(", "@import", "src=", "<link", "<script"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
}

#[test]
fn drawings_are_xml_with_a_title_and_links_have_an_end() {
    let results = fixture::results();
    let page = page(&results);
    let drawings = drawings(&page);
    let charts = results.measurements.len() + series::all(&results.measurements).len() + 1;
    let mut titled = 0;
    for drawing in drawings {
        let drawing = roxmltree::Document::parse(drawing).unwrap();
        let root = drawing.root_element();
        if root.attribute("aria-hidden") == Some("true") {
            continue;
        }
        let named = root.attribute("aria-labelledby").unwrap();
        for id in named.split(' ') {
            let by = root.descendants().find(|node| node.attribute("id") == Some(id));
            assert!(by.and_then(|by| by.text()).is_some_and(|text| !text.is_empty()), "{id}");
        }
        titled += 1;
    }
    assert_eq!(titled, charts);
    for link in page.split("href=\"#").skip(1) {
        let id = link.split_once('"').unwrap().0;
        assert_eq!(page.matches(&format!(" id=\"{id}\"")).count(), 1, "{id}");
    }
}

#[test]
fn a_run_without_anything_is_a_page_too() {
    let nothing = Results {
        targets: Vec::new(),
        measurements: Vec::new(),
        memory: Vec::new(),
        ..fixture::results()
    };
    let text = text(&page(&nothing));
    assert!(text.contains("measured nothing that a target is set for"));
    assert_eq!(text.matches("Not part of this run.").count(), 2);
}

#[test]
fn figures_that_are_none_are_drawn_nowhere() {
    let mut results = fixture::results();
    for measurement in &mut results.measurements {
        for contestant in &mut measurement.contestants {
            if let Some(added) = &mut contestant.added {
                added.confidence = [f64::NAN; 2];
                added.spread.median = f64::NAN;
            }
        }
    }
    let page = page(&results);
    assert!(!page.contains("NaN") && !page.contains("inf%"));
    for drawing in drawings(&page) {
        roxmltree::Document::parse(drawing).unwrap();
    }
}

#[test]
fn the_page_and_all_samples_are_written_side_by_side() {
    let results = fixture::results();
    let directory = std::env::temp_dir().join(format!("prroute-report-{}", std::process::id()));
    let written = write(&results, &directory.join("new")).unwrap();
    let html = fs::read_to_string(&written).unwrap();
    let json = fs::read(written.with_file_name("results.json")).unwrap();
    fs::remove_dir_all(&directory).unwrap();
    assert!(html.contains("href=\"results.json\""));
    let read: Results = serde_json::from_slice(&json).unwrap();
    assert_eq!(read.schema, SCHEMA);
    let samples = |results: &Results| results.measurements[0].contestants[0].samples.len();
    assert_eq!(samples(&read), samples(&results));
}
