//! Runs `h2load`, which refuses pushes: requests one URL many times, and checks that each response is complete.

use std::{net::SocketAddr, process::Command};

/// A path, the number of its requests, and the bytes that each response must have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Requests {
    pub(crate) path: &'static str,
    pub(crate) bytes: u64,
    pub(crate) number: u64,
}

/// Runs the load, with these fields in each request. Returns its duration in seconds, or why the load is invalid.
pub(crate) fn run(address: SocketAddr, requests: Requests, fields: &[&str]) -> Result<f64, String> {
    let Requests { path, bytes, number } = requests;
    let output = Command::new("h2load")
        .args(["-n", &number.to_string(), "-c", CONNECTIONS, "-m", STREAMS])
        .args(fields.iter().flat_map(|field| ["-H", field]))
        .arg(format!("http://{address}{path}"))
        .output()
        .map_err(|e| format!("h2load: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default();
    let counts = line("requests: ");
    let all_well = format!("{number} done, {number} succeeded, 0 failed, 0 errored, 0 timeout");
    if !counts.ends_with(&all_well) || !line("status codes: ").starts_with(&format!("status codes: {number} 2xx")) {
        let said = if counts.is_empty() {
            "h2load said nothing"
        } else {
            counts
        };
        return Err(said.to_owned());
    }
    let data = format!("({}) data", number * bytes);
    if !line("traffic: ").ends_with(&data) {
        return Err(format!(
            "wrong sizes, of {number} × {bytes} bytes: {}",
            line("traffic: ")
        ));
    }
    let seconds = line("finished in ").split_whitespace().nth(2).and_then(seconds);
    seconds.ok_or_else(|| format!("h2load: {}", line("finished in ")))
}

/// Connections, and concurrent requests on each: 512 together.
const CONNECTIONS: &str = "32";
const STREAMS: &str = "16";

/// Parses a duration of h2load, such as `1.07s,`, `953.20ms,` or `80us,`.
fn seconds(text: &str) -> Option<f64> {
    let text = text.trim_end_matches(',');
    let number = text.trim_end_matches(char::is_alphabetic);
    let unit = match text.strip_prefix(number)? {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * unit)
}
