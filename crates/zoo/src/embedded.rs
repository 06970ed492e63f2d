//! The table of embedded models.

/// A model folder inside the binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedModel {
    /// Name by which `--model` finds it.
    pub name: &'static str,
    /// `config.json`.
    pub config: &'static str,
    /// `model.safetensors`.
    pub weights: &'static [u8],
    /// `SHA256SUMS`.
    pub checksums: &'static str,
    /// `README.md`, the model card.
    pub card: &'static str,
}

/// A plan inside the binary, for the model its name begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedPlan {
    /// Name by which `--plan` finds it: the model's name, a hyphen, the network calls per sample.
    pub name: &'static str,
    /// The plan as JSON.
    pub plan: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// All embedded plans, by name.
pub fn plans() -> &'static [EmbeddedPlan] {
    PLANS
}

/// The plan of this name, if there is one.
pub fn find_plan(name: &str) -> Option<&'static EmbeddedPlan> {
    PLANS.iter().find(|plan| plan.name == name)
}

/// All embedded models, by name.
pub fn models() -> &'static [EmbeddedModel] {
    MODELS
}

/// Their names, in order.
pub fn names() -> Vec<&'static str> {
    MODELS.iter().map(|model| model.name).collect()
}

/// The model of this name, if there is one.
pub fn find(name: &str) -> Option<&'static EmbeddedModel> {
    MODELS.iter().find(|model| model.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn every_embedded_file_has_its_listed_checksum() {
        for model in models() {
            for (file, bytes) in
                [("config.json", model.config.as_bytes()), ("model.safetensors", model.weights)]
            {
                let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
                let listed = model.checksums.lines().any(|line| {
                    line.split_once(' ')
                        .is_some_and(|(d, name)| d == digest && name.trim_start_matches([' ', '*']) == file)
                });
                assert!(listed, "{}: {file} is not what SHA256SUMS lists", model.name);
            }
        }
    }

    #[test]
    fn every_plan_is_json_and_belongs_to_a_model() {
        for plan in plans() {
            let (model, calls) = plan.name.rsplit_once('-').unwrap();
            assert!(find(model).is_some() && calls.parse::<u32>().is_ok(), "{}", plan.name);
            let parsed: serde_json::Value = serde_json::from_str(plan.plan).unwrap();
            assert!(parsed["steps"].is_array(), "{}", plan.name);
            assert_eq!(find_plan(plan.name), Some(plan));
        }
        assert_eq!(find_plan("no such plan"), None);
    }

    #[test]
    fn every_configuration_is_json_and_says_what_it_is() {
        for model in models() {
            let config: serde_json::Value = serde_json::from_str(model.config).unwrap();
            assert_eq!(config["library"], "equidrift", "{}", model.name);
            assert!(!model.card.trim().is_empty(), "{} has no model card", model.name);
            assert_eq!(find(model.name), Some(model));
        }
        assert!(names().is_sorted());
        assert_eq!(find("no such model"), None);
    }
}
