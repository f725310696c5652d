//! Bytes and times as people read them.

/// Bytes as megabytes with one decimal, without the unit.
pub fn megabytes(bytes: u64) -> String {
    // Far below 2^53 bytes: the conversion is exact.
    format!("{:.1}", bytes as f64 / 1e6)
}

/// Bytes of a store, with their unit.
pub fn storage(bytes: u64) -> String {
    if bytes < 1_000_000 {
        format!("{} kB", bytes.div_ceil(1000))
    } else {
        format!("{} MB", megabytes(bytes))
    }
}

/// A duration in seconds, with as many digits as matter.
pub fn duration(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 99.5 {
        format!("{seconds:.0} s")
    } else {
        let minutes = (seconds / 60.0).round();
        if minutes < 90.0 {
            format!("{minutes:.0} min")
        } else {
            format!("{:.1} h", minutes / 60.0)
        }
    }
}

/// A count with its noun.
pub fn count(number: usize, singular: &str, plural: &str) -> String {
    let noun = if number == 1 { singular } else { plural };
    format!("{number} {noun}")
}
