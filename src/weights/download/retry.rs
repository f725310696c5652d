//! When a host is asked again, and what its refusals mean.
//!
//! Only a 404 says that a host has no such file. A host that is busy or fails is asked again, after a wait that
//! doubles each time and is partly random, so that the clients of an overloaded host don't come back all at
//! once.

/// The wait before the second attempt; each further wait is twice as long.
const FIRST_WAIT_MILLISECONDS: f64 = 500.0;
const LONGEST_WAIT_MILLISECONDS: f64 = 30_000.0;
/// The longest wait that a host can ask for (`Retry-After`) while a file loads.
pub const LONGEST_RETRY_AFTER_SECONDS: f64 = 300.0;

/// Whether the same request may be answered otherwise a moment later.
pub fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

/// The wait after so many attempts without an answer, in milliseconds. `random` is from 0 to 1 and makes it half
/// as long to half as long again. What the host asks for counts instead, up to `limit` seconds.
pub fn wait_milliseconds(attempts: u32, random: f64, retry_after: Option<f64>, limit: f64) -> f64 {
    let own = FIRST_WAIT_MILLISECONDS * f64::from(2u32.pow(attempts.clamp(1, 10) - 1));
    match retry_after {
        Some(seconds) => seconds.clamp(0.0, limit) * 1000.0,
        None => own.min(LONGEST_WAIT_MILLISECONDS) * (0.5 + random),
    }
}

/// The sentence about a server that answers with another status than those of success.
pub fn status_sentence(file: &str, status: u16) -> String {
    match status {
        401 | 403 => format!(
            "The server doesn't give {file} to this page (HTTP status {status}): it may ask for a login or \
             for terms to be accepted, which this page can't do, or its address has expired. Download the \
             file there, and open it from your disk here."
        ),
        404 | 410 => format!(
            "The server has no {file} at this address (HTTP status {status}). Check the address."
        ),
        429 => format!(
            "The server of {file} is asked too much at the moment (HTTP status 429). Wait a few minutes, and \
             try again."
        ),
        500..=599 => {
            format!("The server of {file} is in trouble (HTTP status {status}). Try again later.")
        }
        _ => format!(
            "The server has no usable {file}: it answered with HTTP status {status}. Check the address, or \
             try again later."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The case 19-silent-substitution: only a 404 means “has none”, and a busy host is asked again.
    #[test]
    fn a_busy_host_is_asked_again_and_a_clear_answer_is_taken() {
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert!(is_transient(status), "{status}");
        }
        for status in [200, 206, 301, 400, 401, 403, 404, 410, 416, 451] {
            assert!(!is_transient(status), "{status}");
        }
    }

    #[test]
    fn waits_double_and_the_host_may_ask_for_its_own() {
        assert_eq!(wait_milliseconds(1, 0.5, None, 30.0), 500.0);
        assert_eq!(wait_milliseconds(4, 0.5, None, 30.0), 4000.0);
        assert_eq!(wait_milliseconds(99, 0.5, None, 30.0), 30_000.0);
        assert_eq!(wait_milliseconds(1, 0.5, Some(7.0), 30.0), 7000.0);
        assert_eq!(wait_milliseconds(1, 0.5, Some(9000.0), 30.0), 30_000.0);
        assert_eq!(wait_milliseconds(1, 0.5, Some(-1.0), 30.0), 0.0);
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        for (status, words) in [
            (401, "login"),
            (403, "open it from your disk"),
            (404, "no x at this address"),
            (429, "Wait a few minutes"),
            (503, "in trouble"),
            (418, "418"),
        ] {
            let sentence = status_sentence("x", status);
            assert!(sentence.contains(words), "{status}: {sentence}");
        }
    }
}
