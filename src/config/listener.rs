//! The `listeners` section.

use std::{collections::HashMap, net::SocketAddr};

use super::{
    build::LISTENERS,
    decode::At,
    found::{Found, Reported},
    model::Listener,
};

pub(super) fn listeners(at: &At<'_>, found: &mut Found<'_>) -> Result<Vec<Listener>, Reported> {
    let mut seen = HashMap::new();
    at.non_empty_list(LISTENERS, found, |at, found| {
        let fields = at.mapping(LISTENER, found)?;
        let address = fields.required("address", ADDRESS, found, |at, found| {
            let address: SocketAddr = at.parse(ADDRESS, found, |text| text.parse().ok())?;
            match address.port() {
                0 => Ok(address), // a different free port each time
                _ => at.unique(address, &mut seen, found),
            }
        })?;
        Ok(Listener { address })
    })
}

const LISTENER: &[&str] = &["address"];
const ADDRESS: &str = "an IP address with a port, in quotes if IPv6 (0.0.0.0:8080, \"[::]:8080\")";
