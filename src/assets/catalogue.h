// The catalogue that the program carries: machines and what others have measured on them (planner/machine.h and
// planner/published.h read them).
#pragma once
#include <string_view>

namespace wallaby::assets {

std::string_view machines();      // assets/machines.toml
std::string_view measurements();  // assets/measurements.csv

}  // namespace wallaby::assets
