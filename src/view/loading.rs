//! The page's words for pairs and loads: bytes, times and states.
//!
//! Plain functions of the [`protocol`](crate::protocol::loader)'s values, apart from the page so that
//! native tests reach them.

use super::units::{percent, share, size};
use crate::protocol::loader::{
    LoadProgress, Origin, PairEntry, PairState, Phase, Preflight, Verdict,
};

/// An estimate of the time left of a load; none where its speed allows none.
pub fn time_left(progress: &LoadProgress) -> Option<String> {
    let left = progress.total.saturating_sub(progress.received);
    let seconds = left as f64 / progress.speed;
    // No time follows from a speed of 0, nor from one that is not a number.
    if left == 0 || !seconds.is_finite() || seconds < 0.0 {
        return None;
    }
    let minutes = (seconds / 60.0).ceil();
    Some(if seconds < 60.0 {
        "less than a minute left".to_owned()
    } else if minutes < 60.0 {
        format!("about {minutes:.0} min left")
    } else if minutes < 48.0 * 60.0 {
        // An estimate of hours isn't exact to minutes.
        let fives = (minutes / 5.0).round() * 5.0;
        format!(
            "about {:.0} h {:02.0} min left",
            (fives / 60.0).floor(),
            fives % 60.0
        )
    } else {
        format!("about {:.0} days left", minutes / (24.0 * 60.0))
    })
}

/// Bytes, speed and time left of a load, as far as each is known.
pub fn progress(progress: &LoadProgress) -> String {
    let mut words = Vec::new();
    if progress.total > 0 {
        words.push(share(progress.received, progress.total));
    }
    if progress.phase == Phase::Loading && progress.speed >= 1.0 {
        // Positive and far below 2^64.
        words.push(format!("{}/s", size(progress.speed as u64)));
        words.extend(time_left(progress));
    }
    words.join(", ")
}

/// A load's phase in words, without any number that changes during the phase.
pub fn phase(phase: &Phase) -> &'static str {
    match phase {
        Phase::Asking => "Asking the hosts…",
        Phase::Loading => "Loading…",
        Phase::Retrying(_) => "Waiting to try again…",
        Phase::Offline => "Offline: the load goes on by itself when the network is back.",
        Phase::ElsewhereLoading => "Another tab loads it. This one takes over if that is closed.",
        Phase::Searching => "A file is not what its host has published: finding out where…",
    }
}

/// The value of `data-phase` for a load's phase, or for no load.
pub fn phase_key(phase: Option<&Phase>) -> &'static str {
    match phase {
        None => "idle",
        Some(Phase::Asking) => "asking",
        Some(Phase::Loading) => "loading",
        Some(Phase::Retrying(_)) => "retrying",
        Some(Phase::Offline) => "offline",
        Some(Phase::ElsewhereLoading) => "elsewhere",
        Some(Phase::Searching) => "searching",
    }
}

/// The value of `data-state` for a pair's state.
pub fn state_key(state: PairState) -> &'static str {
    match state {
        PairState::Absent => "absent",
        PairState::Partial => "partial",
        PairState::Complete => "complete",
    }
}

/// A sentence about how much of a pair is here, for a pair that isn't being loaded.
pub fn state(pair: &PairEntry) -> String {
    match (pair.state, pair.download_size, pair.missing) {
        (PairState::Complete, ..) => "Complete: it works without a network.".to_owned(),
        (PairState::Absent, Some(whole), missing) if pair.origin == Origin::Bundled => format!(
            "Not in this browser yet: the first run fetches {}.",
            // Other pairs may have brought a part of it.
            size(missing.unwrap_or(whole))
        ),
        (PairState::Absent, Some(whole), missing) => {
            let missing = missing.unwrap_or(whole);
            let download = format!("Not in this browser: {} to download", size(missing));
            match whole.saturating_sub(missing) {
                0 => format!("{download}."),
                here if pair.shared_with.is_empty() => {
                    format!("{download}; {} more of it are here.", size(here))
                }
                here => format!(
                    "{download}; {} more of it are here with {}.",
                    size(here),
                    list(&pair.shared_with)
                ),
            }
        }
        (PairState::Absent, None, _) => "Not in this browser.".to_owned(),
        (PairState::Partial, Some(whole), Some(missing)) => {
            let here = percent(whole.saturating_sub(missing), whole);
            let which = if pair.begun || pair.stored > pair.shared {
                ""
            } else {
                " through another pair"
            };
            format!("{here} % here{which}: {} to download.", size(missing))
        }
        (PairState::Partial, ..) => "A part of it is here.".to_owned(),
    }
}

