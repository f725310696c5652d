//! `f16` on devices whose shaders have none.

use cubecl::prelude::*;

/// The value of an `f16` by its 16 bits, which are no infinity and not a number.
#[cube]
pub fn half_to_f32(bits: u32) -> f32 {
    let magnitude = bits & 32767;
    let sign = (bits & 32768) << 16;
    // The exponent's bias is 15 here and 127 there. A device may flush an `f32` that is made of a
    // subnormal's bits to zero, so that those values are computed.
    let mut value = f32::reinterpret((magnitude << 13) + 939524096u32);
    if magnitude < 1024 {
        value = f32::cast_from(magnitude) * 5.960_464_5e-8f32;
    }
    f32::reinterpret(u32::reinterpret(value) | sign)
}
