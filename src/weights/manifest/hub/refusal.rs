//! What a hub's refusal of a listing means.

use super::error::HubError;
use crate::weights::manifest::file::HubRepository;

/// What it means that the hub answers a question about a repository with this status, and with this text in
/// `X-Error-Code` (empty where it sends none); none where that says nothing about the repository.
pub fn refusal(hub: &HubRepository, status: u16, code: &str) -> Option<HubError> {
    let place = hub.repository.clone();
    match (status, code) {
        (401 | 403, "GatedRepo") => Some(HubError::Gated { place }),
        (401 | 403, "DisabledRepo") | (410 | 451, _) => Some(HubError::Closed { place, status }),
        (401 | 403, _) => Some(HubError::Hidden { place, status }),
        (404, "RevisionNotFound") => Some(HubError::NoRevision {
            place,
            revision: hub.revision.clone(),
        }),
        (404, _) => Some(HubError::NoRepository { place }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The case 12-gated-repository: a form or a login has its own sentence, and one for an unknown name says
    /// that too.
    #[test]
    fn each_refusal_has_its_sentence() {
        let hub = HubRepository {
            repository: "a/b".into(),
            revision: "v9".into(),
        };
        let says = |status, code| refusal(&hub, status, code).map(|error| error.to_string());
        for (status, code, words) in [
            (401, "GatedRepo", "accepted its terms"),
            (403, "GatedRepo", "gated"),
            (401, "RepoNotFound", "no repository of that name"),
            (401, "", "private or gated"),
            (404, "RevisionNotFound", "v9"),
            (404, "", "404"),
            (451, "", "closed"),
        ] {
            let sentence = says(status, code).unwrap_or_default();
            assert!(sentence.contains(words), "{status} {code}: {sentence}");
        }
        for (status, code) in [(429, ""), (500, ""), (503, "GatedRepo"), (200, "")] {
            assert_eq!(says(status, code), None, "{status}");
        }
    }
}
