//! The table of the documentation, the dashboard and the alerts, compared with what a server tells, and given to a real
//! Prometheus.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use serde_json::Value;

use super::{PROMETHEUS, address, ask, server};
use crate::support::{
    client::Client,
    edge::Edge,
    h2load::H2load,
    http1::Http1,
    origin::Origin,
    program::{Program, free_address},
    tls::issue_with,
    within,
};

const RULES: &str = "deploy/prometheus/linkpush.rules.yml";
const DASHBOARD: &str = "deploy/grafana/linkpush.json";

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A metric as the documentation or a server describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Described {
    kind: String,
    labels: BTreeSet<String>,
}

/// The rows of the table of metrics.
fn documented() -> BTreeMap<String, Described> {
    let text = read("docs/operate/metrics.md");
    let (_, table) = text.split_once("\n## The numbers\n").expect("the heading");
    let table = table.split("\n## ").next().unwrap_or_default();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').skip(1).map(str::trim).collect();
        let quoted = |cell: &str| {
            cell.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let described = Described {
            kind: cells[1].to_owned(),
            labels: quoted(cells[2]).into_iter().collect(),
        };
        assert!(cells.len() == 6 && !cells[3].is_empty(), "{row}");
        (quoted(cells[0]).remove(0), described)
    })
    .collect()
}

/// The metrics in a text of Prometheus.
fn exposed(text: &str) -> BTreeMap<String, Described> {
    let mut metrics: BTreeMap<String, Described> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            metrics.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().expect("a name");
            let of_histogram = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end));
            let family = of_histogram
                .filter(|family| metrics.contains_key(*family))
                .unwrap_or(name);
            let metric = metrics.get_mut(family).unwrap_or_else(|| panic!("no type: {line}"));
            // No label value of these tests has a comma or a quote.
            let labels = line.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
            let labels = labels
                .map_or("", |(labels, _)| labels)
                .split(',')
                .filter(|label| !label.is_empty());
            let names = labels.filter_map(|label| label.split('=').next());
            metric
                .labels
                .extend(names.filter(|name| *name != "le").map(str::to_owned));
        }
    }
    metrics
}

/// The words of an expression that are names of metrics.
fn names_in(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_metric = |word: &&str| word.starts_with("linkpush_") || word.starts_with("process_");
    words.filter(is_metric).map(str::to_owned).collect()
}

/// The expressions of a dashboard: of its panels, annotations and variables.
fn dashboard_expressions() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(text) if name == "expr" => found.push(text.clone()),
                        Value::String(text) if name == "query" && text.contains('(') => found.push(text.clone()),
                        _ => collect(value, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("JSON");
    let mut found = Vec::new();
    collect(&dashboard, &mut found);
    assert!(found.len() > 30, "{found:?}");
    found
}

/// The expressions of the alerts, by name.
fn alerts() -> BTreeMap<String, String> {
    let text = read(RULES);
    let rules = text.split("- alert: ").skip(1);
    let alerts = rules.map(|rule| {
        let name = rule.lines().next().expect("a name").trim();
        let expression = rule.lines().find_map(|line| line.trim().strip_prefix("expr: "));
        (name.to_owned(), expression.expect("an expression").to_owned())
    });
    alerts.collect()
}

