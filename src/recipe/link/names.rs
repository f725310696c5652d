//! Names in links beside those of the recipe's parameters.

/// The version, in complete links.
pub const VERSION: &str = "v";
/// The manifest's address.
pub const PAIR: &str = "pair";
/// What begins the names of further prompts, before their number.
pub const FURTHER_PROMPT: &str = "prompt-";
/// The number of the first further prompt: the recipe's prompt is the first of all.
pub const FIRST_FURTHER_PROMPT: usize = 2;
/// The values of k that rows differ in.
pub const K_VALUES: &str = "k-values";
/// The base guidance scales that the hybrid's rows differ in.
pub const BASE_GUIDANCE_VALUES: &str = "base-guidance-values";
/// The strengths of the first adapter that rows differ in.
pub const ADAPTER_STRENGTHS: &str = "adapter-strengths";
/// The device to run on.
pub const DEVICE: &str = "device";
/// The digests of the first cell's steps.
pub const DIGEST: &str = "digest";
/// The checksum of all before it.
pub const SUM: &str = "sum";

/// Whether the page shows what the engine measures: a name without a value.
pub const STATS: &str = "stats";

/// The name of the further prompt of a number.
pub fn further_prompt(number: usize) -> String {
    format!("{FURTHER_PROMPT}{number}")
}

/// The number in the name of a further prompt; none for any other name.
pub fn further_prompt_number(name: &str) -> Option<usize> {
    let digits = name.strip_prefix(FURTHER_PROMPT)?;
    let number: usize = digits.parse().ok()?;
    // One spelling: no sign, no zeros before it.
    (number >= FIRST_FURTHER_PROMPT && number.to_string() == digits).then_some(number)
}
