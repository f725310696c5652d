//! Downloads: which records of a file are written together, which hashes prove them, under which names
//! a single-file checkpoint's tensors are stored, and which files and addresses a manifest may name.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test ends where something is not as it should be"
)]

use firststep::weights::download::plan::{
    Commit, CommitEncoder, FileProgress, HashState, Lengths, RunningHash, plan,
};
use firststep::weights::format::encoding::Encoding;
use firststep::weights::format::rules::EncodingRule;
use firststep::weights::format::safetensors::{self, Header};
use firststep::weights::format::sha256::sha256;
use firststep::weights::format::tensor::StoredTensor;
use firststep::weights::manifest::Manifest;

/// Pseudorandom values in −1…1 from a linear congruential generator.
fn values(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect()
}

fn tensor(name: &str, shape: &[usize], seed: u32) -> StoredTensor {
    let count = shape.iter().product();
    StoredTensor::encode(name, shape, &values(count, seed), Encoding::F16, 0.0).expect("encodes")
}

fn file(tensors: &[StoredTensor]) -> (Vec<u8>, Header) {
    let bytes = safetensors::write("model", tensors).expect("writes");
    let header = Header::parse("model", &bytes).expect("reads");
    (bytes, header)
}

fn rules() -> Vec<EncodingRule> {
    serde_json::from_str(
        r#"[{"tensors": "*.attn.weight", "encoding": "q4"}, {"tensors": "*.weight", "encoding": "q8"}]"#,
    )
    .expect("rules")
}

/// The records of a commit whose bytes come in pieces of this length.
fn encode(commit: &Commit, bytes: &[u8], piece: usize) -> Vec<StoredTensor> {
    let mut encoder = CommitEncoder::new("model", commit).expect("begins");
    let range = commit.range.start as usize..commit.range.end as usize;
    for piece in bytes[range].chunks(piece) {
        encoder.push(piece).expect("encodes");
    }
    encoder.finish()
}

#[test]
fn the_records_of_all_commits_are_those_of_the_whole_file() {
    // Between small tensors one that is longer than a chunk.
    let tensors: Vec<_> = [
        tensor("a.weight", &[64, 320], 1),
        tensor("b.attn.weight", &[1280, 1280], 2),
        tensor("c.bias", &[33], 3),
        tensor("d.weight", &[320, 64, 3, 3], 4),
        tensor("e.weight", &[640, 640], 5),
    ]
    .into();
    let (bytes, header) = file(&tensors);
    let commits = plan("model", &header, &rules()).expect("plans");

    let lengths = Lengths::of(bytes.len() as u64);
    let mut end = 0;
    for commit in &commits {
        assert_eq!(commit.range.start, end, "no byte is left out");
        assert!(commit.length() <= lengths.commit || commit.tensors.len() == 1);
        end = commit.range.end;
    }
    assert_eq!(end, bytes.len() as u64);
    assert!(commits.len() > 2);

    for piece in [7, 4096, bytes.len()] {
        let records: Vec<_> = commits
            .iter()
            .flat_map(|commit| encode(commit, &bytes, piece))
            .collect();
        let expected = |name: &str| {
            let encoding = match name {
                "b.attn.weight" => Encoding::Q4,
                "c.bias" => Encoding::F16,
                _ => Encoding::Q8,
            };
            let tensor = tensors.iter().find(|it| it.name == name).expect("is there");
            tensor.quantize(encoding, 0.0).expect("encodes")
        };
        assert_eq!(records.len(), tensors.len());
        for record in records {
            assert_eq!(record, expected(&record.name));
        }
    }
}

#[test]
fn without_rules_tensors_stay_as_they_arrive() {
    let quantized = tensor("a.weight", &[8, 64], 1)
        .quantize(Encoding::Q4, 0.0)
        .expect("encodes");
    let single = StoredTensor::encode("b", &[3], &[1.0, -2.0, 0.5], Encoding::F32, 0.0);
    let tensors = [quantized, single.expect("encodes")];
    let (bytes, header) = file(&tensors);
    let commits = plan("model", &header, &[]).expect("plans");
    let records: Vec<_> = commits
        .iter()
        .flat_map(|commit| encode(commit, &bytes, 5))
        .collect();
    let mut expected = safetensors::read("model", &bytes).expect("reads");
    expected.sort_by(|a, b| a.name.cmp(&b.name));
    let mut records = records;
    records.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(records, expected);
}