/// A server that has something of everything, so that each label is there: two listeners, a dead upstream, requests that
/// went wrong in each way.
async fn busy_edge(origin: &Origin, folder: &Path, valid_for: Duration) -> Edge {
    let issued = issue_with(&["shop.example"], |params| {
        params.not_after = (SystemTime::now() + valid_for).into();
    });
    issued.write(folder, "shop");
    let folder = folder.display();
    let config = format!(
        "listeners:\n  - {{ address: '127.0.0.1:0', trusted: [127.0.0.1/32] }}\n  \
         - {{ address: '{}', tls: {{ certificates: [{{ cert: {folder}/shop.pem, key: {folder}/shop.key }}] }} }}\n\
         upstreams:\n  app: {{ servers: ['{}'] }}\n  dead:\n    servers: ['{}']\n    \
         health_check: {{ path: /, interval: 1s, unhealthy_after: 1 }}\n{}routes:\n  \
         - {{ name: dead, upstream: dead, match: {{ path: '^/dead' }} }}\n  - {{ name: pages, upstream: app, learn: on }}\n",
        free_address(),
        origin.address,
        free_address(),
        server("threads: 1")
    );
    let edge = Edge::with(&config).await;
    let client = Client::connect(edge.address).await;
    origin.serve_ok(
        "/",
        &[("link", "</gone.css>; rel=preload; as=style, nonsense")],
        b"page",
    );
    client.get("/").await;
    client.get("/dead").await;
    Http1::sending(edge.address, "nonsense\r\n\r\n").await.rest().await;
    let mut raw = crate::support::raw::Raw::connect(edge.address, &[]).await;
    raw.window(0, 0).await;
    raw.rest().await;
    edge
}

async fn text_of(edge: &Edge) -> String {
    ask(address(edge).await, "/metrics", PROMETHEUS).await.2
}