/// The bytes that a pair takes in the store and shares there; none where it takes nothing, such as of a
/// pair that was never loaded: what others have brought is theirs.
pub fn stored(pair: &PairEntry) -> Option<String> {
    let is_own = pair.begun || pair.stored > pair.shared || pair.last_used.is_some();
    (pair.stored > 0 && is_own).then(|| {
        let stored = size(pair.stored);
        if pair.shared == 0 || pair.shared_with.is_empty() {
            format!("{stored} stored")
        } else {
            format!(
                "{stored} stored, {} of it shared with {}",
                size(pair.shared),
                list(&pair.shared_with)
            )
        }
    })
}

/// The question before a pair is deleted, and sentences about what would go and what would stay.
pub fn deletion(pair: &PairEntry) -> String {
    let mut words = match pair.stored.saturating_sub(pair.shared) {
        0 if pair.origin == Origin::Added => format!("Take “{}” off the list?", pair.name),
        0 => format!("Delete “{}”? That frees nothing.", pair.name),
        freed => format!("Delete “{}”? That frees {}.", pair.name, size(freed)),
    };
    if pair.shared > 0 && !pair.shared_with.is_empty() {
        let verb = if pair.shared_with.len() == 1 {
            "uses"
        } else {
            "use"
        };
        words += &format!(
            " {} stay, because {} {verb} them too.",
            size(pair.shared),
            list(&pair.shared_with)
        );
    }
    if pair.stored > 0 && pair.origin == Origin::Added {
        words += " It goes off the list, too.";
    } else if pair.stored > 0 && pair.state == PairState::Complete {
        words += " To draw with it again is to download it again.";
    }
    words
}

/// The value of `data-verdict` for a pre-flight's verdict.
pub fn verdict_key(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Fits => "fits",
        Verdict::FitsWithoutF16 => "without-f16",
        Verdict::WontFit(_) => "wont-fit",
    }
}

/// A verdict in one line, and the reasons to list below it.
pub fn verdict(verdict: &Verdict) -> (String, &[String]) {
    match verdict {
        Verdict::Fits => ("It fits this browser and its GPU.".to_owned(), &[]),
        Verdict::FitsWithoutF16 => (
            "It fits without f16: this GPU has no half precision in its shaders, so drawing is \
             slower and takes more memory."
                .to_owned(),
            &[],
        ),
        Verdict::WontFit(reasons) => match reasons.as_slice() {
            [reason] => (format!("It won't run here. {reason}"), &[]),
            reasons => ("It won't run here, because of this:".to_owned(), reasons),
        },
    }
}

/// The bytes to download, and those that are here already.
pub fn download(preflight: &Preflight) -> String {
    if preflight.from_disk > 0 {
        let disk = size(preflight.from_disk);
        return match preflight.download {
            0 => format!("nothing: {disk} are read from your disk"),
            download => format!("{}; {disk} more are read from your disk", size(download)),
        };
    }
    if preflight.download == 0 {
        return "nothing: all of it is here".to_owned();
    }
    let download = size(preflight.download);
    if preflight.present == 0 {
        download
    } else {
        format!(
            "{download}; {} of it are here already",
            size(preflight.present)
        )
    }
}

/// The sentence that there is no room for the missing bytes.
pub fn full(missing: u64) -> String {
    format!(
        "There is no room for the rest: {} more are needed. What has come stays. Delete another \
         pair, or make room on the disk, and then go on.",
        size(missing)
    )
}

/// Names as a list in a sentence, such as "a, b and c".
pub fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

