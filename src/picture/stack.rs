//! Pictures of one size as one picture, below each other: the steps of a picture in one file.

use super::image::Image;

/// The pictures below each other, the first on top; none of no pictures, or of different sizes.
pub fn stacked(pictures: &[Image]) -> Option<Image> {
    let first = pictures.first()?;
    let is_alike = |it: &Image| (it.width, it.height) == (first.width, first.height);
    if !pictures.iter().all(is_alike) {
        return None;
    }
    let count = u32::try_from(pictures.len()).ok()?;
    Some(Image {
        width: first.width,
        height: first.height.checked_mul(count)?,
        rgba: pictures.iter().flat_map(|it| &it.rgba).copied().collect(),
    })
}

/// So many pictures out of [`stacked`]; none where the picture doesn't consist of so many.
pub fn unstacked(stack: &Image, count: usize) -> Option<Vec<Image>> {
    let parts = u32::try_from(count).ok().filter(|it| *it > 0)?;
    let height = stack.height / parts;
    let is_whole = height > 0 && height * parts == stack.height && stack.view().is_ok();
    is_whole.then(|| {
        let bytes = stack.rgba.len() / count;
        let pictures = stack.rgba.chunks_exact(bytes);
        pictures
            .map(|rgba| Image {
                width: stack.width,
                height,
                rgba: rgba.to_vec(),
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(side: u32, grey: u8) -> Image {
        Image {
            width: side,
            height: 2,
            rgba: vec![grey; side as usize * 8],
        }
    }

    #[test]
    fn pictures_come_back_in_their_order() {
        let pictures = [picture(3, 1), picture(3, 2), picture(3, 3)];
        let stack = stacked(&pictures).expect("a stack");
        assert_eq!((stack.width, stack.height), (3, 6));
        assert_eq!(unstacked(&stack, 3).as_deref(), Some(&pictures[..]));
        assert_eq!(unstacked(&stack, 4), None);
        assert_eq!(unstacked(&stack, 0), None);
        assert_eq!(stacked(&[picture(3, 1), picture(4, 1)]), None);
        assert_eq!(stacked(&[]), None);
    }
}
