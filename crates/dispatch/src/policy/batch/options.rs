//! Parameters of the [`Batch`](super::Batch) policy, with their units and their reasons.

/// How far, how wide and how hard [`Batch`](super::Batch) looks. The defaults suit a city of some
/// hundred couriers with a decision every minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Seconds until the caller decides again. A trip that can start at the next decision
    /// without a later pickup is left to it. Default 60.
    pub tick_s: i64,
    /// Orders that are ready later than this many seconds from now are left out. Default 2700:
    /// long enough to see what the last couriers of a shift will be needed for; beyond it a plan
    /// is guesswork.
    pub look_ahead_s: i64,
    /// Couriers who are free later than this many seconds from now are left out. Default 1800.
    pub horizon_s: i64,
    /// Most orders on one trip, besides what the courier can take. Default 4, at most
    /// [`Options::BUNDLE_LIMIT`].
    pub bundle_max: usize,
    /// Most trips planned ahead for one courier. Only the first is ever started. Default 4.
    pub trips_max: usize,
    /// What a courier's second is worth when one order waits for each courier, in thousandths of
    /// a second of a customer's waiting: the price of using him now instead of having him later.
    /// It is proportional to the orders per courier (at least 0.2, at most 1.5 of them). Default
    /// 500. At 0 the plan sends anyone anywhere; far above 1000 it lets customers wait to save
    /// couriers' drives.
    pub courier_time_permille: i64,
    /// How much of the mean drive to the waiting orders counts at the end of a route, in percent.
    /// Default 120: besides the time it costs, a courier far from all merchants has less choice.
    pub approach_percent: i64,
    /// Rounds of the search for each waiting order. Default 6.
    pub rounds_per_order: usize,
    /// Most rounds of one decision, whatever its size. Default 900: it bounds the time of a
    /// decision.
    pub rounds_max: usize,
    /// Most orders taken out and put back in one round. Default 14.
    pub ruin_max: usize,
    /// By how many seconds (all customers together) a round may make the plan worse and still
    /// be kept, on average, at the first round; none at the last. Default 60.
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

    /// The worth of a courier's second for so many waiting orders and couriers, in thousandths.
    ///
    /// While couriers stand idle a saved second serves nobody; in a rush it is passed on to
    /// every order behind it. So the worth is proportional to the orders per courier, held
    /// between a fifth and one and a half.
    pub(super) fn share_permille(&self, orders: usize, couriers: usize) -> i64 {
        let load_permille = orders as i64 * 1000 / couriers.max(1) as i64;
        self.courier_time_permille * load_permille.clamp(200, 1500) / 1000
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tick_s: 60,
            look_ahead_s: 2700,
            horizon_s: 1800,
            bundle_max: 4,
            trips_max: 4,
            courier_time_permille: 500,
            approach_percent: 120,
            rounds_per_order: 6,
            rounds_max: 900,
            ruin_max: 14,
            tolerance_s: 60,
            orders_max: 512,
            couriers_max: 1024,
            seed: 1,
        }
    }
}