/// The address, if it is one of the web: an address in a manifest could be a script.
pub fn web_address(url: &str) -> Option<&str> {
    let is_web = ["https://", "http://"].iter().any(|scheme| {
        url.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    is_web.then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(state: PairState) -> PairEntry {
        PairEntry {
            address: "pairs/two.json".to_owned(),
            name: "Two".to_owned(),
            description: String::new(),
            notices: Vec::new(),
            origin: Origin::Offered,
            licence: String::new(),
            image_size: (1024, 1024),
            state,
            download_size: Some(6_940_000_000),
            missing: Some(4_600_000_000),
            stored: 0,
            shared: 0,
            shared_with: Vec::new(),
            last_used: None,
            begun: true,
        }
    }

    fn load(received: u64, total: u64, speed: f64) -> LoadProgress {
        LoadProgress {
            address: "pairs/two.json".to_owned(),
            phase: Phase::Loading,
            file: String::new(),
            received,
            total,
            speed,
        }
    }

    #[test]
    fn bytes_have_the_unit_that_suits_them() {
        let sizes = [
            (0, "0 kB"),
            (1, "1 kB"),
            (949_999, "950 kB"),
            (960_000, "1.0 MB"),
            (23_449_000, "23.4 MB"),
            (5_135_149_760, "5.14 GB"),
            (12_000_000_000, "12.0 GB"),
            (116_000_000_000, "116 GB"),
        ];
        for (bytes, words) in sizes {
            assert_eq!(size(bytes), words);
        }
        assert_eq!(share(12_000_000, 6_940_000_000), "0.01 of 6.94 GB");
    }

    #[test]
    fn a_load_is_at_100_percent_only_when_nothing_is_missing() {
        assert_eq!(percent(0, 5_135_149_760), 0);
        assert_eq!(percent(5_135_149_759, 5_135_149_760), 99);
        assert_eq!(percent(5_135_149_760, 5_135_149_760), 100);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
        assert_eq!(percent(0, 0), 100);
    }

    #[test]
    fn the_time_left_is_as_exact_as_it_can_be() {
        let times = [
            (59.0, "less than a minute left"),
            (61.0, "about 2 min left"),
            (58.5 * 60.0, "about 59 min left"),
            (59.5 * 60.0, "about 1 h 00 min left"),
            (83.0 * 60.0, "about 1 h 25 min left"),
            (50.0 * 3600.0, "about 2 days left"),
        ];
        for (seconds, words) in times {
            let time = time_left(&load(0, 1_000_000_000, 1e9 / seconds));
            assert_eq!(time.as_deref(), Some(words));
        }
        for speed in [0.0, -1.0, f64::NAN] {
            assert_eq!(time_left(&load(0, 1_000_000_000, speed)), None);
        }
        assert_eq!(time_left(&load(1_000, 1_000, 1e6)), None);
    }

    #[test]
    fn a_load_says_what_it_knows() {
        assert_eq!(
            progress(&load(2_340_000_000, 6_940_000_000, 24.1e6)),
            "2.34 of 6.94 GB, 24.1 MB/s, about 4 min left"
        );
        assert_eq!(progress(&load(0, 6_940_000_000, 0.0)), "0.00 of 6.94 GB");
        assert_eq!(progress(&load(0, 0, 0.0)), "");
        let waits = LoadProgress {
            phase: Phase::Offline,
            ..load(2_340_000_000, 6_940_000_000, 24.1e6)
        };
        assert_eq!(progress(&waits), "2.34 of 6.94 GB");
    }

    #[test]
    fn a_partial_pair_says_whose_part_it_is() {
        let begun = pair(PairState::Partial);
        assert_eq!(state(&begun), "33 % here: 4.60 GB to download.");
        let brought = PairEntry {
            begun: false,
            ..begun
        };
        assert_eq!(
            state(&brought),
            "33 % here through another pair: 4.60 GB to download."
        );
    }

    #[test]
    fn what_others_have_brought_is_neither_downloaded_nor_stored_again() {
        let never_loaded = PairEntry {
            begun: false,
            stored: 2_000_000_000,
            shared: 2_000_000_000,
            shared_with: vec!["One".to_owned()],
            ..pair(PairState::Absent)
        };
        assert_eq!(
            state(&never_loaded),
            "Not in this browser: 4.60 GB to download; 2.34 GB more of it are here with One."
        );
        assert_eq!(stored(&never_loaded), None);
        let whole = PairEntry {
            missing: Some(6_940_000_000),
            ..pair(PairState::Absent)
        };
        assert_eq!(state(&whole), "Not in this browser: 6.94 GB to download.");
        let loaded = PairEntry {
            begun: true,
            stored: 3_000_000_000,
            ..never_loaded
        };
        assert_eq!(
            stored(&loaded).as_deref(),
            Some("3.00 GB stored, 2.00 GB of it shared with One")
        );
    }

    #[test]
    fn a_deletion_says_what_goes_and_what_stays() {
        let whole = PairEntry {
            stored: 3_400_000_000,
            ..pair(PairState::Complete)
        };
        assert_eq!(
            deletion(&whole),
            "Delete “Two”? That frees 3.40 GB. To draw with it again is to download it again."
        );
        let shared = PairEntry {
            shared: 1_400_000_000,
            shared_with: vec!["One".to_owned(), "Three".to_owned()],
            origin: Origin::Added,
            ..whole
        };
        assert_eq!(
            deletion(&shared),
            "Delete “Two”? That frees 2.00 GB. 1.40 GB stay, because One and Three use them too. \
             It goes off the list, too."
        );
        let empty = PairEntry {
            origin: Origin::Added,
            ..pair(PairState::Absent)
        };
        assert_eq!(deletion(&empty), "Take “Two” off the list?");
    }

    #[test]
    fn only_the_webs_addresses_are_links() {
        for address in ["https://example.org/licence", "HTTP://example.org"] {
            assert_eq!(web_address(address), Some(address));
        }
        for address in ["javascript:alert(1)", "licence.txt", "https:/x", "", "é"] {
            assert_eq!(web_address(address), None, "{address}");
        }
    }
}
