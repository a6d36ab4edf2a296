//! Serves a demonstration (`linkpush demo`): a bundled origin (`origin`), and the edge in front of it.

mod origin;

use std::{net::SocketAddr, process::ExitCode};

use crate::{
    config,
    server::{Server, Sockets},
};

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port of the edge on 127.0.0.1; 0 for a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Port of the origin on 127.0.0.1
    #[arg(long, default_value_t = 9000)]
    origin_port: u16,
}

/// The configuration of the edge, ports aside.
const CONFIG: &str = include_str!("../../../conf/demo.yaml");

/// Serves the origin and the edge, and prints commands to try.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut config = config::parse("conf/demo.yaml", CONFIG)?;
    let origin = SocketAddr::from(([127, 0, 0, 1], args.origin_port));
    for listener in &mut config.listeners {
        listener.address.set_port(args.port);
    }
    for upstream in &mut config.upstreams {
        upstream.servers = vec![origin.into()];
    }
    std::net::TcpListener::bind(origin)
        .map_err(|e| anyhow::anyhow!("origin {origin}: {e}; choose another --origin-port"))?;
    let mut server = Server::new(config, None, Sockets::Open)?;
    server.add_service(origin::service(origin));
    if let Some(edge) = server.addresses().first() {
        println!("{}", what_to_try(*edge));
    }
    server.run()?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the commands to try.
fn what_to_try(edge: SocketAddr) -> String {
    let nghttp = "nghttp -nv --no-push -H 'sec-fetch-mode: navigate'";
    format!(
        "The demonstration is on http://{edge}/. Try:
  linkpush probe http://{edge}/                 a page whose Link header becomes pushes
  linkpush probe http://{edge}/early            the origin sends a 103 before it thinks: pushed by then
  linkpush probe --no-push http://{edge}/early  the same for a browser, which gets the 103
  linkpush probe http://{edge}/learned          no 103; from the second time on pushed while the origin thinks
  linkpush probe --no-push http://{edge}/configured   links that the route names, hinted at once
  linkpush probe http://{edge}/quiet            the route with push off: the header passes through
  nghttp -ans http://{edge}/                    `*` marks what was pushed
  {nghttp} http://{edge}/early
  {nghttp} http://{edge}/learned    twice: the second time with a 103
Ctrl-C ends it."
    )
}
