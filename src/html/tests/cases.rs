//! Compares the links of the documents in `tests/data/html_cases.json` with the requests of Chromium 156.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    url: String,
    html: String,
    content_type: String,
    headers: std::collections::BTreeMap<String, String>,
    expect: Vec<Expected>,
    expect_not: Vec<Refused>,
}

#[derive(Deserialize)]
struct Expected {
    url: String,
    rel: String,
    #[serde(rename = "as")]
    destination: Option<String>,
    crossorigin: Option<String>,
    integrity: Option<String>,
    fetchpriority: Option<String>,
    tier: String,
    #[serde(default)]
    optional: bool,
}

#[derive(Deserialize)]
struct Refused {
    target: String,
}

impl Expected {
    fn line(&self) -> String {
        let [destination, crossorigin, integrity, priority] = [
            &self.destination,
            &self.crossorigin,
            &self.integrity,
            &self.fetchpriority,
        ]
        .map(|text| text.as_deref().unwrap_or("-"));
        let Self { url, rel, tier, .. } = self;
        format!("{url} {rel} {destination} {crossorigin} {integrity} {priority} {tier}")
    }
}

fn line(link: &HtmlLink) -> String {
    format!(
        "{} {} {} {} {} {} {}",
        link.target.url(),
        link.relation.name(),
        link.destination.unwrap_or("-"),
        link.crossorigin.map_or("-", crate::link::CrossOrigin::name),
        link.integrity.as_deref().unwrap_or("-"),
        link.priority.map_or("-", FetchPriority::name),
        link.tier.name(),
    )
}

#[test]
fn the_links_of_a_head_are_the_requests_of_a_browser() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/html_cases.json");
    let text = std::fs::read_to_string(file).expect("the cases");
    let cases: Cases = serde_json::from_str(&text).expect("JSON");
    assert!(cases.cases.len() >= 26, "the cases were found");
    let mut wrong = Vec::new();
    for case in &cases.cases {
        let document = document(&case.url);
        let field = |name| {
            case.headers
                .get(name)
                .map_or(&b""[..], |value: &String| value.as_bytes())
        };
        let fields = ResponseFields {
            content_type: case.content_type.as_bytes(),
            content_encoding: field("content-encoding"),
            content_disposition: field("content-disposition"),
        };
        let mut reader = HtmlReader::new(Limits::default(), &document, fields);
        reader.feed(case.html.as_bytes());
        let found = reader.finish(End::Whole).unwrap_or_default();
        let lines: Vec<String> = found.links.iter().map(line).collect();
        let expected = case.expect.iter().map(Expected::line).collect::<Vec<_>>();
        let sure = case.expect.iter().filter(|expected| !expected.optional);
        if lines != expected && lines != sure.map(Expected::line).collect::<Vec<_>>() {
            wrong.push(format!("{}\n  found    {lines:#?}\n  expected {expected:#?}", case.id));
        }
        for refused in &case.expect_not {
            let is_found = document
                .resolve(refused.target.as_bytes())
                .is_ok_and(|target| found.links.iter().any(|link| link.target == target));
            assert!(!is_found, "{}: {}", case.id, refused.target);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