/// The text once it has this.
async fn text_with(edge: &Edge, part: &str) -> String {
    within(part, async {
        loop {
            let text = text_of(edge).await;
            if text.contains(part) {
                return text;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn the_table_of_the_documentation_is_what_a_server_tells() {
    let origin = Origin::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let edge = busy_edge(&origin, folder.path(), Duration::from_secs(90 * 24 * 3600)).await;
    let text = text_with(&edge, "linkpush_pushes_cancelled_total{").await;
    let (documented, exposed) = (documented(), exposed(&text));
    for (name, described) in &documented {
        assert_eq!(
            exposed.get(name),
            Some(described),
            "{name} in the table, and of the server\n{text}"
        );
    }
    let undocumented: Vec<_> = exposed.keys().filter(|name| !documented.contains_key(*name)).collect();
    assert!(undocumented.is_empty(), "{undocumented:?}");
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_name_only_metrics_that_exist() {
    let documented = documented();
    let exists = |name: &String| {
        let of_histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        match of_histogram.and_then(|family| documented.get(family)) {
            Some(family) => family.kind == "histogram",
            None => documented.get(name).is_some_and(|metric| metric.kind != "histogram"),
        }
    };
    let expressions = dashboard_expressions().into_iter().chain(alerts().into_values());
    let mut wrong = Vec::new();
    for expression in expressions {
        let names = names_in(&expression);
        assert!(!names.is_empty(), "{expression}");
        wrong.extend(
            names
                .into_iter()
                .filter(|name| !exists(name))
                .map(|name| format!("{name}: {expression}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let text = read("docs/operate/metrics.md");
    for alert in alerts().keys() {
        assert!(text.contains(&format!("| `{alert}` |")), "{alert} is not documented");
    }
}

#[test]
fn promtool_accepts_the_alerts() {
    let output = Command::new("promtool")
        .args(["check", "rules"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(RULES))
        .output()
        .expect("tests/support/install.sh test installs promtool");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && !said.contains("FAILED"), "{said}");
}

/// Asks Prometheus' API.
async fn query(prometheus: SocketAddr, path: &str) -> Value {
    let request = format!("GET {path} HTTP/1.0\r\nHost: {prometheus}\r\n\r\n");
    let answer = Http1::sending(prometheus, request).await.rest().await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (_, content) = answer.split_once("\r\n\r\n").unwrap_or_default();
    serde_json::from_str(content).unwrap_or_else(|e| panic!("{e}: {answer}"))
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// How long Prometheus may take to scrape and to judge: both once a second, on a machine that is busy.
const ALERT_LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn the_alerts_fire_in_a_real_prometheus() {
    let origin = Origin::start().await;
    origin.default_ok(b"x");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let edge = busy_edge(&origin, folder.path(), Duration::from_secs(5 * 24 * 3600)).await;
    // Each visitor comes from a network of its own, and each response names another link.
    for visit in 0..40 {
        let link = format!("</{visit}.css>; rel=preload; as=style");
        origin.serve_ok("/restless", &[("link", &link)], b"page");
        let client = Client::connect(edge.address).await;
        let from = format!("10.{visit}.0.1");
        client
            .fetch(client.get_request("/restless", &[("x-forwarded-for", &from)]))
            .await;
    }
    text_with(&edge, "linkpush_learning_paused_documents 1\n").await;
    let rules = read(RULES);
    let rules = rules.lines().map(|line| match line.trim().starts_with("for: ") {
        true => "        for: 0s\n".to_owned(),
        false => format!("{line}\n"),
    });
    fs::write(folder.path().join("rules.yml"), rules.collect::<String>()).expect("a writable folder");
    let config = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\nrule_files: [rules.yml]\n\
         scrape_configs: [{{ job_name: linkpush, static_configs: [{{ targets: ['{}'] }}] }}]\n",
        address(&edge).await
    );
    let file = folder.path().join("prometheus.yml");
    fs::write(&file, config).expect("a writable folder");
    let listen = free_address();
    let argument = |name: &str, value: &str| format!("--{name}={value}");
    let storage = folder.path().join("data").display().to_string();
    let arguments = [
        argument("config.file", &file.display().to_string()),
        argument("storage.tsdb.path", &storage),
        argument("web.listen-address", &listen.to_string()),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let prometheus = Program::start("prometheus", &arguments, listen).await;
    within("Prometheus to be ready", async {
        loop {
            let request = format!("GET /-/ready HTTP/1.0\r\nHost: {listen}\r\n\r\n");
            let answer = Http1::sending(listen, request).await.rest().await;
            if answer.starts_with(b"HTTP/1.0 200 ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    // More requests at a time than one thread can serve, each with enough links to keep it busy, and not the origin.
    let links: Vec<_> = (0..60).map(|n| format!("</{n}.css>; rel=preload; as=style")).collect();
    origin.serve_ok("/heavy", &[("link", &links.join(", "))], b"page");
    let _load = H2load::start(&["-c", "8", "-m", "100", "-D", "300"], edge.address, "/heavy");
    let wanted = [
        "LinkpushOriginDown",
        "LinkpushCertificateNearItsEnd",
        "LinkpushLearningPaused",
        "LinkpushQueue",
    ];
    let mut fired = BTreeSet::new();
    let firing = async {
        while !wanted.iter().all(|alert| fired.contains(*alert)) {
            let answer = query(listen, "/api/v1/alerts").await;
            for alert in answer["data"]["alerts"].as_array().into_iter().flatten() {
                if alert["state"] == "firing" {
                    fired.insert(alert["labels"]["alertname"].as_str().unwrap_or_default().to_owned());
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let in_time = tokio::time::timeout(ALERT_LIMIT, firing).await.is_ok();
    assert!(
        in_time,
        "only {fired:?} fire\n{}\n{}",
        prometheus.printed(),
        text_of(&edge).await
    );
    assert!(!fired.contains("LinkpushReloadFailed"), "{fired:?}");
    let targets = query(listen, "/api/v1/targets").await;
    let target = &targets["data"]["activeTargets"][0];
    assert_eq!(
        (&target["health"], &target["lastError"]),
        (&"up".into(), &"".into()),
        "{targets}"
    );
    for expression in dashboard_expressions()
        .into_iter()
        .filter(|text| !text.starts_with("label_values"))
    {
        let asked = expression.replace("$__rate_interval", "1m").replace("$instance", ".*");
        let answer = query(listen, &format!("/api/v1/query?query={}", percent_encoded(&asked))).await;
        assert_eq!(answer["status"], "success", "{asked}: {answer}");
    }
}