/// Reads the file in a load that is cut off after each commit. Returns the indices of the commits that
/// are written, and of those that are found to be the first that differ from the first reading.
fn read(bytes: &[u8], commits: &[Commit], progress: &mut FileProgress) -> (Vec<usize>, Vec<usize>) {
    let (mut written, mut found) = (Vec::new(), Vec::new());
    for (index, commit) in commits.iter().enumerate() {
        // The progress is stored and read back between any two commits.
        let json = serde_json::to_string(progress).expect("writes");
        *progress = serde_json::from_str(&json).expect("reads");
        let mut hash = progress.hash().expect("goes on");
        hash.update(&bytes[commit.range.start as usize..commit.range.end as usize]);
        let state = hash.state();
        if progress.needs_writing(&state) {
            written.push(index);
        }
        if progress.is_first_difference(&state) {
            progress.is_found = true;
            found.push(index);
        }
        progress.states.push(state);
    }
    (written, found)
}

fn many_commits() -> (Vec<u8>, Vec<Commit>) {
    let tensors: Vec<_> = (0..12)
        .map(|index| tensor(&format!("{index:02}.weight"), &[512, 512], index))
        .collect();
    let (bytes, header) = file(&tensors);
    let commits = plan("model", &header, &[]).expect("plans");
    assert!(commits.len() > 8);
    (bytes, commits)
}

#[test]
fn a_hash_that_is_stored_and_resumed_is_the_files() {
    let (bytes, commits) = many_commits();
    let mut progress = FileProgress::default();
    let (written, found) = read(&bytes, &commits, &mut progress);
    assert_eq!(written.len(), commits.len());
    assert!(found.is_empty());
    let hash = progress.hash().expect("goes on").finish();
    assert_eq!(hash, sha256(&bytes));
    let broken: HashState = serde_json::from_str("[1, 2, 3]").expect("reads");
    assert!(RunningHash::resume(&broken).is_none());
}

#[test]
fn progress_is_stored_under_the_names_of_earlier_versions() {
    let stored = serde_json::json!({
        "size": 7, "validator": "\"v\"", "position": 5, "states": [[1]], "stored": 4,
        "doubted": [[2], [3]], "is_found": true, "damaged": ["a.weight"],
    });
    let progress: FileProgress = serde_json::from_value(stored.clone()).expect("reads");
    assert!(progress.is_second_reading());
    assert_eq!(serde_json::to_value(&progress).expect("writes"), stored);
}

#[test]
fn a_second_reading_finds_the_wrong_bytes_and_writes_nothing_before_them() {
    let (bytes, commits) = many_commits();
    let wrong = 5;
    let mut flipped = bytes.clone();
    flipped[commits[wrong].range.start as usize + 99] ^= 1;
    let mut progress = FileProgress::default();
    read(&flipped, &commits, &mut progress);
    assert_ne!(progress.hash().expect("goes on").finish(), sha256(&bytes));

    let mut progress = progress.begin_second_reading();
    assert!(progress.is_second_reading());
    let (written, found) = read(&bytes, &commits, &mut progress);
    assert_eq!(found, [wrong]);
    assert_eq!(written, (wrong..commits.len()).collect::<Vec<_>>());
    assert_eq!(progress.hash().expect("goes on").finish(), sha256(&bytes));
}

