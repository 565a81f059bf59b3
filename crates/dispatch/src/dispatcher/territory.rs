//! Which zones a dispatcher asks for: the consistent-hash ring's share of the live ones.
//!
//! A preference, not an exclusion. What keeps two dispatchers out of one zone is its lease, and at the
//! storage the fence; here it is only said who asks, so that the zones are spread and each one's next
//! dispatcher is known. So the one thing that must never happen is a zone for which nobody asks, and
//! whoever is in doubt asks for all:
//!
//! | the dispatcher | asks for |
//! |---|---|
//! | knows no members: not joined yet, not seen yet, the engine does not answer | all zones |
//! | does not find itself among them: the others do not count on it | all zones |
//! | is suspected itself: the others have taken its zones over | all zones |
//! | otherwise | its share among all members, and its share among those that are not suspected |
//!
//! With its share among *all* members it keeps what is its own, also when another dispatcher suspects
//! somebody whom it trusts; so a zone whose owner works is always asked for. With the share among the
//! *trusted* ones the zones of a suspected member have a new dispatcher at once. All that a difference
//! in opinion can do is to make two ask for one zone, of which one waits.
//!
//! That leaves an owner that is well and does not ask: it has not read of a new zone yet, or it has
//! another journal. So everybody looks now and then for which zones somebody asks, and adopts those
//! that it misses twice in a row, until the members are others.

use std::collections::{BTreeMap, HashSet};

use steadfast_coordination::ring::{Assignment, Bound, Error, Node, Ring};

use crate::names::ZoneId;

/// The members of the group by name, and whether they are suspected.
pub(super) type Members = BTreeMap<String, bool>;

/// A deterministic machine: members and zones in, the zones to ask for out.
#[derive(Debug)]
pub(super) struct Territory {
    name: String,
    members: Option<Members>,
    /// All zones that are known. None ever goes.
    zones: Vec<ZoneId>,
    /// Those to ask for; `None` for all.
    mine: Option<HashSet<ZoneId>>,
    /// Others' zones for which nobody asked at the last look.
    missed: HashSet<ZoneId>,
    /// Others' zones for which nobody asks.
    adopted: HashSet<ZoneId>,
}

impl Territory {
    pub(super) fn new(name: String) -> Self {
        let (missed, adopted) = Default::default();
        Self { name, members: None, zones: Vec::new(), mine: None, missed, adopted }
    }

    /// Takes in who is there; `None` when that is not known.
    pub(super) fn see(&mut self, members: Option<Members>) {
        if self.members != members {
            self.members = members;
            self.missed.clear();
            self.adopted.clear();
            self.assign();
        }
    }

