//! Parameters of the [`Batch`](super::Batch) policy, with their units and their reasons.

/// How far, how wide and how hard [`Batch`](super::Batch) looks. The defaults suit a city of some
/// hundred couriers with a decision every minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Seconds until the caller decides again. A trip that can start at the next decision
    /// without a later pickup is left to it. Default 60.
    pub tick_s: i64,
    /// Orders that are ready later than this many seconds from now are left out. Default
    /// 1800: farther ahead a plan is guesswork, and its couriers' shifts are seen anyway.
    pub look_ahead_s: i64,
    /// Couriers who are free later than this many seconds from now are left out. Default 1800.
    pub horizon_s: i64,
    /// Most orders on one trip, besides what the courier can take. Default 4, at most
    /// [`Options::BUNDLE_LIMIT`].
    pub bundle_max: usize,
    /// Most trips planned ahead for one courier. Only the first is ever started. Default 4.
    pub trips_max: usize,
    /// What a courier's second is worth, in thousandths of a second of a customer's waiting:
    /// the price of using him now instead of having him later. Default 300. At 0 the plan sends
    /// anyone anywhere; at 1000 it lets customers wait to save a courier's drive.
    pub courier_time_permille: i64,
    /// Rounds of the search for each waiting order. Default 12.
    pub rounds_per_order: usize,
    /// Most rounds of one decision, whatever its size. Default 1500: it bounds the time of a
    /// decision.
    pub rounds_max: usize,
    /// Most orders taken out and put back in one round. Default 8.
    pub ruin_max: usize,
    /// By how many seconds (all customers together) a round may make the plan worse and still
    /// be kept, on average, at the first round; none at the last. Default 30.
    pub tolerance_s: i64,
    /// Most orders considered, the first ready ones first. Default 512.
    pub orders_max: usize,
    /// Most couriers considered, the first free ones first. Default 1024.
    pub couriers_max: usize,
    /// Seed of the search; the same seed and snapshot give the same plan. Default 1.
    pub seed: u64,
}

impl Options {
    /// Largest trip that a plan can hold, whatever [`Options::bundle_max`] says.
    pub const BUNDLE_LIMIT: usize = 6;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tick_s: 60,
            look_ahead_s: 1800,
            horizon_s: 1800,
            bundle_max: 4,
            trips_max: 4,
            courier_time_permille: 300,
            rounds_per_order: 12,
            rounds_max: 1500,
            ruin_max: 8,
            tolerance_s: 30,
            orders_max: 512,
            couriers_max: 1024,
            seed: 1,
        }
    }
}
