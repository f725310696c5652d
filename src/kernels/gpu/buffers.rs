//! Between burn's tensors and what a launch takes.

use burn::backend::wgpu::{CubeTensor, Wgpu};
use burn::tensor::{DType, Tensor};
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;

use crate::kernels::plain::contiguous;

const F32: ElemType = ElemType::Float(FloatKind::F32);
const F16: ElemType = ElemType::Float(FloatKind::F16);

/// A tensor as the kernels take it: not on the CPU, and contiguous. One that is not, as burn has what is
/// repeated, is copied: whoever reads it more than once does better to copy it before.
pub(super) fn primitive<const D: usize>(tensor: Tensor<D>) -> CubeTensor {
    let on_card = |tensor: Tensor<D>| match tensor.try_into_primitive::<Wgpu>() {
        Ok(primitive) => primitive,
        Err(_) => unreachable!("is_on was asked before"),
    };
    let primitive = on_card(tensor);
    if primitive.is_contiguous() {
        primitive
    } else {
        on_card(contiguous(Tensor::from_primitive::<Wgpu>(primitive)))
    }
}

pub(super) fn tensor<const D: usize>(primitive: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<Wgpu>(primitive)
}

pub(super) fn element(tensor: &CubeTensor) -> ElemType {
    if tensor.dtype == DType::F16 { F16 } else { F32 }
}

/// The size of the last dimension.
pub(super) fn columns_of(tensor: &CubeTensor) -> usize {
    tensor.meta.shape().as_slice().last().copied().unwrap_or(0)
}

/// Room for an output of the same type beside another tensor.
pub(super) fn output(beside: &CubeTensor, shape: &[usize]) -> CubeTensor {
    let length: usize = shape.iter().product();
    let handle = beside.client.empty(length * beside.dtype.size());
    CubeTensor::new_contiguous(
        beside.client.clone(),
        beside.device.clone(),
        shape.to_vec().into(),
        handle,
        beside.dtype,
    )
}

pub(super) fn some<T: LaunchArg<RuntimeArg = BufferArg> + CubeType>(
    tensor: Option<CubeTensor>,
) -> ComptimeOptionArgs<T> {
    tensor.map(CubeTensor::into_buffer_arg).into()
}

/// The most workgroups that there can be in one direction.
pub(super) const MAXIMUM_COUNT: usize = 65_535;

/// Workgroups for so many threads, in several rows where one would be too long.
pub(super) fn in_rows(threads: usize, per_group: usize) -> CubeCount {
    let groups = threads.div_ceil(per_group);
    let rows = groups.div_ceil(MAXIMUM_COUNT);
    CubeCount::Static(groups.div_ceil(rows) as u32, rows as u32, 1)
}
