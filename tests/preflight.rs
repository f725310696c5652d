//! The pre-flight of the real pairs, and its reasons against a browser that doesn't meet their needs.

#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it should be"
)]

use firststep::browser::adapter_limits::{AdapterLimits, NoAdapter};
use firststep::loader::preflight::{Drawn, device_memory, preflight};
use firststep::protocol::loader::{Preflight, Storage, Verdict};
use firststep::weights::footprint::LARGEST_MAP;
use firststep::weights::manifest::Manifest;

const GIB: u64 = 1 << 30;
/// Stored bytes of the adapters beside the models.
const ADAPTERS: u64 = 100 << 20;

fn manifest(name: &str) -> Manifest {
    let path = format!("{}/public/pairs/{name}.json", env!("CARGO_MANIFEST_DIR"));
    Manifest::parse(&std::fs::read_to_string(path).expect("reads")).expect("is sound")
}

fn gpu() -> AdapterLimits {
    AdapterLimits {
        description: "a graphics card".into(),
        is_software: false,
        has_f16: true,
        buffer: 4 * GIB,
        binding: 4 * GIB - 4,
        workgroup_storage: 32 << 10,
        workgroup_invocations: 1024,
        subgroups: Some([32, 32]),
    }
}

fn check(name: &str, adapter: Option<AdapterLimits>, free: u64) -> Preflight {
    let missing = || NoAdapter::Missing("navigator.gpu is missing".into());
    check_with(name, adapter.ok_or_else(missing), free)
}

fn check_with(name: &str, adapter: Result<AdapterLimits, NoAdapter>, free: u64) -> Preflight {
    let storage = Storage {
        usage: Some(1e9),
        quota: Some(1e9 + free as f64),
        is_persistent: false,
    };
    let manifest = manifest(name);
    let missing = manifest.download_size();
    let drawn = Drawn {
        image_size: manifest.image_size,
        adapters: ADAPTERS,
    };
    preflight(name, &manifest, drawn, missing, |_| false, adapter, storage)
}

fn reasons(preflight: &Preflight) -> String {
    match &preflight.verdict {
        Verdict::WontFit(reasons) => reasons.join("; "),
        _ => String::new(),
    }
}

#[test]
fn sdxl_fits_a_good_graphics_card() {
    let found = check("sdxl-dmd2", Some(gpu()), 100 * GIB);
    assert_eq!(found.verdict, Verdict::Fits);
    assert_eq!(found.download, 12_250_803_948);
    // Each of the two UNets, in 4 and 8 bits, takes 1.64 GB in the store.
    assert!((4_300_000_000..4_400_000_000).contains(&found.disk_needed));
    // Beside the UNets, the VAE's decoder: the text encoders leave.
    let weights = found.gpu_weights - found.gpu_adapters;
    assert!((3_370_000_000..3_400_000_000).contains(&weights));
    // Beside each of the two.
    assert_eq!(found.gpu_adapters, 2 * ADAPTERS);
    assert!(found.largest_buffer <= LARGEST_MAP);
    assert!(found.licences.iter().any(|it| it.name.contains("CC BY-NC")));
    assert!(found.unproven.is_empty());
}

#[test]
fn an_adapter_beside_the_base_needs_one_unet_less() {
    let whole = check("sdxl-dmd2", Some(gpu()), 100 * GIB);
    let adapter = check("sdxl-dmd2-lora", Some(gpu()), 100 * GIB);
    assert!(adapter.gpu_weights + GIB < whole.gpu_weights);
    assert!(adapter.disk_needed + GIB < whole.disk_needed);
}