#[test]
fn a_checkpoint_becomes_the_models_of_diffusers() {
    let attention = values(3 * 64 * 64, 7);
    let projection = values(64 * 96, 8);
    let plain = |name: &str, shape: &[usize], values: &[f32]| {
        StoredTensor::encode(name, shape, values, Encoding::F32, 0.0).expect("encodes")
    };
    let open_clip = "conditioner.embedders.1.model";
    let tensors = [
        plain(
            "model.diffusion_model.input_blocks.0.0.weight",
            &[4],
            &values(4, 1),
        ),
        plain(
            &format!("{open_clip}.transformer.resblocks.3.attn.in_proj_weight"),
            &[192, 64],
            &attention,
        ),
        plain(
            &format!("{open_clip}.text_projection"),
            &[64, 96],
            &projection,
        ),
        plain(
            "first_stage_model.decoder.mid.attn_1.q.weight",
            &[8, 8, 1, 1],
            &values(64, 2),
        ),
        plain("denoiser.sigmas", &[9], &values(9, 3)),
    ];
    let (bytes, header) = file(&tensors);
    let commits = plan("model", &header, &[]).expect("plans");
    let records: Vec<_> = commits
        .iter()
        .flat_map(|commit| encode(commit, &bytes, 11))
        .collect();
    let record = |name: &str| {
        let found = records.iter().find(|it| it.name == name);
        found.unwrap_or_else(|| panic!("{name} is missing")).clone()
    };
    assert_eq!(records.len(), 6, "what nothing uses is left out");
    assert_eq!(
        record("unet.conv_in.weight").to_f32().expect("reads"),
        values(4, 1)
    );
    for (index, part) in ["q", "k", "v"].into_iter().enumerate() {
        let name =
            format!("text_encoder_2.text_model.encoder.layers.3.self_attn.{part}_proj.weight");
        assert_eq!(record(&name).shape, [64, 64]);
        let rows = &attention[index * 64 * 64..(index + 1) * 64 * 64];
        assert_eq!(record(&name).to_f32().expect("reads"), rows);
    }
    let transposed = record("text_encoder_2.text_projection.weight");
    assert_eq!(transposed.shape, [96, 64]);
    assert_eq!(
        transposed.to_f32().expect("reads")[5 * 64 + 9],
        projection[9 * 96 + 5]
    );
    assert_eq!(
        record("vae.decoder.mid_block.attentions.0.to_q.weight").shape,
        [8, 8]
    );
}

#[test]
fn names_of_checkpoints_are_those_of_diffusers() {
    // Made by diffusers' own conversion, see tools/reference/names.py.
    let pairs: Vec<(String, Vec<String>)> =
        serde_json::from_str(include_str!("parity/values/names.json")).expect("reads");
    assert!(pairs.len() > 200);
    for (name, expected) in pairs {
        let stored: Vec<_> = firststep::weights::format::names::Naming::Checkpoint
            .stored_names(&name)
            .into_iter()
            .map(|stored| stored.name)
            .collect();
        assert_eq!(stored, expected, "{name}");
    }
}

/// The bundled pair's manifest after a change.
fn changed_manifest(change: impl FnOnce(&mut serde_json::Value)) -> serde_json::Value {
    let text = include_str!("../public/pairs/emoji/manifest.json");
    let mut manifest = serde_json::from_str(text).expect("reads");
    change(&mut manifest);
    manifest
}

fn parse(manifest: &serde_json::Value) -> Result<Manifest, String> {
    Manifest::parse(&manifest.to_string()).map_err(|error| error.to_string())
}

#[test]
fn what_is_stored_otherwise_is_another_file() {
    let id = |manifest: &serde_json::Value| {
        let manifest = parse(manifest).expect("is sound");
        manifest.components.unet.files[0].id.clone()
    };
    let plain = changed_manifest(|_| {});
    let with_rules = |encoding: &str| {
        changed_manifest(|manifest| {
            manifest["components"]["unet"]["encodings"] =
                serde_json::json!([{ "tensors": "*", "encoding": encoding }]);
        })
    };
    let sha256 = plain["components"]["unet"]["files"][0]["sha256"].as_str();
    assert_eq!(Some(id(&plain).as_str()), sha256);
    assert_ne!(id(&with_rules("q4")), id(&plain));
    assert_ne!(id(&with_rules("q4")), id(&with_rules("q8")));
    assert_eq!(id(&with_rules("q8")), id(&with_rules("q8")));
}

#[test]
fn files_elsewhere_are_named_soundly() {
    let with_file = |file: serde_json::Value| {
        parse(&changed_manifest(|manifest| {
            manifest["components"]["unet"]["files"] = serde_json::json!([file]);
        }))
    };
    let hub = |repository: &str| {
        serde_json::json!({
            "path": "unet/model.safetensors",
            "hub": { "repository": repository, "revision": "main" }
        })
    };
    let unresolved = with_file(hub("owner/name")).expect("is sound");
    assert!(!unresolved.is_resolved());
    for repository in ["owner", "owner/name/more", "../name", "owner/na me"] {
        assert!(
            with_file(hub(repository))
                .expect_err("refused")
                .contains("repository")
        );
    }
    let at = |url: &str| with_file(serde_json::json!({ "path": "model.safetensors", "url": url }));
    assert!(at("https://models.example/model.safetensors").is_ok());
    for url in [
        "http://models.example/m.safetensors",
        "file:///m",
        "https:/m",
    ] {
        assert!(at(url).expect_err("refused").contains("https"));
    }
    let beside = with_file(serde_json::json!({ "path": "model.safetensors" }));
    assert!(beside.expect_err("refused").contains("size and SHA-256"));
}
