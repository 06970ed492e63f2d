//! Law checkers and problems with known answers, for tests.
