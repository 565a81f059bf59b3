//! opts
/// Options.
#[derive(Debug, Clone)]
pub struct Options {
    /// tick
    pub tick_s: i64,
    /// look ahead
    pub look_ahead_s: i64,
    /// horizon
    pub horizon_s: i64,
    /// bundle max
    pub bundle_max: usize,
    /// trips per courier
    pub trips_max: usize,
    /// iterations per order
    pub iterations_per_order: usize,
    /// iterations at most
    pub iterations_max: usize,
    /// weight of courier time, per mille
    pub courier_time_permille: i64,
    /// weight of approach
    pub approach_permille: i64,
    /// temperature
    pub temperature: i64,
    /// ruin size
    pub ruin: usize,
    /// seed
    pub seed: u64,
    /// x
    pub x: [i64; 6],
}
impl Default for Options {
    fn default() -> Self {
        Self { tick_s: 60, look_ahead_s: 3600, horizon_s: 1800, bundle_max: 4, trips_max: 4,
            iterations_per_order: 20, iterations_max: 2000, courier_time_permille: 200, approach_permille: 200, temperature: 30, ruin: 8, seed: 1, x: [0; 6] }
    }
}
