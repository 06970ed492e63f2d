//! The handedness of a molecule: which way round the four neighbours of its stereocentres stand.
//!
//! Models that see only distances give a molecule and its mirror image the same probability. Where the molecule has
//! stereocentres, half of an unconditional model's samples are therefore of the other hand, and mirroring them back is exact.

use nalgebra::Vector3;

use crate::topology::Topology;

/// Stereocentres with the sense of their neighbours.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Handedness {
    /// Four different neighbours of each, and whether they are right-handed.
    centres: Vec<([usize; 4], bool)>,
}

/// Six times the signed volume of the tetrahedron of four atoms.
fn volume(positions: &[[f32; 3]], atoms: [usize; 4]) -> f64 {
    let [a, b, c, d] = atoms.map(|atom| Vector3::from(positions[atom].map(f64::from)));
    (a - d).dot(&(b - d).cross(&(c - d)))
}

/// A number for each atom, the same for atoms that the bonds and elements do not tell apart (Weisfeiler and Leman 1968).
fn classes(topology: &Topology) -> Vec<usize> {
    let neighbours = topology.neighbours();
    let mut classes: Vec<usize> = topology.elements().iter().map(|element| usize::from(element.0)).collect();
    for _ in 0..topology.atoms() {
        let signatures: Vec<(usize, Vec<usize>)> = neighbours
            .iter()
            .zip(&classes)
            .map(|(around, &own)| {
                let mut around: Vec<usize> = around.iter().map(|&atom| classes[atom]).collect();
                around.sort_unstable();
                (own, around)
            })
            .collect();
        let mut kinds = signatures.clone();
        kinds.sort_unstable();
        kinds.dedup();
        let refined: Vec<usize> =
            signatures.iter().map(|signature| kinds.partition_point(|kind| kind < signature)).collect();
        if refined == classes {
            break;
        }
        classes = refined;
    }
    classes
}

impl Handedness {
    /// That of a molecule in `positions` `[N]`: of every atom with four neighbours that all differ. Empty without such atoms.
    #[must_use]
    pub fn of(topology: &Topology, positions: &[[f32; 3]]) -> Self {
        let (classes, neighbours) = (classes(topology), topology.neighbours());
        let centres = neighbours.iter().filter_map(|around| {
            let atoms: [usize; 4] = around.as_slice().try_into().ok()?;
            let mut kinds = atoms.map(|atom| classes[atom]);
            kinds.sort_unstable();
            let all_differ = kinds.windows(2).all(|pair| pair[0] != pair[1]);
            all_differ.then(|| (atoms, volume(positions, atoms) > 0.0))
        });
        Self { centres: centres.collect() }
    }

    /// Whether there is no stereocentre.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.centres.is_empty()
    }

    /// Whether more than half of the stereocentres of all `frames` `[T, N]` are of the other hand.
    #[must_use]
    pub fn is_mirrored(&self, frames: &[Vec<[f32; 3]>]) -> bool {
        let other = |frame: &Vec<[f32; 3]>| {
            self.centres.iter().filter(|(atoms, right)| (volume(frame, *atoms) > 0.0) != *right).count()
        };
        2 * frames.iter().map(other).sum::<usize>() > frames.len() * self.centres.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Element;

    /// C bonded to H, F, O–H and N–H.
    fn molecule() -> (Topology, Vec<[f32; 3]>) {
        let mut topology = Topology::of_elements([6, 1, 9, 8, 7, 1, 1].map(Element).to_vec());
        topology.set_bonds(vec![[0, 1], [0, 2], [0, 3], [0, 4], [3, 5], [4, 6]]).unwrap();
        let positions = vec![
            [0.0, 0.0, 0.0],
            [1.0, 1.0, 1.0],
            [1.0, -1.0, -1.0],
            [-1.0, 1.0, -1.0],
            [-1.0, -1.0, 1.0],
            [-2.0, 1.0, -1.0],
            [-2.0, -1.0, 1.0],
        ];
        (topology, positions)
    }

    #[test]
    fn a_mirror_image_is_told_from_a_rotation() {
        let (topology, positions) = molecule();
        let handedness = Handedness::of(&topology, &positions);
        assert_eq!(handedness.centres.len(), 1);
        let turned: Vec<_> = positions.iter().map(|[x, y, z]| [-y + 3.0, *x, *z]).collect();
        let mirrored: Vec<_> = positions.iter().map(|[x, y, z]| [-x, *y, *z]).collect();
        assert!(!handedness.is_mirrored(&[positions.clone(), turned.clone()]));
        assert!(handedness.is_mirrored(&[mirrored.clone(), mirrored.clone(), turned]));
        assert!(!handedness.is_mirrored(&[mirrored, positions]));
    }

    #[test]
    fn equal_neighbours_make_no_stereocentre() {
        let (_, positions) = molecule();
        // Two of the four neighbours are O–H.
        let mut topology = Topology::of_elements([6, 1, 9, 8, 8, 1, 1].map(Element).to_vec());
        topology.set_bonds(vec![[0, 1], [0, 2], [0, 3], [0, 4], [3, 5], [4, 6]]).unwrap();
        let handedness = Handedness::of(&topology, &positions);
        assert!(handedness.is_empty() && !handedness.is_mirrored(&[positions]));
    }
}
