// RDKit up to 2022.09 (Debian 12) declares the file writers in FileParsers.h; newer releases split them off into a
// header of this name, which rdkit-sys includes. This directory is searched last (CPLUS_INCLUDE_PATH in
// .cargo/config.toml), so where RDKit has the header itself, RDKit's is used.
#pragma once
#include <GraphMol/FileParsers/FileParsers.h>
