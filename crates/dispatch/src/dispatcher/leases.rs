//! placeholder until the coordinator is there
use crate::names::ZoneId;
use steadfast_fencing::FencingToken;
pub trait Coordinator {}
pub struct NoCoordinator;
impl Coordinator for NoCoordinator {}
pub(super) enum Change { Held { zone: ZoneId, token: FencingToken }, Lost { zone: ZoneId } }
pub(super) struct Leases<C> { _c: C, held: Vec<ZoneId>, new: Vec<ZoneId> }
impl<C> Leases<C> {
    pub(super) fn new(c: C, _: steadfast_time::Clock, _: std::time::Duration) -> Self { Self { _c: c, held: vec![], new: vec![] } }
    pub(super) fn want<'a>(&mut self, zones: impl Iterator<Item = &'a ZoneId>) {
        for z in zones { if !self.held.contains(z) { self.held.push(z.clone()); self.new.push(z.clone()); } }
    }
    pub(super) async fn next(&mut self) -> Change {
        match self.new.pop() { Some(zone) => Change::Held { zone, token: FencingToken::FIRST }, None => futures::future::pending().await }
    }
    pub(super) fn lost(&mut self, _: &ZoneId) {}
}
