//! Orders, couriers, zones, offers and assignment policies; knows no HTTP and no engine.