/// All SDXL pairs draw 1024 × 1024 pixels, but Turbo.
#[test]
fn sdxl_fits_a_common_graphics_card() {
    for pair in ["dmd2", "lightning", "lcm"] {
        for (ending, most) in [("-lora", 3_000_000_000), ("", 4_600_000_000)] {
            let name = format!("sdxl-{pair}{ending}");
            let of = |size, has_f16| device_memory(&manifest(&name), size, has_f16);
            let memory = of([1024, 1024], true);
            println!("{name}, f16: {} bytes of {memory:?}", memory.peak());
            assert!(memory.peak() <= most, "{name}: {memory:?}");
            assert!(memory.largest_buffer <= LARGEST_MAP, "{name}: {memory:?}");
            let memory = of([1024, 1024], false);
            println!("{name}, f32: {} bytes of {memory:?}", memory.peak());
            assert!(memory.largest_buffer <= LARGEST_MAP, "{name}: {memory:?}");
        }
    }
}

/// `tests/dawn/memory.test.mjs` compares these numbers with what a drawing engine has of the device.
#[test]
fn the_plan_is_the_one_that_is_compared_with_what_is_counted() {
    let written = include_str!("dawn/planned_memory.json");
    let planned = |has_f16| device_memory(&manifest("emoji/manifest"), [64, 64], has_f16).peak();
    let now = format!(
        "{{ \"f16\": {}, \"f32\": {} }}\n",
        planned(true),
        planned(false)
    );
    assert_eq!(written, now, "the plan has changed");
}

#[test]
fn a_size_takes_memory_by_its_pixels() {
    let manifest = manifest("sdxl-dmd2-lora");
    let of = |size| device_memory(&manifest, size, true);
    let own = of([1024, 1024]);
    let [wide, tall] = [of([1536, 640]), of([640, 1536])];
    assert_eq!(wide.activations, tall.activations);
    // 0.94 of the pixels; tiles and their overlaps are cut otherwise.
    let ratio = wide.activations as f64 / own.activations as f64;
    assert!((0.8..1.1).contains(&ratio), "{ratio}");
    let largest = of([2048, 2048]);
    assert!(largest.activations > own.activations);
    assert_eq!(largest.weights, own.weights);
    // More than the least that adapters have to bind: the engine refuses it there.
    assert!(largest.largest_buffer > LARGEST_MAP, "{largest:?}");
    assert!(wide.largest_buffer <= LARGEST_MAP && tall.largest_buffer <= LARGEST_MAP);
    // A size that the pair doesn't draw is planned as its own.
    assert_eq!(manifest.drawn_size(Some([448, 1024])), [1024, 1024]);
    assert_eq!(manifest.drawn_size(Some([1536, 640])), [1536, 640]);
}

#[test]
fn what_is_missing_is_named() {
    let without_f16 = AdapterLimits {
        has_f16: false,
        ..gpu()
    };
    let found = check("sdxl-turbo", Some(without_f16), 100 * GIB);
    assert_eq!(found.verdict, Verdict::FitsWithoutF16);

    let none = check("sdxl-dmd2", None, 100 * GIB);
    assert!(reasons(&none).contains("no WebGPU"));

    // Everything runs with the smallest binding, and not below it.
    let bound = |binding| {
        let adapter = AdapterLimits { binding, ..gpu() };
        check("sdxl-dmd2", Some(adapter), 100 * GIB)
    };
    assert_eq!(bound(128 << 20).verdict, Verdict::Fits);
    let found = reasons(&bound(16 << 20));
    assert!(found.contains("17 MB"), "{found}");

    let software = AdapterLimits {
        is_software: true,
        ..gpu()
    };
    assert!(reasons(&check("sdxl-dmd2", Some(software), 100 * GIB)).contains("processor"));

    let found = reasons(&check("sdxl-dmd2", Some(gpu()), 2 * GIB));
    assert!(
        found.contains("disk space") && found.contains("2148 MB"),
        "{found}"
    );
    // The emoji pair runs anywhere.
    assert_eq!(check("emoji/manifest", None, GIB).verdict, Verdict::Fits);
}

#[test]
fn case_29_a_page_over_plain_http_says_that_https_is_needed() {
    let found = reasons(&check_with(
        "sdxl-dmd2",
        Err(NoAdapter::Insecure),
        100 * GIB,
    ));
    assert!(
        found.contains("https") && found.contains("localhost"),
        "{found}"
    );
}
