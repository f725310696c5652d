//! What is said of pictures by the embeddings of networks: distances, how well a picture shows a text, and how
//! far a row's pictures spread.

/// The cosine of the angle between two embeddings, from -1 to 1: that of torch's `cosine_similarity`. With one
/// of no length it is 0.
pub fn cosine_similarity(first: &[f32], second: &[f32]) -> f64 {
    let (mut product, mut squares) = (0.0, [0.0; 2]);
    for (&first, &second) in first.iter().zip(second) {
        let (first, second) = (f64::from(first), f64::from(second));
        product += first * second;
        squares[0] += first * first;
        squares[1] += second * second;
    }
    let lengths = squares[0].sqrt() * squares[1].sqrt();
    if lengths > 0.0 {
        product / lengths
    } else {
        0.0
    }
}

/// 1 − cos, from 0 to 2: DreamSim's distance, and that of the emoji pair's card.
pub fn cosine_distance(first: &[f32], second: &[f32]) -> f64 {
    1.0 - cosine_similarity(first, second)
}

/// CLIP score, from 0 to 100: a hundred times the cosine of a picture's and a text's embedding, and 0 below
/// that (Hessel and others, "CLIPScore", 2021, with the factor 100 in place of 2.5, as torchmetrics and
/// most papers on drawn pictures print it).
pub fn clip_score(picture: &[f32], text: &[f32]) -> f64 {
    100.0 * cosine_similarity(picture, text).max(0.0)
}

/// The mean cosine distance of all pairs, from 0 where all embeddings point the same way to 1 where they point
/// every way; none for fewer than two. It is found from the mean of the unit vectors, without the pairs: their
/// squared distance is twice their cosine distance.
pub fn spread<'a>(embeddings: impl IntoIterator<Item = &'a [f32]>) -> Option<f64> {
    let mut sum: Vec<f64> = Vec::new();
    let mut count = 0usize;
    for embedding in embeddings {
        let squares: f64 = embedding.iter().map(|&x| f64::from(x).powi(2)).sum();
        let length = if squares > 0.0 { squares.sqrt() } else { 1.0 };
        sum.resize(sum.len().max(embedding.len()), 0.0);
        for (sum, &value) in sum.iter_mut().zip(embedding) {
            *sum += f64::from(value) / length;
        }
        count += 1;
    }
    if count < 2 {
        return None;
    }
    let count = count as f64;
    let mean: f64 = sum.iter().map(|sum| (sum / count).powi(2)).sum();
    Some((1.0 - mean) * count / (count - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_angle_that_counts() {
        let (east, north, west) = ([2.0, 0.0], [0.0, 0.5], [-3.0, 0.0]);
        assert_eq!(cosine_distance(&east, &east), 0.0);
        assert_eq!(cosine_distance(&east, &north), 1.0);
        assert_eq!(cosine_distance(&east, &west), 2.0);
        assert_eq!(clip_score(&east, &[1.0, 0.0]), 100.0);
        assert_eq!(clip_score(&east, &west), 0.0);
        assert_eq!(cosine_similarity(&east, &[0.0, 0.0]), 0.0);
    }

    #[test]
    fn spread_is_the_mean_distance_of_pairs() {
        let points: [[f32; 3]; 4] = [
            [1.0, 0.5, 0.0],
            [0.0, 2.0, -1.0],
            [-0.5, 0.25, 1.0],
            [3.0, 0.0, 0.1],
        ];
        let mut pairs = Vec::new();
        for (index, first) in points.iter().enumerate() {
            pairs.extend(
                points[..index]
                    .iter()
                    .map(|other| cosine_distance(first, other)),
            );
        }
        let mean = pairs.iter().sum::<f64>() / pairs.len() as f64;
        let found = spread(points.iter().map(<[f32; 3]>::as_slice)).expect("four");
        assert!((found - mean).abs() < 1e-12, "{found} instead of {mean}");
        assert_eq!(spread([[1.0f32].as_slice()]), None);
    }
}
