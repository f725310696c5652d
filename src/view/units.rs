//! Bytes, times and counts as people read them.

/// A number of bytes in kB, MB or GB, by powers of 1000.
pub fn size(bytes: u64) -> String {
    let unit = Unit::of(bytes);
    format!("{} {}", unit.number(bytes), unit.name())
}

/// Two numbers of bytes, such as "1.20 of 7.51 GB", both in the whole's unit.
pub fn share(part: u64, whole: u64) -> String {
    let unit = Unit::of(whole);
    format!(
        "{} of {} {}",
        unit.number(part),
        unit.number(whole),
        unit.name()
    )
}

#[derive(Clone, Copy)]
enum Unit {
    Kilobyte,
    Megabyte,
    Gigabyte,
}

impl Unit {
    /// The unit in which `bytes`, once it is rounded, has few digits.
    fn of(bytes: u64) -> Self {
        match bytes {
            0..=949_999 => Unit::Kilobyte,
            950_000..=949_999_999 => Unit::Megabyte,
            _ => Unit::Gigabyte,
        }
    }

    fn number(self, bytes: u64) -> String {
        // Far below 2^53 bytes: the conversion is exact.
        let bytes = bytes as f64;
        match self {
            // Rounded up: a file of one byte takes some room, too.
            Unit::Kilobyte => format!("{:.0}", (bytes / 1e3).ceil()),
            Unit::Megabyte => format!("{:.1}", bytes / 1e6),
            Unit::Gigabyte => {
                let decimals = match bytes {
                    ..9.995e9 => 2,
                    ..99.95e9 => 1,
                    _ => 0,
                };
                format!("{:.decimals$}", bytes / 1e9)
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Unit::Kilobyte => "kB",
            Unit::Megabyte => "MB",
            Unit::Gigabyte => "GB",
        }
    }
}

/// A load's progress in whole percents, rounded down: 100 only when nothing is missing.
pub fn percent(part: u64, whole: u64) -> u64 {
    match u128::from(whole) {
        0 => 100,
        whole => u64::try_from(u128::from(part) * 100 / whole).map_or(100, |it| it.min(100)),
    }
}

/// A duration, given in seconds, in milliseconds, seconds, minutes or hours.
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

/// A number and its noun, in the singular for 1.
pub fn count(number: usize, singular: &str, plural: &str) -> String {
    let noun = if number == 1 { singular } else { plural };
    format!("{number} {noun}")
}