    /// Takes in the zones, `count` of them. Says whether there are new ones.
    pub(super) fn survey<'a>(
        &mut self,
        count: usize,
        zones: impl Iterator<Item = &'a ZoneId>,
    ) -> bool {
        // Zones come and do not go: the same number of them, the same zones.
        if count == self.zones.len() {
            return false;
        }
        self.zones = zones.cloned().collect();
        self.assign();
        true
    }

    /// Whether to ask for a zone.
    pub(super) fn wants(&self, zone: &ZoneId) -> bool {
        let mine = self.mine.as_ref();
        mine.is_none_or(|mine| mine.contains(zone) || self.adopted.contains(zone))
    }

    /// Whether there are others whose zones are to be looked after.
    pub(super) fn has_neighbours(&self) -> bool {
        self.mine.is_some()
    }

    /// Takes in which zones somebody asks for. Says whether some are adopted.
    pub(super) fn look(&mut self, asked_for: &HashSet<String>) -> bool {
        let is_missed = |zone: &&ZoneId| !self.wants(zone) && !asked_for.contains(&zone.resource());
        let missed: HashSet<_> = self.zones.iter().filter(is_missed).cloned().collect();
        let before = std::mem::take(&mut self.missed);
        let (adopted, missed): (HashSet<_>, _) =
            missed.into_iter().partition(|zone| before.contains(zone));
        self.missed = missed;
        let some = !adopted.is_empty();
        self.adopted.extend(adopted);
        some
    }

    fn assign(&mut self) {
        self.mine = self.shares().unwrap_or_else(|error| {
            tracing::error!(%error, "no assignment of zones; asking for all of them");
            None
        });
    }

    fn shares(&self) -> Result<Option<HashSet<ZoneId>>, Error> {
        let Some(members) = &self.members else { return Ok(None) };
        if members.len() == 1 || members.get(&self.name) != Some(&false) {
            return Ok(None);
        }
        let mut mine = self.share(members.keys())?;
        if members.values().any(|is_suspected| *is_suspected) {
            let trusted = members.iter().filter(|(_, is_suspected)| !**is_suspected);
            mine.extend(self.share(trusted.map(|(name, _)| name))?);
        }
        Ok(Some(mine))
    }

    /// The own share of the zones, with these members.
    fn share<'a>(
        &self,
        members: impl Iterator<Item = &'a String>,
    ) -> Result<HashSet<ZoneId>, Error> {
        let ring = Ring::of(members.map(|name| Node::from(name.as_str())))?;
        let zones = self.zones.iter().map(ZoneId::as_str);
        let assignment = Assignment::new(&ring, zones, Bound::default())?;
        let is_mine = |zone: &&ZoneId| assignment.node_of(zone.as_str()) == Some(&self.name);
        Ok(self.zones.iter().filter(is_mine).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn zones(count: usize) -> Vec<ZoneId> {
        (0..count).map(|n| format!("z{n}").parse().unwrap()).collect()
    }

    fn members(names: &[&str], suspected: &[&str]) -> Option<Members> {
        Some(names.iter().map(|name| ((*name).into(), suspected.contains(name))).collect())
    }

    /// What a dispatcher asks for.
    fn wanted(name: &str, members: Option<Members>, zones: &[ZoneId]) -> BTreeSet<ZoneId> {
        let mut territory = Territory::new(name.into());
        territory.see(members);
        territory.survey(zones.len(), zones.iter());
        zones.iter().filter(|zone| territory.wants(zone)).cloned().collect()
    }

    #[test]
    fn whoever_is_alone_or_knows_nobody_asks_for_all() {
        let zones = zones(40);
        for members in [None, members(&["a"], &[]), members(&["a", "b"], &["b"])] {
            assert_eq!(wanted("a", members.clone(), &zones).len(), 40, "{members:?}");
        }
    }

    #[test]
    fn members_share_the_zones_without_an_overlap_and_within_the_bound() {
        for (count, names) in
            [(1, vec!["a", "b"]), (12, vec!["a", "b"]), (100, vec!["a", "b", "c", "d", "e"])]
        {
            let zones = zones(count);
            let mut asked = BTreeSet::new();
            let bound = Bound::default().capacity(count as u64, 1, names.len() as u64);
            for name in &names {
                let share = wanted(name, members(&names, &[]), &zones);
                assert!(share.len() as u64 <= bound, "{name}: {share:?}");
                for zone in share {
                    assert!(asked.insert(zone.clone()), "{zone} twice");
                }
            }
            assert_eq!(asked.len(), count);
        }
    }

    #[test]
    fn only_the_zones_of_a_member_that_leaves_find_another() {
        let zones = zones(100);
        let (mut kept, mut all) = (0, 0);
        for name in ["a", "b"] {
            let before = wanted(name, members(&["a", "b", "c"], &[]), &zones);
            let after = wanted(name, members(&["a", "b"], &[]), &zones);
            kept += before.intersection(&after).count();
            all += before.len();
        }
        // The bound moves a few between those who stay; `hash % n` would move half.
        assert!(kept * 10 >= all * 9, "{kept} of {all}");
    }

    #[test]
    fn the_zones_of_a_suspected_member_are_asked_for_by_others_and_nothing_is_given_up() {
        let zones = zones(50);
        let all = ["a", "b", "c"];
        let mut asked = BTreeSet::new();
        for name in ["a", "b"] {
            let before = wanted(name, members(&all, &[]), &zones);
            let after = wanted(name, members(&all, &["c"]), &zones);
            assert!(before.is_subset(&after));
            assert!(after.len() < 50, "not everybody asks for everything");
            asked.extend(after);
        }
        assert_eq!(asked.len(), 50);
        assert_eq!(wanted("c", members(&all, &["c"]), &zones).len(), 50, "it counts on nobody");
    }

    #[test]
    fn whoever_is_not_among_the_members_asks_for_all() {
        let zones = zones(30);
        assert_eq!(wanted("x", members(&["a", "b"], &[]), &zones).len(), 30);
        assert_eq!(wanted("x", members(&[], &[]), &zones).len(), 30);
    }

    #[test]
    fn whatever_the_opinions_a_zone_whose_owner_works_is_asked_for() {
        let (zones, all) = (zones(60), ["a", "b", "c", "d"]);
        // Each suspects another one.
        let views = [("a", ["b"]), ("b", ["c"]), ("c", ["d"]), ("d", ["a"])];
        let asked: BTreeSet<_> = views
            .iter()
            .flat_map(|(name, suspects)| wanted(name, members(&all, suspects), &zones))
            .collect();
        assert_eq!(asked.len(), 60);
        // The trusted ones' share alone would not do.
        let alone = views.iter().flat_map(|(name, suspects)| {
            let trusted: Vec<_> = all.into_iter().filter(|m| !suspects.contains(m)).collect();
            wanted(name, members(&trusted, &[]), &zones)
        });
        assert!(alone.collect::<BTreeSet<_>>().len() < 60);
    }

    #[test]
    fn new_zones_and_new_members_are_taken_in() {
        let (few, many) = (zones(4), zones(20));
        let mut territory = Territory::new("a".into());
        assert!(territory.survey(few.len(), few.iter()));
        assert!(!territory.survey(few.len(), few.iter()));
        territory.see(members(&["a", "b"], &[]));
        assert!(territory.survey(many.len(), many.iter()));
        let mine = many.iter().filter(|zone| territory.wants(zone)).count();
        assert_eq!(mine, wanted("a", members(&["a", "b"], &[]), &many).len());
        territory.see(None);
        assert!(many.iter().all(|zone| territory.wants(zone)));
    }
    #[test]
    fn a_zone_that_is_missed_twice_in_a_row_is_adopted_until_the_members_change() {
        let zones = zones(10);
        let mut territory = Territory::new("a".into());
        territory.survey(zones.len(), zones.iter());
        assert!(!territory.has_neighbours() && !territory.look(&HashSet::new()));
        territory.see(members(&["a", "b"], &[]));
        let others: Vec<_> = zones.iter().filter(|zone| !territory.wants(zone)).collect();
        let all: HashSet<_> = others.iter().map(|zone| zone.resource()).collect();
        let but_one: HashSet<_> = others[1..].iter().map(|zone| zone.resource()).collect();
        // Once is a hand-over.
        for asked_for in [&all, &but_one, &all, &but_one] {
            assert!(!territory.look(asked_for) && !territory.wants(others[0]));
        }
        assert!(territory.look(&but_one));
        assert!(territory.wants(others[0]) && !territory.wants(others[1]));
        // It is asked for now.
        assert!(!territory.look(&all) && territory.wants(others[0]));
        territory.see(members(&["a", "b", "c"], &[]));
        territory.see(members(&["a", "b"], &[]));
        assert!(!territory.wants(others[0]));
    }
}
