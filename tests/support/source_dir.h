// Where the tree lies. Compiled into one object, so that a compiler cache serves every clone with all the others.
#pragma once

namespace wallaby::testing {

const char* source_dir();

}  // namespace wallaby::testing
