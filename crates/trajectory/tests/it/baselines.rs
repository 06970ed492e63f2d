//! What the baselines reach on the data sets: 10 given frames, 20 to predict.

use equidrift_trajectory::baselines::{LinearRegression, Sharing, last_velocity, line_fit};
use equidrift_trajectory::metrics::{Displacement, DisplacementSummary, displacement};
use equidrift_trajectory::nbody::{Run, System};
use equidrift_trajectory::{Part, Windows, file};

use crate::reference::data_dir;

const GIVEN: usize = 10;
const PREDICTED: usize = 20;

/// Given frames in, predicted frames out.
type Predict<'a> = dyn Fn(&[[f32; 3]]) -> Vec<[f32; 3]> + 'a;

/// ADE and FDE of the three baselines on test windows.
fn table(
    name: &str,
    train: &[Vec<[f32; 3]>],
    test: &[Vec<[f32; 3]>],
    sharing: Sharing,
    atoms: usize,
) -> [Displacement; 3] {
    let mut regression = LinearRegression::new(GIVEN, PREDICTED, sharing, atoms).unwrap();
    train.iter().for_each(|window| regression.learn(window, atoms).unwrap());
    regression.solve().unwrap();
    let evaluate = |predict: &Predict| {
        let errors: Vec<Vec<Displacement>> = test
            .iter()
            .map(|window| {
                let (given, truth) = window.split_at(GIVEN * atoms);
                vec![displacement(&predict(given), truth, atoms).unwrap()]
            })
            .collect();
        DisplacementSummary::of(&errors).unwrap().mean
    };
    let found = [
        evaluate(&|given| last_velocity(given, atoms, PREDICTED).unwrap()),
        evaluate(&|given| line_fit(given, atoms, PREDICTED).unwrap()),
        evaluate(&|given| regression.predict(given, atoms).unwrap()),
    ];
    for (baseline, Displacement { ade, fde }) in
        ["last velocity", "line fit", "linear regression"].iter().zip(&found)
    {
        println!("{name}: {baseline} ADE/FDE {ade:.4}/{fde:.4} ({} windows)", test.len());
    }
    found
}

#[test]
fn molecules() {
    let Some(folder) = data_dir("md") else { return };
    for name in ["ethanol", "malonaldehyde", "benzene", "aspirin"] {
        let trajectory = file::read(&folder.join(format!("{name}.npz"))).unwrap();
        let windows = |part| -> Vec<Vec<[f32; 3]>> {
            let rule = Windows::published(part, 5);
            let starts = rule.starts(trajectory.frames(), part);
            starts.iter().map(|start| rule.window(&trajectory, *start).positions().to_vec()).collect()
        };
        let found =
            table(name, &windows(Part::Train), &windows(Part::Test), Sharing::PerAtom, trajectory.atoms());
        let [velocity, line, regression] = found.map(|error| error.ade);
        assert!(regression < velocity && regression < line, "{name}");
        assert!(regression > 0.01 && velocity < 10.0, "{name}");
    }
}

#[test]
fn bodies() {
    for system in [System::Springs, System::Charged, System::Gravity] {
        let bodies = system.usual_bodies();
        let runs = system.simulate_all(bodies, 43, 0..300, 2).unwrap();
        let window = |run: &Run| run.trajectory().window(0, GIVEN + PREDICTED).positions().to_vec();
        let windows: Vec<Vec<[f32; 3]>> = runs.iter().map(window).collect();
        let (train, test) = windows.split_at(200);
        let [velocity, line, regression] =
            table(&format!("{system:?}"), train, test, Sharing::Shared, bodies).map(|error| error.ade);
        assert!(
            velocity < line && velocity > 0.001,
            "motion is smooth: the last velocity is better than all"
        );
        // One law for all bodies holds where forces are linear.
        assert!(system != System::Springs || regression < velocity);
    }
}
