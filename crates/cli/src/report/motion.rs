//! Trajectories to look at: balls and sticks that turn with the pointer, a slider of frames. 3Dmol draws them, which is in the page
//! as a whole (half a megabyte), so that the page needs nothing from elsewhere.
//!
//! Rego & Koes, "3Dmol.js: molecular visualization with WebGL", Bioinformatics 31, 2015.

use std::fmt::Write as _;

use serde::Serialize;

use super::html::escape;

/// `build/3Dmol-min.js` of 3dmol 2.5.5 of the npm registry, as it is there.
const LIBRARY: &str = include_str!("3dmol/3Dmol-min.js");
/// Its licence, which goes wherever it goes.
const LICENCE: &str = include_str!("3dmol/LICENSE");
/// What hands the scenes over to it.
const SCRIPT: &str = include_str!("motion.js");

/// A motion, or several of the same bodies at once.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Scene {
    pub(crate) name: String,
    /// Frames that were given to the model, before those it predicted.
    pub(crate) given: usize,
    /// Pairs of bodies joined by a stick.
    pub(crate) bonds: Vec<[u32; 2]>,
    /// A colour for each body, `#rrggbb`.
    pub(crate) colours: Vec<String>,
    /// A radius for each body, in units of the positions.
    pub(crate) radii: Vec<f64>,
    pub(crate) motions: Vec<Motion>,
}

/// One motion.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Motion {
    pub(crate) name: String,
    /// Drawn as thin copies beside the first.
    pub(crate) faint: bool,
    /// Frame by frame x, y, z of every body.
    pub(crate) frames: Vec<Vec<f32>>,
}

/// Writes the scenes, and the scripts that draw them.
pub(super) fn write(page: &mut String, scenes: &[Scene]) {
    // Writing to a String cannot fail, so the results below are dropped.
    for scene in scenes {
        // A script element ends at the first "</": no "<" of a file's name may be in it.
        let data = serde_json::to_string(scene).unwrap_or_default().replace('<', "\\u003c");
        let _ = writeln!(
            page,
            "<figure class=\"motion\"><figcaption>{}</figcaption><div class=\"stage\" tabindex=\"0\" role=\"img\" aria-label=\"{0}\"></div>\
             <div class=\"controls\"></div><script type=\"application/json\">{data}</script></figure>",
            escape(&scene.name)
        );
    }
    // In a comment of HTML no two hyphens may follow one another.
    let licence = LICENCE.replace("--", "- -");
    let _ = writeln!(page, "<!--\n{licence}\n-->\n<script>{LIBRARY}</script>\n<script>{SCRIPT}</script>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_the_script() {
        let scene = Scene {
            name: "</script><b>".to_owned(),
            given: 0,
            bonds: vec![[0, 1]],
            colours: vec!["#ffffff".to_owned(); 2],
            radii: vec![0.3; 2],
            motions: vec![Motion { name: "</script>".to_owned(), faint: false, frames: vec![vec![0.5; 6]] }],
        };
        let mut page = String::new();
        write(&mut page, &[scene]);
        assert_eq!(page.matches("</script>").count(), 3);
        assert!(page.contains("University of Pittsburgh"));
        assert!(!page.contains("</script><b>") && page.contains("[[0.5,0.5,0.5,0.5,0.5,0.5]]"));
        for word in ["http", "src=", "import", "fetch", "XMLHttpRequest", "eval("] {
            assert!(!SCRIPT.contains(word), "{word}");
        }
    }
}
