//! SIGINT and SIGTERM: finish the batch, record what is done, exit with 130.

use std::sync::Once;

use equidrift::StopSignal;

static STOP: StopSignal = StopSignal::new();
static INSTALL: Once = Once::new();

/// The signal handler's flag. The first call installs the handler; before it, a signal ends the process as usual.
pub(crate) fn stop() -> &'static StopSignal {
    INSTALL.call_once(|| {
        // Failing to install only means that a signal ends the process at once; the manifest is still right then.
        let _ = ctrlc::set_handler(|| STOP.ask());
    });
    &STOP
}
