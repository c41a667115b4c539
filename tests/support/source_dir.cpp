#include "support/source_dir.h"

namespace wallaby::testing {

const char* source_dir() { return WALLABY_SOURCE_DIR; }

}  // namespace wallaby::testing
