//! GDSS: score-based generation of graphs by a system of SDEs on nodes and edges.
//!
//! Jo, Lee, Hwang, "Score-based Generative Modeling of Graphs via the System of Stochastic Differential Equations",
//! ICML 2022, <https://arxiv.org/abs/2202.02514>.

mod burn_engine;
pub mod config;
mod convert;
mod denoiser;
pub mod engine;
mod error;
mod forward;
pub mod fused;
pub mod graph_dataset;
pub mod initialisation;
mod model;
mod model_card;
pub mod network_config;
pub mod parameters;
pub mod score_matching;
mod score_network_a;
mod score_network_x;
mod score_network_x_gmh;
mod warm_start;

pub use burn_engine::BurnEngine;
pub use config::{
    BondsConfig, ConfigError, GdssConfig, PathsConfig, PredictionsConfig, SamplingWeights, ScalesConfig,
    Task, Vocabulary,
};
pub use convert::convert_gdss;
pub use denoiser::GdssDenoiser;
pub use engine::{
    EngineError, GradientEngine, GraphBatch, JacobianEngine, LossAndGradient, NetworkOutputs,
    OutputsAndGradient, ScoreEngine, ScoreMatchingBatch,
};
pub use equidrift_backend::model_folder::{CARD_FILE, CONFIG_FILE, WEIGHTS_FILE};
pub use error::GdssError;
pub use forward::{Precision, forward};
pub use fused::FusedEngine;
pub use graph_dataset::{CleanGraphs, GraphDataset, GraphDatasetError, GraphSummary};
pub use initialisation::initial_parameters;
pub use model::{EngineKind, GdssModel, UnknownEngine};
pub use model_card::model_card;
pub use network_config::{
    AttentionLayerSize, EdgeNetworkConfig, NetworkConfigError, NetworksConfig, NodeNetworkConfig, Projection,
    ScoreNetworkAConfig, ScoreNetworkXConfig, ScoreNetworkXGmhConfig,
};
pub use score_network_a::ScoreNetworkA;
pub use score_network_x::ScoreNetworkX;
pub use score_network_x_gmh::ScoreNetworkXGmh;

pub use parameters::{ParameterError, ParameterInfo, ParameterKind, check_parameters, parameter_shapes};
pub use score_matching::{DenoisingScoreMatching, PathPair, PerturbedGraphs};
pub use warm_start::warm_start;
