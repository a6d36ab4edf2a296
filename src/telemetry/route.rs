//! Counts the requests of each route: [`RouteMeter`].
//!
//! A request finds the counters of its route beside the route, and so takes no lock and looks nothing up. A reload
//! keeps the counters of routes whose names stay, and drops the others, so that old names do not pile up.

use std::{sync::Arc, time::Duration};

use http::{StatusCode, Version};

use crate::{
    meter::{Counter, Counters, Histogram, Label, labels},
    push::PushMeter,
};

labels! {
    /// The protocol of a request, by its ALPN identifier (RFC 7301).
    pub enum ClientProtocol {
        /// HTTP/2.
        Http2 = "h2",
        /// HTTP/1.1.
        Http11 = "http/1.1",
        /// HTTP/1.0.
        Http10 = "http/1.0",
    }
}

labels! {
    /// The class of the final status.
    pub enum StatusClass {
        /// No final response was sent.
        None = "none",
        /// A change of protocol.
        Informational = "1xx",
        /// Success.
        Successful = "2xx",
        /// A redirect, or 304.
        Redirection = "3xx",
        /// An error of the client.
        ClientError = "4xx",
        /// An error of the origin, or of this server.
        ServerError = "5xx",
    }
}

labels! {
    /// The part of the cache in a response.
    pub enum CacheWord {
        /// A fresh stored response.
        Hit = "hit",
        /// A stale stored response.
        Stale = "stale",
        /// A stored response that the origin confirmed.
        Revalidated = "revalidated",
        /// A new response in place of a stale one.
        Expired = "expired",
        /// A new response.
        Miss = "miss",
        /// A response that bypassed the cache.
        Pass = "pass",
    }
}

labels! {
    /// The judgement of an early delivery by the response.
    pub enum LearnedVerdict {
        /// The response had the link.
        Right = "right",
        /// The response lacked the link.
        Wrong = "wrong",
    }
}

impl From<Version> for ClientProtocol {
    fn from(version: Version) -> Self {
        match version {
            Version::HTTP_2 => Self::Http2,
            Version::HTTP_10 => Self::Http10,
            _ => Self::Http11,
        }
    }
}

impl From<Option<StatusCode>> for StatusClass {
    fn from(status: Option<StatusCode>) -> Self {
        match status.map(|status| status.as_u16() / 100) {
            None => Self::None,
            Some(1) => Self::Informational,
            Some(2) => Self::Successful,
            Some(3) => Self::Redirection,
            Some(4) => Self::ClientError,
            Some(_) => Self::ServerError,
        }
    }
}

/// The end of a client's request.
#[derive(Debug, Clone, Copy)]
pub struct FinishedRequest {
    /// The protocol.
    pub protocol: ClientProtocol,
    /// The class of the status.
    pub status: StatusClass,
    /// Bytes of the response's content.
    pub bytes: usize,
    /// The time from the request's head to the end of the response.
    pub duration: Duration,
}

/// The counters of one route.
#[derive(Debug, Default)]
pub struct RouteMeter {
    /// Requests of clients, promises left out: by [`ClientProtocol`], in its order.
    requests: [Counters<StatusClass>; 3],
    /// The times of these requests.
    pub durations: Histogram,
    /// Bytes of their responses' content.
    pub bytes: Counter,
    /// Requests and promises in which the cache had a part, or might have had.
    pub cache: Counters<CacheWord>,
    /// Counts of promises, hints and skipped links of the route's documents.
    pub push: Arc<PushMeter>,
    /// Links delivered because earlier responses had them.
    pub learned: Counters<LearnedVerdict>,
    /// Documents whose learning was paused.
    pub pauses: Counter,
}

impl RouteMeter {
    /// Counts a request of a client that has ended.
    pub fn count(&self, request: &FinishedRequest) {
        if let Some(counters) = self.requests.get(request.protocol.index()) {
            counters.increment(request.status);
        }
        self.durations.observe(request.duration);
        self.bytes.add_size(request.bytes);
    }

    /// Yields the number of requests by protocol and class of status.
    pub fn requests(&self) -> impl Iterator<Item = (ClientProtocol, StatusClass, u64)> + '_ {
        let of_protocol = ClientProtocol::ALL.iter().zip(&self.requests);
        of_protocol
            .flat_map(|(&protocol, counters)| counters.iter().map(move |(class, number)| (protocol, class, number)))
    }
}

/// The counters of the routes of one configuration.
#[derive(Debug, Default)]
pub struct RouteMeters {
    /// Names and counters, in the order of the routes.
    routes: Vec<(Box<str>, Arc<RouteMeter>)>,
    /// The counters of requests that no route takes.
    unrouted: Arc<RouteMeter>,
}

/// The label of requests that no route takes. No route has this name.
const NO_ROUTE: &str = "";

impl RouteMeters {
    /// Makes the counters of routes with these names. Those of the previous configuration with the same name go on.
    #[must_use]
    pub fn renew<'n>(names: impl IntoIterator<Item = &'n str>, previous: &Self) -> Self {
        let one = |name: &str| {
            let known = previous.routes.iter().find(|(known, _)| **known == *name);
            (
                name.into(),
                known.map_or_else(Arc::default, |(_, meter)| Arc::clone(meter)),
            )
        };
        Self {
            routes: names.into_iter().map(one).collect(),
            unrouted: Arc::clone(&previous.unrouted),
        }
    }

    /// Returns the counters of the route with this index; `None` stands for no route.
    #[must_use]
    pub fn of(&self, route: Option<usize>) -> &Arc<RouteMeter> {
        let found = route.and_then(|index| self.routes.get(index));
        found.map_or(&self.unrouted, |(_, meter)| meter)
    }

    /// Yields the counters with the names of their routes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RouteMeter)> {
        let routes = self.routes.iter().map(|(name, meter)| (&**name, &**meter));
        routes.chain([(NO_ROUTE, &*self.unrouted)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(status: u16) -> FinishedRequest {
        FinishedRequest {
            protocol: Version::HTTP_2.into(),
            status: StatusCode::from_u16(status).ok().into(),
            bytes: 10,
            duration: Duration::from_millis(3),
        }
    }

    #[test]
    fn a_request_counts_by_protocol_and_class() {
        let meter = RouteMeter::default();
        for status in [200, 204, 304, 404, 502, 101] {
            meter.count(&finished(status));
        }
        meter.count(&FinishedRequest {
            protocol: Version::HTTP_10.into(),
            status: None.into(),
            ..finished(200)
        });
        let counted: Vec<_> = meter
            .requests()
            .filter(|(_, _, number)| *number > 0)
            .map(|(protocol, class, number)| (protocol.label(), class.label(), number))
            .collect();
        assert_eq!(
            counted,
            [
                ("h2", "1xx", 1),
                ("h2", "2xx", 2),
                ("h2", "3xx", 1),
                ("h2", "4xx", 1),
                ("h2", "5xx", 1),
                ("http/1.0", "none", 1)
            ]
        );
        assert_eq!((meter.bytes.get(), meter.durations.distribution().count()), (70, 7));
    }

    #[test]
    fn a_reload_keeps_the_counters_of_names_that_stay() {
        let first = RouteMeters::renew(["a", "b"], &RouteMeters::default());
        for route in [Some(0), Some(1), None] {
            first.of(route).count(&finished(200));
        }
        let second = RouteMeters::renew(["c", "b"], &first);
        let counted: Vec<_> = second.iter().map(|(name, meter)| (name, meter.bytes.get())).collect();
        assert_eq!(counted, [("c", 0), ("b", 10), ("", 10)]);
    }
}
