//! Secrets in addresses: tokens and signatures let whoever has the address act for somebody, so that they are
//! neither shown nor stored nor put into a link.

/// What names of secret parameters are, in lower case.
const NAMES: [&str; 14] = [
    "token",
    "auth",
    "authorization",
    "key",
    "apikey",
    "password",
    "secret",
    "signature",
    "sig",
    "session",
    "policy",
    "credential",
    "jwt",
    "expires",
];
/// Beginnings of the names of parameters that sign an address.
const PREFIXES: [&str; 3] = ["x-amz-", "x-goog-", "x-ms-"];

/// The address without its secret parameters, the name and password before its host, and its fragment. Where
/// it has none of them it stays as it is.
pub fn without_secrets(url: &str) -> String {
    let (url, _) = url.split_once('#').unwrap_or((url, ""));
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let place = without_login(place);
    let kept: Vec<&str> = query
        .split('&')
        .filter(|part| !part.is_empty() && !is_secret(part))
        .collect();
    if kept.is_empty() {
        place
    } else {
        format!("{place}?{}", kept.join("&"))
    }
}

fn without_login(place: &str) -> String {
    let Some((scheme, rest)) = place.split_once("://") else {
        return place.to_owned();
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// Whether a parameter is a secret: one of the words of its name says so.
fn is_secret(parameter: &str) -> bool {
    let name = parameter.split('=').next().unwrap_or(parameter);
    let name = super::percent::decoded(name).to_ascii_lowercase();
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || name
            .split(['-', '_', '.'])
            .any(|word| NAMES.contains(&word) || word.ends_with("token") || word.ends_with("key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_chooses_the_file_stays_and_what_opens_it_goes() {
        for (url, public) in [
            (
                "https://a.example/download/1?type=Model&fp=fp16&token=0123",
                "https://a.example/download/1?type=Model&fp=fp16",
            ),
            (
                "https://a.example/x.safetensors?X-Amz-Signature=f&X-Amz-Expires=9&api_key=1",
                "https://a.example/x.safetensors",
            ),
            (
                "https://me:secret@a.example/x?accessToken=1#page",
                "https://a.example/x",
            ),
            ("https://a.example/x?v=2", "https://a.example/x?v=2"),
            ("owner/name@main", "owner/name@main"),
        ] {
            assert_eq!(without_secrets(url), public);
        }
    }
}
