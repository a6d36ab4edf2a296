//! Reserves the promises of a plan, so that documents of one connection do not promise the same asset.

use std::sync::Arc;

use super::{
    plan::{Http2Facts, Plan},
    state::{PushState, Slot},
};

impl PushState {
    /// Plans with the state of this moment and reserves a slot for each promise under one lock, so that two documents
    /// in flight never promise the same asset, nor together more streams than the client allows.
    pub fn plan(self: &Arc<Self>, plan: impl FnOnce(&Http2Facts<'_>) -> Plan) -> Plan {
        let mut ledger = self.ledger();
        let mut planned = plan(&Http2Facts {
            accepts_push: self.accepts_push(),
            max_concurrent_streams: self.max_concurrent_streams(),
            open_promises: ledger.open_promises,
            refusals: self.refusals(),
            diary: &ledger.diary,
        });
        for promise in &mut planned.promises {
            promise.slot = Some(Arc::new(Slot::new(self, promise.key, &mut ledger)));
        }
        planned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::Known;

    fn knows(client: &Arc<PushState>, path: &str) -> Option<Known> {
        let mut known = None;
        client.plan(|http2| {
            known = http2.diary.knows(http2.diary.key("https", "shop.example", path));
            Plan::default()
        });
        known
    }

    #[test]
    fn requests_of_a_client_that_disabled_push_are_not_recorded() {
        let client = Arc::new(PushState::new(16));
        client.set_enable_push(false);
        client.record_fetched("https", "shop.example", "/a.css");
        client.set_enable_push(true);
        client.record_fetched("https", "shop.example", "/b.css");
        assert_eq!(
            (knows(&client, "/a.css"), knows(&client, "/b.css")),
            (None, Some(Known::Fetched))
        );
    }
}
